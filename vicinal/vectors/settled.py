"""Search of a corpus that comes in parts: a fast look at rounded rows, settled by exact scores.

As in :mod:`vicinal.vectors.nearest` the rounding is bounded, not estimated. What the exact scores of the parts before
have settled spares most of the work in the later ones: only what can still reach the k-th best so far is scored again.
"""

from __future__ import annotations

import math

import numpy as np

from vicinal.core.arrays import Matrix
from vicinal.core.cores import available_cores
from vicinal.core.openvino import multiplies_bfloat16
from vicinal.vectors.products import Products, shares, spread
from vicinal.vectors.rounding import Rounded, error_of_products, exact_products, rounded
from vicinal.vectors.rows import check_reach
from vicinal.vectors.search import check_finite_rows, scaled_block, scan
from vicinal.vectors.topk import TopK

# Rows that are rounded at once, and held.
_PART = 25_000
# Queries and rows of a block: their scores stay in the cache.
_QUERIES = 512
_ROWS = 1024
# Where rounding leaves more than this many times what is wanted, as among thousands of equal rows, it does not help.
_CROWDED = 4


def rounding_pays(queries: Matrix, rows: int) -> bool:
    """Whether a search of so many rows is faster with rounded ones.

    There must be many queries, as each row is rounded first, and a CPU that multiplies bfloat16 itself.
    """
    if queries.dtype != np.float32 or len(queries) < _QUERIES:
        return False
    work = float(queries.size) * rows
    return Products(queries.shape[1], "bfloat16", work=work).fast and multiplies_bfloat16()


class SettledSearch:
    """The best rows for each query, of all that were added; of equal scores the lower id comes first."""

    def __init__(self, queries: Matrix, top_k: int, cosine: bool, rows: int) -> None:
        """Round the queries.

        Args:
            queries: (q, dim) finite float32, of length 1 for cosines; kept by reference.
            top_k: rows for each query.
            cosine: whether rows are scaled to length 1.
            rows: how many are to come in all.
        """
        self._queries, self._top_k, self._cosine, self._rows = queries, top_k, cosine, rows
        self._rounded = rounded(queries, True)
        # Each thread has some of the queries, and does everything for these.
        self._shares = shares(len(queries), available_cores(), 1)
        self._best = [TopK(end - first, top_k) for first, end in self._shares]
        self._crowded = [False] * len(self._shares)

    def add(self, rows: Matrix, ids: Matrix) -> None:
        """Search some rows.

        Args:
            rows: (n, dim) numbers.
            ids: (n,) whole numbers, in any order, that no other row has.

        Raises:
            InputError: a NaN or infinity (the row is named).
        """
        for at in range(0, len(rows), _PART):
            part = rows[at : at + _PART].astype(np.float32, copy=False)
            self._add(part, ids[at : at + _PART], at)

    def result(self) -> tuple[Matrix, Matrix, Matrix]:
        """Ids and scores, concatenated over the queries, the best first, and (q + 1,) offsets into them."""
        ids, scores, counts = zip(*(best.result() for best in self._best), strict=True)
        offsets = np.concatenate([[0], *map(np.diff, counts)]).cumsum()
        return np.concatenate(ids), np.concatenate(scores), offsets

    def _add(self, rows: Matrix, ids: Matrix, first: int) -> None:
        factors: Matrix | None = None
        if self._cosine:
            rows, factors = _scaled(rows, first)
        near = rounded(rows, True, factors)
        if not math.isfinite(near.length):
            check_finite_rows(rows, "corpus_embeddings", first)
        if not self._cosine:
            check_reach(self._rounded.length, near.length, self._queries.dtype)

        def settle(share: int) -> None:
            found = self._look(share, near)
            if found is None:
                found = self._plain(share, rows, ids)
            query, place = found
            start, _ = self._shares[share]
            with np.errstate(invalid="ignore", over="ignore"):
                scores = exact_products(self._queries, query + start, rows, place, threads=1)
                if factors is not None:
                    scores *= factors[place]
            best = self._best[share]
            reach = scores >= best.lowest()[query]  # false for NaN; of equal scores the lower id wins
            best.add(query[reach], ids[place[reach]], scores[reach])

        for _ in spread(settle, range(len(self._shares)), len(self._shares)):
            pass

    def _look(self, share: int, near: Rounded) -> tuple[Matrix, Matrix] | None:
        """Queries of a share and places of rows whose exact score may be among the best; None if they are too many."""
        error = 1.001 * error_of_products(self._rounded, near)
        if self._crowded[share] or not error < 1e30:
            return None
        first, end = self._shares[share]
        products = Products(self._queries.shape[1], "bfloat16")
        kept = TopK(
            end - first, self._top_k, slack=2 * error, floor=self._best[share].lowest() - np.float32(error)
        )
        for at in range(0, len(near.rows), _ROWS):
            block = near.rows[at : at + _ROWS]
            for start in range(first, end, _QUERIES):
                some = self._rounded.rows[start : min(start + _QUERIES, end)]
                kept.update(products(some, block), at, start - first)
            if kept.kept > _CROWDED * (end - first) * self._top_k + _ROWS:
                self._crowded[share] = True
                return None
        return kept.candidates()

    def _plain(self, share: int, rows: Matrix, ids: Matrix) -> tuple[Matrix, Matrix]:
        """Queries of a share and places of their best rows, without rounding."""
        first, end = self._shares[share]
        best = TopK(end - first, self._top_k)
        scan(self._queries[first:end], rows, self._cosine, best, ids, self._rows)
        found, _, offsets = best.result()
        order = np.argsort(ids)
        places = order[np.searchsorted(ids, found, sorter=order)]
        return np.repeat(np.arange(end - first), np.diff(offsets)), places


def _scaled(rows: Matrix, first: int) -> tuple[Matrix, Matrix | None]:
    """Rows, copied if some have an extreme length, and the factors that give each length 1; None where all are 1."""
    factors = np.ones(len(rows), dtype=rows.dtype)

    def fill(bounds: tuple[int, int]) -> list[tuple[slice, Matrix]]:
        changed = []
        for at in range(*bounds, _ROWS):
            part = slice(at, min(at + _ROWS, bounds[1]))
            block = rows[part]
            scaled, inverse = scaled_block(block, first + at)
            if inverse is not None:
                factors[part] = inverse
            if scaled is not block:
                changed.append((part, scaled))
        return changed

    threads = available_cores()
    changed = [each for some in spread(fill, shares(len(rows), threads, _ROWS), threads) for each in some]
    if changed:
        rows = rows.copy()
        for part, scaled in changed:
            rows[part] = scaled
    return rows, None if (factors == 1).all() else factors
