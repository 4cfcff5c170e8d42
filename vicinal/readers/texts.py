"""Files of texts become texts, one at a time: txt, jsonl, csv and tsv, from disk or from a stream.

Every text comes with the line that it begins on, and every error names the file, the line and the remedy.
Memory holds one record, whatever the size of the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, Literal

from vicinal.errors import InputError
from vicinal.readers.lines import Line, Lines, kind_of, opened
from vicinal.readers.tables import Table, as_text, json_lines, no_field, strict

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


def read_texts(
    source: str | os.PathLike[str] | BinaryIO, field: str | None = None, format: Format | None = None
) -> Iterator[Line]:
    """Yield the texts of a file, in order.

    * txt: every line is a text, an empty one too, so that texts and lines keep in step.
    * jsonl: one object per line; ``field`` holds the text. A line may also be a string by itself. Empty lines
      are passed over.
    * csv and tsv: the first line names the columns, unless ``field`` is a number that is no such name: then
      it is the column, counted from 1, and there is no line of names. A csv cell in quotes may hold line
      breaks; a csv may be separated by semicolons. A tsv row is a line, and quotes count only around a whole
      cell; without a line of names they belong to the texts.

    The encoding is UTF-8, with or without a byte order mark; lines end in ``\\n`` or ``\\r\\n``. A file whose
    name ends in ``.gz`` is decompressed.

    Args:
        source: a file's path, or a stream of bytes.
        field: the field or column; None means ``"text"``.
        format: None goes by the name's ending. Where that says nothing, it is txt without a ``field``; with
            one, the first line decides: jsonl if it begins with ``{``, tsv if it holds a tab, else csv.

    Raises:
        InputError: the file is missing, a folder or empty, a line cannot be read, or the field is not there.
    """
    known = as_format(format)
    if known is None and isinstance(source, (str, os.PathLike)):
        known = _SUFFIXES.get(kind_of(source))
    with opened(source) as lines:
        count = 0
        for line in _read(lines, field, known):
            count += 1
            yield line
        if not count:
            raise InputError(f"{lines.name} is empty: there is no text in it")


def _read(lines: Lines, field: str | None, known: Format | None) -> Iterator[Line]:
    if known is None:
        known = "txt" if field is None else _sniffed(lines)
    if known == "txt":
        if field is not None:
            raise InputError(
                f"{lines.name}: a txt file has no field {field!r}; if it is jsonl, csv or tsv, say so as its format"
            )
        yield from (Line(line.number, line.bare) for line in lines)
    elif known == "jsonl":
        yield from _fields(lines, field)
    else:
        yield from _column(Table(lines, tabs=known == "tsv"), DEFAULT_FIELD if field is None else field)


def _sniffed(lines: Lines) -> Format:
    start = lines.peek().lstrip()
    return "jsonl" if start.startswith("{") else "tsv" if "\t" in start else "csv"


def _fields(lines: Lines, field: str | None) -> Iterator[Line]:
    key = DEFAULT_FIELD if field is None else field
    for number, value in strict(json_lines(lines)):
        where = f"{lines.name}, line {number}"
        if isinstance(value, dict):
            if key not in value:
                raise no_field(where, key, value)
            yield Line(number, as_text(value[key], where, f"the field {key!r}"))
        elif field is not None:
            raise InputError(f"{where}: there is no field {field!r}, the line is not an object")
        else:
            yield Line(number, as_text(value, where, "the line"))


def _column(table: Table, key: str) -> Iterator[Line]:
    places, headings = table.places([key])
    for place in places:
        for row in strict(table.rows(headings, needed=place + 1)):
            yield Line(row.number, row.cells[place])


def as_format(value: str | None) -> Format | None:
    """Check a format's name.

    Raises:
        InputError: no such format.
    """
    if value is None or value in FORMATS:
        return value
    raise InputError(f"format={value!r} is not one of {', '.join(FORMATS)}")
