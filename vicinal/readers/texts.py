"""Files of texts become texts, one at a time: txt, jsonl, csv and tsv, from disk or from a stream.

Every text comes with the line that it begins on, and every error names the file, the line and the remedy.
Memory holds one record, whatever the size of the file.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from vicinal.errors import InputError

Format = Literal["txt", "jsonl", "csv", "tsv"]

FORMATS: tuple[Format, ...] = ("txt", "jsonl", "csv", "tsv")
DEFAULT_FIELD = "text"

_SUFFIXES: dict[str, Format] = {
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
}
_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")


class Line(NamedTuple):
    """A text and the line of the file that it begins on, counted from 1."""

    number: int
    text: str


def read_texts(
    source: str | os.PathLike[str] | BinaryIO, field: str | None = None, format: Format | None = None
) -> Iterator[Line]:
    """Yield the texts of a file, in order.

    * txt: every line is a text, an empty one too, so that texts and lines keep in step.
    * jsonl: an object a line; ``field`` holds the text. A line may also be a string by itself. Empty lines
      are passed over.
    * csv and tsv: the first line names the columns, unless ``field`` is a number that is no such name: then
      it is the column, counted from 1, and there is no line of names. A csv cell in quotes may hold line
      breaks; a csv whose first line has semicolons and no comma is separated by semicolons. A tsv row is a
      line, and quotes matter only around a whole cell.

    The encoding is UTF-8, with or without a byte order mark; lines end in ``\\n`` or ``\\r\\n``.

    Args:
        source: a file's path, or a stream of bytes.
        field: the field or column; None means ``"text"``.
        format: None goes by the name's ending. Where that says nothing, it is txt without a ``field``; with
            one, the first line decides: jsonl if it begins with ``{``, tsv if it holds a tab, else csv.

    Raises:
        InputError: the file is missing, a folder or empty, a line cannot be read, or the field is not there.
    """
    format = as_format(format)
    opened: AbstractContextManager[BinaryIO]
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        name = str(path)
        known = format or _SUFFIXES.get(path.suffix.lower())
        opened = _open(path)
    else:
        name, known, opened = "standard input", format, nullcontext(source)
    with opened as stream:
        count = 0
        for line in _read(stream, name, field, known):
            count += 1
            yield line
        if not count:
            raise InputError(f"{name} is empty: there is no text in it")


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder: give one file of texts") from error
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}") from error


def _read(stream: BinaryIO, name: str, field: str | None, known: Format | None) -> Iterator[Line]:
    lines = _lines(stream, name)
    if known is None:
        known = "txt"
        if field is not None:
            first = next(lines, None)
            if first is None:
                return
            lines = chain([first], lines)
            start = first.text.lstrip()
            known = "jsonl" if start.startswith("{") else "tsv" if "\t" in start else "csv"
    if known == "txt":
        if field is not None:
            raise InputError(
                f"{name}: a txt file has no field {field!r}; if it is jsonl, csv or tsv, say so as its format"
            )
        yield from (Line(number, _without_end(text)) for number, text in lines)
    elif known == "jsonl":
        yield from _objects(lines, name, field)
    else:
        yield from _table(lines, name, field, tabs=known == "tsv")


def _lines(stream: BinaryIO, name: str) -> Iterator[Line]:
    """Decoded lines with their ends."""
    offset = 0
    for number, raw in enumerate(stream, start=1):
        marked = number == 1 and raw.startswith(_BOM)
        try:
            text = raw.decode("utf-8-sig" if marked else "utf-8")
        except UnicodeDecodeError as error:
            place = offset + error.start + (len(_BOM) if marked else 0)
            kind = "it looks like UTF-16" if number == 1 and raw[:2] in _WIDE_BOMS else "it is not UTF-8"
            raise InputError(
                f"{name}, line {number}: {kind} at byte {place:,} (0x{raw[place - offset]:02x}). Convert the "
                f"file, e.g. iconv -f {'utf-16' if 'UTF-16' in kind else 'latin1'} -t utf-8"
            ) from error
        offset += len(raw)
        yield Line(number, text)


def _without_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


# jsonl -----------------------------------------------------------------------------------------------------


def _objects(lines: Iterator[Line], name: str, field: str | None) -> Iterator[Line]:
    key = DEFAULT_FIELD if field is None else field
    first = True
    for number, line in lines:
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            if first and line.strip() in ("[", "{"):
                raise _one_document(name) from error
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            column = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            raise InputError(
                f"{where}{column}: not JSON ({reason}): every line must be one object"
            ) from error
        if first and isinstance(value, list):
            raise _one_document(name)
        first = False
        if isinstance(value, dict):
            if key not in value:
                raise InputError(_no_field(where, key, list(value)))
            value = value[key]
            what = f"the field {key!r}"
        else:
            what = "the line"
            if field is not None:
                raise InputError(f"{where}: there is no field {key!r}, the line is no object")
        if not isinstance(value, str):
            kind = "null" if value is None else type(value).__name__
            raise InputError(f"{where}: {what} is {kind}, not text; mend or remove the line")
        if "\\u" in line and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise InputError(f"{where}: {what} holds half a character (\\ud800 to \\udfff); mend the line")
        yield Line(number, value)


def _one_document(name: str) -> InputError:
    return InputError(
        f"{name}: one JSON document over several lines; it must be one object a line, "
        "e.g. by: jq -c '.[]' FILE"
    )


def _no_field(where: str, field: str, there: list[str]) -> str:
    shown = ", ".join(map(repr, there[:20])) or "none"
    more = f" and {len(there) - 20} more" if len(there) > 20 else ""
    return f"{where}: there is no field {field!r}; the fields are {shown}{more}"


# csv and tsv -----------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    number: int
    cells: list[str]


def _table(lines: Iterator[Line], name: str, field: str | None, tabs: bool) -> Iterator[Line]:
    rows = _tsv_rows(lines) if tabs else _csv_rows(lines, name)
    header = next(rows, None)
    if header is None:
        return
    key = DEFAULT_FIELD if field is None else field
    if key in header.cells:
        if header.cells.count(key) > 1:
            raise InputError(f"{name}, line {header.number}: several columns are named {key!r}; rename one")
        column = header.cells.index(key)
    elif key.isascii() and key.isdigit():
        column = int(key) - 1
        if not 0 <= column < len(header.cells):
            raise InputError(
                f"{name}, line {header.number}: there is no column {key}, "
                f"the columns are 1 to {len(header.cells)}"
            )
        rows = chain([header], rows)
    else:
        raise InputError(_no_field(f"{name}, line {header.number}", key, header.cells))
    wide = len(header.cells)
    unnamed = key not in header.cells
    for number, cells in rows:
        # Tab-separated tables without headings have optional columns at their ends, e.g. STS-B's.
        if tabs and unnamed and len(cells) > column:
            yield Line(number, cells[column])
            continue
        # A row that is too wide has most often a text with an unquoted separator, which would be cut there.
        if len(cells) != wide:
            raise InputError(
                f"{name}, line {number}: {_counted(len(cells), 'cell')}, but line {header.number} has {wide}; "
                + ("a tab inside a text?" if tabs else "a separator or line break without quotes around it?")
            )
        yield Line(number, cells[column])


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _csv_rows(lines: Iterator[Line], name: str) -> Iterator[_Row]:
    first = next(lines, None)
    if first is None:
        return
    semicolons = ";" in first.text and "," not in first.text
    texts = (text for _, text in chain([first], lines))
    reader = csv.reader(texts, delimiter=";" if semicolons else ",", strict=True)
    number = 1
    try:
        for cells in reader:
            if cells:
                yield _Row(number, cells)
            number = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{name}, line {number}: not csv ({error}); is a quote in this record not closed, or not doubled?"
        ) from error


def _tsv_rows(lines: Iterator[Line]) -> Iterator[_Row]:
    for number, line in lines:
        text = _without_end(line)
        if text:
            yield _Row(number, [_unquoted(cell) for cell in text.split("\t")])


def _unquoted(cell: str) -> str:
    """The content of a cell that is quoted as in csv; any other cell as it is."""
    if len(cell) >= 2 and cell[0] == cell[-1] == '"':
        inner = cell[1:-1]
        if '"' not in inner.replace('""', ""):
            return inner.replace('""', '"')
    return cell


def as_format(value: str | None) -> Format | None:
    """Check a format's name.

    Raises:
        InputError: no such format.
    """
    if value is None or value in FORMATS:
        return value
    raise InputError(f"format={value!r} is not one of {', '.join(FORMATS)}")
