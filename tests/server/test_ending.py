"""How the server ends: work in flight is answered, nothing new is taken, the exit code is 0; and no work is lost on
those who have hung up."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from vicinal.cli.app import app
from vicinal.errors import VicinalError
from vicinal.server.settings import Settings

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")


import liveserver as live  # noqa: E402

BODY = {"input": ["the cat sat", "a dog"]}


def post(body: bytes) -> bytes:
    head = f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def until(condition: Any) -> None:
    end = time.monotonic() + live.WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_work_in_flight_is_answered_and_nothing_new_is_taken(tiny_folder: Path) -> None:
    with live.live(models=(str(tiny_folder),)) as server:
        gate = live.Gate(server.service)
        answers: list[Any] = []
        asking = threading.Thread(
            target=lambda: answers.append(httpx.post(server.url + "/v1/embeddings", json=BODY, timeout=60))
        )
        asking.start()
        assert gate.reached.wait(live.WAIT)
        server.signal()
        until(lambda: server.service.state == "draining")
        assert httpx.get(server.url + "/health").status_code == 503
        late = httpx.post(server.url + "/v1/embeddings", json=BODY)
        assert late.status_code == 503 and late.headers["retry-after"]
        assert server.thread.is_alive()
        gate.open.set()
        asking.join(live.WAIT)
        assert answers[0].status_code == 200 and len(answers[0].json()["data"]) == 2
        assert server.wait()


def test_what_hangs_longer_than_is_allowed_does_not_hold_up_the_end(tiny_folder: Path) -> None:
    with live.live(models=(str(tiny_folder),), drain_timeout=0.2) as server:
        gate = live.Gate(server.service)
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(post(b'{"input": "a cat"}'))
        assert gate.reached.wait(live.WAIT)
        server.signal()
        assert server.wait()
        gate.open.set()
        connection.close()


def test_work_of_clients_that_hung_up_is_left_out(tiny_folder: Path) -> None:
    with live.live(models=(str(tiny_folder),)) as server:
        gate = live.Gate(server.service)
        first = threading.Thread(
            target=lambda: httpx.post(server.url + "/v1/embeddings", json=BODY, timeout=60)
        )
        first.start()
        assert gate.reached.wait(live.WAIT)
        scheduler = server.service._pipeline.scheduler
        held = scheduler.waiting_tokens
        gone = socket.create_connection(("127.0.0.1", server.port))
        gone.sendall(post(b'{"input": "a big red bird"}'))
        until(lambda: scheduler.waiting_tokens > held)
        gone.close()
        until(lambda: scheduler.waiting_tokens == held)
        until(lambda: server.service.active == 1)
        gate.open.set()
        first.join(live.WAIT)
        assert scheduler.waiting_tokens == 0
        assert httpx.get(server.url + "/health").status_code == 200


def test_a_request_that_waited_too_long_is_given_up(tiny_folder: Path) -> None:
    with live.live(models=(str(tiny_folder),), request_timeout=0.3) as server:
        gate = live.Gate(server.service)
        answer = httpx.post(server.url + "/v1/embeddings", json=BODY, timeout=60)
        assert answer.status_code == 503 and answer.headers["retry-after"]
        assert answer.json()["error"]["type"] == "server_error"
        gate.open.set()
        until(lambda: server.service._pipeline.scheduler.waiting_tokens == 0)
        object.__setattr__(server.service.settings, "request_timeout", 60.0)
        assert httpx.post(server.url + "/v1/embeddings", json=BODY, timeout=60).status_code == 200


@pytest.fixture
def command(tmp_path: Path) -> Any:
    """The command in a process of its own, until it is ready."""
    processes = []

    def start(*arguments: str, program: tuple[str, ...] = ("-m", "vicinal")) -> tuple[Any, str, str]:
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "VICINAL_PORT": "0"}
        process = subprocess.Popen(
            [sys.executable, *program, "serve", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            # The tests may run with signals ignored, which a child would inherit.
            preexec_fn=lambda: [
                signal.signal(each, signal.SIG_DFL) for each in (signal.SIGINT, signal.SIGTERM)
            ],
        )
        processes.append(process)
        said = ""
        while "ready\n" not in said and (line := process.stderr.readline()):
            said += line
        url = next((word.strip(";") for word in said.split() if word.startswith("http://")), "")
        return process, url, said

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def test_the_command_says_what_it_serves_and_ends_with_0(command: Any) -> None:
    process, url, said = command("--model", "vicinal-mini")
    assert "vicinal-mini: embedding, 256 dimensions, float32" in said
    assert httpx.post(url + "/v1/embeddings", json=BODY).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(live.WAIT) == 0
    assert process.stderr.read() == ""


_STUCK = """
import threading
from vicinal.server.batching import Scheduler
from vicinal.server.service import Service

load = Service.load

def and_never_compute_again(self):
    load(self)
    Scheduler._compute = lambda self, group: threading.Event().wait()

Service.load = and_never_compute_again
from vicinal.cli import main
main()
"""


def test_a_second_signal_ends_it_at_once(command: Any, tmp_path: Path) -> None:
    (tmp_path / "stuck.py").write_text(_STUCK)
    process, url, _ = command("--model", "vicinal-mini", program=(str(tmp_path / "stuck.py"),))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url + "/v1/embeddings", json=BODY, timeout=0.5)
    port = int(url.rpartition(":")[2])
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(
        b'POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n{"input": "ab"}'
    )
    until(lambda: "vicinal_requests_active 2" in httpx.get(url + "/metrics").text)
    process.send_signal(signal.SIGINT)
    until(lambda: httpx.get(url + "/health").status_code == 503)
    process.send_signal(signal.SIGINT)
    assert process.wait(live.WAIT) == 130
    connection.close()


def test_a_port_that_is_taken_is_said_in_one_line(command: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process, _, output = command("--cache", "off", "--port", str(taken.getsockname()[1]))
        assert process.wait(live.WAIT) == 1
    assert output.startswith("error: 127.0.0.1:") and "is in use" in output and output.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"models": ("vicinal-mini",), "writable": True}, "writable needs an api key"),
        ({"indexes": ("none.db",)}, "none.db: there is no such index"),
        ({"models": ("./nowhere",)}, "does not exist"),
        ({"models": ("vicinal-mini",), "host": "192.0.2.1"}, "is not an address of this machine"),
    ],
)
def test_what_cannot_be_served_ends_the_server_with_its_error(settings: Any, said: str) -> None:
    from vicinal.server.process import serve

    with pytest.raises(VicinalError, match=said):
        serve(Settings(**{"port": 0, **settings}), lambda address: None, lambda service: None)


def test_an_empty_file_is_not_served_for_reading(tmp_path: Path) -> None:
    from vicinal.server.process import serve

    (tmp_path / "notes.db").touch()
    with pytest.raises(
        VicinalError, match=r"notes.db: the file is empty; `vicinal index .*notes.db INPUT...` fills it"
    ):
        serve(
            Settings(port=0, indexes=(str(tmp_path / "notes.db"),)),
            lambda address: None,
            lambda service: None,
        )


def test_a_key_is_asked_for_beyond_this_machine(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("vicinal.server.process.serve", lambda *_: None)
    for host, said in (("0.0.0.0", True), ("127.0.0.1", False)):
        with pytest.raises(SystemExit) as caught:
            app(["serve", "--host", host, "--cache", "off"])
        assert caught.value.code == 0
        assert ("anybody who reaches 0.0.0.0" in capsys.readouterr().err) is said


def test_options_are_environment_variables_too(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Settings] = []
    monkeypatch.setattr("vicinal.server.process.serve", lambda settings, *_: given.append(settings))
    for name, value in {
        "MODEL": "a b",
        "PORT": "99",
        "API_KEY": "x",
        "WRITABLE": "1",
        "CACHE": "off",
    }.items():
        monkeypatch.setenv(f"VICINAL_{name}", value)
    with pytest.raises(SystemExit):
        app(["serve", "--max-texts", "7"])
    assert given == [
        Settings(models=("a", "b"), port=99, api_keys=("x",), writable=True, cache_path=None, max_texts=7)
    ]
