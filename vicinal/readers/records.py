"""Files become records: jsonl, csv, tsv, txt, md, html (each may be gzipped), folders of them, and BEIR corpora."""

from __future__ import annotations

import html.parser
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vicinal.errors import InputError
from vicinal.readers.lines import Lines, kind_of, opened
from vicinal.readers.tables import Table, as_text, json_objects

TEXT_FIELDS = ("text", "contents", "content", "body", "document", "sentence")
ID_FIELDS = ("_id", "id", "doc_id", "docid")
TABLES = (".csv", ".tsv")
LINES = (".jsonl", ".ndjson")
PAGES = (".txt", ".md", ".markdown", ".html", ".htm")
SUFFIXES = (*LINES, *TABLES, *PAGES)

_BLOCKS = """
address article aside blockquote br dd div dl dt figcaption footer form h1 h2 h3 h4 h5 h6 header hr
li main nav ol p pre section table td th tr ul
"""
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


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read.

    Attributes:
        path: the file.
        name: its name in ids: relative to the folder that was given, or the file's own name.
        size: in bytes.
    """

    path: Path
    name: str
    size: int


def find_sources(inputs: Sequence[str | os.PathLike[str]]) -> list[Source]:
    """The files of some inputs, in a fixed order.

    A folder with a ``corpus.jsonl`` is a BEIR corpus: only that file is read. Of another folder, every file
    of a known kind is taken, at any depth, hidden ones aside.

    Args:
        inputs: files and folders.

    Returns:
        The files.

    Raises:
        InputError: an input does not exist, is of an unknown kind, or is a folder without any known file.
    """
    sources: list[Source] = []
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            found = _in_folder(path)
            if not found:
                raise InputError(f"input {str(path)!r} holds no file with one of {', '.join(SUFFIXES)}")
            sources += found
        elif not path.exists():
            raise InputError(f"input {str(path)!r} does not exist: give files or folders")
        elif kind_of(path) not in SUFFIXES:
            raise InputError(f"input {str(path)!r} is of an unknown kind: use one of {', '.join(SUFFIXES)}")
        else:
            sources.append(Source(path, path.name, path.stat().st_size))
    return sources


def _in_folder(folder: Path) -> list[Source]:
    corpus = folder / "corpus.jsonl"
    if corpus.is_file():
        return [Source(corpus, corpus.name, corpus.stat().st_size)]
    sources = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(root, name)
            if kind_of(path) in SUFFIXES and not name.startswith(".") and path.is_file():
                sources.append(Source(path, path.relative_to(folder).as_posix(), path.stat().st_size))
    return sources


def read_source(source: Source, fields: Fields) -> Iterator[Record | InputError]:
    """The records of one file, one at a time.

    What cannot be read comes as an error in its place, so that one bad line does not end a long run.

    Args:
        source: the file.
        fields: which fields are what.

    Returns:
        An iterator of records and errors.
    """
    kind = kind_of(source.path)
    try:
        with opened(source.path) as lines:
            if kind in LINES:
                yield from _objects(lines, source, fields)
            elif kind in TABLES:
                yield from _rows(Table(lines, tabs=kind == ".tsv"), lines, source, fields)
            else:
                yield _page(lines, source, kind)
    except InputError as error:
        yield error


def _objects(lines: Lines, source: Source, fields: Fields) -> Iterator[Record | InputError]:
    for item in json_objects(lines):
        if isinstance(item, InputError):
            yield item
        else:
            where = f"{source.path}, line {item.number}"
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
        where = f"{source.path}, line {row.number}"
        values = {key: cell for key, cell in zip(header, row.cells, strict=True) if cell != ""}
        yield _record(values, fields, f"{source.name}:{row.before}", where, lines.position, typed=True)


def _record(
    row: Mapping[str, Any], fields: Fields, name: str, where: str, position: int, typed: bool = False
) -> Record | InputError:
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


def _page(lines: Lines, source: Source, kind: str) -> Record:
    text = "".join(line.text for line in lines)
    metadata: dict[str, Any] = {"path": source.name}
    if kind in (".html", ".htm"):
        page = _Page()
        page.feed(text)
        page.close()
        text = page.text()
        title = " ".join(page.title.split())
    else:
        heading = re.search(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", text, re.MULTILINE) if kind != ".txt" else None
        title = heading.group(1) if heading else ""
    if title:
        metadata["title"] = title
    return Record(source.name, text.strip(), metadata, str(source.path), source.size)


class _Page(html.parser.HTMLParser):
    """The visible text of a page: block elements end lines, scripts and styles are left out."""

    SILENT = frozenset(("script", "style", "noscript", "template", "head", "svg"))
    BLOCKS = frozenset(_BLOCKS.split())

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._silent = 0
        self._in_title = False
        self.title = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in self.SILENT
        self._in_title = tag == "title"
        if tag in self.BLOCKS:
            self._parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._silent = max(0, self._silent - (tag in self.SILENT))
        self._in_title = False
        if tag in self.BLOCKS:
            self._parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._silent:
            self._parts.append(re.sub(r"\s+", " ", data))

    def text(self) -> str:
        """What was gathered, without runs of blanks and empty lines."""
        lines = ("".join(self._parts)).split("\n")
        joined = "\n".join(re.sub(r"[ \t]+", " ", line).strip() for line in lines)
        return re.sub(r"\n{3,}", "\n\n", joined).strip()
