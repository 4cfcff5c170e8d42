"""A corpus that comes chunk by chunk gives what one search of the whole corpus would, ties by id."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from vicinal import util
from vicinal.errors import InputError
from vicinal.vectors.chunked import ChunkedSearch
from vicinal.vectors.topk import TopK

RANDOM = np.random.default_rng(5)
# Whole numbers: products are exact, and many are equal.
QUERIES = RANDOM.integers(-2, 3, size=(40, 6)).astype(np.float32)
CORPUS = RANDOM.integers(-2, 3, size=(5000, 6)).astype(np.float32)
IDS = RANDOM.permutation(5000)


def expected(scores: Any, ids: Any, k: int) -> list[list[int]]:
    """Every score sorted, the higher first, then the lower id."""
    return [ids[np.lexsort((ids, -row))[:k]].tolist() for row in scores]


def found(queries: Any, function: Any, chunk: int, k: int = 30) -> list[list[int]]:
    search = ChunkedSearch(queries, k, function)
    for start in range(0, len(CORPUS), chunk):
        search.add(CORPUS[start : start + chunk], IDS[start : start + chunk])
    ids, _, offsets = search.result()
    return [ids[a:b].tolist() for a, b in pairwise(offsets)]


@pytest.mark.parametrize("chunk", [17, 1000, 5000])
@pytest.mark.parametrize("queries", [QUERIES, QUERIES[:2]], ids=["many", "few"])
def test_dot_products(queries: Any, chunk: int) -> None:
    assert found(queries, util.dot_score, chunk) == expected(queries @ CORPUS.T, IDS, 30)


@pytest.mark.parametrize("chunk", [999, 5000])
def test_any_function(chunk: int) -> None:
    def manhattan(a: Any, b: Any) -> Any:
        return -np.abs(a[:, np.newaxis] - b).sum(axis=2)

    assert found(QUERIES[:7], manhattan, chunk) == expected(manhattan(QUERIES[:7], CORPUS), IDS, 30)


def test_scores_are_those_of_semantic_search() -> None:
    rows = RANDOM.normal(size=(3000, 16)).astype(np.float32)
    search = ChunkedSearch(rows[:20], 5, util.cos_sim)
    for start in range(0, 3000, 700):
        search.add(rows[start : start + 700], np.arange(start, min(start + 700, 3000)))
    ids, scores, _ = search.result()
    whole = [hit for hits in util.semantic_search(rows[:20], rows, top_k=5) for hit in hits]
    assert ids.tolist() == [hit["corpus_id"] for hit in whole]
    assert scores.tolist() == pytest.approx([hit["score"] for hit in whole], abs=1e-6)


def test_less_than_asked_for_and_nothing() -> None:
    search = ChunkedSearch(QUERIES[:3], 10, util.dot_score)
    assert search.result()[2].tolist() == [0, 0, 0, 0]
    search.add(CORPUS[:4], np.array([9, 3, 5, 1]))
    ids, _, offsets = search.result()
    assert offsets.tolist() == [0, 4, 8, 12]
    assert sorted(ids[:4]) == [1, 3, 5, 9]


def test_bad_vectors_are_named() -> None:
    with pytest.raises(InputError, match="the queries' vectors"):
        ChunkedSearch(np.full((1, 2), np.nan, np.float32), 1, util.cos_sim)
    search = ChunkedSearch(QUERIES, 1, util.cos_sim)
    with pytest.raises(InputError, match="the corpus's vectors"):
        search.add(CORPUS[:, :3], IDS)
    with pytest.raises(InputError, match=r"shape \(40, 1\)"):
        ChunkedSearch(QUERIES, 1, lambda a, _: a[:, :1]).add(CORPUS[:9], IDS[:9])


@pytest.mark.torch
def test_functions_of_tensors_only() -> None:
    torch = pytest.importorskip("torch")
    scores = found(QUERIES[:7], lambda a, b: torch.mm(a, b.t()), 999)
    assert scores == expected(QUERIES[:7] @ CORPUS.T, IDS, 30)


def test_ids_of_columns_in_any_order() -> None:
    scores = RANDOM.integers(0, 5, size=(3, 4000)).astype(np.float32)
    ids = RANDOM.permutation(4000)
    best = TopK(3, 50)
    for start in range(0, 4000, 640):
        best.update(scores[:, start : start + 640], 0, ids=ids[start : start + 640])
    found_ids, _, offsets = best.result()
    assert [found_ids[a:b].tolist() for a, b in pairwise(offsets)] == expected(scores, ids, 50)
