"""What every request passes: keys, hosts, sizes, states, ids."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vicinal.errors import InputError
from vicinal.server.app import create_app
from vicinal.server.service import Service
from vicinal.server.settings import Settings, is_loopback, served_name

BODY = {"input": "a cat"}


@pytest.fixture(scope="module")
def locked(serve: Callable[..., Any]) -> Any:
    return serve(models=("vicinal-mini",), api_keys=("one", "two"), host="0.0.0.0", max_body_bytes=1000)


def test_every_route_but_health_and_the_page_needs_a_key(locked: Any) -> None:
    asked = 0
    for path, methods in locked.app.openapi()["paths"].items():
        for method in methods:
            answer = locked(method.upper(), path.replace("{", "").replace("}", ""))
            is_open = method == "get" and (
                path in ("/", "/health", "/ping") or path.startswith("/page/files/")
            )
            assert is_open or answer.status_code == 401, (method, path)
            asked += not is_open
    assert asked > 15
    assert locked("POST", "/", json={"inputs": "a cat"}).status_code == 401
    assert locked("POST", "/health").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer three"},
        {"authorization": "Basic one"},
        {"authorization": "Bearer"},
        {"x-api-key": "on"},
        {"x-api-key": "onee"},
        {"x-api-key": "Öne".encode("latin-1")},
    ],
)
def test_a_key_is_needed(locked: Any, headers: Any) -> None:
    answer = locked("POST", "/v1/embeddings", json=BODY, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert locked("GET", "/metrics", headers=headers).status_code == 401
    assert locked("GET", "/v1/nowhere", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "headers", [{"authorization": "Bearer one"}, {"authorization": "bearer two"}, {"x-api-key": "two"}]
)
def test_any_of_the_keys_will_do(locked: Any, headers: Any) -> None:
    assert locked("POST", "/v1/embeddings", json=BODY, headers=headers).status_code == 200


def test_health_needs_no_key(locked: Any) -> None:
    assert locked.get("/health").status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_are_refused(locked: Any, chunked: bool) -> None:
    raw = json.dumps({"input": "a" * 2000}).encode()

    async def parts() -> Any:
        for first in range(0, len(raw), 100):
            yield raw[first : first + 100]

    headers = {"x-api-key": "one", "content-type": "application/json"}
    answer = locked("POST", "/v1/embeddings", content=parts() if chunked else raw, headers=headers)
    assert answer.status_code == 413 and "1000 bytes" in answer.json()["error"]["message"]


def test_limits_of_texts(serve: Callable[..., Any]) -> None:
    server = serve(models=("vicinal-mini",), max_texts=3, max_text_chars=10)
    assert server.post("/v1/embeddings", {"input": ["a"] * 3}).status_code == 200
    many = server.post("/v1/embeddings", {"input": ["a"] * 4})
    assert many.status_code == 400 and "at most 3" in many.text
    long = server.post("/v1/embeddings", {"input": ["a", "b" * 11]})
    assert long.status_code == 400 and "input[1] has 11 characters" in long.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""])
def test_other_names_do_not_reach_a_server_without_a_key(server: Any, host: str) -> None:
    answer = server("GET", "/v1/models", headers={"host": host})
    assert answer.status_code == 403 and "--allowed-host" in answer.text


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:80", "LOCALHOST"])
def test_names_of_this_machine_do(server: Any, host: str) -> None:
    assert server("GET", "/v1/models", headers={"host": host}).status_code == 200


def test_a_browser_cannot_post_without_asking(server: Any) -> None:
    raw = json.dumps(BODY)
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        headers = {"content-type": kind} if kind else {}
        assert server("POST", "/v1/embeddings", content=raw, headers=headers).status_code == 200
        page = {**headers, "origin": "https://evil.example"}
        answer = server("POST", "/v1/embeddings", content=raw, headers=page)
        assert answer.status_code == 400 and "access-control-allow-origin" not in answer.headers


def test_cors_is_for_the_sites_that_were_named(serve: Callable[..., Any]) -> None:
    server = serve(models=("vicinal-mini",), cors_origins=("https://good.example",))
    for origin, allowed in (("https://good.example", True), ("https://evil.example", False)):
        ask = {"origin": origin, "access-control-request-method": "POST"}
        found = server("OPTIONS", "/v1/embeddings", headers=ask).headers.get("access-control-allow-origin")
        assert (found == origin) is allowed


def test_request_ids_are_given_back_or_made(server: Any) -> None:
    assert server("GET", "/health", headers={"x-request-id": "abc-1.2"}).headers["x-request-id"] == "abc-1.2"
    made = server("GET", "/health", headers={"x-request-id": "a b\tc"}).headers["x-request-id"]
    assert len(made) == 16 and int(made, 16) >= 0


def test_nothing_is_taken_before_the_models_are_there_nor_after_the_end(tiny_folder: Path) -> None:
    import httpx

    settings = Settings(models=(str(tiny_folder),), dtype="float32")
    service = Service(settings)
    app = create_app(settings, service)

    def ask(method: str, path: str, **options: Any) -> Any:
        async def one() -> Any:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as session:
                return await session.request(method, path, **options)

        return asyncio.run(one())

    def refused() -> None:
        assert ask("GET", "/health").status_code == 503
        answer = ask("POST", "/v1/embeddings", json=BODY)
        assert answer.status_code == 503 and answer.headers["retry-after"] == "2"
        assert service.state in answer.json()["error"]["message"]
        assert ask("GET", "/v1/models").status_code == 503

    try:
        refused()
        service.load()
        assert ask("GET", "/health").json() == {"status": "ready"}
        assert ask("POST", "/v1/embeddings", json=BODY).status_code == 200
        service.drain()
        refused()
    finally:
        service.close()


def test_a_route_that_fails_gives_500_in_the_shape_of_its_dialect(
    server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a bug with a secret in it")

    monkeypatch.setattr(server.service, "check_texts", fail)
    answer = server.post("/v1/embeddings", BODY)
    assert answer.status_code == 500 and answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text and "secret" in caplog.text


def test_unknown_paths_have_the_shape_of_their_neighbours(server: Any) -> None:
    assert set(server.get("/v1/nothing").json()["error"]) == {"message", "type", "param", "code"}
    assert set(server.get("/nothing").json()["error"]) == {"kind", "message", "param"}
    wrong = server.get("/v1/embeddings")
    assert wrong.status_code == 405 and wrong.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "nothing to serve"),
        ({"models": ("m",), "writable": True}, "needs an api key"),
        ({"models": ("m",), "api_keys": (" ",)}, "blank"),
        ({"models": ("m",), "port": 70000}, "port=70000"),
        ({"models": ("m",), "max_texts": 0}, "max_texts=0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Settings(**settings).check()


def test_two_models_of_one_name_are_refused(tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "tiny").symlink_to(tiny_folder)
    service = Service(Settings(models=(str(tiny_folder), str(tmp_path / "tiny")), dtype="float32"))
    with pytest.raises(InputError, match="would both be served as 'tiny'"):
        service.load()
    assert service.state == "failed"
    service.close()


def test_names_are_never_paths(tmp_path: Path) -> None:
    assert served_name("org/model") == "org/model"
    assert served_name("./models/mine") == "mine"
    assert served_name("/data/notes.db") == "notes"
    assert served_name(str(tmp_path)) == tmp_path.name
    assert is_loopback("127.8.0.1") and is_loopback("::1") and is_loopback("localhost")
    assert not is_loopback("0.0.0.0") and not is_loopback("example.org")


def test_requests_and_bodies_at_the_same_time_are_bounded(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(models=("vicinal-mini",), max_requests=2, max_body_bytes=1000)
    server.service.active = 2
    refused = server.post("/v1/embeddings", BODY)
    assert refused.status_code == 429 and refused.headers["retry-after"]
    assert server.get("/health").status_code == 200
    server.service.active = 0
    assert server.post("/v1/embeddings", BODY).status_code == 200
    monkeypatch.setattr("vicinal.server.guard._BODIES", 0)
    assert server.post("/v1/embeddings", BODY).status_code == 429
    monkeypatch.undo()
    assert server.post("/v1/embeddings", BODY).status_code == 200


def test_answers_that_would_be_huge_are_refused(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vicinal.server.text_service._NUMBERS", 24 * 8)
    assert server.post("/embed_all", {"inputs": "the cat sat", "model": "tiny"}).status_code == 200
    answer = server.post("/embed_all", {"inputs": ["the cat sat", "a dog ran"], "model": "tiny"})
    assert answer.status_code == 413 and "send fewer texts" in answer.text
    monkeypatch.setattr("vicinal.server.text_service._CHARACTERS", 10)
    assert server.post("/tokenize", {"inputs": "a cat"}).status_code == 200
    assert server.post("/tokenize", {"inputs": ["a cat", "a dog"] * 2}).status_code == 413


def test_deep_bodies_are_refused(server: Any) -> None:
    for raw in (b"[" * 100_000, b'{"input":' * 50_000, b'{"input": ' + b"[" * 500 + b"]" * 500 + b"}"):
        answer = server("POST", "/v1/embeddings", content=raw)
        assert answer.status_code == 400, answer.text[:200]


def test_checks_of_load_balancers_are_answered(server: Any) -> None:
    assert server("HEAD", "/health").status_code == 200
    assert server.get("/health", headers={"host": ""}).status_code == 200
    assert server.get("/health", headers={"host": "evil.example"}).status_code == 403


def test_bodies_that_are_compressed_are_refused_with_the_reason(server: Any) -> None:
    packed = gzip.compress(json.dumps(BODY).encode())
    answer = server.post("/v1/embeddings", content=packed, headers={"content-encoding": "gzip"})
    assert answer.status_code == 415
    assert "without Content-Encoding" in answer.json()["error"]["message"]
    same = server.post("/v1/embeddings", BODY, headers={"content-encoding": "identity"})
    assert same.status_code == 200


@pytest.mark.parametrize(
    ("given", "place"), [(["a", 1, None], "input.1"), ([None], "input.0"), ([[1], ["a"]], "input.1.0")]
)
def test_the_wrong_one_of_many_texts_is_named(server: Any, given: Any, place: str) -> None:
    answer = server.post("/v1/embeddings", {"input": given})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["message"].partition(":")[0]) == ("input", place)


@pytest.mark.parametrize("key", ["", "  ", " secret", "secret ", "schlüssel"])
def test_keys_that_no_client_could_send_are_refused(key: str) -> None:
    with pytest.raises(InputError, match="no client could send it"):
        Settings(models=("vicinal-mini",), api_keys=(key,)).check()


@pytest.mark.parametrize("given", ["MyBox.local", "mybox.local:8080"])
def test_hosts_may_be_allowed_in_any_case_and_with_their_port(server: Any, given: str) -> None:
    settings = Settings(models=("vicinal-mini",), allowed_hosts=(given,))
    service = Service(settings)
    try:
        asked = type(server)(create_app(settings, service))
        for host, status in (("mybox.local", 503), ("MYBOX.local:8080", 503), ("other.local", 403)):
            assert asked.get("/ping", headers={"host": host}).status_code == status  # 503: it was not loaded
    finally:
        service.close()
