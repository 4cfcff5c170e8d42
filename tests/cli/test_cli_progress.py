"""Progress: a line that appears in time, fits the terminal, and is gone at the end; nothing in a pipe."""

from __future__ import annotations

import io
import itertools
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from cli_notes import lines
from cli_shell import Shell
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from vicinal import SentenceTransformer
from vicinal.core.progress import Meter, clear, listening, progress_bar, waiting


class Screen(io.StringIO):
    """A terminal; tells when something was drawn."""

    def __init__(self, terminal: bool = True) -> None:
        super().__init__()
        self.written = threading.Event()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        self.written.set()
        return super().write(text)


def on_screen(monkeypatch: pytest.MonkeyPatch, terminal: bool = True) -> Screen:
    """Makes stderr a terminal of 40 columns, or a pipe; inside of a test, because pytest replaces stderr for each."""
    made = Screen(terminal)
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setenv("COLUMNS", "40")
    return made


def shown(screen: Screen) -> str:
    """What is left on the line."""
    line = ""
    for part in screen.getvalue().rpartition("\n")[2].split("\r"):
        line = part + line[len(part) :]
    return line.strip()


@given(
    st.text(min_size=1, max_size=60),
    st.one_of(st.none(), st.integers(0, 10**9)),
    st.integers(0, 10**9),
    st.integers(10, 200),
)
def test_a_line_fits(description: str, total: int | None, done: int, width: int) -> None:
    meter = Meter(description, total)
    meter.done = done
    line = meter.line(width)
    assert cell_len(line) <= width
    assert line.isprintable()


def test_what_a_line_says() -> None:
    meter = Meter("Encoding", 2000)
    meter.add(500)
    assert re.fullmatch(r"Encoding:  25% \|█+ +\| 500/2,000 texts, [\d,]+/s, \d+ s left", meter.line(100))
    assert re.fullmatch(r"Encoding:  25% (\|█+ +\| )?500/2,000 texts(, .+)?", meter.line(40))
    meter.done = 2000
    assert "100%" in meter.line(100) and "left" not in meter.line(100)
    assert re.fullmatch(r"Reading: 7 texts, [\d,.]+/s, 0 s", _with(Meter("Reading"), 7).line(80))
    assert Meter("loading x", unit="").line(80) == "loading x, 0 s"
    assert "?[31m" in Meter("\x1b[31m", unit="").line(80)


def _with(meter: Meter, done: int) -> Meter:
    meter.done = done
    return meter


def test_it_is_drawn_though_the_work_reports_nothing_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = on_screen(monkeypatch)
    with Meter("Working", 10, patience=0.01):
        assert screen.written.wait(30)
    assert "Working:   0%" in screen.getvalue()
    assert shown(screen) == "" and "\n" not in screen.getvalue()


def test_a_message_takes_the_place_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_screen(monkeypatch)
    with Meter("Working", 10, patience=0.01):
        assert screen.written.wait(30)
        clear()
        assert shown(screen) == "" or "Working" in shown(screen)  # it may have been drawn again
    clear()
    with waiting("loading a model", patience=0.01):
        screen.written.clear()
        assert screen.written.wait(30)
    assert "loading a model, 0 s" in screen.getvalue() and shown(screen) == ""


def test_short_work_single_texts_and_pipes_draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_screen(monkeypatch)
    with progress_bar(1, None, "Encoding") as report:
        assert report is None
    with progress_bar(1000, None, "Encoding") as report:
        assert report is not None
        report(1000)
    with waiting("loading"):
        pass
    assert screen.getvalue() == ""
    piped = on_screen(monkeypatch, terminal=False)
    with Meter("Indexing", 10, lines=True):
        pass
    with progress_bar(1000, None, "Encoding") as report:
        assert report is None
    assert piped.getvalue() == ""


def test_a_pipe_gets_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    from vicinal.core import progress

    monkeypatch.setattr(progress, "_BETWEEN_LINES", 0.01)
    piped = on_screen(monkeypatch, terminal=False)
    with Meter("Indexing", 10, lines=True) as meter:
        meter.add(5)
        assert piped.written.wait(30)
    first = piped.getvalue().splitlines()[0]
    assert re.fullmatch(r"Indexing:  50% 5/10 texts, [\d,.]+/s, \d+ s left", first)
    assert "\r" not in piped.getvalue() and piped.getvalue().endswith("\n")


def test_asked_for_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_screen(monkeypatch)
    with progress_bar(4, True, "Encoding") as report:
        assert report is not None
        report(4)
    assert screen.getvalue().endswith("\n")
    assert screen.getvalue().splitlines()[-1].split("\r")[-1].startswith("Encoding: 100% ")


def test_encode_reports_to_the_work_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_screen(monkeypatch)
    model = SentenceTransformer("vicinal-mini")
    counts: list[int] = []
    with listening(counts.append):
        model.encode([f"text {number}" for number in range(300)])
    assert sum(counts) == 300
    model.encode(["a", "b"])
    assert sum(counts) == 300 and screen.getvalue() == ""


def endless(fifo: Path) -> None:
    """Texts until nobody reads them."""
    with suppress(BrokenPipeError), fifo.open("w") as file:
        for number in itertools.count():
            file.write(lines({"text": f"{number} is a sentence about the harbour and its ships. " * 40}))
            file.flush()


def test_index_in_a_narrow_terminal_and_ctrl_c(vicinal: Shell) -> None:
    os.mkfifo(vicinal.folder / "x.jsonl")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "vicinal", "index", "x.db", "x.jsonl"],
        cwd=vicinal.folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=vicinal.environment(TERM="xterm-256color", COLUMNS="40"),
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whatever it is here
    )
    os.close(theirs)
    writer = threading.Thread(target=endless, args=(vicinal.folder / "x.jsonl",))
    writer.start()
    seen = b""
    interrupted = False
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
        if not interrupted and re.search(rb"Indexing: [1-9][\d,]* text", seen):
            process.send_signal(signal.SIGINT)
            interrupted = True
    os.close(ours)
    assert process.wait(timeout=60) == 130, seen
    writer.join(60)
    parts = re.split(r"[\r\n]+", seen.decode())
    bars = [part for part in parts if part.startswith("Indexing")]
    assert bars and all(cell_len(part) <= 40 for part in bars)
    last = " ".join(" ".join(parts).rpartition("interrupted:")[2].split())
    assert re.fullmatch(r"[\d,]+ texts? (is|are) safely in x\.db; the same command goes on from there", last)
