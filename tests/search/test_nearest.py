"""Nearest rows by rounded products, settled exactly, are those of float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vicinal.vectors import nearest
from vicinal.vectors.nearest import Nearest
from vicinal.vectors.products import Products
from vicinal.vectors.topk import TopK


@pytest.fixture(autouse=True, params=["rounded", "plain"])
def rounds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Rounding, which small matrices would not repay, and none."""
    wanted = request.param == "rounded"
    if wanted:
        monkeypatch.setattr(nearest, "Products", lambda width, precision, work: Products(width, precision))
        if not nearest.Products(8, "bfloat16", work=0).fast:
            pytest.skip("OpenVINO is not installed")
    return wanted


def unit(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    rows = rng.standard_normal(shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def check(queries: Any, corpus: Any, k: int, span: int = 1000) -> Nearest:
    search = Nearest(queries, corpus)
    parts = list(search.best(k, span))
    assert [len(part[0]) for part in parts] == [
        min(span, len(queries) - first) for first in range(0, len(queries), span)
    ]
    ids, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
    exact = queries.astype(np.float64) @ corpus.astype(np.float64).T
    best = -np.sort(-exact, axis=1)[:, :k]
    assert scores.dtype == queries.dtype
    np.testing.assert_allclose(scores, best, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(exact, ids, axis=1), best, atol=1e-6)
    assert all(len(set(row)) == k for row in ids.tolist())
    falls = np.diff(scores, axis=1)
    assert (falls <= 0).all() and (np.diff(ids, axis=1)[falls == 0] > 0).all()
    np.testing.assert_array_equal(
        search.scores(np.repeat(np.arange(len(queries)), k), ids.ravel()), scores.ravel()
    )
    return search


@given(st.integers(1, 40), st.integers(1, 300), st.integers(1, 30), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_any_size(queries: int, rows: int, span: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, min(rows, 40) + 1))
    check(unit(rng, (queries, 24)), unit(rng, (rows, 24)), k, span)


def test_many_rows(rounds: bool) -> None:
    rng = np.random.default_rng(0)
    corpus = unit(rng, (9_000, 32))
    search = check(unit(rng, (700, 32)), corpus, 12, 300)
    assert search.rounds == rounds
    # A narrow cone: all scores are close to 1, and rounding tells few of them apart.
    cone = corpus * 0.05 + unit(rng, (1, 32))
    check(cone[:300].copy(), cone, 5)


def test_equal_rows_are_taken_in_their_order() -> None:
    rng = np.random.default_rng(1)
    corpus = unit(rng, (6_000, 16))
    corpus[1_000:5_000] = corpus[7]
    search = Nearest(corpus[5:9].copy(), corpus)
    ((ids, _),) = search.best(20, 1000)
    assert ids[2].tolist() == [7, *range(1_000, 1_019)]
    check(corpus[:600].copy(), corpus, 20)


def test_float64_is_not_rounded() -> None:
    rng = np.random.default_rng(2)
    search = check(rng.standard_normal((30, 9)), rng.standard_normal((500, 9)), 7)
    assert not search.rounds


def test_slack_keeps_all_that_is_close_to_the_best() -> None:
    rng = np.random.default_rng(3)
    scores = rng.random((20, 6_000)).astype(np.float32)
    top = TopK(20, 5, slack=0.01)
    for at in range(0, 6_000, 500):
        top.update(scores[:, at : at + 500], at)
    ids, kept, offsets = top.result()
    for row in range(20):
        least = np.sort(scores[row])[-5] - np.float32(0.01)
        found = ids[offsets[row] : offsets[row + 1]]
        assert set(found.tolist()) == set(np.flatnonzero(scores[row] > least).tolist())
        assert kept[offsets[row]] == scores[row].max()
