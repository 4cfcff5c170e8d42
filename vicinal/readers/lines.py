"""Files and streams become numbered lines of text: UTF-8, with or without a byte order mark, gzipped or not.

Memory holds one line. What ends the reading of a file, such as bytes that are not UTF-8, is raised here; what is
wrong with one row alone is the business of :mod:`vicinal.readers.tables`.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from vicinal.errors import InputError

_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")


class Line(NamedTuple):
    """A text and the line of the file that it begins on, counted from 1."""

    number: int
    text: str

    @property
    def bare(self) -> str:
        """The text without its line end."""
        return self.text.removesuffix("\n").removesuffix("\r")


def kind_of(path: str | os.PathLike[str]) -> str:
    """The ending that tells what a file holds: ``.csv`` of ``a.CSV`` and of ``a.csv.gz``."""
    name = Path(path)
    return Path(name.stem if name.suffix.lower() == ".gz" else name.name).suffix.lower()


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path as text: bytes that are not UTF-8 become escapes, ``caf\\xe9.txt``, which can be stored and printed."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class Lines:
    """The lines of one file, with their ends, one at a time.

    Only ``\\n`` ends a line, so that the characters that ``str.splitlines`` also takes stay inside of texts.

    Args:
        stream: bytes.
        name: the file in messages.
        behind: the compressed file that ``stream`` decompresses, if there is one.
        fallback: the encoding of lines that are not UTF-8; None refuses them.

    Attributes:
        name: see above.
    """

    def __init__(
        self, stream: BinaryIO, name: str, behind: BinaryIO | None = None, fallback: str | None = None
    ) -> None:
        self.name = name
        self._fallback = fallback
        self._stream, self._behind = stream, behind
        self._offset = 0
        self._lines: Iterator[Line] = self._decoded()

    def __iter__(self) -> Iterator[Line]:
        return self._lines

    def peek(self) -> str:
        """The first line, which is still to come; "" of an empty file."""
        first = next(self._lines, None)
        if first is None:
            return ""
        self._lines = chain([first], self._lines)
        return first.text

    @property
    def position(self) -> int:
        """Bytes of the file that were read so far."""
        return self._offset if self._behind is None else self._behind.tell()

    def _decoded(self) -> Iterator[Line]:
        number = 0
        while raw := self._read():
            number += 1
            try:
                text = decoded(raw, self.name, number, self._offset)
            except InputError as error:
                if self._fallback is None:
                    raise
                try:
                    text = raw.decode(self._fallback)
                except UnicodeDecodeError:
                    raise error from None
            self._offset += len(raw)
            yield Line(number, text)

    def _read(self) -> bytes:
        try:
            return self._stream.readline()
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{self.name} cannot be read: {error}") from error


def decoded(raw: bytes, name: str, number: int = 1, offset: int = 0) -> str:
    """Text of a part of a file, without a byte order mark at the file's beginning.

    Args:
        raw: the bytes.
        name: the file in messages.
        number: the line that they begin on.
        offset: bytes of the file before them.

    Raises:
        InputError: they are not UTF-8; line, byte and remedy are named.
    """
    start = len(_BOM) if offset == 0 and raw.startswith(_BOM) else 0
    try:
        return raw[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        place = start + error.start
        line = number + raw.count(b"\n", 0, place)
        wide = offset == 0 and raw[:2] in _WIDE_BOMS
        kind, encoding = ("it looks like UTF-16", "utf-16") if wide else ("it is not UTF-8", "latin1")
        raise InputError(
            f"{name}, line {line}: {kind} at byte {offset + place:,} (0x{raw[place]:02x}). Convert the file, "
            f"e.g. iconv -f {encoding} -t utf-8"
        ) from error


@contextmanager
def opened(source: str | os.PathLike[str] | BinaryIO, fallback: str | None = None) -> Iterator[Lines]:
    """The lines of a file, or of a stream of bytes, which stays open.

    Args:
        source: a path or a stream.
        fallback: the encoding of lines that are not UTF-8; None refuses them.

    Raises:
        InputError: the file is missing, is a folder, or cannot be opened.
    """
    if not isinstance(source, (str, os.PathLike)):
        yield Lines(source, "standard input", fallback=fallback)
        return
    if source == "":  # which pathlib takes for the folder that is worked in
        raise InputError("the name of the file is empty")
    path, name = Path(source), shown_path(source)
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file") from error
    except IsADirectoryError as error:
        raise InputError(f"{name} is a folder: give one file") from error
    except OSError as error:
        raise InputError(f"{name} cannot be opened: {error.strerror}") from error
    with file:
        if path.suffix.lower() != ".gz":
            yield Lines(file, name, fallback=fallback)
            return
        with gzip.GzipFile(fileobj=file) as stream:
            yield Lines(cast(BinaryIO, stream), name, file, fallback)
