"""Figures of merit, in numpy alone: correlation, classification, ranking.

Equal values never depend on the order in which they stand: correlations use average ranks, thresholds do not
separate equal scores, and where items of one score compete for ranks, the figure is the expected one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class BestAccuracy(NamedTuple):
    """The highest accuracy of any threshold, and that threshold."""

    accuracy: float
    threshold: float


class BestF1(NamedTuple):
    """The highest F1 of any threshold, with its parts."""

    f1: float
    precision: float
    recall: float
    threshold: float


# correlation -----------------------------------------------------------------------------------------------


def pearson(x: ArrayLike, y: ArrayLike) -> float:
    """Pearson's correlation of two sequences of n numbers; NaN if either is constant or n < 2."""
    a, b = _floats(x), _floats(y)
    if len(a) < 2 or (a == a[0]).all() or (b == b[0]).all():
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    # Divided first, so that the squares of very large or small numbers stay in range.
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    return float(np.clip(a @ b / math.sqrt((a @ a) * (b @ b)), -1.0, 1.0))


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rank correlation of two sequences of n numbers; equal values share their average rank.

    NaN if one of them holds NaN, is constant, or n < 2.
    """
    if np.isnan(_floats(x)).any() or np.isnan(_floats(y)).any():
        return math.nan
    return pearson(average_ranks(x), average_ranks(y))


def average_ranks(values: ArrayLike) -> Floats:
    """Ranks from 1 for the smallest; equal values share the average of theirs."""
    _, group, counts = np.unique(_floats(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2)[group]
    return ranks


# classification --------------------------------------------------------------------------------------------


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under precision over recall, by steps: the sum of precision times gain of recall.

    Args:
        labels: (n,), true or 1 for what should score high.
        scores: (n,); equal scores are one step.

    Returns:
        0..1; 0 if no label is true.
    """
    _, hits, taken = _steps(scores, labels)
    if not len(hits) or not hits[-1]:
        return 0.0
    gained = np.diff(hits, prepend=0) / hits[-1]
    return float((gained * hits / taken).sum())


def best_accuracy(scores: ArrayLike, labels: ArrayLike, high_is_positive: bool = True) -> BestAccuracy:
    """The threshold that classifies most pairs correctly; positive is a score on it or beyond it.

    Args:
        scores: (n,), n at least 1.
        labels: (n,), 0 or 1.
        high_is_positive: False for distances, where positive is what lies on or below the threshold.
    """
    sign = 1.0 if high_is_positive else -1.0
    values, hits, taken = _steps(sign * _floats(scores), labels)
    total, positives = taken[-1], hits[-1]
    # The first choice is to call nothing positive.
    right = np.concatenate([[total - positives], hits + (total - positives) - (taken - hits)])
    best = int(right.argmax())
    threshold = float(np.nextafter(values[0], np.inf)) if best == 0 else _between(values, best - 1)
    return BestAccuracy(float(right[best] / total), sign * threshold)


def best_f1(
    scores: ArrayLike, labels: ArrayLike, high_is_positive: bool = True, total: int | None = None
) -> BestF1:
    """The threshold of the highest F1; all zeros if no label is 1.

    Args:
        scores: as in :func:`best_accuracy`, and the next two.
        labels: see there.
        high_is_positive: see there.
        total: how many positives there are, where some have no score at all; None counts the labels.
    """
    sign = 1.0 if high_is_positive else -1.0
    values, hits, taken = _steps(sign * _floats(scores), labels)
    if not hits[-1]:
        return BestF1(0.0, 0.0, 0.0, 0.0)
    wanted = hits[-1] if total is None else total
    precision, recall = hits / taken, hits / wanted
    both = precision + recall
    # Equal to 2 hits / (taken + wanted), but thresholds of the same F1 are chosen between by the rounding of
    # this form in the field's other libraries, and so here.
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    best = int(f1.argmax())
    return BestF1(float(f1[best]), float(precision[best]), float(recall[best]), sign * _between(values, best))


def threshold_metrics(
    scores: ArrayLike, labels: ArrayLike, high_is_positive: bool = True
) -> dict[str, float]:
    """Accuracy of the most accurate threshold; F1, precision and recall of the one with the highest F1.

    Arguments as in :func:`best_accuracy`.
    """
    accuracy, best = (
        best_accuracy(scores, labels, high_is_positive),
        best_f1(scores, labels, high_is_positive),
    )
    return {
        "accuracy": accuracy.accuracy,
        "accuracy_threshold": accuracy.threshold,
        "f1": best.f1,
        "f1_threshold": best.threshold,
        "precision": best.precision,
        "recall": best.recall,
    }


def matthews(labels: ArrayLike, predicted: ArrayLike) -> float:
    """Matthews' correlation of two sequences of 0 and 1; 0 if either is constant."""
    value = pearson(_floats(labels), _floats(predicted))
    return 0.0 if math.isnan(value) else value


def f1_of_classes(labels: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """F1 of several classes: ``macro`` (mean over classes), ``micro`` (over items), ``weighted`` (by size).

    The classes are those that occur in either sequence.
    """
    truth, guess = np.asarray(labels), np.asarray(predicted)
    classes = np.union1d(truth, guess)
    sizes = np.array([(truth == each).sum() for each in classes])
    guessed = np.array([(guess == each).sum() for each in classes])
    right = np.array([((truth == each) & (guess == each)).sum() for each in classes])
    f1 = 2 * right / (sizes + guessed)
    return {
        "macro": float(f1.mean()),
        "micro": float(right.sum() / len(truth)),
        "weighted": float((f1 * sizes).sum() / sizes.sum()),
    }


def _steps(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Distinct scores, the highest first; and how many true ones and how many in all lie on or above each."""
    values, group = np.unique(-_floats(scores), return_inverse=True)
    hits = np.bincount(group, weights=_floats(labels), minlength=len(values)).cumsum()
    return -values, hits, np.bincount(group, minlength=len(values)).cumsum().astype(np.float64)


def _between(values: Floats, place: int) -> float:
    """A threshold that keeps ``values[: place + 1]``."""
    if place + 1 == len(values):
        return float(values[place])
    return float((values[place] + values[place + 1]) / 2)


# ranking of many queries -----------------------------------------------------------------------------------
# gains: (queries, depth), what the document on each rank is worth, the best rank first, 0 for nothing.


def reciprocal_rank_at_k(gains: NDArray[Any], k: int) -> Floats:
    """(queries,): 1 / rank of the first relevant document, 0 if it is not among the first k."""
    relevant = gains[:, :k] > 0
    if not relevant.shape[1]:
        return np.zeros(len(gains))
    found: Floats = relevant.any(axis=1) / (relevant.argmax(axis=1) + 1)
    return found


def accuracy_at_k(gains: NDArray[Any], k: int) -> Floats:
    """(queries,): 1 if a relevant document is among the first k, else 0."""
    found: Floats = np.any(gains[:, :k] > 0, axis=1).astype(np.float64)
    return found


def precision_at_k(gains: NDArray[Any], k: int) -> Floats:
    """(queries,): share of the k ranks that relevant documents take; empty ranks count against it."""
    share: Floats = (gains[:, :k] > 0).sum(axis=1) / k
    return share


def recall_at_k(gains: NDArray[Any], k: int, totals: NDArray[Any]) -> Floats:
    """(queries,): share of the ``totals`` relevant documents (at least 1 each) that are among the first k."""
    share: Floats = (gains[:, :k] > 0).sum(axis=1) / totals
    return share


def average_precision_at_k(gains: NDArray[Any], k: int, totals: NDArray[Any]) -> Floats:
    """(queries,): mean precision at the ranks of the relevant documents; its mean is MAP@k.

    A relevant document that is not found counts 0; no more than k are expected: the divisor is
    min(k, ``totals``).
    """
    relevant = gains[:, :k] > 0
    precision = relevant.cumsum(axis=1) / np.arange(1, relevant.shape[1] + 1)
    mean: Floats = (precision * relevant).sum(axis=1) / np.minimum(k, totals)
    return mean


def ndcg_at_k(gains: NDArray[Any], k: int, ideal: NDArray[Any]) -> Floats:
    """(queries,): discounted gain of the first k ranks, over that of the best possible order.

    The gain is divided by log2(rank + 1) and is linear, as trec_eval has it (Järvelin and Kekäläinen, 2002).

    Args:
        gains: (queries, depth).
        k: ranks that count.
        ideal: (queries, any), the gains of all relevant documents, the highest first, then zeros.
    """
    best = _discounted(ideal, k)
    share: Floats = np.divide(_discounted(gains, k), best, out=np.zeros(len(gains)), where=best > 0)
    return share


def _discounted(gains: NDArray[Any], k: int) -> Floats:
    counted = gains[:, :k].astype(np.float64)
    total: Floats = counted @ (1 / np.log2(np.arange(2, counted.shape[1] + 2)))
    return total


# ranking of a few scored candidates, which may have equal scores -------------------------------------------


def expected_ndcg(relevant: ArrayLike, scores: ArrayLike, k: int) -> float:
    """nDCG@k of candidates in the order of their scores; equal scores share the mean of their gains.

    Args:
        relevant: (n,) gains, e.g. 0 and 1.
        scores: (n,).
        k: ranks that count.
    """
    gains = _floats(relevant)
    values, group = np.unique(-_floats(scores), return_inverse=True)
    mean = np.bincount(group, weights=gains, minlength=len(values)) / np.bincount(group)
    ranked = mean[np.sort(group)]
    return float(ndcg_at_k(ranked[np.newaxis], k, np.sort(gains)[np.newaxis, ::-1])[0])


def expected_reciprocal_rank(relevant: ArrayLike, scores: ArrayLike, k: int) -> float:
    """Expected 1 / rank of the first relevant candidate, 0 beyond k; equal scores are in random order."""
    truth, values = np.asarray(relevant) > 0, _floats(scores)
    if not truth.any():
        return 0.0
    level = values[truth].max()
    above, tied = int((values > level).sum()), int((values == level).sum())
    good = int((truth & (values == level)).sum())
    places = range(1, tied - good + 2)
    ways = math.comb(tied, good)
    return sum(
        math.comb(tied - place, good - 1) / ways / (above + place) for place in places if above + place <= k
    )


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
