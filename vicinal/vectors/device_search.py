"""Exact search on an accelerator: coarse scores in half precision, and exact ones of what may be among the best.

All products of unit vectors are computed in float16, which tensor cores do about ten times as fast as float32.
Each such score is within a known distance of the exact one. So a row whose coarse score is further below the k-th
best than that twice cannot be among the best k; of 10 million random rows a few dozen are left, and these are scored
from the original vectors. What is found, and its scores, are those of an exact search in float32.

To find them, each block of scores is read once: for the largest of every 32. The k-th largest of these maxima is a
bound for the k-th best score, and only where a maximum reaches the bound its 32 are looked at again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vicinal.core.arrays import (
    Embeddings,
    as_array,
    as_tensor_like,
    check_finite,
    check_same_width,
    first_on_accelerator,
    is_tensor,
    loaded_torch,
)
from vicinal.vectors.rows import check_reach, measured, unit_tensor
from vicinal.vectors.topk import TopK

# How far coarse and exact scores of unit vectors may be apart. Rounding both vectors and the result to float16 is
# 1.5e-3 at most (by Cauchy-Schwarz, for any width), as is float32 where TF32 is allowed; the rest is room for sums
# that are put together in float16.
_ERROR = 4e-3
# Devices that multiply matrices of float16 faster than those of float32.
_FAST_HALF = ("cuda", "xpu", "mps")
# Scores of a block (256 MB in float16), and queries of one.
_SCORES = 1 << 27
_QUERIES = 1024
_ROWS = 1 << 18
# Scores that one maximum stands for.
_GROUP = 32
# How much is done at once: groups that are looked at again, pairs that are scored, pairs that are sorted.
_LOOKED, _SCORED, _KEPT = 1 << 18, 1 << 17, 1 << 21


def search_on_device(
    query_embeddings: Embeddings,
    corpus_embeddings: Embeddings,
    top_k: int,
    cosine: bool,
) -> TopK:
    """The best rows of the corpus for each query.

    Args:
        query_embeddings: (queries, dim), one of both on an accelerator.
        corpus_embeddings: (rows, dim); what is not on the device is brought there block by block.
        top_k: how many for each query.
        cosine: whether vectors are scaled to length 1; else their dot products count.

    Returns:
        The best of each query.

    Raises:
        InputError: NaN or infinity in a row, or different dimensions.
    """
    torch: Any = loaded_torch()
    reference = first_on_accelerator(query_embeddings, corpus_embeddings)
    queries = _rows(as_tensor_like(query_embeddings, reference, "query_embeddings"))
    corpus = corpus_embeddings
    if isinstance(corpus, list | tuple):
        corpus = as_tensor_like(corpus, reference, "corpus_embeddings")
    elif not is_tensor(corpus):
        corpus = as_array(corpus, "corpus_embeddings")
    elif str(corpus.layout) != "torch.strided":
        corpus = corpus.to_dense()
    corpus = _rows(corpus)
    check_same_width(queries, corpus, "query_embeddings", "corpus_embeddings")
    doubles = ("float64", "int64", "int32")
    wide = any(str(each.dtype).endswith(doubles) for each in (queries, corpus))
    kind = torch.float64 if wide and reference.device.type != "mps" else torch.float32
    exact = queries.to(kind)
    lengths = 1 / _inverse_lengths(exact, "query_embeddings", 0)  # looks for NaN
    unit = unit_tensor(exact)
    coarse = torch.float16 if reference.device.type in _FAST_HALF else torch.float32
    longest = float(lengths.nan_to_num(posinf=0.0).amax()) if len(queries) else 0.0
    search = _Search(unit if cosine else exact, unit, top_k, cosine, coarse, longest)
    step = max(_GROUP, min(_ROWS, _SCORES // max(1, min(len(queries), _QUERIES))) // _GROUP * _GROUP)
    if len(queries):
        for at in range(0, len(corpus), step):
            block = as_tensor_like(corpus[at : at + step], reference, "corpus_embeddings")
            search.add(block, at)
    return search.best()


class _Search:
    """Goes through a corpus once.

    Args:
        queries: (n, dim) that are multiplied with the rows; of length 1 for cosines.
        unit: (n, dim) the same with length 1.
        top_k: how many to find.
        cosine: whether rows are scaled to length 1.
        coarse: type of the first scores.
        longest: length of the longest query.
    """

    def __init__(
        self, queries: Any, unit: Any, top_k: int, cosine: bool, coarse: Any, longest: float
    ) -> None:
        torch: Any = loaded_torch()
        self._queries, self._coarse_queries = queries, unit.to(coarse)
        # A dot product of a query that is longer or shorter orders the rows as that of the unit vector does.
        self._cosine, self._top_k, self._longest = cosine, top_k, longest
        self._floors = unit.new_full((len(unit), 0), 0)  # (n, up to k): scores that are certainly reached
        self._pairs: list[tuple[Any, Any, Any]] = []
        self._pending = 0
        self._kind = np.dtype(np.float64 if queries.dtype == torch.float64 else np.float32)
        self._best = TopK(len(queries), top_k, self._kind)

    def add(self, block: Any, first: int) -> None:
        """Look at the rows from number ``first`` on."""
        torch: Any = loaded_torch()
        inverse = _inverse_lengths(block.to(self._queries.dtype), "corpus_embeddings", first)
        if self._cosine:
            factor, scale = inverse, 1.0
        else:
            shortest = inverse.masked_fill(inverse == 0, torch.inf).min()
            scale = 1 / shortest  # the longest row; 0 where all are zeros
            check_reach(self._longest, float(scale), self._kind)
            factor = torch.where(torch.isfinite(shortest), shortest, 0.0).expand(len(block))
        coarse = (block.to(self._queries.dtype) * factor[:, None]).to(self._coarse_queries.dtype)
        filling = -len(block) % _GROUP
        if filling:
            coarse = torch.nn.functional.pad(coarse, (0, 0, 0, filling))
        floors = []
        for start in range(0, len(self._queries), _QUERIES):
            some = slice(start, start + _QUERIES)
            scores = self._coarse_queries[some] @ coarse.T
            if filling:
                scores[:, -filling:] = -torch.inf
            groups = scores.view(len(scores), -1, _GROUP)
            maxima = groups.amax(2)
            floor = self._raised(self._floors[some], (maxima.to(self._floors.dtype) - _ERROR) * scale)
            floors.append(floor)
            bound = self._bound(floor, scale).to(maxima.dtype)
            query, group = (maxima >= bound[:, None]).nonzero(as_tuple=True)
            for near in range(0, len(query), _LOOKED):
                q, g = query[near : near + _LOOKED], group[near : near + _LOOKED]
                place, column = (groups[q, g] >= bound[q, None]).nonzero(as_tuple=True)
                self._score(q[place] + start, g[place] * _GROUP + column, block, inverse, first)
        self._floors = torch.cat(floors)

    def _raised(self, floors: Any, found: Any) -> Any:
        """The k largest of both, (n, up to k)."""
        torch: Any = loaded_torch()
        both = torch.cat([floors, found.topk(min(self._top_k, found.shape[1]), dim=1).values], dim=1)
        return both.topk(min(self._top_k, both.shape[1]), dim=1).values

    def _bound(self, floors: Any, scale: Any) -> Any:
        """(n,) coarse scores below which no row can be among the best."""
        torch: Any = loaded_torch()
        if floors.shape[1] < self._top_k:
            return floors.new_full((len(floors),), -torch.finfo(torch.float16).max)
        # Rounded to float16 once more: hence a little more room.
        bound = floors[:, -1] / scale - 1.5 * _ERROR
        return torch.where(torch.isfinite(bound), bound, -2.0).clamp(min=-60000.0)

    def _score(self, query: Any, column: Any, block: Any, inverse: Any, first: int) -> None:
        """Exact scores of some pairs."""
        for at in range(0, len(query), _SCORED):
            q, c = query[at : at + _SCORED], column[at : at + _SCORED]
            scores = (self._queries[q] * block[c].to(self._queries.dtype)).sum(1)
            self._pairs.append((q, c + first, scores * inverse[c] if self._cosine else scores))
            self._pending += len(q)
            if self._pending > _KEPT:
                self._sort()

    def _sort(self) -> None:
        for pairs in self._pairs:
            self._best.add(*(as_array(each) for each in pairs))
        self._pairs, self._pending = [], 0

    def best(self) -> TopK:
        """What was found."""
        self._sort()
        return self._best


def _rows(values: Any) -> Any:
    """(n, dim); of tensors without their gradients."""
    values = values.detach() if is_tensor(values) else values
    return values[None] if values.ndim == 1 else values


def _inverse_lengths(rows: Any, name: str, first: int) -> Any:
    """(n,) 1 / length of each row; 0 for a row of zeros.

    Raises:
        InputError: a row holds NaN or infinity.
    """
    torch: Any = loaded_torch()
    scaled, factors, lengths = measured(rows)
    if not bool(torch.isfinite(lengths).all()):
        check_finite(as_array(scaled), name, first)
    lengths = (lengths * factors)[:, 0]
    # Half of the numbers below this have no inverse.
    return torch.where(lengths > 0, 1 / lengths.clamp(min=2 * torch.finfo(lengths.dtype).tiny), 0.0)
