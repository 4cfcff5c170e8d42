"""The one parser of tables: csv, tsv and jsonl become rows, for every command and reader.

A row that cannot be read comes as an :class:`InputError` in its place, so that the caller decides: an index
passes over it and goes on, everything else raises it (:func:`strict`). What spoils the whole file is raised.
Memory holds one row.
"""

from __future__ import annotations

import csv
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from vicinal.errors import InputError
from vicinal.readers.lines import Line, Lines

Item = TypeVar("Item")

_SHOWN_FIELDS = 20
# Lines that a quoted cell of a tsv spans at most: a lone quote must not swallow the file.
_MOST_LINES = 1000


def strict(items: Iterable[Item | InputError]) -> Iterator[Item]:
    """The items; the first error among them is raised."""
    for item in items:
        if isinstance(item, InputError):
            raise item
        yield item


# jsonl -----------------------------------------------------------------------------------------------------


class Object(NamedTuple):
    """The JSON value of a line, and the line's number."""

    number: int
    value: Any


def json_lines(lines: Lines) -> Iterator[Object | InputError]:
    """The values of a jsonl file; empty lines are passed over.

    Raises:
        InputError: the file is one JSON document, on one line or several.
    """
    first = True
    for line in lines:
        stripped, number = line.text.strip(), line.number
        if not stripped:
            continue
        try:
            value = json.loads(line.bare)
        except (ValueError, RecursionError) as error:
            if first and stripped in ("[", "{"):
                raise _one_document(lines.name, "a list" if stripped == "[" else "an object") from error
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            column = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            yield InputError(
                f"{lines.name}, line {number}{column}: not JSON ({reason}): every line must be one object"
            )
        else:
            if first and isinstance(value, list):
                raise _one_document(lines.name, "a list")
            yield Object(number, value)
        first = False


def json_objects(lines: Lines) -> Iterator[Object | InputError]:
    """As :func:`json_lines`; a value that is not an object is an error."""
    for item in json_lines(lines):
        if isinstance(item, InputError) or isinstance(item.value, dict):
            yield item
        else:
            yield InputError(
                f'{lines.name}, line {item.number}: the line is not an object, such as {{"text": "..."}}'
            )


def _one_document(name: str, kind: str) -> InputError:
    return InputError(
        f"{name} is one JSON document, {kind}; it must be one object per line, "
        f"e.g. by: jq -c '{'.[]' if kind == 'a list' else '.'}' FILE > FILE.jsonl"
    )


def no_field(where: str, field: str, there: Iterable[str]) -> InputError:
    """The error for a field or column that is not there, with those that are."""
    names = list(there)
    shown = ", ".join(map(repr, names[:_SHOWN_FIELDS])) or "none"
    more = f" and {len(names) - _SHOWN_FIELDS} more" if len(names) > _SHOWN_FIELDS else ""
    return InputError(f"{where}: there is no field {field!r}; the fields are {shown}{more}")


def as_text(value: Any, where: str, what: str) -> str:
    """Check a value that must be text.

    Raises:
        InputError: it is something else, or holds half a character, which no tokenizer can read.
    """
    if not isinstance(value, str):
        kind = "null" if value is None else type(value).__name__
        raise InputError(f"{where}: {what} is {kind}, not text; mend or remove the line")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: {what} holds half a character (a surrogate, \\ud800 to \\udfff); mend the line"
        ) from error
    return value


# csv and tsv -----------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        number: the line that it begins on, from 1.
        before: rows before it, headings and blank ones included.
        cells: what it holds.
    """

    number: int
    before: int
    cells: list[str]


class Table:
    """A csv or tsv file.

    A csv is separated by the first of comma, semicolon and tab that its first line has outside of quotes; a cell
    in quotes may hold separators and line breaks. A tsv row is a line, and quotes count only around a whole cell.
    Of a tsv without headings they do not count at all, as in the STS Benchmark. Where a tsv's row does not have as
    many cells as the headings, the rules of csv are tried, for what csv writers make with tabs.

    Args:
        lines: the file.
        tabs: it is a tsv.

    Attributes:
        name: the file in messages.
        header: the first row, whether or not these are headings; None in an empty file.

    Raises:
        InputError: the first row cannot be read.
    """

    def __init__(self, lines: Lines, tabs: bool) -> None:
        self.name = lines.name
        self._tabs = tabs
        source = iter(lines)
        self._first = next((line for line in source if line.bare), None)
        self._source = source
        self._rows: Iterator[Row | InputError] = iter(())
        self.header: Row | None = None
        if self._first is not None:
            every = chain([self._first], source)
            mark = "\t" if tabs else _delimiter(self._first.text)
            self._rows = _tab_rows(every) if tabs else separated(every, self.name, mark)
            self.header = next(strict(self._rows))

    def places(self, keys: Sequence[str]) -> tuple[list[int], bool]:
        """Columns by their names, or by their numbers (from 1) in a file without headings.

        Returns:
            Their places from 0, and whether the first row is headings.

        Raises:
            InputError: a column is not there, or a name stands for several.
        """
        if self.header is None:
            return [], True
        cells, where = self.header.cells, f"{self.name}, line {self.header.number}"
        missing = [key for key in keys if key not in cells]
        if not missing:
            self.check_unique(keys)
            return [cells.index(key) for key in keys], True
        if not all(key.isascii() and key.isdigit() for key in keys):
            raise no_field(where, missing[0], cells)
        width = len(self._first_cells())
        for key in keys:
            if not 1 <= int(key) <= width:
                raise InputError(f"{where}: there are columns 1 to {width}, but no column {key}")
        return [int(key) - 1 for key in keys], False

    def check_unique(self, names: Iterable[str]) -> None:
        """Refuse names of several columns.

        Raises:
            InputError: names the first such name.
        """
        if self.header is not None:
            for name in names:
                if self.header.cells.count(name) > 1:
                    raise InputError(
                        f"{self.name}, line {self.header.number}: several columns are named {name!r}; rename one"
                    )

    def rows(self, headings: bool = True, needed: int = 0) -> Iterator[Row | InputError]:
        """The rows, once.

        Args:
            headings: the first row is headings, and none of the data.
            needed: cells that a row of a tsv without headings must have: such tables may have optional
                columns at their ends.
        """
        if self.header is None or self._first is None:
            return
        wide, start = len(self.header.cells), self.header.number
        loose = self._tabs and not headings
        if loose:
            source: Iterator[Row | InputError] = _plain_rows(chain([self._first], self._source))
        else:
            source = self._rows if headings else chain([self.header], self._rows)
        for row in source:
            if isinstance(row, InputError) or len(row.cells) == wide or (loose and len(row.cells) >= needed):
                yield row
                continue
            count = f"{len(row.cells)} cell{'' if len(row.cells) == 1 else 's'}"
            # A row that is too wide most often has a text with an unquoted separator, which would be cut there.
            yield InputError(
                f"{self.name}, line {row.number}: {count}, but line {start} has {wide}; "
                + (
                    "a tab inside a text?"
                    if self._tabs
                    else "a separator or line break without quotes around it?"
                )
            )

    def _first_cells(self) -> list[str]:
        assert self.header is not None and self._first is not None
        return self._first.bare.split("\t") if self._tabs else self.header.cells


def separated(
    lines: Iterable[Line],
    name: str,
    delimiter: str = ",",
    quoting: int = csv.QUOTE_MINIMAL,
    strictly: bool = True,
) -> Iterator[Row | InputError]:
    """Rows by the rules of the csv module; blank ones are passed over.

    Args:
        lines: of the file.
        name: the file in messages.
        delimiter: between cells.
        quoting: a constant of the csv module.
        strictly: refuse quotes that are not closed or not doubled.
    """
    known = deque[int]()

    def feed() -> Iterator[str]:
        for line in lines:
            known.append(line.number)
            yield line.text

    reader = csv.reader(feed(), delimiter=delimiter, quoting=quoting, strict=strictly)  # type: ignore[arg-type]
    index = -1
    while True:
        index += 1
        known.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield InputError(f"{name}, line {known[0]}: {_explained(error)}")
            continue
        if cells:
            yield Row(known[0], index, cells)


def _explained(error: csv.Error) -> str:
    text = str(error)
    if "new-line" in text or "newline" in text:
        return (
            "a carriage return inside a line; if every line ends in one alone, convert: tr '\\r' '\\n' < FILE"
        )
    if "field limit" in text:
        return (
            f"a cell has more than {csv.field_size_limit():,} characters: is a quote not closed? Put texts that are "
            "so long into a jsonl file"
        )
    return f"not csv ({text}); is a quote in this record not closed, or not doubled?"


def _delimiter(first: str) -> str:
    bare = re.sub(r'"[^"]*"', "", first)
    return next((mark for mark in ",;\t" if mark in bare), ",")


def _plain_rows(lines: Iterable[Line]) -> Iterator[Row]:
    for index, line in enumerate(lines):
        if line.bare:
            yield Row(line.number, index, line.bare.split("\t"))


def _tab_rows(lines: Iterator[Line]) -> Iterator[Row]:
    """Rows of a tsv with headings; see :class:`Table`."""
    waiting = deque[Line]()
    width = index = -1
    while (line := waiting.popleft() if waiting else next(lines, None)) is not None:
        index += 1
        if not line.bare:
            continue
        plain = line.bare.split("\t")
        cells = [_unquoted(cell) for cell in plain]
        if width < 0:
            width = len(cells)
        elif '"' in line.text and (len(cells) != width or _opens(plain[-1])):
            cells = _quoted_record(line, waiting, lines, width) or cells
        yield Row(line.number, index, cells)


def _opens(cell: str) -> bool:
    return cell.startswith('"') and cell.count('"') % 2 == 1


def _quoted_record(first: Line, waiting: deque[Line], lines: Iterator[Line], width: int) -> list[str] | None:
    """The cells of a record with quoted tabs or line breaks; None, and no line is lost, if it is not one.

    A line with as many cells as the headings is a row by itself and ends the record, unless ``first`` has too few
    and this line closes its quote.
    """
    short = first.text.count("\t") < width - 1
    taken = [first]
    quotes = first.text.count('"')
    while quotes % 2 and len(taken) < _MOST_LINES:
        line = waiting.popleft() if waiting else next(lines, None)
        if line is None:
            break
        if line.text.count("\t") == width - 1 and not (short and line.text.count('"') % 2):
            waiting.appendleft(line)
            break
        taken.append(line)
        quotes += line.text.count('"')
    if quotes % 2 == 0:
        try:
            rows = list(csv.reader([line.text for line in taken], delimiter="\t", strict=True))
        except csv.Error:
            rows = []
        if len(rows) == 1 and len(rows[0]) == width:
            return rows[0]
    waiting.extendleft(reversed(taken[1:]))
    return None


def _unquoted(cell: str) -> str:
    """The content of a cell that is quoted as in csv; any other cell as it is."""
    if len(cell) >= 2 and cell[0] == cell[-1] == '"':
        inner = cell[1:-1]
        if '"' not in inner.replace('""', ""):
            return inner.replace('""', '"')
    return cell
