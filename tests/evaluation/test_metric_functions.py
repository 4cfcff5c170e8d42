"""The pure figures beside scipy, scikit-learn and brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vicinal.evaluation import metrics

stats = pytest.importorskip("scipy.stats")
sk = pytest.importorskip("sklearn.metrics")

# Few different values, so that ties are common.
SCORES = st.lists(st.integers(-3, 3).map(lambda value: value / 2), min_size=2, max_size=12)
LABELLED = SCORES.flatmap(
    lambda scores: st.tuples(
        st.just(scores), st.lists(st.integers(0, 1), min_size=len(scores), max_size=len(scores))
    )
)
PAIRED = SCORES.flatmap(
    lambda x: st.tuples(st.just(x), st.lists(st.integers(-5, 5), min_size=len(x), max_size=len(x)))
)


@settings(deadline=None)
@given(PAIRED)
def test_correlations_are_scipys(pair: tuple[list[float], list[int]]) -> None:
    x, y = pair
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert math.isnan(metrics.pearson(x, y))
        assert math.isnan(metrics.spearman(x, y))
        return
    assert metrics.pearson(x, y) == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-12)
    assert metrics.spearman(x, y) == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-12)
    assert metrics.average_ranks(x).tolist() == stats.rankdata(x).tolist()


def test_pearson_of_huge_and_tiny_numbers() -> None:
    x = np.array([1.0, 2.0, 4.0])
    assert metrics.pearson(x * 1e200, x * 1e-200) == pytest.approx(1.0)
    assert metrics.pearson(x, -x) == -1.0


@settings(deadline=None)
@given(LABELLED)
def test_average_precision_is_sklearns(case: tuple[list[float], list[int]]) -> None:
    scores, labels = case
    if any(labels):
        expected = sk.average_precision_score(labels, scores)
        assert metrics.average_precision(labels, scores) == pytest.approx(expected)
    else:
        assert metrics.average_precision(labels, scores) == 0


@settings(deadline=None)
@given(LABELLED, st.booleans())
def test_best_thresholds_are_those_of_all(case: tuple[list[float], list[int]], high: bool) -> None:
    scores, labels = np.array(case[0]), np.array(case[1])

    def positive(threshold: float) -> np.ndarray:
        return scores >= threshold if high else scores <= threshold

    def f1(threshold: float) -> float:
        hits = (positive(threshold) & (labels == 1)).sum()
        return float(2 * hits / max(1, positive(threshold).sum() + labels.sum()))

    def right(threshold: float) -> float:
        return float((positive(threshold) == (labels == 1)).mean())

    every = [*np.arange(-2, 2.25, 0.25)]
    accuracy, best = metrics.best_accuracy(scores, labels, high), metrics.best_f1(scores, labels, high)
    assert accuracy.accuracy == pytest.approx(max(map(right, every)))
    assert right(accuracy.threshold) == pytest.approx(accuracy.accuracy)
    assert best.f1 == pytest.approx(max(map(f1, every)))
    if labels.any():
        assert f1(best.threshold) == pytest.approx(best.f1)
        assert best.precision == pytest.approx(labels[positive(best.threshold)].mean())
        assert best.recall == pytest.approx((positive(best.threshold) & (labels == 1)).sum() / labels.sum())


@settings(deadline=None)
@given(LABELLED)
def test_matthews_and_f1_of_classes_are_sklearns(case: tuple[list[float], list[int]]) -> None:
    guess, labels = [int(abs(score) * 2) % 3 for score in case[0]], case[1]
    binary = [int(score > 0) for score in case[0]]
    if len(set(labels)) == 2:
        assert metrics.matthews(labels, binary) == pytest.approx(sk.matthews_corrcoef(labels, binary))
    found = metrics.f1_of_classes(labels, guess)
    for kind in ("macro", "micro", "weighted"):
        assert found[kind] == pytest.approx(sk.f1_score(labels, guess, average=kind, zero_division=0))


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.integers(1, 10), st.integers(0, 4))
def test_ranking_figures_are_brute_force(gains: list[int], k: int, missed: int) -> None:
    relevant = [gain > 0 for gain in gains]
    total = sum(relevant) + missed
    row, totals = np.array([gains, [0] * len(gains)]), np.array([max(1, total)] * 2)
    first = next((1 / rank for rank, hit in enumerate(relevant[:k], 1) if hit), 0.0)
    precisions = [sum(relevant[:rank]) / rank for rank in range(1, len(gains) + 1)]
    mean = sum(precisions[place] for place in range(min(k, len(gains))) if relevant[place]) / min(
        k, max(1, total)
    )
    best = sorted([*gains, *[1] * missed], reverse=True)
    dcg, ideal = (sum(g / math.log2(r + 1) for r, g in enumerate(order[:k], 1)) for order in (gains, best))
    assert metrics.reciprocal_rank_at_k(row, k).tolist() == [first, 0]
    assert metrics.accuracy_at_k(row, k).tolist() == [float(any(relevant[:k])), 0]
    assert metrics.precision_at_k(row, k).tolist() == [sum(relevant[:k]) / k, 0]
    assert metrics.recall_at_k(row, k, totals).tolist() == [sum(relevant[:k]) / max(1, total), 0]
    assert metrics.average_precision_at_k(row, k, totals) == pytest.approx([mean, 0])
    assert metrics.ndcg_at_k(row, k, np.array([best, best])) == pytest.approx(
        [dcg / ideal if ideal else 0, 0]
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=2, max_size=6), st.integers(1, 6))
def test_expected_figures_are_the_mean_over_orders(items: list[tuple[int, int]], k: int) -> None:
    """Every order in which the scores descend, however the equal ones stand."""
    orders = [
        order
        for order in itertools.permutations(items)
        if all(a[1] >= b[1] for a, b in itertools.pairwise(order))
    ]
    gains = np.array([[relevant for relevant, _ in order] for order in orders])
    ideal = -np.sort(-gains, axis=1)
    relevant, scores = zip(*items, strict=True)
    assert metrics.expected_ndcg(relevant, scores, k) == pytest.approx(
        metrics.ndcg_at_k(gains, k, ideal).mean()
    )
    assert metrics.expected_reciprocal_rank(relevant, scores, k) == pytest.approx(
        metrics.reciprocal_rank_at_k(gains, k).mean()
    )
