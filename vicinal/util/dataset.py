"""Ids of a data set become the texts that they stand for."""

from __future__ import annotations

import ast
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from vicinal.core.arrays import Matrix
from vicinal.core.inputs import as_count, check_choice, shown
from vicinal.errors import InputError, InputTypeError, UnknownIdError

_log = logging.getLogger(__name__)

Lookup: TypeAlias = Any
"""A ``datasets.Dataset``, or a tuple of one with the name of its ids' column, and of its values' column."""

# Endings of a column of ids, which its column of values does without.
_ENDINGS = ("_ids", "_id", "_idx")
# Ids this many times longer than the others are no reason to give all of them that much memory.
_UNEVEN = 4


def resolve_ids(
    lookups: dict[str, Lookup],
    keep_columns: list[str] | tuple[str, ...] = ("label", "labels", "score", "scores"),
    max_list_length: int | None = None,
    output_format: Literal["columns", "lists"] = "columns",
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function that puts texts in the place of ids, for data that keeps texts in tables of their own.

    Hand it to ``Dataset.set_transform``, which calls it when rows are read, or to ``Dataset.map`` with
    ``batched=True`` and ``remove_columns=list(lookups)``::

        train.set_transform(resolve_ids({"query_id": queries, "document_ids": documents}, max_list_length=32))

    gives rows of ``query``, ``document_1`` to ``document_32``, and ``scores`` if there are some.

    Args:
        lookups: column of ids -> where the values are: a ``datasets.Dataset``, ``(dataset, ids)`` or
            ``(dataset, ids, values)`` with names of its columns. Not named, the column of ids is the only one called
            ``id`` or ``..._id``, and that of values the only other one. A row holds one id, or a list of ids (or such a
            list as text, ``"[1, 2]"``). The result has a column for each, in this order, named without ``_id``,
            ``_ids`` or ``_idx``.
        keep_columns: columns to keep as they are, behind these; others are dropped.
        max_list_length: lists, those of kept columns too, are cut to their first so many. None keeps all.
        output_format: what becomes of a list of ids: ``"columns"`` makes a column for each place (``document_1``,
            ``document_2``, ...), which needs lists of one length; ``"lists"`` a column of lists (``documents``).

    Returns:
        dict of columns -> dict of columns. It can be pickled.

    Raises:
        InputError: columns that cannot be found, or of which nothing tells which is meant; later, lists of different
            lengths, or two columns of one name.
        InputTypeError: a lookup that is no data set.
        UnknownIdError: later: an id, or a column of ids, that is not there; it is a KeyError too.
    """
    if not isinstance(lookups, Mapping):
        raise InputTypeError(
            f"lookups is {type(lookups).__name__}: give {{column of ids: data set of values}}"
        )
    check_choice(output_format, ("columns", "lists"), "output_format")
    kept: Any = keep_columns
    if isinstance(kept, str):
        raise InputTypeError(f"keep_columns={kept!r} is a text: give a list of names")
    length = None if max_list_length is None else as_count(max_list_length, "max_list_length")
    tables = {column: Table.of(lookup, column) for column, lookup in lookups.items()}
    return Resolver(tables, tuple(kept), length, output_format == "lists")


@dataclass(frozen=True)
class Resolver:
    """What :func:`resolve_ids` gives."""

    tables: dict[str, Table]
    keep: tuple[str, ...]
    longest: int | None
    as_lists: bool

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Columns of values in the place of columns of ids."""
        if not isinstance(batch, Mapping):
            raise InputTypeError(
                f"a batch is {type(batch).__name__}, not a dict of columns: take the data set's format away first, "
                "dataset.with_format(None)"
            )
        found: list[tuple[str, list[Any]]] = []
        for column, table in self.tables.items():
            if column not in batch:
                raise UnknownIdError(f"there is no column {column!r} of ids, only {list(batch)}")
            found += self._resolved(column, table, self._cells(column, batch[column]))
        found += [(name, self._cut(self._cells(name, batch[name]))) for name in self.keep if name in batch]
        twice = [name for name, count in Counter(name for name, _ in found).items() if count > 1]
        if twice:
            raise InputError(
                f"two columns would be called {twice[0]!r}: rename one of {[*self.tables, *self.keep]} in the data set"
            )
        return dict(found)

    def _cells(self, column: str, cells: Any) -> list[Any]:
        """The cells of a column, with lists that are written as texts read."""
        if not isinstance(cells, list):
            raise InputTypeError(
                f"the column {column!r} is {type(cells).__name__}, not a list: take the data set's format away first, "
                "dataset.with_format(None)"
            )
        texts = [cell for cell in cells if isinstance(cell, str)]
        if texts and len(texts) == len(cells) and all(text.lstrip().startswith("[") for text in texts):
            return [_read_list(column, text) for text in texts]
        return cells

    def _cut(self, cells: list[Any]) -> list[Any]:
        return [cell[: self.longest] if isinstance(cell, (list, tuple)) else cell for cell in cells]

    def _resolved(self, column: str, table: Table, cells: list[Any]) -> list[tuple[str, list[Any]]]:
        """The columns that a column of ids becomes."""
        lists = [place for place, cell in enumerate(cells) if _is_list(cell)]
        if not lists:
            return [(_without_ending(column), table.values(cells, column))]
        if len(lists) < len(cells):
            other = next(place for place in range(len(cells)) if place not in set(lists))
            raise InputError(
                f"the column {column!r} holds lists of ids and, in row {other} of the batch, {shown(cells[other])}: "
                "give lists or single ids in all rows"
            )
        rows = [list(cell)[: self.longest] for cell in cells]
        lengths = [len(row) for row in rows]
        values = iter(table.values(list(itertools.chain.from_iterable(rows)), column))
        nested = [list(itertools.islice(values, length)) for length in lengths]
        if self.as_lists:
            return [(_plural(column), nested)]
        if len(set(lengths)) > 1:
            raise InputError(
                f"the lists of the column {column!r} have {min(lengths)} to {max(lengths)} ids, but a column is made "
                "for each place: set max_list_length to the shortest, or output_format='lists'"
            )
        if not lengths[0]:
            raise InputError(f"the lists of the column {column!r} are empty: leave such rows out")
        name = _without_ending(column)
        return [
            (f"{name}_{place}", list(part)) for place, part in enumerate(zip(*nested, strict=True), start=1)
        ]


class Table:
    """A data set as a table of values by id."""

    def __init__(self, dataset: Any, ids: str, values: str, argument: str) -> None:
        # Only one column is read, whatever the format that the data set is in.
        self._values, self._column = dataset.with_format(None).select_columns([values]), values
        self._index = _Index(dataset.with_format(None)[ids][:])
        if self._index.repeated:
            _log.warning(
                "lookups[%r]: %d rows have the id of a later row (column %r), which is the one that is found",
                argument,
                self._index.repeated,
                ids,
            )

    @classmethod
    def of(cls, lookup: Lookup, argument: str) -> Table:
        """Find the columns of a lookup; see :func:`resolve_ids`."""
        named = isinstance(lookup, tuple)
        if named and not 2 <= len(lookup) <= 3:
            raise InputError(
                f"lookups[{argument!r}] is a tuple of {len(lookup)}: give (dataset, ids) or (dataset, ids, values)"
            )
        dataset, *names = lookup if named else (lookup,)
        if isinstance(dataset, Mapping) or not (
            hasattr(dataset, "column_names") and hasattr(dataset, "__len__")
        ):
            raise InputTypeError(
                f"lookups[{argument!r}] holds {type(dataset).__name__}: give a datasets.Dataset, one split of it and "
                "not streamed"
            )
        columns = list(dataset.column_names)
        for name in names:
            if name not in columns:
                raise InputError(f"lookups[{argument!r}]: {shown(name)} is not among its columns {columns}")
        if not names:
            names = [_only([c for c in columns if c == "id" or c.endswith("_id")], "ids", argument, columns)]
        if len(names) == 1:
            names.append(_only([c for c in columns if c != names[0]], "values", argument, columns))
        return cls(dataset, names[0], names[1], argument)

    def values(self, ids: Sequence[Any], column: str) -> list[Any]:
        """The value of each id.

        Raises:
            UnknownIdError: an id that is not there.
        """
        rows = self._index.rows(ids)
        unknown = np.flatnonzero(rows < 0)
        if len(unknown):
            wrong = ids[int(unknown[0])]
            hint = ", which looks like a list written as text" if str(wrong).startswith("[") else ""
            raise UnknownIdError(f"the id {wrong!r} of the column {column!r} is not in its lookup{hint}")
        if not len(rows):
            return []
        read, place = np.unique(rows, return_inverse=True)
        cells = self._values[read.tolist()][self._column]
        return [cells[each] for each in place.ravel().tolist()]


class _Index:
    """Rows by id; of equal ids the last one.

    Ids that are all texts or all integers lie in a sorted array, which takes a fraction of the memory of a dict.
    """

    def __init__(self, ids: list[Any]) -> None:
        self._kind: type | None = None
        self._by_id: dict[Any, int] = {}
        kinds = set(map(type, ids))
        # An array gives all texts the length of the longest, and ends one before its trailing zero characters.
        if kinds == {str} and not any(each.endswith("\0") for each in ids):
            lengths = [len(each) for each in ids]
            self._kind = str if max(lengths) <= _UNEVEN * (1 + sum(lengths) / len(lengths)) else None
        elif kinds == {int} and all(-(2**63) <= each < 2**63 for each in ids):
            self._kind = int
        if self._kind is None:
            self._by_id = {each: row for row, each in enumerate(ids)}
            self.repeated = len(ids) - len(self._by_id)
            return
        values: Matrix = np.array(ids, dtype=np.int64 if self._kind is int else None)
        order = np.argsort(values, kind="stable")
        values = values[order]
        last = np.append(values[1:] != values[:-1], True)
        self._sorted, self._rows = values[last], order[last]
        self.repeated = len(ids) - len(self._rows)

    def rows(self, ids: Sequence[Any]) -> Matrix:
        """The row of each id, -1 where there is none."""
        if self._kind is None:
            found = [self._by_id.get(each, -1) if _hashable(each) else -1 for each in ids]
            return np.array(found, dtype=np.int64)
        right = [place for place, each in enumerate(ids) if self._may_hold(each)]
        rows = np.full(len(ids), -1, dtype=np.int64)
        if right:
            wanted = np.array([ids[place] for place in right], dtype=np.int64 if self._kind is int else None)
            near = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
            rows[right] = np.where(self._sorted[near] == wanted, self._rows[near], -1)
        return rows

    def _may_hold(self, value: Any) -> bool:
        """Whether an id is of the array's kind."""
        if self._kind is str:
            return isinstance(value, str) and not value.endswith("\0")
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        return whole and -(2**63) <= value < 2**63


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _is_list(cell: Any) -> bool:
    return isinstance(cell, (list, tuple, np.ndarray))


def _only(columns: list[str], what: str, argument: str, there: list[str]) -> str:
    if len(columns) != 1:
        wanted = "one column named 'id' or '..._id'" if what == "ids" else "one column beside that of ids"
        names = "(dataset, ids)" if what == "ids" else "(dataset, ids, values)"
        raise InputError(
            f"lookups[{argument!r}]: which column holds the {what}? There must be {wanted}, not {columns or 'none'} "
            f"among {there}: name it, {names}"
        )
    return columns[0]


def _read_list(column: str, text: str) -> list[Any]:
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, list):
        raise InputError(f"the column {column!r} holds lists written as texts, but {shown(text)} is none")
    return value


def _without_ending(column: str) -> str:
    """``document_ids`` -> ``document``."""
    for ending in _ENDINGS:
        if column.endswith(ending) and column != ending:
            return column.removesuffix(ending)
    return column


def _plural(column: str) -> str:
    """``document_ids`` -> ``documents``, ``query_ids`` -> ``queries``; another column is named as in the singular."""
    name = _without_ending(column)
    if not column.endswith("_ids") or name == column:
        return name
    return name[:-1] + "ies" if name.endswith("y") else name + "s"
