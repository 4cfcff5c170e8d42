"""Progress of long work: there for a person who waits, absent for everyone else.

A line is drawn by a thread of its own, so that it appears in time and moves although the work at hand reports
nothing. Only one is on the screen: work inside of other work reports to the outer one (:func:`listening`).
"""

from __future__ import annotations

import os
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType

# Seconds of work before a line appears unasked, and between two drawings of it.
_PATIENCE = 2.0
_BETWEEN = 0.25
# Seconds between two lines where nobody sees them move.
_BETWEEN_LINES = 30.0
# A bar of fewer cells says nothing; one of more is no clearer.
_SHORTEST_BAR = 6
_LONGEST_BAR = 32
_FALLBACK_WIDTH = 80

Report = Callable[[int], None]

_listener: ContextVar[Report | None] = ContextVar("listener", default=None)
_drawn: Meter | None = None


class Meter:
    """One line about work that goes on: how far it is, how fast, and how long it will take.

    In a terminal the line is drawn after some seconds, moves, and is gone at the end. Elsewhere there is nothing,
    or, on demand, a new line every 30 seconds.

    Args:
        description: what is done.
        total: number of items, None if not known.
        unit: what the items are, as a plural; "" for none: then only the time is shown.
        patience: seconds before the first line in a terminal.
        lines: elsewhere than in a terminal, write a line every 30 seconds.
        always: draw at once, move wherever it goes, and stay at the end.

    Attributes:
        done: items that are finished; may be set.
        note: shown in place of the count of items, if it is not "".
    """

    def __init__(
        self,
        description: str,
        total: int | None = None,
        unit: str = "texts",
        *,
        patience: float = _PATIENCE,
        lines: bool = False,
        always: bool = False,
    ) -> None:
        self.description = _printable(description)
        self.total = total
        self.done: float = 0
        self.note = ""
        self._unit = unit
        self._always = always
        self._terminal = always or _is_terminal()
        self._patience = 0.0 if always else patience if self._terminal else _BETWEEN_LINES
        self._runs = self._terminal or lines
        self._shown = 0
        self._start = time.monotonic()
        self._over = threading.Event()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None

    def add(self, count: int) -> None:
        """Some more items are finished."""
        self.done += count

    def line(self, width: int | None = None) -> str:
        """The line as it is drawn now.

        Args:
            width: cells that it may have; None for as many as it needs, without a bar.
        """
        seconds = time.monotonic() - self._start
        share = None if not self.total else min(1.0, self.done / self.total)
        parts = [self.note or self._counted()]
        if self._unit and self.done and not self.note:
            parts.append(f"{_rate(self.done / max(seconds, 1e-9))}/s")
        if share and share < 1:
            parts.append(f"{_clock(seconds * (1 - share) / share)} left")
        else:
            parts.append(_clock(seconds))
        head = f"{self.description}:" if self._unit or self.note else f"{self.description},"
        head = head if share is None else f"{head} {int(100 * share):3d}%"
        parts = [part for part in parts if part]
        if width is None:
            return f"{head} {', '.join(parts)}"
        while len(parts) > 1 and _cells(f"{head} {', '.join(parts)}") > width:
            parts.pop()
        room = width - _cells(f"{head} {', '.join(parts)}") - 3
        if share is not None and room >= _SHORTEST_BAR:
            head += f" |{_bar(share, min(room, _LONGEST_BAR))}|"
        return _fitted(f"{head} {', '.join(parts)}", width)

    def clear(self) -> None:
        """Take the line off the screen, until it is drawn again."""
        with self._lock:
            if self._shown:
                self._write(f"\r{' ' * self._shown}\r")
                self._shown = 0

    def _counted(self) -> str:
        if not self._unit:
            return ""
        done = f"{int(self.done):,}"
        return f"{done} {self._unit}" if self.total is None else f"{done}/{self.total:,} {self._unit}"

    def _run(self) -> None:
        pause = self._patience
        while not self._over.wait(pause):
            self._draw()
            pause = _BETWEEN if self._terminal else _BETWEEN_LINES

    def _draw(self) -> None:
        global _drawn
        with self._lock:
            if self._over.is_set() and not self._always:
                return
            if not self._terminal:
                self._write(f"{self.line()}\n")
                return
            _drawn = self
            text = self.line(_width() - 1)
            cells = _cells(text)
            self._write(f"\r{text}{' ' * (self._shown - cells)}")
            self._shown = cells

    def _write(self, text: str) -> None:
        if sys.stderr is not None:
            with suppress(OSError, ValueError):  # it was closed, or its reader went away
                sys.stderr.write(text)
                sys.stderr.flush()

    def __enter__(self) -> Meter:
        if self._always:
            self._draw()
        if self._runs:
            self._thread = threading.Thread(target=self._run, name="vicinal progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _drawn
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if self._always:
            self._draw()
            self._write("\n")
            self._shown = 0
        self.clear()
        if _drawn is self:
            _drawn = None


def clear() -> None:
    """Take the line off the screen, if there is one, so that a message can stand in its place."""
    if _drawn is not None:
        _drawn.clear()


@contextmanager
def progress_bar(
    total: int | None, show: bool | None, description: str, unit: str = "texts"
) -> Iterator[Report | None]:
    """A function that reports finished items, or None where nobody is to see it.

    Args:
        total: number of items, None if not known.
        show: True or False decide; None shows a bar after two seconds of work in a terminal, for several items.
        description: what stands before the bar.
        unit: what the items are.
    """
    outer = _listener.get()
    if outer is not None and not show:
        yield outer
    elif show is False or (show is None and (total == 1 or not _is_terminal())):
        yield None
    else:
        with Meter(description, total, unit, always=bool(show)) as meter:
            yield meter.add


@contextmanager
def listening(report: Report) -> Iterator[None]:
    """Inside, work that would have a bar of its own reports its items here, unless a bar is asked for.

    Args:
        report: takes the number of items that were just finished.
    """
    token = _listener.set(report)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def waiting(description: str, patience: float = 1.0) -> Iterator[None]:
    """Says in a terminal what is being waited for, if it takes long.

    Args:
        description: what is done, such as ``"loading all-MiniLM-L6-v2"``.
        patience: seconds before it is said.
    """
    with Meter(description, unit="", patience=patience, lines=True):
        yield


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _width() -> int:
    """Cells of a line of the terminal; asked each time, because windows change."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given) > 1:
        return int(given)
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _FALLBACK_WIDTH
    except (OSError, ValueError, AttributeError):
        return _FALLBACK_WIDTH


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _cells(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _fitted(text: str, width: int) -> str:
    while text and _cells(text) > width:
        text = text[:-1]
    return text


def _bar(share: float, cells: int) -> str:
    encoding = getattr(sys.stderr, "encoding", None) or "ascii"
    full = "█" if "utf" in encoding.lower() else "#"
    filled = int(share * cells)
    return full * filled + " " * (cells - filled)


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}"


def _clock(seconds: float) -> str:
    """``12 s``, ``3 min 05 s``, ``2 h 07 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"
