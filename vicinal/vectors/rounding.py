"""Rows rounded for a fast look, how far its scores can be off, and the exact scores that settle what it finds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vicinal.core.arrays import Matrix
from vicinal.core.cores import available_cores
from vicinal.vectors.products import round_to_bfloat16, shares, spread
from vicinal.vectors.rows import dot_rows, longest

# Rows that are rounded at once: of 384 dimensions they stay in the nearer cache, with what is made of them.
_ROWS = 128
# Pairs of rows that are gathered at once: of 384 dimensions they fit the nearer cache.
_GATHERED = 256


class Rounded(NamedTuple):
    """Rows as bfloat16 patterns or in float32.

    Attributes:
        rows: what is multiplied.
        error: length of the largest rounding error of a row.
        length: of the longest row before rounding; not finite if a row is not.
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

    def fill(bounds: tuple[int, int]) -> tuple[list[float], list[float]]:
        errors, lengths = [], []
        block = (min(_ROWS, bounds[1] - bounds[0]), rows.shape[1])
        # Kept over the blocks: memory that is asked for anew costs more than what is computed in it.
        scaled, lost, bits = (
            np.empty(block, rows.dtype),
            np.empty(block, rows.dtype),
            np.empty(block, np.uint32),
        )
        for at in range(*bounds, _ROWS):
            part = slice(at, min(at + _ROWS, bounds[1]))
            count = part.stop - at
            exact = rows[part]
            if factors is not None:
                exact = np.multiply(exact, factors[part, np.newaxis], out=scaled[:count])
            seen = exact.astype(np.float32, copy=False)
            if bfloat16:
                seen = round_to_bfloat16(seen, found[part], bits[:count])
            else:
                found[part] = seen
            with np.errstate(invalid="ignore"):  # infinity less infinity
                errors.append(longest(np.subtract(exact, seen, out=lost[:count])))
            lengths.append(longest(exact))
        return errors, lengths

    threads = available_cores()
    error = length = [0.0]
    for errors, lengths in spread(fill, shares(len(rows), 4 * threads, _ROWS), threads):
        error, length = error + errors, length + lengths
    return Rounded(found, float(np.max(error)), float(np.max(length)))  # NaN, if there is one


def error_of_products(one: Rounded, other: Rounded) -> float:
    """How far the product of a rounded row with another can be from the exact one.

    With x' the rounded x, ``|x.y - x'.y'| <= |x - x'||y| + |x'||y - y'|`` (Cauchy and Schwarz); and two sums in
    float32, that of the rounded product and that of the exact one which is compared with it, are each off by at most
    dim * 2**-24 relative to the product of the lengths.
    """
    width = one.rows.shape[1]
    longest_one, longest_other = one.length + one.error, other.length + other.error
    rounding = one.error * other.length + longest_one * other.error
    return float(rounding + 2 * (width + 2) * 6e-8 * longest_one * longest_other + 1e-30)


def exact_products(a: Matrix, i: Matrix, b: Matrix, j: Matrix, threads: int | None = None) -> Matrix:
    """The product of row i[p] of one matrix with row j[p] of another of its type, for every p.

    Args:
        threads: that compute; None takes the cores where there are many pairs.
    """
    scores = np.empty(len(i), dtype=a.dtype)

    def fill(bounds: tuple[int, int]) -> None:
        block = (min(_GATHERED, bounds[1] - bounds[0]), a.shape[1])
        x, y = np.empty(block, a.dtype), np.empty(block, b.dtype)
        for at in range(*bounds, _GATHERED):
            some = slice(at, min(at + _GATHERED, bounds[1]))
            count = some.stop - at
            # With mode="raise" numpy would gather into memory of its own first.
            a.take(i[some], axis=0, out=x[:count], mode="clip")
            b.take(j[some], axis=0, out=y[:count], mode="clip")
            scores[some] = dot_rows(x[:count], y[:count])

    if threads is None:
        threads = available_cores() if len(i) > 8 * _GATHERED else 1
    for _ in spread(fill, shares(len(i), 4 * threads, _GATHERED), threads):
        pass
    return scores
