"""What the commands print: answers to stdout, talk to stderr, numbers for people.

A terminal gets tables and few colours; a pipe or file gets plain tab-separated lines. Everything goes through
:func:`vicinal.core.visible.visible`: no text, name or message can steer the terminal.
"""

from __future__ import annotations

import errno
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from vicinal.cli.wording import as_sentence, in_options
from vicinal.core.progress import clear as clear_progress
from vicinal.core.visible import VisibleStream, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def screen(stderr: bool = False) -> Console:
    """stdout (or stderr) as rich sees it; asked anew each time, because tests and pipes replace the stream."""
    from vicinal.cli.visible_console import VisibleConsole

    return VisibleConsole(stderr=stderr, highlight=False, markup=False, emoji=False)


def is_terminal() -> bool:
    """Whether a person reads stdout, so that tables are in place."""
    return screen().is_terminal


def say(message: str, kind: str | None = None) -> None:
    """Write a message to stderr: its lines as they are in a terminal, joined to one elsewhere.

    An error or note speaks of options, not of Python. Its lines after the first are indented: a line break in a
    file's name begins no new message.

    Args:
        message: what to say.
        kind: ``"error"`` or ``"note"``, put before it.
    """
    if sys.stderr is None:
        return
    from rich.text import Text

    clear_progress()
    line = Text()
    if kind is not None:
        line.append(f"{kind}: ", style="bold red" if kind == "error" else "bold")
        message = in_options(message)
    console = screen(stderr=True)
    if console.is_terminal:
        line.append(visible(message if kind is None else message.replace("\n", "\n  ")))
    else:
        line.append(one_line(as_sentence(message)))
    console.print(line, soft_wrap=not console.is_terminal)


def write(text: str) -> None:
    """A text to stdout, as it stands, in a pipe as in a terminal."""
    sys.stdout.write(visible(text))


def tell(text: str) -> None:
    """A text to stderr, as it stands."""
    if sys.stderr is not None:
        sys.stderr.write(visible(text))
        sys.stderr.flush()


def agreed(question: str) -> bool:
    """Ask a person on stderr; anything but ``y`` and ``yes`` is a no, and so is the end of the input."""
    tell(f"{one_line(question)} [y/N]: ")
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        tell("\n")
    return answer.strip().lower() in ("y", "yes")


def plain_table(headings: bool = True) -> Table:
    """A table without lines, for terminals of any width."""
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=headings, header_style="bold")


def write_rows(rows: Iterable[Sequence[object]]) -> None:
    """Tab-separated lines to stdout; tabs and line breaks inside a cell become blanks."""
    for row in rows:
        write("\t".join(one_line(str(cell)) for cell in row) + "\n")


def write_json(value: Any, indent: int | None = 2) -> None:
    """One JSON document to stdout; its texts are exact, what a terminal would obey is escaped in JSON's own way."""
    write(json.dumps(_finite(value), ensure_ascii=False, indent=indent, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def one_line(text: str) -> str:
    """A text on one line, runs of blanks made one, other control characters as escapes."""
    return visible(" ".join(text.split()))


def id_text(id: str) -> str:
    """An id on one line with all its blanks, so that two ids never look the same; `vicinal delete` reads it back."""
    for mark, shown in (("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        id = id.replace(mark, shown)
    return visible(id)


def shortened(text: str, width: int) -> str:
    """A text on one line of at most ``width`` terminal cells; what is cut becomes an ellipsis."""
    from rich.cells import cell_len, set_cell_size

    text = one_line(text[: 8 * width])
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def scored(value: float) -> str:
    """A similarity with three decimals, without a negative zero."""
    text = f"{value:.3f}"
    return text.lstrip("-") if float(text) == 0 else text


def counted(count: int, what: str, several: str | None = None) -> str:
    """``1 text``, ``1,400 texts``."""
    return f"{count:,} {what if count == 1 else several or what + 's'}"


def bytes_text(size: float) -> str:
    """Bytes in decimal units: ``512 B``, ``91.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def rate_text(count: float, seconds: float) -> str:
    """Items a second, with three digits at least."""
    rate = count / max(seconds, 1e-9)
    return f"{rate:.1f}" if rate < 100 else f"{rate:,.0f}"


def seconds_text(seconds: float) -> str:
    """``0.42 s``, ``12.3 s``, ``3 min 05 s``, ``2 h 07 min``."""
    if seconds < 99.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class _Closed(io.TextIOBase):
    """Stands for standard output where the process was started without: an answer is not lost in silence."""

    def write(self, text: str, /) -> int:
        """Refuse it."""
        raise OSError(errno.EBADF, "standard output is closed")


def set_up_streams() -> None:
    """Make stdout and stderr safe for every text, whatever the locale.

    What goes to a pipe or file is UTF-8, unless PYTHONIOENCODING asks for something else; what a terminal
    cannot show becomes a question mark.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is None or not hasattr(stream, "reconfigure"):
            continue
        if stream is sys.stdout and not stream.isatty() and not os.environ.get("PYTHONIOENCODING"):
            stream.reconfigure(encoding="utf-8", errors="replace")
        else:
            stream.reconfigure(errors="replace")
    if sys.stdout is None:
        sys.stdout = _Closed()
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)


def _guarded(stream: Any) -> Any:
    """The stream behind the filter, for what libraries print: warnings, logs, tracebacks, progress bars."""
    return stream if stream is None or isinstance(stream, VisibleStream) else VisibleStream(stream)
