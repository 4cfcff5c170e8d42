"""Rows rounded for a fast look, how far its scores can be off, and the exact scores that settle what it finds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vicinal.core.arrays import Matrix
from vicinal.core.cores import available_cores
from vicinal.vectors.products import from_bfloat16, shares, spread, to_bfloat16
from vicinal.vectors.rows import dot_rows, row_lengths

# Rows that are rounded at once.
_ROWS = 2048
# Pairs of rows that are gathered at once: of 384 dimensions they fit the nearer cache.
_GATHERED = 512


class Rounded(NamedTuple):
    """Rows as bfloat16 patterns or in float32.

    Attributes:
        rows: what is multiplied.
        error: length of the largest rounding error of a row.
        length: of the longest row before rounding.
    """

    rows: Matrix
    error: float
    length: float


def rounded(rows: Matrix, bfloat16: bool, factors: Matrix | None = None) -> Rounded:
    """Round rows, and measure what that costs.

    Args:
        rows: (n, dim) floats.
        bfloat16: False rounds to float32.
        factors: (n,) each row is multiplied by its own first.
    """
    found = np.empty(rows.shape, dtype=np.uint16 if bfloat16 else np.float32)

    def fill(bounds: tuple[int, int]) -> tuple[float, float]:
        error = length = 0.0
        for at in range(*bounds, _ROWS):
            part = slice(at, min(at + _ROWS, bounds[1]))
            exact = rows[part] if factors is None else rows[part] * factors[part, np.newaxis]
            single = exact.astype(np.float32, copy=False)
            found[part] = to_bfloat16(single) if bfloat16 else single
            seen = from_bfloat16(found[part]) if bfloat16 else single
            error = max(error, float(row_lengths(exact - seen).max(initial=0)))
            length = max(length, float(row_lengths(exact).max(initial=0)))
        return error, length

    threads = available_cores()
    blocks = list(spread(fill, shares(len(rows), 4 * threads, _ROWS), threads))
    return Rounded(
        found, max((each[0] for each in blocks), default=0.0), max((each[1] for each in blocks), default=0.0)
    )


def error_of_products(one: Rounded, other: Rounded) -> float:
    """How far the product of a rounded row with another can be from the exact one.

    With x' the rounded x, ``|x.y - x'.y'| <= |x - x'||y| + |x'||y - y'|`` (Cauchy and Schwarz); and the sums in float32
    are off by at most dim * 2**-24 relative to the product of the lengths.
    """
    width = one.rows.shape[1]
    longest, other_longest = one.length + one.error, other.length + other.error
    rounding = one.error * other.length + longest * other.error
    return float(rounding + width * 6e-8 * longest * other_longest + 1e-30)


def exact_products(a: Matrix, i: Matrix, b: Matrix, j: Matrix, threads: int | None = None) -> Matrix:
    """The product of row i[p] of one matrix with row j[p] of another of its type, for every p.

    Args:
        threads: that compute; None takes the cores where there are many pairs.
    """
    scores = np.empty(len(i), dtype=a.dtype)

    def fill(bounds: tuple[int, int]) -> None:
        for at in range(*bounds, _GATHERED):
            some = slice(at, min(at + _GATHERED, bounds[1]))
            scores[some] = dot_rows(a[i[some]], b[j[some]])

    if threads is None:
        threads = available_cores() if len(i) > 8 * _GATHERED else 1
    for _ in spread(fill, shares(len(i), 4 * threads, _GATHERED), threads):
        pass
    return scores
