"""The best pairs of a mining run: of each row its best few, of those the best overall."""

from __future__ import annotations

import numpy as np

from vicinal.core.arrays import Matrix
from vicinal.vectors.all_pairs import RowPairs
from vicinal.vectors.topk import best_first

# Pairs that wait for being scored and sorted: 32 MB of row numbers.
_WAITING = 1 << 21


class BestPairs:
    """Collects pairs; keeps those that are among the ``top_k`` of either row.

    A pair is held as two arrows, i to j and j to i, of which each row keeps its best ``top_k``.
    """

    def __init__(self, pairs: RowPairs, top_k: int, max_pairs: int) -> None:
        """Start empty.

        Args:
            pairs: gives the exact scores.
            top_k: arrows that a row keeps.
            max_pairs: pairs that are wanted in the end.
        """
        self._pairs, self._top_k, self._max_pairs = pairs, top_k, max_pairs
        self.floor = np.full(len(pairs), -np.inf, dtype=np.float32)
        """For each row a score (rounded down) below which no arrow from it can matter any more."""
        self._waiting: list[tuple[Matrix, Matrix, bool]] = []
        self._count = 0
        kind = pairs.rows.dtype
        self._arrows = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, kind))

    def add(self, i: Matrix, j: Matrix, *, both: bool, ends: bool) -> None:
        """Offer arrows from i to j.

        Args:
            i: (pairs,) row numbers.
            j: (pairs,) other row numbers. No arrow may be offered twice.
            both: offer the arrows back as well.
            ends: every row has met more of the others since this was last said.
        """
        self._waiting.append((i, j, both))
        self._count += len(i)
        if self._count > _WAITING or (ends and not np.isfinite(self.floor).all()):
            self._settle()

    def _settle(self) -> None:
        n = len(self._pairs)
        parts = [self._arrows]
        for i, j, both in self._waiting:
            score = self._pairs.exact(i, j)
            parts.append((i, j, score))
            if both:
                parts.append((j, i, score))
        self._waiting, self._count = [], 0
        row, column, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
        keep = scores >= self.floor[row]
        row, column, scores = row[keep], column[keep], scores[keep]
        order = best_first(row, column, scores)
        row, column, scores = row[order], column[order], scores[order]
        starts = np.searchsorted(row, np.arange(n + 1))
        best = np.arange(len(row)) - starts[row] < self._top_k
        full = np.flatnonzero(np.diff(starts) >= self._top_k)
        self._raise(full, scores[starts[full] + self._top_k - 1])
        row, column, scores = row[best], column[best], scores[best]
        # A pair has two arrows at the most, and the rows' arrows only get better. So when 2 * max_pairs
        # arrows reach a score, max_pairs pairs will, and nothing below it can be in the answer.
        enough = 2 * self._max_pairs
        if len(scores) > enough:
            least = np.partition(scores, len(scores) - enough)[len(scores) - enough]
            self._raise(np.arange(n), np.full(n, least))
            keep = scores >= least
            row, column, scores = row[keep], column[keep], scores[keep]
        self._arrows = (row, column, scores)

    def _raise(self, rows: Matrix, scores: Matrix) -> None:
        # One step down, as float32 may have rounded a float64 score up.
        lower = np.nextafter(scores.astype(np.float32), np.float32(-np.inf))
        self.floor[rows] = np.maximum(self.floor[rows], lower)

    def result(self) -> list[list[float | int]]:
        """The best pairs as ``[score, i, j]``, by descending score, then i, then j."""
        self._settle()
        row, column, scores = self._arrows
        n = len(self._pairs)
        keys = np.minimum(row, column) * n + np.maximum(row, column)
        order = np.argsort(keys)
        keys, scores = keys[order], scores[order]
        first = np.flatnonzero(np.diff(keys, prepend=-1))  # a pair whose arrows were both kept comes twice
        keys, scores = keys[first], scores[first]
        order = np.lexsort((keys, -scores))[: self._max_pairs]
        i, j = np.divmod(keys[order], n)
        return [list(pair) for pair in zip(scores[order].tolist(), i.tolist(), j.tolist(), strict=True)]
