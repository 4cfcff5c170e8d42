"""The nearest rows of a matrix for every row of another one: a fast look at rounded rows, settled by exact scores.

Where the processor multiplies bfloat16 fast, rounded rows are multiplied first. The rounding is bounded, not
estimated (:func:`vicinal.vectors.rounding.error_of_products`). So of each
query everything is kept whose rounded score lies less than two such bounds below the k-th best one; nothing else can
be among the k best. What is kept is scored again from the original rows: the result is that of exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vicinal.core.arrays import Matrix
from vicinal.core.cores import available_cores
from vicinal.vectors.products import Products, shares, spread
from vicinal.vectors.rounding import error_of_products, exact_products, rounded
from vicinal.vectors.search import best_in_spans
from vicinal.vectors.topk import TopK, best_first

# Queries and rows of a block: their scores stay in the cache.
_QUERIES = 256
_ROWS = 2048
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
            self._rounded_queries, self._rounded_corpus = rounded(queries, True), rounded(corpus, True)
            self._slack = 2.001 * error_of_products(self._rounded_queries, self._rounded_corpus)

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
        return exact_products(self._queries, query, self._corpus, row)

    def _part(self, first: int, end: int, top_k: int) -> tuple[Matrix, Matrix]:
        """The best of some queries, by one thread."""
        products = Products(self._queries.shape[1], "bfloat16", work=self._work)
        near = TopK(end - first, top_k, slack=self._slack)
        for at in range(0, len(self._corpus), _ROWS):
            block = self._rounded_corpus.rows[at : at + _ROWS]
            for start in range(first, end, _QUERIES):
                some = self._rounded_queries.rows[start : min(start + _QUERIES, end)]
                near.update(products(some, block), at, start - first)
            if near.kept > _CROWDED * (end - first) * top_k + _ROWS:
                return self._plain(first, end, top_k)
        ids, _, offsets = near.result()
        query = np.repeat(np.arange(end - first), np.diff(offsets))
        scores = exact_products(self._queries, query + first, self._corpus, ids, threads=1)
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
