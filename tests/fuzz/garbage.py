"""Values that no caller should send, and all of them do: seeded, so that a failure can be repeated."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import math
import pathlib
import random
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

OPERATORS = ("$and", "$or", "$not", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists")
FIELDS = ("year", "tag", "a.b", "", ".", "$", "year.x", "\x00", "日本", "a" * 300)


class OwnError(Exception):
    """Raised by the caller's own objects: it must come through as it is."""


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    ONE = 1


class Shout(str):
    """A string that says something else when it is formatted."""

    def __str__(self) -> str:
        return "NOT THE VALUE"


class LyingLength:
    """Says that it holds a million items, and holds one."""

    def __len__(self) -> int:
        return 10**6

    def __iter__(self) -> Iterator[Any]:
        return iter(["one"])


class BreaksWhenRead:
    def __iter__(self) -> Iterator[Any]:
        yield "first"
        raise OwnError("iterating failed")

    def __len__(self) -> int:
        return 3


class BreaksAsArray:
    def __array__(self, *_: Any, **__: Any) -> Any:
        raise OwnError("no array")


class NoHash:
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return False


class Table:
    """What pandas and polars have in common: columns, a shape, and a loop over names."""

    columns = ("text", "label")
    shape = (2, 2)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return 2

    def __getitem__(self, name: str) -> list[str]:
        return ["one", "two"]


def _endless_list() -> list[Any]:
    holder: list[Any] = ["inside"]
    holder.append(holder)
    return holder


def _endless_dict() -> dict[str, Any]:
    holder: dict[str, Any] = {"year": 1}
    holder["self"] = holder
    return holder


def _deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"$not": value} if depth % 2 else [value]
    return value


def _array(rng: random.Random) -> Any:
    shape = rng.choice([(), (0,), (1,), (3,), (8,), (0, 8), (2, 0), (2, 8), (3, 7), (2, 2, 8), (1, 1, 1, 1)])
    kind = rng.choice(
        ["f4", "f8", "f2", "i8", "i1", "u1", "u8", "?", "c8", "U3", "S3", "O", "M8[s]", "m8[s]", "V4"]
    )
    size = math.prod(shape)
    if kind in ("f4", "f8", "f2"):
        values = np.array([rng.choice([0, 1, -1, math.nan, math.inf, 6e4, 0.5]) for _ in range(size)])
        if kind != "f2" and rng.random() < 0.2:
            with np.errstate(all="ignore"):
                values = values * 3e38
        with np.errstate(all="ignore"):
            return values.astype(kind).reshape(shape)
    if kind == "O":
        values = np.empty(size, object)
        for place in range(size):
            values[place] = rng.choice([None, "x", 1, [], {}, object()])
        return values.reshape(shape)
    return np.zeros(shape, kind)


_LEAVES: tuple[Callable[[random.Random], Any], ...] = (
    lambda _: None,
    lambda _: True,
    lambda _: False,
    lambda rng: rng.choice([0, -1, 1, 2, 3, 7, 2**31, 2**63, -(2**63) - 1, 2**64, 10**400]),
    lambda rng: rng.choice([0.0, -0.0, 0.5, 1.5, -1.0, 1e308, -1e308, 5e-324, math.nan, math.inf, -math.inf]),
    lambda rng: rng.choice(
        ["", " ", "x", "a b", "\x00", "\ud800", "\u202e", "日本語", "e\u0301", "x" * 5000]
    ),
    lambda rng: rng.choice(
        ["dense", "cosine", "float32", "int8", "cpu", "cuda", "kmeans", "$in", "query", "-1"]
    ),
    lambda rng: rng.choice([b"", b"bytes", bytearray(b"x"), memoryview(b"abc")]),
    lambda rng: rng.choice(
        [Colour.RED, Level.ONE, Shout("red"), np.str_("red"), np.int64(3), np.float32(0.5)]
    ),
    lambda rng: rng.choice([np.bool_(True), np.datetime64("2020-01-01"), np.nan, np.float64(math.inf)]),
    lambda rng: rng.choice([decimal.Decimal("0.5"), decimal.Decimal("NaN"), fractions.Fraction(1, 3), 1j]),
    lambda rng: rng.choice([datetime.date(2020, 1, 1), datetime.timedelta(1), pathlib.Path("x"), Ellipsis]),
    lambda rng: rng.choice([object(), object, len, lambda: None, random, NotImplemented, type]),
    lambda rng: rng.choice([NoHash(), LyingLength(), BreaksWhenRead(), BreaksAsArray(), Table()]),
    lambda rng: rng.choice([range(0), range(3), iter(()), iter(["a"]), (x for x in "ab"), map(str, "ab")]),
    lambda rng: rng.choice(
        [set(), {1, 2}, frozenset("ab"), {}.keys(), {"a": 1}.items(), MappingProxyType({})]
    ),
    lambda rng: rng.choice([_endless_list, _endless_dict, lambda: _deep(50), lambda: _deep(5001)])(),
    _array,
    lambda _: np.ma.masked_array([1.0, 2.0], mask=[True, False]),
    lambda _: np.asmatrix([[1.0, 2.0]]),
    lambda _: np.zeros(2, dtype=[("a", "f4"), ("b", "i4")]),
)


def value(rng: random.Random, depth: int = 2) -> Any:
    """Any value at all."""
    roll = rng.random()
    if depth and roll < 0.12:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if depth and roll < 0.18:
        return tuple(value(rng, depth - 1) for _ in range(rng.randrange(4)))
    if depth and roll < 0.26:
        return {_key(rng): value(rng, depth - 1) for _ in range(rng.randrange(3))}
    return rng.choice(_LEAVES)(rng)


def _key(rng: random.Random) -> Any:
    return rng.choice([*FIELDS, *OPERATORS, None, 1, 1.5, True, b"k", (1, 2), Colour.RED])


def filter(rng: random.Random, depth: int = 3) -> Any:
    """What looks like a metadata filter, and is one now and then."""
    roll = rng.random()
    if depth == 0 or roll < 0.15:
        return value(rng, 1)
    if roll < 0.45:
        return {rng.choice(OPERATORS): filter(rng, depth - 1) for _ in range(rng.randrange(1, 3))}
    if roll < 0.6:
        return [filter(rng, depth - 1) for _ in range(rng.randrange(3))]
    return {rng.choice(FIELDS): filter(rng, depth - 1) for _ in range(rng.randrange(1, 3))}


def near(rng: random.Random, good: Any) -> Any:
    """A good value with one thing wrong."""
    if isinstance(good, np.ndarray) and good.size:
        spoiled = good.copy()
        what = rng.randrange(6)
        if what == 0:
            spoiled.flat[rng.randrange(good.size)] = rng.choice([math.nan, math.inf, -math.inf])
        elif what == 1:
            spoiled[...] = 0
        elif what == 2:
            with np.errstate(all="ignore"):
                spoiled = spoiled * 1e38
        elif what == 3:
            return spoiled.tolist()
        elif what == 4:
            return spoiled[..., :-1]
        else:
            return spoiled[:0]
        return spoiled
    if isinstance(good, list) and good:
        what = rng.randrange(5)
        if what == 0:
            return good[:-1]
        if what == 1:
            return [*good, value(rng, 1)]
        if what == 2:
            return [value(rng, 1), *good[1:]]
        if what == 3:
            return [*good, good[0]]
        return iter(good)
    if isinstance(good, Mapping):
        return {**good, _key(rng): value(rng, 1)}
    if isinstance(good, bool) or good is None:
        return value(rng)
    if isinstance(good, int):
        return rng.choice([good + 0.5, float(good), str(good), -good, 0, np.int8(good % 100), good * 10**30])
    if isinstance(good, float):
        return rng.choice([math.nan, math.inf, -good, str(good), int(good), np.float16(good)])
    if isinstance(good, str):
        return rng.choice([good.encode(), good.upper(), f" {good} ", [good], f"{good}\x00", Shout(good)])
    return value(rng)
