"""Texts from files and models, made safe to print: what would steer a terminal becomes an escape that is seen."""

from __future__ import annotations

import re
from typing import Any, TextIO

# Line breaks and tabs stay. The others move the cursor, change colours or the window's title, or begin a sequence
# that does (C0, DEL, C1); turn the order of the letters around (bidi embeddings, overrides and isolates); break
# lines where no terminal shows it; are invisible and can carry hidden words (tags); or are no characters at all
# (lone surrogates). Marks and joiners that Arabic, Hebrew, Persian, Thai and emoji need stay as they are.
_UNSEEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u2028-\u202e\u2061-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff"
    "\U000e0000-\U000e007f"
)
_HIDDEN = re.compile(f"[{_UNSEEN}]")
# What moves nothing but the cursor of a progress bar: back to its line's start, perhaps over blanks that wipe it out,
# and between the lines of several.
_BAR_MOVES = re.compile(r"\r(?: +\r)?|(?:\n|\x1b\[A)+\Z")


def visible(text: str) -> str:
    r"""The text with everything that a terminal would obey or hide as an escape: ``\x1b``, ``\u202e``.

    Only the 32 oldest control characters become ``\x..``; all others become ``\u....``, in two halves beyond
    U+FFFF. In a JSON document, where those 32 are escaped already, the result is the same document, exactly.
    """
    return text if text.isascii() and text.isprintable() else _HIDDEN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return f"\\x{code:02x}"
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"


class VisibleStream:
    """A text stream through which only :func:`visible` text passes, whoever writes: print, warnings, tracebacks.

    Progress bars may return to the start of their line. Tables of rich, whose colours are sequences too, go past
    it: what they show has to be made visible by those who fill them.

    Args:
        stream: where the text goes; everything except writing is its own.
    """

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream  # the name by which rich looks for it

    def write(self, text: str) -> int:
        """Write a text; the count is that of its characters, as the caller knows them."""
        moved = _BAR_MOVES.match(text)
        start = moved[0] if moved is not None else ""
        self.rich_proxied_file.write(start + visible(text[len(start) :]))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)
