"""A filter becomes the set of documents it holds for, with SQL for each condition.

The table ``fields`` holds one entry for each value of each field of each document, ordered by field, kind
and value, so a condition is one range of one index. (Asking ``json_extract`` of a million rows takes
seconds; a range that holds 900,000 of a million documents takes 0.08 s here, one with 10,000 1 ms.) Sets
are boolean arrays over document numbers, so ``$and``, ``$or`` and ``$not`` are numpy's.
"""

from __future__ import annotations

import operator
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vicinal.index.filters import (
    KIND_BOOL,
    KIND_NULL,
    KIND_NUMBER,
    KIND_TEXT,
    Condition,
    Node,
    Scalar,
    evaluate,
    flatten,
    kind_of,
)
from vicinal.index.segments import Bools, Ints
from vicinal.index.stores.damage import Damage

# Bound variables in one statement; SQLite allows 32,766 or more, short statements are compiled sooner.
BATCH = 500
_ORDERS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def matching(db: sqlite3.Connection, where: Node, limit: int, living: Callable[[], Ints]) -> Bools:
    """Which documents a filter holds for.

    Args:
        db: a connection inside a transaction.
        where: the filter.
        limit: one more than the highest document number.
        living: gives the numbers of all living documents.

    Returns:
        ``(limit,)`` booleans by document number; dead ones are False.
    """

    def everything() -> Bools:
        mask = np.zeros(limit, bool)
        mask[living()] = True
        return mask

    mask: Bools = evaluate(where, lambda condition: _answer(db, condition, limit), everything)
    return mask & everything()


def holds(where: Node, metadata: Mapping[str, Any]) -> bool:
    """Whether a filter holds for one document: to check what the table of entries says of those that are returned."""
    entries: dict[str, list[tuple[int, Scalar]]] = {}
    for name, kind, value in flatten(metadata):
        entries.setdefault(name, []).append((kind, value))

    def answer(condition: Condition) -> np.bool_:
        return np.bool_(
            any(_fits(condition, kind, value) for kind, value in entries.get(condition.field, ()))
        )

    return bool(evaluate(where, answer, lambda: np.True_))


def _fits(condition: Condition, kind: int, value: Scalar) -> bool:
    if condition.op == "$exists":
        return True
    if condition.op == "$in":
        return any(
            kind == kind_of(wanted) and value == (0 if wanted is None else wanted)
            for wanted in condition.values
        )
    wanted: Any = condition.values[0]
    return kind == kind_of(wanted) and bool(_COMPARE[condition.op](value, wanted))


def _answer(db: sqlite3.Connection, condition: Condition, limit: int) -> Bools:
    mask = np.zeros(limit, bool)
    row = db.execute("SELECT id FROM names WHERE name = ?", (condition.field,)).fetchone()
    if row is None:
        return mask
    base = 8 * row[0]
    for where, values in _ranges(condition, base):
        docs = numbers(db, f"SELECT group_concat(doc) FROM fields WHERE {where}", values, limit)
        mask[docs] = True
    return mask


def _ranges(condition: Condition, base: int) -> list[tuple[str, Sequence[Scalar]]]:
    """The condition as ranges of the key: SQL with question marks, and what is bound to them."""
    if condition.op == "$exists":
        return [("key BETWEEN ? AND ?", (base, base + 7))]
    if condition.op != "$in":
        value = condition.values[0]
        return [(f"key = ? AND value {_ORDERS[condition.op]} ?", (base + kind_of(value), value))]
    ranges: list[tuple[str, Sequence[Scalar]]] = []
    for kind in (KIND_NULL, KIND_BOOL, KIND_NUMBER, KIND_TEXT):
        values = [0 if value is None else value for value in condition.values if kind_of(value) == kind]
        for at in range(0, len(values), BATCH):
            some = values[at : at + BATCH]
            ranges.append((f"key = ? AND value IN ({','.join('?' * len(some))})", (base + kind, *some)))
    return ranges


def numbers(db: sqlite3.Connection, sql: str, values: Sequence[Scalar], limit: int) -> Ints:
    """Many document numbers out of SQLite: as one text they come four times as fast as in rows.

    Args:
        db: a connection.
        sql: a statement that gives one ``group_concat`` of integers.
        values: what is bound to it.
        limit: one more than the highest number that may come.

    Raises:
        Damage: the file holds a number that cannot be.
    """
    text = db.execute(sql, values).fetchone()[0]
    if not text:
        return np.empty(0, np.int64)
    found = np.fromstring(text, np.int64, sep=",")
    if not 0 <= found.min() <= found.max() < limit:
        raise Damage("it holds a document number that was never given")
    return found
