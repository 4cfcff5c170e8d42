"""Files become records: rows of jsonl, csv and tsv, and whole texts of every other kind that is known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vicinal.errors import InputError
from vicinal.readers.lines import Lines, kind_of, opened
from vicinal.readers.manual import manual_text
from vicinal.readers.pages import markdown_title, page_of, underlined_title
from vicinal.readers.sources import (
    HTML,
    LINES,
    MANUAL,
    MARKDOWN,
    STANDARD_INPUT,
    TABLES,
    Source,
    declared_encoding,
)
from vicinal.readers.tables import Table, as_text, json_objects

TEXT_FIELDS = ("text", "contents", "content", "body", "document", "sentence")
ID_FIELDS = ("_id", "id", "doc_id", "docid")
# What `vicinal export` and Index.export write: these fields, and metadata in one of them.
_EXPORTED = {"id", "text", "metadata"}
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,17})\.\d{1,18}([eE][+-]?\d{1,2})?")


@dataclass(frozen=True, slots=True)
class Record:
    """One document of an input.

    Attributes:
        id: from the id field, else ``file:line`` or the file's path below the input.
        text: the text; with a title, ``title + " " + text``, as BEIR evaluations read it.
        metadata: the other fields.
        where: the place, for messages.
        position: bytes of the file that were read up to here.
    """

    id: str
    text: str
    metadata: Mapping[str, Any]
    where: str
    position: int


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of a row are what.

    Attributes:
        id: the id's field; None for the first of ``_id``, ``id``, ``doc_id``, ``docid`` that is there.
        text: the text's field or fields, joined by a space; None for ``title`` (if there is one) and the
            first of ``text``, ``contents``, ``content``, ``body``, ``document``, ``sentence``.
        metadata: the fields to keep as metadata; None for all but id and text.
    """

    id: str | None = None
    text: Sequence[str] | None = None
    metadata: Sequence[str] | None = None


def read_source(source: Source, fields: Fields) -> Iterator[Record | InputError]:
    """The records of one file, one at a time.

    What cannot be read comes as an error in its place, so that one bad line does not end a long run.

    Args:
        source: the file.
        fields: which fields are what.

    Returns:
        An iterator of records and errors.
    """
    kind = source.kind or kind_of(source.path)
    try:
        with opened(source.stream or source.path, fallback=_fallback(source, kind)) as lines:
            if kind == STANDARD_INPUT:
                kind = ".jsonl" if lines.peek().lstrip().startswith("{") else ".txt"
            if kind in LINES:
                yield from _objects(lines, source, fields)
            elif kind in TABLES:
                yield from _rows(Table(lines, tabs=kind == ".tsv"), lines, source, fields)
            else:
                yield _page(lines, source, kind)
    except InputError as error:
        yield error


def _fallback(source: Source, kind: str) -> str | None:
    """The encoding of a file that is not UTF-8, where it can be known."""
    if kind == MANUAL:
        return "latin-1"
    return declared_encoding(source.path) if source.stream is None and kind in (*HTML, ".py") else None


def _objects(lines: Lines, source: Source, fields: Fields) -> Iterator[Record | InputError]:
    for item in json_objects(lines):
        if isinstance(item, InputError):
            yield item
        else:
            where = f"{lines.name}, line {item.number}"
            yield _record(item.value, fields, f"{source.name}:{item.number}", where, lines.position)


def _rows(table: Table, lines: Lines, source: Source, fields: Fields) -> Iterator[Record | InputError]:
    header = [] if table.header is None else table.header.cells
    used = set(header) - {""}
    if fields.metadata is not None:
        id_fields = ID_FIELDS if fields.id is None else (fields.id,)
        text_fields = ("title", *TEXT_FIELDS) if fields.text is None else fields.text
        used &= {*fields.metadata, *id_fields, *text_fields}
    table.check_unique(name for name in header if name in used)
    for row in table.rows():
        if isinstance(row, InputError):
            yield row
            continue
        where = f"{lines.name}, line {row.number}"
        values = {key: cell for key, cell in zip(header, row.cells, strict=True) if cell != ""}
        yield _record(values, fields, f"{source.name}:{row.before}", where, lines.position, typed=True)


def _record(
    row: Mapping[str, Any], fields: Fields, name: str, where: str, position: int, typed: bool = False
) -> Record | InputError:
    if fields == Fields() and row.keys() == _EXPORTED and isinstance(row["metadata"], Mapping):
        try:
            text = as_text(row["text"], where, "the field 'text'")
        except InputError as error:
            return error
        if row["id"] not in (None, ""):
            return Record(str(row["id"]), text if text.strip() else "", row["metadata"], where, position)
    id_field = fields.id or next((field for field in ID_FIELDS if field in row), None)
    if fields.id is not None and row.get(fields.id) in (None, ""):
        return InputError(f"{where}: no id field {fields.id!r}; there are {', '.join(map(repr, row))}")
    if fields.text is not None:
        text_fields = tuple(fields.text)
    else:
        main = next((field for field in TEXT_FIELDS if field in row), None)
        text_fields = tuple(field for field in ("title", main) if field in row and field is not None)
        if main is None and not text_fields:
            return InputError(
                f"{where}: no field is named as a text is ({', '.join(TEXT_FIELDS)}); "
                f"there are {', '.join(map(repr, row))}: name one with text_field"
            )
    if not any(field in row for field in text_fields):
        return InputError(f"{where}: no text field {', '.join(map(repr, text_fields))}")
    try:
        parts = [
            as_text(row[field], where, f"the field {field!r}")
            for field in text_fields
            if row.get(field) is not None
        ]
    except InputError as error:
        return error
    given = row.get(id_field) if id_field is not None else None
    id = name if given in (None, "") else str(given)
    if fields.metadata is not None:
        metadata = {key: row[key] for key in fields.metadata if key in row}
    else:
        # A title is both read with the text and kept: it is what a list of results shows.
        used = {id_field, *text_fields} - ({"title"} if fields.text is None else set())
        metadata = {key: value for key, value in row.items() if key not in used}
    if typed:
        metadata = {key: _typed(value) for key, value in metadata.items()}
    if metadata.get("metadata") == {}:
        metadata.pop("metadata")  # BEIR's corpora carry an empty one in every line
    return Record(id, " ".join(part.strip() for part in parts if part.strip()), metadata, where, position)


def _typed(cell: Any) -> Any:
    """A cell that looks like a number is one, so that filters can order it; ``007`` stays text."""
    if isinstance(cell, str) and _INTEGER.fullmatch(cell):
        return int(cell)
    if isinstance(cell, str) and _DECIMAL.fullmatch(cell):
        return float(cell)
    return cell


def _page(lines: Lines, source: Source, kind: str) -> Record | InputError:
    text = "".join(line.text for line in lines)
    where = lines.name
    if "\0" in text:
        return InputError(f"{where} holds NUL characters: it is not a text")
    title = ""
    if kind in HTML:
        text, title = page_of(text)
    elif kind == MANUAL:
        text, title = manual_text(text)
        if not text:
            return InputError(f"{where} has no text of its own: it stands for another man page, or is empty")
    elif kind in MARKDOWN:
        title = markdown_title(text)
    elif kind == ".rst":
        title = underlined_title(text)
    metadata: dict[str, Any] = {"path": source.name}
    if title:
        metadata["title"] = title
    return Record(source.name, text.strip(), metadata, where, source.size)
