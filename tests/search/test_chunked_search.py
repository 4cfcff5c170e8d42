"""A corpus that comes chunk by chunk gives what one search of the whole corpus would, ties by id."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from vicinal import util
from vicinal.errors import InputError
from vicinal.vectors import chunked, settled
from vicinal.vectors.chunked import ChunkedSearch
from vicinal.vectors.products import Products
from vicinal.vectors.topk import TopK

RANDOM = np.random.default_rng(5)
# Whole numbers: products are exact, and many are equal.
QUERIES = RANDOM.integers(-2, 3, size=(40, 6)).astype(np.float32)
CORPUS = RANDOM.integers(-2, 3, size=(5000, 6)).astype(np.float32)
IDS = RANDOM.permutation(5000)


@pytest.fixture(autouse=True, params=["rounded", "plain"])
def rounds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Rounding, which so few rows would not repay, in small parts; and none."""
    wanted = request.param == "rounded"
    if wanted and not Products(6, "bfloat16").fast:
        pytest.skip("OpenVINO is not installed")
    monkeypatch.setattr(chunked, "rounding_pays", lambda queries, _: wanted and queries.dtype == np.float32)
    monkeypatch.setattr(settled, "_PART", 1500)
    return wanted


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


def unit(rows: Any) -> Any:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def search_all(queries: Any, rows: Any, function: Any, k: int, chunk: int, ids: Any) -> ChunkedSearch:
    search = ChunkedSearch(queries, k, function, len(rows))
    for start in range(0, len(rows), chunk):
        search.add(rows[start : start + chunk], ids[start : start + chunk])
    return search


@pytest.mark.parametrize("spread", [1.0, 0.05, 0.0], ids=["wide", "narrow cone", "all equal"])
@pytest.mark.parametrize("function", [util.cos_sim, util.dot_score])
def test_random_rows_give_the_best_of_float64(function: Any, spread: float, rounds: bool) -> None:
    """In a narrow cone rounding tells few rows apart, and among equal ones none: then all are scored exactly."""
    rng = np.random.default_rng(6)
    rows = (unit(rng.standard_normal((6000, 24))) * spread + unit(rng.standard_normal((1, 24)))).astype(
        np.float32
    )
    queries = unit(rng.standard_normal((300, 24))).astype(np.float32)
    ids = rng.permutation(6000)
    search = search_all(queries, rows, function, 20, 4000, ids)
    assert (search._settled is not None) == rounds
    found_ids, scores, offsets = search.result()
    assert offsets.tolist() == list(range(0, 6001, 20))
    wide = rows.astype(np.float64)
    exact = queries.astype(np.float64) @ (unit(wide) if function is util.cos_sim else wide).T
    best = -np.sort(-exact, axis=1)[:, :20]
    np.testing.assert_allclose(scores.reshape(300, 20), best, atol=1e-6)
    row_of_id = np.argsort(ids)
    np.testing.assert_allclose(
        np.take_along_axis(exact, row_of_id[found_ids].reshape(300, 20), 1), best, atol=1e-6
    )
    falls = np.diff(scores.reshape(300, 20), axis=1)
    assert (falls <= 0).all() and (np.diff(found_ids.reshape(300, 20), axis=1)[falls == 0] > 0).all()
    if not spread:
        assert found_ids.reshape(300, 20).tolist() == [list(range(20))] * 300


def test_equal_documents_score_the_same_wherever_they_lie() -> None:
    """Also where only one of them has a row beside it that is not of length 1."""
    rng = np.random.default_rng(7)
    rows = unit(rng.standard_normal((5000, 24))).astype(np.float32)
    rows[[40, 2400, 4700]] = rows[40]
    rows[2401] *= 3
    queries = unit(rows[40] + 0.05 * rng.standard_normal((30, 24))).astype(np.float32)
    ids = 4999 - np.arange(5000)
    found_ids, scores, offsets = search_all(queries, rows, util.cos_sim, 40, 5000, ids).result()
    for start, end in pairwise(offsets):
        where = [found_ids[start:end].tolist().index(each) for each in (299, 2599, 4959)]
        assert where == [where[0], where[0] + 1, where[0] + 2]
        assert len(set(scores[start:end][where].tolist())) == 1


def test_rows_of_any_length_and_type() -> None:
    rng = np.random.default_rng(8)
    rows = rng.standard_normal((3000, 24)).astype(np.float32)
    queries = rng.standard_normal((20, 24)).astype(np.float32)
    ids = np.arange(3000)
    plain = search_all(queries, rows, util.cos_sim, 10, 3000, ids).result()
    lengths = rng.choice([0, 1e-30, 1e-6, 1, 1e6, 1e30], size=(3000, 1)).astype(np.float32)
    lengths[plain[0]] = rng.choice([1e-30, 1, 1e30], size=(len(plain[0]), 1))
    for rescaled in (rows * lengths, (100 * rows).round().astype(np.float16)):
        found_ids, scores, _ = search_all(queries, rescaled, util.cos_sim, 10, 3000, ids).result()
        wide = rescaled.astype(np.float64)
        exact = (
            unit(queries.astype(np.float64))
            @ (wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-90)).T
        )
        best = -np.sort(-exact, axis=1)[:, :10]
        np.testing.assert_allclose(scores.reshape(20, 10), best, atol=1e-6)
        np.testing.assert_allclose(np.take_along_axis(exact, found_ids.reshape(20, 10), 1), best, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("function", [util.cos_sim, util.dot_score])
def test_a_row_that_is_not_finite_is_named(function: Any, bad: float) -> None:
    rows = CORPUS.copy()
    rows[1777, 3] = bad
    with pytest.raises(InputError, match=r"corpus_embeddings.*1777"):
        ChunkedSearch(QUERIES, 5, function, 5000).add(rows, IDS)


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
