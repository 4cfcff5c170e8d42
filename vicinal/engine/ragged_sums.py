"""Sums over lists of rows, the lists of any length and without padding.

A block of lists is ordered by length, and the k-th rows of all lists that have one are added at once: each
step is one gather and one addition over a block that stays in the caches. (``np.add.reduceat`` does the
same 60 times slower, as it walks down each column by itself.) A list's sum is always taken in its own
order, whatever the other lists are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Lists summed together: 512 rows of 256 float32 are half a megabyte, the second-level cache of a core.
#: Measured best of 64 to 1024.
BLOCK = 512
# Longer lists are summed alone, this many rows at a time.
_LONG = 512


def block_sums(
    table: NDArray[np.float32],
    ids: NDArray[np.int32],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int32],
    scratch: NDArray[np.float32],
) -> NDArray[np.float32]:
    """``(n, width)`` float32: row i is the sum of ``table[ids[starts[i]:starts[i] + lengths[i]]]``.

    Args:
        table: ``(rows, width)`` float32, one piece of memory.
        ids: row numbers, all of them valid.
        starts: ``(n,)``.
        lengths: ``(n,)``, falling.
        scratch: ``(2, n or more, width)``; the result lies in it.
    """
    total = scratch[0, : len(starts)]
    if len(starts) == 1 and 0 < lengths[0] <= _LONG and table.shape[1] > 1:
        # A query by itself: numpy adds the rows in their order too.
        rows = table[ids[int(starts[0]) : int(starts[0]) + int(lengths[0])]]
        np.add.reduce(rows, axis=0, out=total[0])
        return total
    total.fill(0)
    long = int(np.searchsorted(-lengths, -_LONG))  # lists longer than _LONG come first
    for place in range(long):
        first, end = int(starts[place]), int(starts[place]) + int(lengths[place])
        for part in range(first, end, _LONG):
            total[place] += table[ids[part : min(part + _LONG, end)]].sum(axis=0)
    # How many lists of the block have a k-th row, for every k.
    rest = lengths[long:]
    longest = int(rest[0]) if len(rest) else 0
    counts = len(rest) - np.searchsorted(rest[::-1], np.arange(longest), side="right")
    for k, count in enumerate(counts.tolist()):
        gathered = scratch[1, :count]
        # mode="clip" lets numpy write to `out` without a copy.
        np.take(table, ids[starts[long : long + count] + k], axis=0, out=gathered, mode="clip")
        total[long : long + count] += gathered
    return total


def ragged_sums(
    table: NDArray[np.float32],
    ids: NDArray[np.int32],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int32],
) -> NDArray[np.float32]:
    """:func:`block_sums` for any number of lists in any order; the result is new memory."""
    out = np.empty((len(starts), table.shape[1]), dtype=np.float32)
    order = np.argsort(-lengths, kind="stable")
    scratch = np.empty((2, min(BLOCK, len(order)), table.shape[1]), dtype=np.float32)
    for first in range(0, len(order), BLOCK):
        block = order[first : first + BLOCK]
        out[block] = block_sums(table, ids, starts[block], lengths[block], scratch)
    return out
