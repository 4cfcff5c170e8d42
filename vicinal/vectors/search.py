"""Exact semantic search: the best matches of each query among all rows of a corpus.

The corpus is read once, in blocks of rows that stay in the processor's cache while their norms are taken,
their products computed and the scores compared with the best so far. Neither a normalised copy of the corpus
nor a matrix of all scores ever exists.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from vicinal.core.arrays import (
    Embeddings,
    Matrix,
    as_array,
    as_rows,
    as_tensor_like,
    check_finite,
    check_same_width,
    compute_type,
    first_tensor,
    on_accelerator,
)
from vicinal.core.cores import available_cores
from vicinal.core.inputs import as_count, shown
from vicinal.errors import InputError, InputTypeError
from vicinal.vectors.products import Products, shares, spread
from vicinal.vectors.rows import check_products, check_reach, dot_rows, longest, scaled_rows
from vicinal.vectors.similarity import ANSWERS_FOR, SimilarityCallable, cos_sim, dot_score, pytorch_cos_sim
from vicinal.vectors.topk import TopK

Hits = list[list[dict[str, int | float]]]
"""For each query a list of ``{"corpus_id": int, "score": float}``, best first."""

QUERY_SPAN = 8192
"""Queries whose candidates are collected at once, which bounds the memory of huge query sets."""

# Rows of a block for one query: 3 MB at 384 dimensions, so the norms find it in the cache.
_NARROW_ROWS = 2048
# Rows and queries of a block for many: its 256 x 2048 scores take 2 MB. Larger blocks were slower.
_WIDE_ROWS = 2048
_WIDE_QUERIES = 256
# Up to here each query is a pass over the cached block; the matrix kernels pay from about 5 on.
_FEW = 4
# Scores that are held for each of a few queries.
_SCORES_HELD = 1 << 20
# Squared lengths this close to 1 are not divided out: 4 units in the last place of float32, which is what
# normalising in float32 leaves, and no more than a product of 384 dimensions is off by anyway.
_UNIT = 5e-7


def semantic_search(
    query_embeddings: Embeddings,
    corpus_embeddings: Embeddings,
    query_chunk_size: int = 100,
    corpus_chunk_size: int = 500_000,
    top_k: int = 10,
    score_function: SimilarityCallable = cos_sim,
) -> Hits:
    """The ``top_k`` rows of the corpus that score best for each query. Exact.

    Args:
        query_embeddings: (queries, dim), or one vector (dim,).
        corpus_embeddings: (rows, dim); read in blocks, never copied as a whole. Prepare a
            :class:`vicinal.vectors.corpus.CorpusMatrix` to search the same corpus many times.
        query_chunk_size: how many queries a score function of your own gets at once. ``cos_sim`` and
            ``dot_score`` are computed in blocks that suit the processor instead.
        corpus_chunk_size: how many rows of the corpus it gets at once.
        top_k: matches for each query; a smaller corpus gives fewer.
        score_function: takes (q, dim) and (r, dim), gives (q, r) scores, larger is better. It gets tensors if
            either input holds one, else numpy arrays.

    Returns:
        One list for each query, best first, of ``{"corpus_id": int, "score": float}``. Of equal scores the
        lower id comes first. An empty corpus gives empty lists.

    Raises:
        InputError: different dimensions, ``top_k`` or a chunk size below 1, or a NaN or infinity (the
            argument and the row are named).
        InputTypeError: not numbers.
    """
    top_k = as_count(top_k, "top_k")
    query_chunk_size = as_count(query_chunk_size, "query_chunk_size")
    corpus_chunk_size = as_count(corpus_chunk_size, "corpus_chunk_size")
    known, dots = is_product(score_function), plain_function(score_function) is dot_score
    if not known:
        return _search_with(
            score_function, query_embeddings, corpus_embeddings, query_chunk_size, corpus_chunk_size, top_k
        )
    if on_accelerator(query_embeddings, corpus_embeddings):
        from vicinal.vectors.device_search import search_on_device

        return to_hits(search_on_device(query_embeddings, corpus_embeddings, top_k, not dots))
    queries, corpus = (
        as_rows(query_embeddings, "query_embeddings"),
        as_rows(corpus_embeddings, "corpus_embeddings"),
    )
    hits: Hits = []
    for best in best_in_spans(queries, corpus, top_k, cosine=not dots):
        hits += to_hits(best)
    return hits


def best_in_spans(queries: Matrix, corpus: Matrix, top_k: int, *, cosine: bool) -> Iterator[TopK]:
    """The best rows of the corpus for each query, some thousands of queries at a time, which bounds the memory.

    Args:
        queries: (queries, dim).
        corpus: (rows, dim).
        top_k: rows for each query.
        cosine: True for the cosine, False for the dot product.

    Yields:
        the best of the next :data:`QUERY_SPAN` queries; of the last ones, as many as are left.

    Raises:
        InputError: different dimensions, or a NaN or infinity (the argument and the row are named).
    """
    check_same_width(queries, corpus, "query_embeddings", "corpus_embeddings")
    for start in range(0, len(queries), QUERY_SPAN):
        span = queries[start : start + QUERY_SPAN].astype(
            compute_type(queries.dtype, corpus.dtype), copy=False
        )
        check_finite(span, "query_embeddings", start)
        if cosine:
            span = unit_rows(span, "query_embeddings")
        best = TopK(len(span), top_k, span.dtype)
        scan(span, corpus, cosine, best)
        yield best


def is_product(score_function: SimilarityCallable) -> bool:
    """Whether a score function is one of those that are computed in blocks here.

    Raises:
        InputTypeError: it is no function.
    """
    if not callable(score_function):
        raise InputTypeError(
            f"score_function={shown(score_function)} is {type(score_function).__name__}: give a function such as "
            "util.cos_sim or util.dot_score"
        )
    return plain_function(score_function) in (cos_sim, pytorch_cos_sim, dot_score)


def plain_function(score_function: SimilarityCallable) -> SimilarityCallable:
    """The function of this library behind one that only answers in another form; any other one itself."""
    # functools.wraps copies this to what a caller makes of such a function; then it names another one.
    pair: Any = getattr(score_function, ANSWERS_FOR, (None, score_function))
    itself, behind = pair
    plain: SimilarityCallable = behind if itself is score_function else score_function
    return plain


def information_retrieval(
    query_embeddings: Embeddings,
    corpus_embeddings: Embeddings,
    query_chunk_size: int = 100,
    corpus_chunk_size: int = 500_000,
    top_k: int = 10,
    score_function: SimilarityCallable = cos_sim,
) -> Hits:
    """The old name of :func:`semantic_search`."""
    return semantic_search(
        query_embeddings, corpus_embeddings, query_chunk_size, corpus_chunk_size, top_k, score_function
    )


def to_hits(best: TopK) -> Hits:
    """The collected best as lists of dicts with Python numbers."""
    ids, scores, offsets = best.result()
    id_list, score_list, bounds = ids.tolist(), scores.tolist(), offsets.tolist()
    return [
        [{"corpus_id": i, "score": s} for i, s in zip(id_list[a:b], score_list[a:b], strict=True)]
        for a, b in itertools.pairwise(bounds)
    ]


def unit_rows(rows: Matrix, name: str) -> Matrix:
    """A copy of the rows with length 1 (rows of zeros stay)."""
    scaled, inverse = scaled_rows(rows, name)
    unit: Matrix = scaled * inverse[:, np.newaxis]
    return unit


def scan(
    queries: Matrix,
    corpus: Matrix,
    cosine: bool,
    best: TopK,
    ids: Matrix | None = None,
    rows: int | None = None,
) -> None:
    """Offer all products of queries and rows to ``best``.

    Args:
        queries: (q, dim), of length 1 for cosines.
        corpus: (rows, dim).
        cosine: whether its rows are scaled to length 1.
        best: of q queries.
        ids: (rows,) see :meth:`vicinal.vectors.topk.TopK.update`; None counts the rows.
        rows: how many there are in all, where the corpus comes in parts: much work repays faster kernels.
    """
    if len(queries) <= _FEW:
        _scan_narrow(queries, corpus, cosine, best, ids)
    else:
        _scan_wide(queries, corpus, cosine, best, ids, rows)


def _scan_narrow(queries: Matrix, corpus: Matrix, cosine: bool, best: TopK, ids: Matrix | None) -> None:
    """A few queries: memory bandwidth is the limit, so all threads read, and each block is read once."""
    kind = queries.dtype
    span = max(1, min(len(corpus), _SCORES_HELD))
    scores = np.empty((len(queries), span), dtype=kind)

    def fill(bounds: tuple[int, int]) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            for at in range(*bounds, _NARROW_ROWS):
                end = min(at + _NARROW_ROWS, bounds[1])
                block = corpus[base + at : base + end].astype(kind, copy=False)
                inverse: Matrix | None = None
                if cosine:
                    block, inverse = scaled_block(block, base + at)
                for query, out in zip(queries, scores, strict=True):
                    part = dot_rows(block, query)
                    out[at:end] = part if inverse is None else part * inverse

    threads = available_cores() if queries.size * len(corpus) > 1 << 20 else 1
    for base in range(0, len(corpus), span):
        width = min(span, len(corpus) - base)
        for _ in spread(fill, shares(width, threads, _NARROW_ROWS), threads):
            pass
        part = scores[:, :width]
        if not cosine:
            rows = corpus[base : base + width]
            if not np.isfinite(part).all():
                check_finite_rows(rows, "corpus_embeddings", base)
            check_products(part, queries, rows.astype(kind, copy=False))
        best.update(part, base, ids=None if ids is None else ids[base : base + width])


def _scan_wide(
    queries: Matrix, corpus: Matrix, cosine: bool, best: TopK, ids: Matrix | None, rows: int | None
) -> None:
    """Many queries: arithmetic is the limit, so blocks suit the matrix kernels; each thread has a share."""
    kind, width = queries.dtype, queries.shape[1]
    work = float(queries.size) * max(len(corpus), rows or 0) if kind == np.float32 else 0.0
    reach = 0.0 if cosine else longest(queries)

    def share(bounds: tuple[int, int]) -> TopK:
        products = Products(width, work=work)
        mine = best.empty_like()
        for at in range(*bounds, _WIDE_ROWS):
            end = min(at + _WIDE_ROWS, bounds[1])
            block = corpus[at:end].astype(kind, copy=False)
            inverse: Matrix | None = None
            if cosine:
                block, inverse = scaled_block(block, at)
            else:
                length = longest(block)
                if not math.isfinite(length):
                    check_finite(block, "corpus_embeddings", at)
                check_reach(reach, length, kind)
            if inverse is not None and len(queries) > width:
                block, inverse = block * inverse[:, np.newaxis], None  # cheaper than scaling all scores
            for start in range(0, len(queries), _WIDE_QUERIES):
                scores = products(queries[start : start + _WIDE_QUERIES], block)
                if inverse is not None:
                    scores *= inverse
                mine.update(scores, at, start, None if ids is None else ids[at:end])
        return mine

    threads = Products(width, work=work).threads
    for part in spread(share, shares(len(corpus), threads, _WIDE_ROWS), threads):
        best.merge(part)


def scaled_block(block: Matrix, at: int) -> tuple[Matrix, Matrix | None]:
    """The block and the factors that make its rows unit vectors; None if they are that already.

    A factor depends on nothing but its row, so that equal rows get equal scores wherever they lie.

    Args:
        block: (rows, dim).
        at: number of its first row, for the error.

    Raises:
        InputError: a NaN or infinity (the row is named).
    """
    with np.errstate(invalid="ignore", over="ignore"):
        squares = dot_rows(block, block)
        unit = np.abs(squares - 1) <= _UNIT  # false for NaN
    if unit.all():
        return block, None
    try:
        scaled, inverse = scaled_rows(block, "corpus_embeddings")
    except InputError:
        check_finite(block, "corpus_embeddings", at)
        raise
    inverse[unit] = 1
    return scaled, inverse


def check_finite_rows(rows: Matrix, name: str, first: int = 0) -> None:
    """:func:`check_finite` in blocks, for matrices too large for a mask of all their elements."""
    for at in range(0, len(rows), _WIDE_ROWS):
        check_finite(rows[at : at + _WIDE_ROWS], name, first + at)


def _search_with(
    function: SimilarityCallable,
    query_embeddings: Embeddings,
    corpus_embeddings: Embeddings,
    query_chunk_size: int,
    corpus_chunk_size: int,
    top_k: int,
) -> Hits:
    """Search by any score function, or on an accelerator: its full scores, chunk by chunk."""
    queries = _native_rows(query_embeddings, corpus_embeddings, "query_embeddings")
    corpus = _native_rows(corpus_embeddings, query_embeddings, "corpus_embeddings")
    check_same_width(queries, corpus, "query_embeddings", "corpus_embeddings")
    hits: Hits = []
    for start in range(0, len(queries), query_chunk_size):
        part = queries[start : start + query_chunk_size]
        _check_native(part, "query_embeddings", start)
        best: TopK | None = None
        for at in range(0, len(corpus), corpus_chunk_size):
            block = corpus[at : at + corpus_chunk_size]
            if start == 0:
                _check_native(block, "corpus_embeddings", at)
            scores = function(part, block)
            check_shape(scores, len(part), len(block))
            if best is None:
                best = TopK(len(part), top_k, np.float64 if "float64" in str(scores.dtype) else np.float32)
            if on_accelerator(scores):
                _update_from_device(best, scores, at, top_k)
            else:
                array = as_array(scores, "scores")
                best.update(array.astype(compute_type(array.dtype), copy=False), at)
        hits += [[] for _ in range(len(part))] if best is None else to_hits(best)
    return hits


def check_shape(scores: Any, queries: int, rows: int) -> None:
    """Refuse what a score function gave, unless it is one score for each pair.

    Raises:
        InputError: names the shapes.
    """
    if tuple(scores.shape) != (queries, rows):
        raise InputError(
            f"score_function gave shape {tuple(scores.shape)} for {queries} queries and "
            f"{rows} rows: it must give one score for each pair, (queries, rows)"
        )


def _native_rows(values: Embeddings, other: Embeddings, name: str) -> Any:
    """2-D rows as a tensor where either input holds one, else as an array; floats stay as they are."""
    tensor = first_tensor(values, other)
    if tensor is None:
        rows = as_rows(values, name)
        return rows if rows.dtype.kind == "f" else rows.astype(compute_type(rows.dtype))
    rows = as_tensor_like(values, tensor, name)
    rows = rows.detach()
    if not rows.is_floating_point():
        rows = rows.float()
    return rows.unsqueeze(0) if rows.ndim == 1 else rows


def _check_native(rows: Any, name: str, first: int) -> None:
    if first_tensor(rows) is None:
        check_finite_rows(rows, name, first)
    elif not bool((rows - rows == 0).all()):  # NaN and infinity differ from themselves by NaN
        check_finite(as_array(rows.float(), name), name, first)


def _update_from_device(best: TopK, scores: Any, at: int, top_k: int) -> None:
    """Offer the scores of an accelerator: it finds the k-th best, only what reaches it is brought over."""
    if scores.shape[1] > top_k:
        lowest = scores.topk(top_k, dim=1).values[:, -1:]
        query, column = (scores >= lowest).nonzero(as_tuple=True)
    else:
        query, column = (scores == scores).nonzero(as_tuple=True)
    values = as_array(scores[query, column])
    best.add(as_array(query), as_array(column) + at, values.astype(compute_type(values.dtype), copy=False))
