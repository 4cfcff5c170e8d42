"""Exact search of a corpus whose vectors come chunk by chunk, so that they need never be there as a whole."""

from __future__ import annotations

import numpy as np

from vicinal.core.arrays import Matrix, as_rows, check_finite, check_same_width, compute_type
from vicinal.errors import InputError
from vicinal.vectors.search import check_finite_rows, check_shape, is_product, plain_function, scan, unit_rows
from vicinal.vectors.settled import SettledSearch, rounding_pays
from vicinal.vectors.similarity import SimilarityCallable, dot_score, scores_by
from vicinal.vectors.topk import TopK

# Queries that a score function of its own gets at once: its scores with a chunk are held.
_QUERIES = 100


class ChunkedSearch:
    """The best rows for each query, of all chunks that were added.

    Beside the queries it holds the ids and scores of the best so far. Of equal scores the lower id comes first.

    Args:
        queries: (q, dim) finite vectors.
        top_k: rows for each query.
        function: of (n, dim) and (rows, dim) arrays, gives (n, rows) scores, larger is better. ``cos_sim`` and
            ``dot_score`` are computed in blocks.
        rows: how many are to come, which may repay faster kernels.
    """

    def __init__(self, queries: Matrix, top_k: int, function: SimilarityCallable, rows: int = 0) -> None:
        check_finite(queries, "the queries' vectors")
        self._given = queries
        self._queries = queries
        self._top_k = top_k
        self._function = function
        self._rows = rows
        self._blocks = is_product(function)
        self._cosine = plain_function(function) is not dot_score
        self._best: TopK | None = None
        self._settled: SettledSearch | None = None

    def add(self, chunk: Matrix, ids: Matrix) -> None:
        """Search a chunk.

        Args:
            chunk: (rows, dim).
            ids: (rows,) whole numbers, in any order, that no other chunk has.

        Raises:
            InputError: other dimensions than the queries, a NaN or infinity, or a score that is NaN.
        """
        rows = as_rows(chunk, "corpus_embeddings")
        check_same_width(self._given, rows, "the queries' vectors", "the corpus's vectors")
        if self._blocks:
            queries = self._prepared(rows)
            if self._settled is not None:
                self._settled.add(rows, ids)
                return
            scan(queries, rows, self._cosine, self._collected(queries.dtype), ids, self._rows)
            return
        rows = rows if rows.dtype.kind == "f" else rows.astype(compute_type(rows.dtype))
        check_finite_rows(rows, "corpus_embeddings")
        for start in range(0, len(self._given), _QUERIES):
            part = self._given[start : start + _QUERIES]
            scores = scores_by(self._function, part, rows)
            check_shape(scores, len(part), len(rows))
            scores = scores.astype(compute_type(scores.dtype), copy=False)
            if np.isnan(scores).any():
                raise InputError("the score function gave NaN: it must give each pair a number")
            self._collected(scores.dtype).update(scores, 0, start, ids)

    def result(self) -> tuple[Matrix, Matrix, Matrix]:
        """Ids and scores, concatenated over the queries, the best first, and (q + 1,) offsets into them."""
        if self._settled is not None:
            return self._settled.result()
        return self._collected(np.dtype(np.float32)).result()

    def _prepared(self, rows: Matrix) -> Matrix:
        """The queries in the type that is computed in, of length 1 for cosines; prepared with the first chunk."""
        if self._best is None and self._settled is None:
            self._queries = self._given.astype(compute_type(self._given.dtype, rows.dtype), copy=False)
            if self._cosine:
                self._queries = unit_rows(self._queries, "the queries' vectors")
            count = max(self._rows, len(rows))
            if rounding_pays(self._queries, count):
                self._settled = SettledSearch(self._queries, self._top_k, self._cosine, count)
        return self._queries

    def _collected(self, dtype: np.dtype[np.generic]) -> TopK:
        if self._best is None:
            self._best = TopK(len(self._given), self._top_k, dtype)
        return self._best
