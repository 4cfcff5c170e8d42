"""semantic_search equals sorting all scores, whatever path it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_strategies import CONTAINERS, brute, contained, matrices, meaning

from vicinal import util
from vicinal.errors import InputError, InputTypeError
from vicinal.vectors import products, search
from vicinal.vectors.corpus import CorpusMatrix
from vicinal.vectors.topk import TopK, floor_of_best

torch = pytest.importorskip("torch")


def check(hits: Any, scores: np.ndarray, top_k: int, atol: float = 3e-5) -> None:
    """Each list holds the best scores in order, and each id has the score that it is given."""
    assert len(hits) == len(scores)
    for found, row in zip(hits, scores, strict=True):
        ids = [hit["corpus_id"] for hit in found]
        assert len(ids) == len(set(ids)) == min(top_k, len(row))
        assert all(type(hit["corpus_id"]) is int and type(hit["score"]) is float for hit in found)
        given_scores = [hit["score"] for hit in found]
        assert given_scores == sorted(given_scores, reverse=True)
        np.testing.assert_allclose(given_scores, row[ids], rtol=1e-5, atol=atol)
        np.testing.assert_allclose(given_scores, np.sort(row)[::-1][:top_k], rtol=1e-5, atol=atol)


@settings(max_examples=150, deadline=None)
@given(
    queries=matrices(width=6),
    corpus=matrices(rows=st.integers(1, 300), width=6),
    kind_q=st.sampled_from(CONTAINERS),
    kind_c=st.sampled_from(CONTAINERS),
    name=st.sampled_from(["cos_sim", "dot_score", "euclidean_sim", "manhattan_sim"]),
    top_k=st.integers(1, 20),
    chunks=st.sampled_from([(100, 500_000), (3, 7)]),
)
def test_equals_sorting_everything(
    queries: np.ndarray,
    corpus: np.ndarray,
    kind_q: str,
    kind_c: str,
    name: str,
    top_k: int,
    chunks: tuple[int, int],
) -> None:
    hits = util.semantic_search(
        contained(queries, kind_q), contained(corpus, kind_c), *chunks, top_k, getattr(util, name)
    )
    check(hits, brute(name, meaning(queries, kind_q), meaning(corpus, kind_c)), top_k)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("count", [1, 3, 5, 400])
@pytest.mark.parametrize("name", ["cos_sim", "dot_score"])
@pytest.mark.parametrize("unit", [True, False])
def test_many_blocks(count: int, name: str, dtype: str, unit: bool) -> None:
    rng = np.random.default_rng(count)
    corpus = rng.standard_normal((9_001, 24))
    if unit:
        corpus /= np.linalg.norm(corpus, axis=1, keepdims=True)
    corpus = corpus.astype(dtype)
    queries = rng.standard_normal((count, 24)).astype(dtype)
    scores = brute(name, queries.astype(float), corpus.astype(float))
    check(util.semantic_search(queries, corpus, top_k=7, score_function=getattr(util, name)), scores, 7, 1e-4)


@pytest.mark.parametrize("engine", ["openvino", "numpy"])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_both_matrix_engines(engine: str, similarity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_REPAYS_IMPORT", 0 if engine == "openvino" else np.inf)
    monkeypatch.setattr(products, "_REPAYS_COMPILING", 0 if engine == "openvino" else np.inf)
    if engine == "numpy":
        monkeypatch.setattr(products, "_compiled", lambda *_: None)
    rng = np.random.default_rng(5)
    corpus = rng.standard_normal((7_000, 32)).astype(np.float32)
    corpus[5_000] = 0
    queries = rng.standard_normal((300, 32)).astype(np.float32)
    function = util.SimilarityFunction.to_similarity_fn(similarity)
    scores = brute(function.__name__, queries.astype(float), corpus.astype(float))
    check(util.semantic_search(queries, corpus, score_function=function), scores, 10, 1e-4)
    for count in (1, 300):
        prepared = CorpusMatrix(corpus, similarity=similarity)
        check(prepared.search(queries[:count]), scores[:count], 10, 1e-4)
    corpus[6_000, 3] = np.nan
    with pytest.raises(InputError, match="corpus_embeddings: row 6000 contains NaN"):
        util.semantic_search(queries, corpus, score_function=function)


def test_equal_scores_come_in_order_of_id() -> None:
    corpus = np.ones((10_000, 8), dtype=np.float32)
    corpus[4_000] = [1, 0, 0, 0, 0, 0, 0, 0]
    for queries in (np.ones((1, 8)), np.ones((6, 8))):
        for function in (util.cos_sim, util.dot_score, util.manhattan_sim):
            hits = util.semantic_search(queries, corpus, 2, 3_000, 12, function)
            assert all([hit["corpus_id"] for hit in found] == list(range(12)) for found in hits)
    assert [hit["corpus_id"] for hit in CorpusMatrix(corpus).search(np.ones(8))[0]] == list(range(10))


def test_a_function_of_the_callers() -> None:
    rng = np.random.default_rng(0)
    queries, corpus = rng.standard_normal((5, 4)), rng.standard_normal((50, 4))
    seen = []

    def negated(a: Any, b: Any) -> Any:
        seen.append((type(a), a.shape[0], b.shape[0]))
        return -(a @ b.T)

    check(util.semantic_search(queries, corpus, 2, 20, 5, negated), -(queries @ corpus.T), 5)
    assert {s[1:] for s in seen} == {(2, 20), (2, 10), (1, 20), (1, 10)} and seen[0][0] is np.ndarray
    check(
        util.semantic_search(torch.tensor(queries), corpus, score_function=negated), -(queries @ corpus.T), 10
    )
    assert seen[-1][0] is torch.Tensor
    with pytest.raises(InputError, match="score_function gave shape"):
        util.semantic_search(queries, corpus, score_function=lambda a, b: np.zeros(3))


def test_empty_and_small() -> None:
    query = np.ones((2, 4), dtype=np.float32)
    for function in (util.cos_sim, util.euclidean_sim):
        assert util.semantic_search(query, np.empty((0, 4)), score_function=function) == [[], []]
        assert util.semantic_search(query, [], score_function=function) == [[], []]
        assert util.semantic_search([], query, score_function=function) == []
        assert [
            len(h) for h in util.semantic_search(query, np.eye(4), top_k=99, score_function=function)
        ] == [4, 4]
    assert CorpusMatrix(np.empty((0, 4))).search(query) == [[], []]
    assert util.information_retrieval(query[0], np.eye(4), top_k=1) == [[{"corpus_id": 0, "score": 0.5}]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("name", ["cos_sim", "dot_score", "euclidean_sim"])
def test_rows_that_are_not_finite_are_named(name: str, count: int, bad: float) -> None:
    corpus = np.random.default_rng(0).standard_normal((6_000, 8)).astype(np.float32)
    queries = corpus[:count].copy()
    function = getattr(util, name)
    corpus[5_100, 2] = bad
    with pytest.raises(InputError, match="corpus_embeddings: row 5100 contains"):
        util.semantic_search(queries, corpus, score_function=function)
    with pytest.raises(InputError, match="corpus_embeddings: row 5100 contains"):
        util.semantic_search(torch.tensor(queries), torch.tensor(corpus), score_function=function)
    queries[count - 1, 0] = bad
    with pytest.raises(InputError, match=f"query_embeddings: row {count - 1} contains"):
        util.semantic_search(queries, corpus[:5], score_function=function)


def test_extreme_rows_are_found() -> None:
    rng = np.random.default_rng(0)
    corpus = rng.standard_normal((3_000, 8)).astype(np.float32)
    scores = brute("cos_sim", corpus[:6].astype(float), corpus.astype(float))
    corpus[7] *= np.float32(1e-25)
    corpus[8] *= np.float32(1e30)
    corpus[9] = 0
    scores[:, 9] = 0
    check(util.semantic_search(corpus[:6], corpus), scores, 10)
    check(util.semantic_search(corpus[:1], corpus), scores[:1], 10)
    check(CorpusMatrix(corpus).search(corpus[:6]), scores, 10)


@pytest.mark.parametrize("count", [1, 3, 600])
def test_dot_products_that_overflow_are_refused(count: int) -> None:
    """They would all be infinite, equal to each other."""
    rng = np.random.default_rng(0)
    queries, corpus = (rng.standard_normal((n, 8)).astype(np.float32) for n in (count, 2_000))
    corpus[1_500] = np.abs(corpus[1_500]) * np.float32(1e30)
    queries[-1] = np.abs(queries[-1]) * np.float32(1e15)
    for refused in (
        lambda: util.semantic_search(queries, corpus, score_function=util.dot_score),
        lambda: CorpusMatrix(corpus, similarity="dot").search(queries),
    ):
        with pytest.raises(InputError, match="so long, or so short, that dot products of them leave"):
            refused()
    queries[-1] /= np.float32(1e15)
    found = util.semantic_search(queries, corpus, score_function=util.dot_score)
    best = brute("dot_score", queries.astype(float), corpus.astype(float)).argmax(axis=1)
    assert [hits[0]["corpus_id"] for hits in found] == best.tolist()


@pytest.mark.parametrize("scale", [1e30, 1e-30])
@pytest.mark.parametrize(
    "search",
    [
        lambda rows: util.semantic_search(rows[:2], rows, score_function=util.dot_score),
        lambda rows: util.semantic_search(rows, rows, score_function=util.dot_score),
        lambda rows: util.paraphrase_mining_embeddings(rows, score_function=util.dot_score),
        lambda rows: CorpusMatrix(rows, similarity="dot").search(rows[:2]),
    ],
    ids=["few", "many", "mining", "rounded"],
)
def test_products_out_of_reach_are_refused_everywhere(search: Any, scale: float) -> None:
    rows = np.abs(np.random.default_rng(0).standard_normal((50, 8))).astype(np.float32)
    assert search(rows)
    with pytest.raises(InputError, match="so long, or so short, that dot products of them leave"):
        search(rows * np.float32(scale))


def test_bad_arguments() -> None:
    rows = np.ones((2, 4))
    for arguments in ({"top_k": 0}, {"query_chunk_size": 0}, {"corpus_chunk_size": -1}):
        with pytest.raises(InputError, match=f"{next(iter(arguments))} is"):
            util.semantic_search(rows, rows, **arguments)
    with pytest.raises(InputError, match="query_embeddings has 4 dimensions and corpus_embeddings has 3"):
        util.semantic_search(rows, np.ones((2, 3)))
    with pytest.raises(InputTypeError, match="encode texts first"):
        util.semantic_search(["a"], rows)
    with pytest.raises(InputError, match="euclidean"):
        CorpusMatrix(rows, similarity="euclidean")
    with pytest.raises(InputError, match="int3"):
        CorpusMatrix(rows, precision="int3")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="row 1 contains"):
        CorpusMatrix(np.array([[1.0, 2.0], [np.nan, 1.0]]))
    with pytest.raises(InputError, match="top_k is 0"):
        CorpusMatrix(rows).search(rows, top_k=0)
    with pytest.raises(InputError, match="no rounded vectors"):
        CorpusMatrix(rows, precision="float32").decoded(0)


def test_corpus_matrix_shows_what_it_is() -> None:
    rows = np.random.default_rng(0).standard_normal((100, 16)).astype(np.float32)
    prepared = CorpusMatrix(rows)
    assert len(prepared) == 100 and prepared.shape == (100, 16) and prepared.nbytes == 3200
    assert repr(prepared) == "CorpusMatrix(100 x 16, bfloat16, cosine)"
    np.testing.assert_allclose(prepared.decoded(slice(None)), util.normalize_embeddings(rows), rtol=2**-8)
    exact = CorpusMatrix(rows, precision="float32")
    assert exact.nbytes == 0 and exact.search(rows[:3]) == util.semantic_search(rows[:3], rows)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 9999),
    queries=st.integers(1, 5),
    k=st.integers(1, 30),
    widths=st.lists(st.integers(1, 700), min_size=1, max_size=6),
    levels=st.sampled_from([3, 10_000]),
)
def test_topk_is_a_stable_sort(seed: int, queries: int, k: int, widths: list[int], levels: int) -> None:
    scores = np.random.default_rng(seed).integers(-levels, levels, (queries, sum(widths))).astype(np.float32)
    best, at = TopK(queries, k), 0
    for width in widths:
        best.update(scores[:, at : at + width], at)
        at += width
    ids, found, offsets = best.result()
    for row in range(queries):
        order = np.argsort(-scores[row], kind="stable")[:k]
        part = slice(offsets[row], offsets[row + 1])
        assert ids[part].tolist() == order.tolist() and found[part].tolist() == scores[row, order].tolist()


def test_floor_is_below_the_best_and_ignores_nan() -> None:
    scores = np.random.default_rng(0).standard_normal((4, 5_000)).astype(np.float32)
    for k in (1, 10, 100, 5_000):
        floor = floor_of_best(scores, k)
        above = (scores > floor[:, None]).sum(axis=1)
        assert (above >= k).all() and (above <= 2 * k + 20).all()
    scores[0, :4_999] = np.nan
    assert floor_of_best(scores, 1)[0] < scores[0, 4_999]
    assert floor_of_best(scores, 9_999)[0] == -np.inf


def test_memory_is_bounded_by_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_SCORES_HELD", 4096)
    monkeypatch.setattr(search, "QUERY_SPAN", 3)
    rng = np.random.default_rng(0)
    queries, corpus = rng.standard_normal((8, 6)), rng.standard_normal((9_000, 6))
    check(util.semantic_search(queries, corpus), brute("cos_sim", queries, corpus), 10)


@pytest.mark.parametrize("name", ["cos_sim", "dot_score", "euclidean_sim"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "int64"])
def test_the_way_of_accelerators(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors on the CPU stand in for those of an accelerator, which this machine may not have."""
    monkeypatch.setattr(
        search, "on_accelerator", lambda *values: any(isinstance(v, torch.Tensor) for v in values)
    )
    rng = np.random.default_rng(0)
    corpus = torch.tensor(rng.integers(-30, 31, (500, 8)) / (1 if dtype == "int64" else 8)).to(
        getattr(torch, dtype)
    )
    function = getattr(util, name)
    scores = brute(name, corpus[:7].double().numpy(), corpus.double().numpy())
    check(util.semantic_search(corpus[:7], corpus, 3, 100, 10, function), scores, 10, 1e-4)
    check(util.semantic_search(corpus[:7].double().numpy(), corpus, 3, 100, 999, function), scores, 999, 1e-4)
    same = torch.ones(300, 4)
    hits = util.semantic_search(same[:2], same, 100, 70, 5, function)
    assert [[hit["corpus_id"] for hit in found] for found in hits] == [[0, 1, 2, 3, 4]] * 2
    bad = corpus.float()
    bad[123, 1] = float("nan")
    with pytest.raises(InputError, match="corpus_embeddings: row 123 contains NaN"):
        util.semantic_search(corpus[:7], bad, 3, 100, 10, function)
