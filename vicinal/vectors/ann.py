"""Search through the index of another library: quantise, fetch candidates, score them again.

The libraries only propose candidates. The scores that are returned are always computed here, from the stored
vectors and the query, so that they mean the same whatever proposed them.
"""

from __future__ import annotations

import time
from typing import Any, Literal, Protocol

import numpy as np

from vicinal.core.arrays import Embeddings, Matrix, as_array, as_floats, as_rows, check_finite
from vicinal.core.inputs import as_count, shown
from vicinal.errors import InputError, missing_extra
from vicinal.vectors.quantization import Precision, quantization_steps, quantize_embeddings
from vicinal.vectors.rows import check_products
from vicinal.vectors.search import Hits, to_hits
from vicinal.vectors.topk import TopK


class AnnEngine(Protocol):
    """What a library must do. Stored vectors are float32, or quantised to int8, uint8 or packed bits: ``precision``."""

    name: str
    precisions: tuple[Precision, ...]

    def build(self, stored: Matrix, precision: Precision, exact: bool) -> Any:
        """An index of the stored vectors."""

    def propose(self, index: Any, queries: Matrix, k: int, exact: bool) -> Matrix:
        """(queries, k) row numbers; -1 where there are fewer. Queries have the type of the stored vectors."""

    def fetch(self, index: Any, ids: Matrix, precision: Precision) -> Matrix:
        """The stored vectors of some rows."""

    def size(self, index: Any) -> int:
        """How many rows the index holds."""

    def width(self, index: Any) -> int:
        """How many dimensions (or bits) a row has."""


class FaissEngine:
    """FAISS: flat and HNSW indexes of floats, bytes and bits."""

    name = "semantic_search_faiss()"
    precisions: tuple[Precision, ...] = ("float32", "uint8", "ubinary")

    def __init__(self) -> None:
        """Load the library.

        Raises:
            MissingExtraError: it is not installed.
        """
        try:
            import faiss
        except ImportError as error:
            raise missing_extra("faiss", self.name, "faiss") from error
        self._faiss: Any = faiss

    def build(self, stored: Matrix, precision: Precision, exact: bool) -> Any:
        faiss, width = self._faiss, stored.shape[1]
        if precision == "ubinary":
            index = faiss.IndexBinaryFlat(8 * width) if exact else faiss.IndexBinaryHNSW(8 * width, 16)
            index.add(stored)
            return index
        metric = faiss.METRIC_INNER_PRODUCT
        if precision == "uint8":
            # Bytes as they are: no training, no second rounding. The signed kind, because the unsigned one
            # also turns the query into unsigned bytes, and so loses its negative numbers.
            kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
            if exact:
                index = faiss.IndexScalarQuantizer(width, kind, metric)
            else:
                index = faiss.IndexHNSWSQ(width, kind, 16, metric)
                index.is_trained = True
        else:
            index = faiss.IndexFlatIP(width) if exact else faiss.IndexHNSWFlat(width, 16, metric)
        rows = np.ascontiguousarray(stored, dtype=np.float32)
        if precision == "uint8":
            rows = rows - 128
        if not index.is_trained:
            index.train(rows)
        index.add(rows)
        return index

    def propose(self, index: Any, queries: Matrix, k: int, exact: bool) -> Matrix:
        if queries.dtype != np.uint8:
            queries = queries.astype(np.float32, copy=False)
        ids: Matrix = index.search(np.ascontiguousarray(queries), k)[1]
        return ids

    def fetch(self, index: Any, ids: Matrix, precision: Precision) -> Matrix:
        if precision == "ubinary":
            storage = getattr(index, "storage", None)
            flat = self._faiss.downcast_IndexBinary(storage if storage is not None else index)
            if not len(ids):
                return np.empty((0, index.d // 8), dtype=np.uint8)
            return np.stack([flat.reconstruct(int(i)) for i in ids])
        rows: Matrix = index.reconstruct_batch(ids)
        return rows + 128 if precision == "uint8" else rows

    def size(self, index: Any) -> int:
        return int(index.ntotal)

    def width(self, index: Any) -> int:
        return int(index.d)


class UsearchEngine:
    """usearch: HNSW graphs that can also be scanned exactly."""

    name = "semantic_search_usearch()"
    precisions: tuple[Precision, ...] = ("float32", "int8", "ubinary", "binary")

    def __init__(self) -> None:
        """Load the library.

        Raises:
            MissingExtraError: it is not installed.
        """
        try:
            from usearch.index import Index
        except ImportError as error:
            raise missing_extra("usearch", self.name, "usearch") from error
        self._index: Any = Index

    def build(self, stored: Matrix, precision: Precision, exact: bool) -> Any:
        if precision in ("binary", "ubinary"):
            index = self._index(ndim=8 * stored.shape[1], metric="hamming", dtype="b1")
        else:
            index = self._index(
                ndim=stored.shape[1], metric="ip", dtype="i8" if precision == "int8" else "f32"
            )
        if len(stored):
            index.add(np.arange(len(stored)), np.ascontiguousarray(stored))
        return index

    def propose(self, index: Any, queries: Matrix, k: int, exact: bool) -> Matrix:
        found = np.full((len(queries), k), -1, dtype=np.int64)
        if len(queries) and len(index):
            matches = index.search(np.ascontiguousarray(queries), k, exact=exact)
            keys = np.atleast_2d(matches.keys).astype(np.int64)
            counts: Matrix = np.atleast_1d(np.asarray(getattr(matches, "counts", keys.shape[1])))
            valid = np.arange(keys.shape[1]) < counts.reshape(-1, 1)
            found[:, : keys.shape[1]] = np.where(valid, keys, -1)
        return found

    def fetch(self, index: Any, ids: Matrix, precision: Precision) -> Matrix:
        rows: Matrix = np.asarray(index.get(ids))
        return rows

    def size(self, index: Any) -> int:
        return len(index)

    def width(self, index: Any) -> int:
        return int(index.ndim)


def search_quantized(
    engine: AnnEngine,
    query_embeddings: Embeddings,
    corpus_embeddings: Embeddings | None,
    corpus_index: Any | None,
    precision: Precision,
    top_k: int,
    ranges: Embeddings | None,
    calibration: Embeddings | None,
    multiplier: int,
    exact: bool,
    output_index: bool,
) -> tuple[Hits, float] | tuple[Hits, float, Any]:
    """The body of both searches; ``multiplier`` 0 means no rescoring."""
    if not isinstance(precision, str) or precision not in engine.precisions:
        raise InputError(
            f"corpus_precision is {shown(precision)}: {engine.name} has {list(engine.precisions)}"
        )
    if (corpus_embeddings is None) == (corpus_index is None):
        raise InputError("give corpus_embeddings or corpus_index, one of them")
    top_k = as_count(top_k, "top_k")
    multiplier = as_count(multiplier, "rescore_multiplier", 0)
    bits = precision in ("binary", "ubinary")
    rows: Matrix | None = None
    quantized: Matrix | None = None
    if corpus_embeddings is not None:
        rows = as_rows(corpus_embeddings, "corpus_embeddings")
        if rows.dtype.kind == "f" and ranges is None and precision in ("int8", "uint8"):
            if calibration is None:
                calibration = rows
            sample = as_floats(calibration, "calibration_embeddings")
            ranges = np.stack([sample.min(axis=0), sample.max(axis=0)])
        quantized = quantize_embeddings(rows, precision, ranges) if rows.dtype.kind == "f" else rows
        quantized = _unsigned(quantized) if bits else quantized
        corpus_index = engine.build(quantized, precision, exact)

    queries = as_rows(query_embeddings, "query_embeddings")
    low, step = _scale(queries, precision, ranges, calibration)
    full = queries.dtype.kind == "f"
    asked = queries.shape[1] if full or not bits else 8 * queries.shape[1]
    held = engine.width(corpus_index)
    if len(queries) and (-(-asked // 8) * 8 if bits else asked) != held:
        raise InputError(
            f"query_embeddings has {asked} dimensions and the corpus {held}: "
            "they come from different models or truncations"
        )
    start = time.perf_counter()
    if full:
        check_finite(queries, "query_embeddings")
        queries = as_floats(queries)
    if bits:
        coarse = _unsigned(quantize_embeddings(queries, "ubinary") if full else queries)
        values = queries if full else _signs(coarse)
    elif precision == "float32":
        coarse = values = queries.astype(np.float32)
    else:
        values = queries if full else _values(queries, low, step)
        # The product with a quantised row c is sum(q * (low + step * c)): only sum(q * step * c) ranks rows.
        coarse = values * step
        # As whole numbers of one byte, which is how the libraries compare them with bytes.
        largest = np.abs(coarse).max(axis=1, keepdims=True)
        coarse = np.rint(coarse * np.divide(127, largest, out=np.zeros_like(largest), where=largest > 0))
        coarse = coarse.astype(np.int8)
    rescored = full and precision != "float32" and multiplier > 0
    count = min(top_k * (multiplier if rescored else 1), engine.size(corpus_index))
    best = TopK(len(queries), top_k)
    if count and len(queries):
        ids = engine.propose(corpus_index, coarse, count, exact)
        query, place = np.nonzero(ids >= 0)
        found = ids[query, place]
        if rescored and rows is not None and rows.dtype.kind == "f":
            stored = rows[found].astype(np.float32)  # the full vectors are at hand: exact scores
        else:
            stored = engine.fetch(corpus_index, found, precision) if quantized is None else quantized[found]
            if bits:
                stored = _signs(_unsigned(stored))
                if not rescored:
                    values = _signs(coarse)
            elif precision != "float32":
                stored = _values(stored, low, step)
        width = min(values.shape[1], stored.shape[1])  # bits are padded to whole bytes
        with np.errstate(invalid="ignore", over="ignore"):
            scores = np.einsum("ij,ij->i", values[query, :width], stored[:, :width])
        check_products(scores, values, stored)
        best.add(query, found, scores.astype(np.float32))
    hits = to_hits(best)
    seconds = time.perf_counter() - start
    return (hits, seconds, corpus_index) if output_index else (hits, seconds)


def _scale(
    queries: Matrix, precision: Precision, ranges: Embeddings | None, calibration: Embeddings | None
) -> tuple[Matrix, Matrix]:
    """What a quantised 0 stands for, and the step, of each dimension; 0 and 1 if nothing is known."""
    if precision in ("int8", "uint8") and (ranges is not None or calibration is not None):
        low, step = quantization_steps(queries.astype(np.float32), ranges, calibration, precision)
        if precision == "int8":
            low = low + 128 * step
        return low + step / 2, step  # the middle of a step stands for it
    return np.zeros(queries.shape[1], np.float32), np.ones(queries.shape[1], np.float32)


def _values(quantized: Matrix, low: Matrix, step: Matrix) -> Matrix:
    """What int8 or uint8 vectors stand for, in float32."""
    values: Matrix = low + quantized.astype(np.float32) * step
    return values


def _unsigned(packed: Matrix) -> Matrix:
    """Packed bits as uint8, whichever of the two forms they have."""
    packed = as_array(packed)
    return (packed.view(np.uint8) ^ np.uint8(128)) if packed.dtype == np.int8 else packed


def _signs(packed: Matrix) -> Matrix:
    """Packed bits as +1 and -1 in float32."""
    signs: Matrix = np.unpackbits(packed, axis=-1).astype(np.float32) * 2 - 1
    return signs


def semantic_search_faiss(
    query_embeddings: Embeddings,
    corpus_embeddings: Embeddings | None = None,
    corpus_index: Any | None = None,
    corpus_precision: Literal["float32", "uint8", "ubinary"] = "float32",
    top_k: int = 10,
    ranges: Embeddings | None = None,
    calibration_embeddings: Embeddings | None = None,
    rescore: bool = True,
    rescore_multiplier: int = 2,
    exact: bool = True,
    output_index: bool = False,
) -> tuple[Hits, float] | tuple[Hits, float, Any]:
    """Search with a FAISS index, over full or quantised vectors; needs ``vicinal[faiss]``.

    Scores are dot products of the query with the (dequantised) row, larger is better: normalise the vectors
    for cosines. Bits count as +1 and -1.

    Args:
        query_embeddings: (queries, dim) floats, or quantised as the corpus is (no rescoring then).
        corpus_embeddings: (rows, dim) floats, which are quantised here, or what
            :func:`quantize_embeddings` returned. Give these or ``corpus_index``.
        corpus_index: an index that an earlier call returned.
        corpus_precision: what the index holds.
        top_k: matches for each query.
        ranges: (2, dim), see :func:`quantize_embeddings`; without them, quantised vectors are scored as they are.
        calibration_embeddings: see there.
        rescore: fetch ``rescore_multiplier * top_k`` candidates and order them by the full query.
        rescore_multiplier: 1 or more.
        exact: scan all rows; False builds an HNSW graph (approximate).
        output_index: return the index too.

    Returns:
        The matches as :func:`vicinal.vectors.search.semantic_search` has them, the seconds that the search took
        (without building the index) and, if asked for, the index.

    Raises:
        MissingExtraError: faiss is not installed.
        InputError: neither or both of corpus and index, a precision FAISS has not, a number below 1.
    """
    return search_quantized(
        FaissEngine(),
        query_embeddings,
        corpus_embeddings,
        corpus_index,
        corpus_precision,
        top_k,
        ranges,
        calibration_embeddings,
        rescore_multiplier if rescore else 0,
        exact,
        output_index,
    )


def semantic_search_usearch(
    query_embeddings: Embeddings,
    corpus_embeddings: Embeddings | None = None,
    corpus_index: Any | None = None,
    corpus_precision: Literal["float32", "int8", "ubinary", "binary"] = "float32",
    top_k: int = 10,
    ranges: Embeddings | None = None,
    calibration_embeddings: Embeddings | None = None,
    rescore: bool = True,
    rescore_multiplier: int = 2,
    exact: bool = True,
    output_index: bool = False,
) -> tuple[Hits, float] | tuple[Hits, float, Any]:
    """Search with a usearch index; needs ``vicinal[usearch]``. See :func:`semantic_search_faiss`."""
    return search_quantized(
        UsearchEngine(),
        query_embeddings,
        corpus_embeddings,
        corpus_index,
        corpus_precision,
        top_k,
        ranges,
        calibration_embeddings,
        rescore_multiplier if rescore else 0,
        exact,
        output_index,
    )
