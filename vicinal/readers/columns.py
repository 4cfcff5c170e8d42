"""Columns of labelled data by what they mean, for evaluation and training; and samples for reranking."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from vicinal.errors import InputError
from vicinal.readers.lines import Lines, kind_of, opened, shown_path
from vicinal.readers.tables import Table, as_text, json_objects, no_field, strict

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
# Columns that hold no text.
_VALUES = ("score", "label")
# The distributed STS Benchmark has no headings: score, then the sentences, in columns 5 to 7.
_STSB = {"score": 5, "sentence1": 6, "sentence2": 7}

# Column -> names that are understood for it.
NAMES: Mapping[str, tuple[str, ...]] = {
    "sentence1": (
        "sentence1",
        "sentence_1",
        "sentence_a",
        "sentencea",
        "text1",
        "text_1",
        "premise",
        "question1",
    ),
    "sentence2": (
        "sentence2",
        "sentence_2",
        "sentence_b",
        "sentenceb",
        "text2",
        "text_2",
        "hypothesis",
        "question2",
    ),
    "score": ("score", "similarity_score", "relatedness_score", "similarity", "label", "labels"),
    "label": ("label", "labels", "is_duplicate", "score"),
    "anchor": ("anchor", "query", "sentence", "sent0"),
    "positive": ("positive", "pos", "sent1"),
    "negative": ("negative", "neg", "hard_neg"),
}


class Cells(list[Any]):
    """The cells of a column.

    Attributes:
        lines: the line of the file that each stands on, from 1.
    """

    def __init__(self, cells: Iterable[Any] = (), lines: Sequence[int] = ()) -> None:
        super().__init__(cells)
        self.lines = list(lines)

    def add(self, cell: Any, line: int) -> None:
        """Append a cell."""
        self.append(cell)
        self.lines.append(line)


def read_columns(
    path: str | os.PathLike[str],
    wanted: Sequence[str],
    given: Sequence[str] | None = None,
    *,
    also: Sequence[str] = (),
) -> dict[str, Cells]:
    """Columns of a csv, tsv or jsonl file, by what they mean.

    Args:
        path: the file.
        wanted: keys of :data:`NAMES`.
        given: names or (from 1) numbers of the columns in the file, in the order of ``wanted``. None finds
            them by name, and in a file without headings by place: the first ones, or those of the STS
            Benchmark.
        also: other kinds of files that the caller reads, for the error that lists the kinds.

    Returns:
        Wanted column -> its cells, all of one length.

    Raises:
        InputError: the file cannot be read, or a column cannot be found.
    """
    file = Path(path)
    kind = _kind(file, also)
    if given is not None and len(given) != len(wanted):
        raise InputError(f"{len(given)} columns are named, but {len(wanted)} needed: {', '.join(wanted)}")
    with opened(file) as lines:
        if kind in (".csv", ".tsv"):
            found = _of_table(Table(lines, tabs=kind == ".tsv"), wanted, given)
        else:
            found = _of_objects(lines, wanted, given)
    if not found[wanted[0]]:
        raise InputError(f"{file} is empty: there are no rows in it")
    return found


def _kind(file: Path, also: Sequence[str] = ()) -> str:
    kind = kind_of(file)
    if kind not in _SUFFIXES:
        with opened(file):  # that it is not there is said first
            *most, last = ("csv", "tsv", "jsonl", *also)
            raise InputError(
                f"{shown_path(file)} is of an unknown kind: use {', '.join(most)} or {last}; csv, tsv and jsonl may "
                "also have .gz behind their endings"
            )
    return kind


def first_row(path: str | os.PathLike[str]) -> list[str]:
    """The cells of a table's first row, which are its headings if it has any; the fields of a jsonl's first object.

    Raises:
        InputError: the file cannot be read.
    """
    file = Path(path)
    kind = _kind(file)
    with opened(file) as lines:
        if kind in (".csv", ".tsv"):
            header = Table(lines, tabs=kind == ".tsv").header
            return [] if header is None else list(header.cells)
        first = next(iter(strict(json_objects(lines))), None)
        return [] if first is None else list(first[1])


def numbers(cells: Sequence[Any], path: str | os.PathLike[str], column: str) -> Cells:
    """Cells as finite numbers.

    Raises:
        InputError: one is none; its line is named, or its row where lines are not known.
    """
    found: list[float] = []
    for place, cell in enumerate(cells):
        try:
            found.append(float(cell))
            if not isfinite(found[-1]):
                raise ValueError
        except (TypeError, ValueError):
            raise InputError(
                f"{path}, {_place(cells, place)}: the {column} is {str(cell)[:40]!r}, not a number; if another column "
                "holds it, name the columns"
            ) from None
    return Cells(found, cells.lines if isinstance(cells, Cells) else ())


def classes(values: Sequence[float], path: str | os.PathLike[str], maximum: int | None = None) -> list[int]:
    """Numbers of classes, from 0 to ``maximum`` if that is given.

    Raises:
        InputError: one is none; its line is named, or its row where lines are not known.
    """
    for place, value in enumerate(values):
        if value != int(value) or value < 0 or (maximum is not None and value > maximum):
            wanted = "whole numbers from 0" if maximum is None else f"0 to {maximum}"
            wanted = "0 or 1" if maximum == 1 else wanted
            raise InputError(f"{path}, {_place(values, place)}: the label is {value:g}; classes are {wanted}")
    return [int(value) for value in values]


def _place(cells: Sequence[Any], place: int) -> str:
    lines = cells.lines if isinstance(cells, Cells) else []
    return f"line {lines[place]}" if place < len(lines) else f"row {place + 1}"


def read_samples(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The objects of a jsonl file, for the reranking evaluators.

    Raises:
        InputError: the file cannot be read, or a line is not an object.
    """
    with opened(path) as lines:
        rows = [row for _, row in strict(json_objects(lines))]
    if not rows:
        raise InputError(f"{path} is empty: there is nothing to evaluate")
    return rows


def _of_table(table: Table, wanted: Sequence[str], given: Sequence[str] | None) -> dict[str, Cells]:
    if given is None and table.header is not None:
        given = _found(table.name, table.header.cells, wanted)
    places, headings = table.places(given or ())
    columns = {each: Cells() for each in wanted}
    for row in strict(table.rows(headings, needed=max(places, default=0) + 1)):
        for each, place in zip(wanted, places, strict=True):
            columns[each].add(row.cells[place], row.number)
    return columns


def _of_objects(lines: Lines, wanted: Sequence[str], given: Sequence[str] | None) -> dict[str, Cells]:
    columns = {each: Cells() for each in wanted}
    for number, row in strict(json_objects(lines)):
        where = f"{lines.name}, line {number}"
        if given is None:
            given = by_name(list(row), wanted)
            if given is None:
                raise _not_found(lines.name, list(row), wanted)
        for each, name in zip(wanted, given, strict=True):
            if name not in row:
                raise no_field(where, name, row)
            value = row[name]
            cell = value if each in _VALUES else as_text(value, where, f"the field {name!r}")
            columns[each].add(cell, number)
    return columns


def _found(name: str, cells: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Names of the wanted columns by the first row, or their numbers if that is not headings."""
    named = by_name(cells, wanted)
    if named is not None:
        return named
    stsb = len(cells) >= max(_STSB.values()) and _is_number(cells[_STSB["score"] - 1])
    if stsb and "score" in wanted:
        return [str(_STSB[each]) for each in wanted]
    # Without headings the first columns are the wanted ones; a number in the first row tells that it is data, and
    # a name that is known for some column tells that it is not.
    known = {name for names in NAMES.values() for name in names}
    headings = any(cell.strip().lower() in known for cell in cells)
    data = _is_number(cells[-1]) if wanted[-1] in _VALUES else not headings
    if len(cells) == len(wanted) and data:
        return [str(number) for number in range(1, len(wanted) + 1)]
    raise _not_found(name, cells, wanted)


def by_name(there: Sequence[str], wanted: Sequence[str]) -> list[str] | None:
    """The columns that :data:`NAMES` knows for what is wanted, whatever their case; None if one is missing."""
    lower = {name.lower(): name for name in there}
    found = [next((lower[name] for name in NAMES[each] if name in lower), None) for each in wanted]
    names = [name for name in found if name is not None]
    return names if len(names) == len(wanted) else None


def _not_found(file: str, there: Sequence[str], wanted: Sequence[str]) -> InputError:
    shown = ", ".join(repr(name[:30]) for name in there[:12])
    return InputError(
        f"{file}: which columns are {', '.join(wanted)}? The first line has {shown}. Name the columns in this "
        f"order, or give their numbers"
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
