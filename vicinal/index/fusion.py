"""Several rankings become one, by their scores."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

# The score at this rank counts as nothing found. Fixed, so that asking for more documents moves none.
SPREAD_RANKS = 100
# Scores that lie closer together than this share of the best one are not pulled apart to 0 and 1.
LEAST_SPREAD = 0.5


@dataclass(frozen=True, slots=True)
class Ranking:
    """What one retriever found, ready to be fused.

    Attributes:
        shares: for each document found, best first, how good it is by this retriever: 1 for the best, 0 for
            none.
        weight: how much the retriever counts, against the others.
    """

    shares: Sequence[float]
    weight: float


def by_spread(scores: Sequence[float]) -> list[float]:
    """Scores without a zero, such as similarities: 1 for the best, 0 for that at rank 100 or at the end.

    Args:
        scores: best first.
    """
    if not scores:
        return []
    best = scores[0]
    spread = max(best - scores[:SPREAD_RANKS][-1], LEAST_SPREAD * abs(best))
    return [max(0.0, 1 - (best - score) / spread) if spread else 1.0 for score in scores]


def by_best(scores: Sequence[float]) -> list[float]:
    """Scores with a zero, such as BM25: shares of the best.

    Args:
        scores: best first, positive.
    """
    return [score / scores[0] for score in scores]


def fuse(
    found: Sequence[Sequence[Key]], rankings: Sequence[Ranking], first: Mapping[Key, float]
) -> list[tuple[Key, float]]:
    """Fuse rankings by the weighted mean of their shares.

    Ranks alone would not do: of two retrievers, what only one of them finds (an error code) always loses to
    what both find somewhere.

    Args:
        found: the keys that each retriever found (any number of retrievers), best first, no key twice in one.
        rankings: shares and weights, in the same order.
        first: what is added to the mean for some keys; 1 puts a key before all without.

    Returns:
        ``(key, fused score)``, best first; ties keep the order of first appearance.

    Source:
        Bruch, Gai, Ingber: An Analysis of Fusion Functions for Hybrid Retrieval, TOIS 2023 (convex combination
        of normalised scores).
    """
    total = sum(ranking.weight for keys, ranking in zip(found, rankings, strict=True) if keys)
    fused: dict[Key, float] = {}
    for keys, ranking in zip(found, rankings, strict=True):
        for key, share in zip(keys, ranking.shares, strict=True):
            fused[key] = fused.get(key, 0.0) + ranking.weight * share / total
    scored = [(key, score + first.get(key, 0.0)) for key, score in fused.items()]
    return sorted(scored, key=lambda pair: -pair[1])
