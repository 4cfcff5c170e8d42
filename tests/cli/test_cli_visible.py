"""No text, name or message steers the terminal; JSON stays exact."""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_shell import Shell
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text
from tqdm import tqdm

import vicinal.cli
from vicinal.cli.console import agreed, one_line, write_json
from vicinal.cli.visible_console import VisibleConsole
from vicinal.core.progress import Meter
from vicinal.core.visible import VisibleStream, visible

Put = Callable[[str, "str | bytes"], str]

# Colour, line and message forged; window title; right-to-left override and isolate; C1; delete; tags; surrogate.
HOSTILE = "\x1b[31m \x1b]0;title\x07 \r \u202egnp.exe\u2066 \x9b2J \x7f \U000e0041 \ufeff"
texts = st.text(st.characters(exclude_categories=()), max_size=60)


def harmful(text: str) -> set[str]:
    """By the properties of Unicode, not by the list of the implementation."""
    allowed = "\n\t\u061c\u200b\u200c\u200d\u200e\u200f\u2060\xad"
    return {
        letter
        for letter in text
        if letter not in allowed
        and (
            unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
            or unicodedata.bidirectional(letter)
            in ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")
            or 0xE0000 <= ord(letter) <= 0xE007F
        )
    }


@given(texts)
def test_what_is_printed_is_harmless_and_the_rest_is_untouched(text: str) -> None:
    shown = visible(text)
    assert not harmful(shown)
    assert visible(shown) == shown
    if not harmful(text) and not re.search("[\u2061-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb]", text):
        assert shown == text


@given(st.dictionaries(texts, st.lists(texts)))
def test_json_is_exact(value: dict[str, list[str]]) -> None:
    document = visible(json.dumps(value, ensure_ascii=False))
    assert not harmful(document)
    assert json.loads(document) == json.loads(json.dumps(value))


def test_texts_that_people_write_stay_as_they_are() -> None:
    for text in (
        "naïve 日本語 👩‍👩‍👧 \U0001f3f3\ufe0f",
        "می‌خواهم",
        "שלום\u200f!",
        "ภาษา\u200bไทย",
        "a\tb\nc",
    ):
        assert visible(text) == text


def test_escapes_are_read_as_python_and_json_write_them() -> None:
    assert visible("a\x1b[1m\x9b\u202e\U000e0041\ud800") == r"a\x1b[1m\u009b\u202e\udb40\udc41\ud800"
    assert one_line("a\r\n\tb\u2028c\x00") == r"a b c\x00"


def test_a_stream_filters_whoever_writes_and_lets_bars_be() -> None:
    raw = io.StringIO()
    stream = VisibleStream(raw)
    print(HOSTILE, file=stream)  # type: ignore[call-overload]
    stream.writelines([HOSTILE])
    assert not harmful(raw.getvalue())
    with tqdm(total=3, file=stream, desc=f"a{HOSTILE}", ascii=True) as bar:
        bar.update(1)
        tqdm.write("above", file=stream)
    shown = raw.getvalue()
    assert shown.count("\r") >= 2 and "\x1b[31m" not in shown and r"\x1b[31m" in shown


def test_a_bar_that_is_wiped_out_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.StringIO()
    raw.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", VisibleStream(raw))
    with Meter("Indexing", 3, always=True) as meter:
        meter.clear()
        assert re.search(r"\r +\r", raw.getvalue()) and "x0d" not in raw.getvalue()
    VisibleStream(raw).write("\rname\r")
    assert raw.getvalue().endswith("\rname\\x0d")


def test_rich_keeps_its_colours_and_no_others() -> None:
    raw = io.StringIO()
    console = VisibleConsole(file=VisibleStream(raw), force_terminal=True, width=200, color_system="standard")
    console.print(Text(HOSTILE, style="green"))
    shown = raw.getvalue()
    assert shown.startswith("\x1b[32m") and "\x1b[31m" not in shown
    assert not harmful(re.sub(r"\x1b\[(?:32|0)m", "", shown))


@pytest.mark.parametrize("terminal", [{}, {"FORCE_COLOR": "1"}], ids=["pipe", "terminal"])
def test_names_options_and_texts_of_every_command(
    vicinal: Shell, put: Put, one_layer: Path, terminal: dict[str, str]
) -> None:
    name = put("x\x1b]0;t\x07\n\u202e\x9b.txt", f"{HOSTILE}\n{HOSTILE} cat\nwater\n")
    model = ["-m", str(one_layer)]
    lines = [
        ["mine", name, "-t", "0.1", *model],
        ["cluster", name, "--method", "communities", "--min-size", "1", *model],
        ["similarity", HOSTILE, "b", *model],
        ["mine", f"no {name}"],
        ["mine", f"no {name}", "--debug"],
        ["mine", name, f"--{name}"],
        [name],
        ["mine", name, "-m", f"org/{name}"],
        ["encode", name, "-o", f"no/{name}"],
        ["encode", name, "-o", f"{name}.npy", *model],
        ["search", name, "x"],
        ["info", name],
        ["cache", "clear", name],
        ["evaluate", str(one_layer), "-t", "sts", "-d", name],
        ["run", name + "x"],
    ]
    for line in lines:
        done = subprocess.run(
            [sys.executable, "-m", "vicinal", *line],
            cwd=vicinal.folder,
            env=vicinal.environment(COLUMNS="300", **terminal),
            capture_output=True,
            check=False,
        )
        printed = (done.stdout + done.stderr).decode("utf-8")
        assert printed
        assert not harmful(re.sub(r"\x1b\[[0-9;]*m", "", printed.replace("\x1b[31m", "red"))), (line, printed)
        assert "\x1b[31m \x1b" not in printed


def test_json_of_a_command_is_exact(vicinal: Shell, put: Put, one_layer: Path) -> None:
    put("x.txt", f"{HOSTILE}\n{HOSTILE}\n")
    done = vicinal("mine", "x.txt", "--json", "-m", one_layer)
    assert not harmful(done.out)
    assert json.loads(done.out)[0]["a"]["text"] == HOSTILE


def test_written_json_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({"a\ud800": [HOSTILE, 1.5, None]})
    out = capsys.readouterr().out
    assert not harmful(out)
    assert json.loads(out) == {"a\ud800": [HOSTILE, 1.5, None]}


@pytest.mark.parametrize(("typed", "answer"), [("y\n", True), ("YES\n", True), ("\n", False), ("", False)])
def test_a_question_is_asked_without_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, answer: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert agreed(f"Remove {HOSTILE}?") is answer
    assert not harmful(capsys.readouterr().err)


# The prompt of a search writes to the streams themselves; they are filtered by then.
_AT_THE_PROMPT = {"search.py"}


def test_only_the_console_prints() -> None:
    """Nothing else in the command writes to a stream, so that nothing goes past the filter."""
    folder = Path(vicinal.cli.__file__).parent
    for file in sorted(folder.glob("*.py")):
        if file.name in ("console.py", "visible_console.py"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            where = f"{file.name}, line {node.lineno}: {called}"
            assert called not in (
                "print",
                "typer.echo",
                "typer.secho",
                "typer.confirm",
                "Console",
                "os.write",
            ), where
            assert ".buffer.write" not in called and "__std" not in called, where
            if file.name not in _AT_THE_PROMPT:
                assert not re.fullmatch(r"sys\.std(out|err)\.write(lines)?", called), where
