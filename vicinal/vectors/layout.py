"""Vectors on a plane so that neighbours stay neighbours, in numpy alone.

The layout starts from the first two principal components. Then every row is drawn to its nearest rows in the full
space and to some rows that are half near, and pushed away from rows at random. At first the half near rows count
most, which sorts the groups; then the nearest, which sorts the rows within them.

Source:
    Wang, Huang, Rudin, Shaposhnik: Understanding How Dimension Reduction Tools Work, JMLR 2021 (the three kinds of
    pairs, their losses and phases). Pairs at random are drawn anew in every step here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vicinal.core.arrays import Embeddings, Matrix, as_floats, product
from vicinal.core.inputs import as_count, as_integer, shown
from vicinal.errors import InputError
from vicinal.vectors.axes import principal_axes
from vicinal.vectors.nearest import Nearest
from vicinal.vectors.rows import scaled_rows

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

Progress = Callable[[float], None]
"""Called with the share of the work that is done, 0 to 1. What it raises ends the work."""

# With fewer rows, principal components show all there is to see.
_FEWEST = 12
# Of each row: nearest rows, half near rows, and rows that push it away in one step (each pushes back).
_NEIGHBOURS = 12
_HALF_NEAR = 5
_PUSHES = 20
# A half near row is the second nearest of so many at random.
_DRAWN = 6
# Rows whose nearest are looked for at a time.
_SPAN = 1024
# The axes on which half near rows are compared.
_AXES = 50
# Of the work, what looking for neighbours takes, roughly.
_SEARCH_SHARE = 0.4

# Adam (Kingma and Ba, 2015).
_RATE, _DECAY, _SQUARE_DECAY = 1.0, 0.9, 0.999


class _Links(NamedTuple):
    """Pairs of rows, each in both directions, sorted by their first row; every row is a first one.

    Attributes:
        second: (pairs,) the second rows.
        starts: (n,) where the pairs of each row begin.
        counts: (n,) how many it has.
    """

    second: Ints
    starts: Ints
    counts: Ints


def neighbour_map(
    embeddings: Embeddings, *, iterations: int = 400, seed: int = 0, progress: Progress | None = None
) -> Floats:
    """The rows on a plane, by the direction of the vectors: those that are near each other stay so.

    Args:
        embeddings: (n, dim).
        iterations: steps, at least 10.
        seed: the same rows and seed give the same map, on one machine.
        progress: is told how far the work is.

    Returns:
        (n, 2) float32, centred, the longer side horizontal. Fewer than 12 rows come by their principal components.

    Raises:
        InputError: a NaN or infinity (the row is named), or ``iterations`` or ``seed`` out of range.
    """
    iterations, seed = as_count(iterations, "iterations", 10), as_integer(seed, "seed")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed is {shown(seed)}: give 0 to 2**32 - 1")
    rows = as_floats(embeddings)
    scaled, inverse = scaled_rows(rows, "embeddings")
    unit = (scaled * inverse[:, np.newaxis]).astype(np.float32)
    reduced = _reduced(unit)
    if len(unit) < _FEWEST:
        return _upright(reduced[:, :2])
    tell = progress if progress is not None else _silent
    random = np.random.default_rng(seed)
    near = _linked(_nearest(unit, min(_NEIGHBOURS, len(unit) - 1), lambda done: tell(_SEARCH_SHARE * done)))
    half_near = _linked(_half_near(reduced, random))
    spread = max(float(reduced[:, 0].std()), 1e-12)
    # Equal rows begin at one place and would stay on each other for ever: a little noise parts them.
    start = reduced[:, :2] / spread * 0.01 + random.normal(0, 1e-4, (len(unit), 2))
    placed = _settled(
        start.astype(np.float32),
        near,
        half_near,
        iterations,
        random,
        lambda done: tell(_SEARCH_SHARE + (1 - _SEARCH_SHARE) * done),
    )
    return _upright(placed)


def _silent(done: float) -> None:
    """Nobody wants to know."""


def _reduced(unit: Floats) -> Floats:
    """The rows on their principal axes, two at least."""
    if not len(unit):
        return np.zeros((0, 2), np.float32)
    reduced = product(unit - unit.mean(axis=0), principal_axes(unit, _AXES)).astype(np.float32)
    if reduced.shape[1] < 2:
        reduced = np.concatenate([reduced, np.zeros((len(unit), 2 - reduced.shape[1]), np.float32)], axis=1)
    return reduced


def _nearest(unit: Floats, count: int, tell: Progress) -> Matrix:
    """(n, count) nearest other rows of each row."""
    found = []
    at = 0
    for ids, _ in Nearest(unit, unit).best(count + 1, _SPAN):
        # The row itself goes; where more equal rows than fit stand before it, the last one goes.
        itself = ids == np.arange(at, at + len(ids))[:, np.newaxis]
        itself[~itself.any(axis=1), -1] = True
        found.append(ids[~itself].reshape(len(ids), count))
        at += len(ids)
        tell(at / len(unit))
    return np.concatenate(found)


def _half_near(reduced: Floats, random: np.random.Generator) -> Matrix:
    """(n, 5) rows, each the second nearest of six at random."""
    n = len(reduced)
    chosen = np.empty((n, _HALF_NEAR), np.int64)
    for column in range(_HALF_NEAR):
        # Never the row itself: a way of 1 to n - 1 from it.
        drawn = (np.arange(n)[:, np.newaxis] + random.integers(1, n, (n, _DRAWN))) % n
        far = np.stack([np.square(reduced - reduced[drawn[:, i]]).sum(axis=1) for i in range(_DRAWN)], axis=1)
        second = np.argsort(far, axis=1, kind="stable")[:, 1]
        chosen[:, column] = drawn[np.arange(n), second]
    return chosen


def _linked(others: Matrix) -> _Links:
    """Pairs of each row with its others, in both directions, each once."""
    n, count = others.shape
    rows = np.repeat(np.arange(n), count)
    flat = others.ravel()
    both = np.unique(np.concatenate([rows * n + flat, flat * n + rows]))
    first, second = np.divmod(both, n)
    starts = np.searchsorted(first, np.arange(n))
    return _Links(second, starts, np.diff(starts, append=len(first)))


def _weights(share: float) -> tuple[float, float]:
    """What near and half near pairs weigh when this share of the steps is done."""
    if share < 0.25:
        return 2.0, 1000.0 * (1 - 4 * share) + 3.0 * 4 * share
    return (3.0, 3.0) if share < 0.5 else (1.0, 0.0)


def _settled(
    start: Floats,
    near: _Links,
    half_near: _Links,
    iterations: int,
    random: np.random.Generator,
    tell: Progress,
) -> Floats:
    """The places after all steps; rows of two are kept as two arrays, which are read faster."""
    places = np.ascontiguousarray(start.T)
    mean, square = np.zeros_like(places), np.zeros_like(places)
    for step in range(iterations):
        weight, half_weight = _weights(step / iterations)
        slope = _pull(places, near, 10.0, weight)
        if half_weight:
            slope += _pull(places, half_near, 10_000.0, half_weight)
        slope -= _push(places, random)
        mean += (1 - _DECAY) * (slope - mean)
        square += (1 - _SQUARE_DECAY) * (slope * slope - square)
        rate = _RATE * np.sqrt(1 - _SQUARE_DECAY ** (step + 1)) / (1 - _DECAY ** (step + 1))
        places -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(1e-7))
        if step % 10 == 9:
            tell((step + 1) / iterations)
    return np.ascontiguousarray(places.T)


def _pull(places: Floats, links: _Links, reach: float, weight: float) -> Floats:
    """The slope of ``weight * d / (reach + d)`` over all pairs, d being one more than the squared distance."""
    ways = [_ways(axis, links) for axis in places]
    force = _force(ways, 1 + reach, 2 * weight * reach)
    return np.stack([np.add.reduceat(way * force, links.starts) for way in ways])


def _ways(axis: Floats, links: _Links) -> Floats:
    """(pairs,) differences on one axis."""
    return np.repeat(axis, links.counts) - axis.take(links.second)


def _force(ways: Sequence[Floats], offset: float, factor: float) -> Floats:
    """``factor / (offset + squared distance) ** 2``."""
    force = ways[0] * ways[0]
    force += ways[1] * ways[1]
    force += np.float32(offset)
    force *= force
    np.divide(np.float32(factor), force, out=force)
    return force


def _push(places: Floats, random: np.random.Generator) -> Floats:
    """What drives pairs at random apart: the slope of ``1 / (1 + d)``, turned round.

    The rows are shuffled once; each is paired with those at some distances in that order.
    """
    n = places.shape[1]
    order = random.permutation(n)
    shuffled = [axis.take(order) for axis in places]
    twice = [np.concatenate([axis, axis]) for axis in shuffled]  # all turns of it are parts of this
    pushed = [np.zeros_like(axis) for axis in shuffled]
    for shift in random.integers(1, n, _PUSHES).tolist():
        ways = [axis - both[n - shift : 2 * n - shift] for axis, both in zip(shuffled, twice, strict=True)]
        force = _force(ways, 2.0, 2.0)
        for way, total in zip(ways, pushed, strict=True):
            way *= force
            total += way
            total[: n - shift] -= way[shift:]
            total[n - shift :] -= way[:shift]
    answer = np.empty_like(places)
    for total, axis in zip(pushed, answer, strict=True):
        axis[order] = total
    return answer


def _upright(places: Matrix) -> Floats:
    """Centred and turned so that the greatest spread is horizontal, with fixed signs."""
    centred = places - places.mean(axis=0) if len(places) else places
    turned = product(centred, principal_axes(centred, 2)) if len(places) else centred
    return np.ascontiguousarray(turned, dtype=np.float32)
