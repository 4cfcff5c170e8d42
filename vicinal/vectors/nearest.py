"""The nearest rows of a matrix for every row of another one: a fast look at rounded rows, settled by exact scores.

Where the processor multiplies bfloat16 fast, rounded rows are multiplied first. The rounding is bounded, not
estimated: with x' the rounded x, ``|x.y - x'.y'| <= |x - x'||y| + |x'||y - y'|`` (Cauchy and Schwarz). So of each
query everything is kept whose rounded score lies less than two such bounds below the k-th best one; nothing else can
be among the k best. What is kept is scored again from the original rows: the result is that of exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vicinal.core.arrays import Matrix
from vicinal.core.cores import available_cores
from vicinal.vectors.products import Products, from_bfloat16, shares, spread, to_bfloat16
from vicinal.vectors.rows import dot_rows, row_lengths
from vicinal.vectors.search import best_in_spans
from vicinal.vectors.topk import TopK, best_first

# Queries and rows of a block: their scores stay in the cache.
_QUERIES = 256
_ROWS = 2048
# Pairs of rows that are gathered at once: of 384 dimensions they fit the nearer cache.
_GATHERED = 512
# Where rounding leaves more than this many times what is wanted, as among thousands of equal rows, it does not help.
_CROWDED = 4


class Nearest:
    """Finds the best rows of a corpus by dot product."""

    def __init__(self, queries: Matrix, corpus: Matrix) -> None:
        """Round the rows, if that pays.

        Args:
            queries: (queries, dim) finite floats; kept by reference.
            corpus: (rows, dim), at least one row, of the same type; kept by reference.
        """
        self._queries, self._corpus = queries, corpus
        self._work = float(queries.size) * len(corpus)
        self.rounds = (
            queries.dtype == np.float32 and Products(queries.shape[1], "bfloat16", work=self._work).fast
        )
        if self.rounds:
            self._rounded_queries, error, length = _rounded(queries)
            self._rounded_corpus, other_error, other_length = _rounded(corpus)
            bound = error * other_length + (length + error) * other_error
            # And the sums in float32: at most dim * 2**-24 relative to the product of the lengths.
            sums = queries.shape[1] * 6e-8 * (length + error) * (other_length + other_error)
            self._slack = 2.001 * (bound + sums) + 1e-30

    def best(self, top_k: int, span: int) -> Iterator[tuple[Matrix, Matrix]]:
        """The ``top_k`` best rows of each query.

        Args:
            top_k: at most as many as there are rows.
            span: queries at a time, which bounds the memory.

        Yields:
            ids and scores (queries, top_k) of the next queries, best first; of equal scores the lower id comes first.
        """
        for first in range(0, len(self._queries), span):
            end = min(first + span, len(self._queries))
            if not self.rounds:
                yield self._plain(first, end, top_k)
                continue
            threads = available_cores()
            parts = [(first + a, first + b) for a, b in shares(end - first, threads, _QUERIES)]
            found = list(spread(lambda bounds: self._part(*bounds, top_k), parts, threads))
            yield tuple(np.concatenate(each) for each in zip(*found, strict=True))  # type: ignore[misc]

    def scores(self, query: Matrix, row: Matrix) -> Matrix:
        """The exact score of query[p] with row[p], for every p."""
        scores = np.empty(len(query), dtype=self._queries.dtype)

        def fill(bounds: tuple[int, int]) -> None:
            self._fill(scores, query, row, bounds)

        threads = available_cores() if len(query) > 8 * _GATHERED else 1
        for _ in spread(fill, shares(len(query), 4 * threads, _GATHERED), threads):
            pass
        return scores

    def _fill(self, scores: Matrix, query: Matrix, row: Matrix, bounds: tuple[int, int]) -> None:
        for at in range(*bounds, _GATHERED):
            some = slice(at, min(at + _GATHERED, bounds[1]))
            scores[some] = dot_rows(self._queries[query[some]], self._corpus[row[some]])

    def _part(self, first: int, end: int, top_k: int) -> tuple[Matrix, Matrix]:
        """The best of some queries, by one thread."""
        products = Products(self._queries.shape[1], "bfloat16", work=self._work)
        near = TopK(end - first, top_k, slack=self._slack)
        for at in range(0, len(self._corpus), _ROWS):
            block = self._rounded_corpus[at : at + _ROWS]
            for start in range(first, end, _QUERIES):
                some = self._rounded_queries[start : min(start + _QUERIES, end)]
                near.update(products(some, block), at, start - first)
            if near.kept > _CROWDED * (end - first) * top_k + _ROWS:
                return self._plain(first, end, top_k)
        ids, _, offsets = near.result()
        query = np.repeat(np.arange(end - first), np.diff(offsets))
        scores = np.empty(len(ids), dtype=self._queries.dtype)
        self._fill(scores, query + first, ids, (0, len(ids)))
        return _best(query, ids, scores, top_k)

    def _plain(self, first: int, end: int, top_k: int) -> tuple[Matrix, Matrix]:
        """The same without rounding."""
        found = [
            best.result()[0]
            for best in best_in_spans(self._queries[first:end], self._corpus, top_k, cosine=False)
        ]
        ids = np.concatenate(found)
        query = np.repeat(np.arange(end - first), top_k)
        return _best(query, ids, self.scores(query + first, ids), top_k)


def _best(query: Matrix, ids: Matrix, scores: Matrix, top_k: int) -> tuple[Matrix, Matrix]:
    """Of scored rows, at least ``top_k`` for each query, the best: ids and scores (queries, top_k)."""
    order = best_first(query, ids, scores)
    query = query[order]
    starts = np.searchsorted(query, np.arange(query[-1] + 1))
    order = order[np.arange(len(query)) - starts[query] < top_k]
    return ids[order].reshape(-1, top_k), scores[order].reshape(-1, top_k)


def _rounded(rows: Matrix) -> tuple[Matrix, float, float]:
    """Rows as bfloat16 patterns, the length of the largest rounding error, and of the longest row."""
    patterns = np.empty(rows.shape, dtype=np.uint16)

    def fill(bounds: tuple[int, int]) -> tuple[float, float]:
        error = length = 0.0
        for at in range(*bounds, _ROWS):
            part = slice(at, min(at + _ROWS, bounds[1]))
            patterns[part] = to_bfloat16(rows[part])
            error = max(error, float(row_lengths(rows[part] - from_bfloat16(patterns[part])).max()))
            length = max(length, float(row_lengths(rows[part]).max()))
        return error, length

    threads = available_cores()
    found = list(spread(fill, shares(len(rows), 4 * threads, _ROWS), threads))
    return patterns, max(error for error, _ in found), max(length for _, length in found)
