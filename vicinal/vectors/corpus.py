"""A corpus prepared once for many searches."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from vicinal.core.arrays import Embeddings, Matrix, as_rows, check_finite, check_same_width, compute_type
from vicinal.core.cores import available_cores
from vicinal.core.inputs import as_count, check_choice
from vicinal.errors import InputError
from vicinal.vectors.products import Products, from_bfloat16, shares, spread, to_bfloat16
from vicinal.vectors.rows import check_products, dot_rows, scaled_rows
from vicinal.vectors.search import Hits, semantic_search, to_hits, unit_rows
from vicinal.vectors.similarity import SimilarityFunction, all_pairs_function, as_similarity
from vicinal.vectors.topk import TopK

# Queries and rows of a block: their scores stay in the cache. A single query gets long blocks instead.
_QUERIES = 256
_ROWS = 2048
_FEW_QUERIES_ROWS = 32768


class CorpusMatrix:
    """Searches the same vectors again and again, faster than :func:`vicinal.vectors.search.semantic_search`.

    With ``precision="bfloat16"`` a bf16 copy of the vectors, normalised, 2 bytes per dimension, is
    scanned: half the memory traffic, and twice the arithmetic on CPUs that compute bfloat16. The
    best ``oversample * top_k`` of each query are then scored again from the original vectors, so that the
    scores returned are exact and only a neighbour that fell out of the larger list can be missed. The
    originals are kept by reference; they may be a ``numpy.memmap`` on a disk.

    With ``precision="float32"`` nothing is prepared but the check of the input, and the search is exact.

    Example::

        corpus = CorpusMatrix(model.encode(texts))
        hits = corpus.search(model.encode(questions), top_k=5)
    """

    def __init__(
        self,
        corpus_embeddings: Embeddings,
        precision: Literal["bfloat16", "float32"] = "bfloat16",
        similarity: str | SimilarityFunction = SimilarityFunction.COSINE,
    ) -> None:
        """Prepare the corpus.

        Args:
            corpus_embeddings: (rows, dim). Do not change them afterwards.
            precision: see the class.
            similarity: ``"cosine"`` or ``"dot"``.

        Raises:
            InputError: another precision or similarity, or a NaN or infinity (the row is named).
            InputTypeError: not numbers.
        """
        self.similarity = as_similarity(similarity)
        if self.similarity not in (SimilarityFunction.COSINE, SimilarityFunction.DOT_PRODUCT):
            raise InputError(
                f"CorpusMatrix cannot prepare for {self.similarity.value!r}: choose 'cosine' or 'dot', or "
                "use semantic_search with that score function"
            )
        check_choice(precision, ("bfloat16", "float32"), "precision")
        self.precision = precision
        self._rows = as_rows(corpus_embeddings, "corpus_embeddings")
        self._bf16_copy: Matrix | None = None
        if precision == "bfloat16":
            self._bf16_copy = np.empty(self._rows.shape, dtype=np.uint16)
            threads = available_cores()
            for _ in spread(self._prepare, shares(len(self._rows), threads, _ROWS), threads):
                pass

    def _prepare(self, bounds: tuple[int, int]) -> None:
        assert self._bf16_copy is not None
        for at in range(*bounds, _ROWS):
            end = min(at + _ROWS, bounds[1])
            block = self._rows[at:end].astype(np.float32)
            check_finite(block, "corpus_embeddings", at)
            if self.similarity is SimilarityFunction.COSINE:
                block = unit_rows(block, "corpus_embeddings")
            self._bf16_copy[at:end] = to_bfloat16(block)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, dim)."""
        return self._rows.shape[0], self._rows.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes that the preparation takes beside the vectors themselves."""
        return 0 if self._bf16_copy is None else self._bf16_copy.nbytes

    def __repr__(self) -> str:
        return f"CorpusMatrix({len(self)} x {self.shape[1]}, {self.precision}, {self.similarity.value})"

    def search(self, query_embeddings: Embeddings, top_k: int = 10, oversample: int = 4) -> Hits:
        """The best rows for each query.

        Args:
            query_embeddings: (queries, dim), or one vector (dim,).
            top_k: matches for each query; a smaller corpus gives fewer.
            oversample: with bfloat16, how many times ``top_k`` rows are scored again (32 more at the least).

        Returns:
            As :func:`vicinal.vectors.search.semantic_search`.

        Raises:
            InputError: different dimensions, a number below 1, or a NaN or infinity.
            InputTypeError: not numbers.
        """
        top_k, oversample = as_count(top_k, "top_k"), as_count(oversample, "oversample")
        if self._bf16_copy is None:
            function = all_pairs_function(self.similarity)
            return semantic_search(query_embeddings, self._rows, top_k=top_k, score_function=function)
        queries = as_rows(query_embeddings, "query_embeddings")
        check_same_width(queries, self._rows, "query_embeddings", "corpus_embeddings")
        queries = queries.astype(compute_type(queries.dtype, self._rows.dtype), copy=False)
        check_finite(queries, "query_embeddings")
        if self.similarity is SimilarityFunction.COSINE:
            queries = unit_rows(queries, "query_embeddings")
        hits: Hits = []
        for start in range(0, len(queries), 8192):  # bounds the memory of the candidates
            hits += self._search_span(queries[start : start + 8192], top_k, oversample)
        return hits

    def _search_span(self, queries: Matrix, top_k: int, oversample: int) -> Hits:
        coarse = TopK(len(queries), max(top_k * oversample, top_k + 32))
        if len(self) and len(queries):
            self._scan(to_bfloat16(queries), coarse)
        ids, _, offsets = coarse.result()
        fine = TopK(len(queries), top_k, queries.dtype)
        for start in range(0, len(queries), _QUERIES):
            bounds = offsets[start : start + _QUERIES + 1]
            rows = ids[bounds[0] : bounds[-1]]
            query = np.repeat(np.arange(start, start + len(bounds) - 1), np.diff(bounds))
            exact = self._exact(queries, query, rows)
            fine.add(query, rows, exact)
        return to_hits(fine)

    def _scan(self, bf16_queries: Matrix, coarse: TopK) -> None:
        bf16_copy = self._bf16_copy
        assert bf16_copy is not None
        width = bf16_copy.shape[1]
        step = _FEW_QUERIES_ROWS if len(bf16_queries) <= 8 else _ROWS

        def scan(bounds: tuple[int, int]) -> TopK:
            products = Products(width, "bfloat16")
            mine = coarse.empty_like()
            for at in range(*bounds, step):
                block = bf16_copy[at : min(at + step, bounds[1])]
                for start in range(0, len(bf16_queries), _QUERIES):
                    mine.update(products(bf16_queries[start : start + _QUERIES], block), at, start)
            return mine

        threads = Products(width, "bfloat16").threads
        for part in spread(scan, shares(len(bf16_copy), threads, step), threads):
            coarse.merge(part)

    def _exact(self, queries: Matrix, query: Matrix, rows: Matrix) -> Matrix:
        """Scores of (query, row) pairs from the original vectors."""
        scores = np.empty(len(rows), dtype=queries.dtype)
        for at in range(0, len(rows), 1024):
            some = slice(at, at + 1024)
            block = self._rows[rows[some]].astype(queries.dtype, copy=False)
            if self.similarity is SimilarityFunction.COSINE:
                block, inverse = scaled_rows(block, "corpus_embeddings")
                scores[some] = dot_rows(block, queries[query[some]]) * inverse
            else:
                with np.errstate(invalid="ignore", over="ignore"):
                    scores[some] = dot_rows(block, queries[query[some]])
                check_products(scores[some], queries, block)
        return scores

    def decoded(self, index: Any) -> Matrix:
        """The rounded vectors of some rows as float32, to see what the scan sees.

        Raises:
            InputError: nothing was rounded (``precision="float32"``).
        """
        if self._bf16_copy is None:
            raise InputError(f"{self!r} holds no rounded vectors: prepare it with precision='bfloat16'")
        return from_bfloat16(self._bf16_copy[index])
