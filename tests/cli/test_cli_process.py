"""The process itself: help, speed, pipes, locales, errors and their codes."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_shell import Shell
from typer.testing import CliRunner

import vicinal as package
from vicinal.cli.app import app

Put = Callable[[str, "str | bytes"], str]

COMMANDS = [
    [],
    ["encode"],
    ["similarity"],
    ["mine"],
    ["cluster"],
    ["rerank"],
    ["evaluate"],
    ["calibrate"],
    ["train"],
    ["quantize"],
    ["models"],
    ["download"],
    ["cache"],
    ["cache", "list"],
    ["cache", "clear"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command(vicinal: Shell, command: list[str]) -> None:
    done = vicinal(*command, "--help", COLUMNS="60")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Usage: vicinal")
    assert all(len(line) <= 60 for line in done.out.splitlines())
    assert "..." not in done.out.partition("Commands:")[2]  # no summary is cut


def test_help_loads_nothing_heavy(vicinal: Shell) -> None:
    code = (
        "import sys, vicinal.cli\n"
        "sys.argv = ['vicinal', '--help']\n"
        "try: vicinal.cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'openvino', 'torch', 'tokenizers', 'huggingface_hub', 'rich.console', 'tqdm'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=vicinal.environment(), capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "cluster" in done.stdout


def test_version_and_bare_call(vicinal: Shell) -> None:
    assert vicinal("--version").out == f"vicinal {package.__version__}\n"
    assert "Commands:" in vicinal().out + vicinal().err
    script = Path(sys.executable).with_name("vicinal")
    if script.exists():
        done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout == f"vicinal {package.__version__}\n"


def test_usage_errors(vicinal: Shell) -> None:
    for arguments, part in (
        (["encod"], "No such command 'encod'"),
        (["encode", "x.txt"], "Missing option"),
        (["encode", "x.txt", "-o", "x.npy", "--batch-size", "0"], "batch-size"),
        (["mine", "x.txt", "--threshold", "2"], "threshold"),
    ):
        done = vicinal.quick(*arguments)
        assert (done.code, done.out) == (2, "")
        assert part in done.err and "Traceback" not in done.err


def test_debug_shows_the_traceback(vicinal: Shell) -> None:
    arguments = ["mine", "nothing.txt"]
    assert vicinal(*arguments).err == "error: nothing.txt: no such file\n"
    for done in (
        vicinal(*arguments, "--debug"),
        vicinal("--debug", *arguments),
        vicinal(*arguments, VICINAL_DEBUG="1"),
    ):
        assert done.code == 1
        assert done.err.startswith("Traceback") and "InputError: nothing.txt" in done.err


def test_the_unforeseen_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import vicinal.hub.resolve

    def fail(cache_folder: object = None) -> None:
        raise KeyError("what")

    monkeypatch.setattr(vicinal.hub.resolve, "list_cached", fail)
    done = CliRunner().invoke(app, ["models"])
    assert done.exit_code == 1
    assert done.stderr == "error: KeyError: 'what' (this was not foreseen; --debug shows where it happened)\n"


def test_head_closes_the_pipe(vicinal: Shell, put: Put, one_layer: Path) -> None:
    put("x.txt", "\n".join(f"number {n} of some texts" for n in range(400)))
    process = vicinal.start("mine", "x.txt", "-t", "0", "-m", str(one_layer))
    assert process.stdout is not None and process.stderr is not None
    assert len(process.stdout.readline().split(b"\t")) == 5
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 141
    assert err == b""


def test_closed_standard_output(vicinal: Shell, put: Put) -> None:
    put("x.txt", "kettle")

    def run(*arguments: str) -> tuple[int, str]:
        line = shlex.join([sys.executable, "-m", "vicinal", *arguments]) + " >&-"
        done = subprocess.run(
            line, shell=True, cwd=vicinal.folder, env=vicinal.environment(), capture_output=True, text=True
        )
        return done.returncode, done.stderr

    code, err = run("index", "x.db", "x.txt")
    assert code == 0 and err.startswith("1 added")
    for arguments in (["search", "x.db", "kettle"], ["info", "x.db"], ["export", "x.db", "-"], ["models"]):
        assert run(*arguments) == (1, "error: standard output is closed\n")


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (["--help"], {}),
        (["cluster", "--help"], {}),
        (["models", "--json"], {}),
        (["models"], {"FORCE_COLOR": "1"}),
        (["similarity", "a", "b", "--json"], {}),
        (["similarity", "a", "b"], {"FORCE_COLOR": "1"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "terminal" if value else "pipe",
)
def test_a_reader_that_is_gone_is_141_always(
    vicinal: Shell, arguments: list[str], more: dict[str, str]
) -> None:
    read, written = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "vicinal", *arguments],
        stdout=written,
        stderr=subprocess.PIPE,
        cwd=vicinal.folder,
        env=vicinal.environment(**more),
        check=False,
    )
    os.close(written)
    assert done.returncode == 141
    assert b"Traceback" not in done.stderr and b"BrokenPipe" not in done.stderr


@pytest.mark.parametrize(
    "locale",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C"}],
    ids=["ascii", "coerced"],
)
def test_any_locale(vicinal: Shell, put: Put, one_layer: Path, locale: dict[str, str]) -> None:
    text = "naïve 日本 \U0001f600"
    done = vicinal("similarity", text, "b", "-m", one_layer, **locale)
    assert done.code == 0, done.err
    assert done.rows[1][0] == text
    assert vicinal.pretty("similarity", text, "b", "-m", one_layer).code == 0
    put("ünï.txt", f"{text}\n{text}\n")
    done = vicinal("mine", "ünï.txt", "-m", one_layer, **locale)
    assert done.code == 0, done.err
    assert done.rows[0][3:] == [text, text]


def test_arguments_that_are_no_text(vicinal: Shell, one_layer: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vicinal", "similarity", b"caf\xe9", "b", "-m", str(one_layer)],
        env=vicinal.environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: the text") and b"not valid UTF-8" in done.stderr


def test_a_terminal_gets_a_table(vicinal: Shell, one_layer: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "vicinal", "similarity", "a cat", "a dog", "-m", str(one_layer)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=vicinal.environment(TERM="xterm-256color"),
    )
    os.close(theirs)
    raw = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        raw += part
    os.close(ours)
    assert process.wait(timeout=30) == 0
    assert b"\x1b[" in raw and b"\t" not in raw
    assert b"a cat" in raw and b"1.000" in raw
