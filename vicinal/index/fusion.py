"""Several rankings become one, by their scores."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

# The score at this rank counts as nothing found. Fixed, so that asking for more documents moves none.
SPREAD_RANKS = 50
# Scores that lie closer together than this share of what the best one has above a usual document are not pulled apart
# to 0 and 1.
LEAST_SPREAD = 0.4
# Nor those that lie closer together than this share of the best one: where all documents are alike, a usual one is as
# good.
LEAST_SHARE = 0.1
# What ranks count beside the scores, for each retriever: they order what no retriever likes much, where the best
# of one and of the other should alternate. 60 / (60 + rank) is reciprocal rank fusion (Cormack et al. 2009).
RANK_PART, RANK_OFFSET = 0.25, 60
# Only ranks up to this one count, whether a retriever was asked for more or not.
RANKS = 100


@dataclass(frozen=True, slots=True)
class Ranking(Generic[Key]):
    """What one retriever found.

    Attributes:
        keys: best first, no key twice.
        scores: on any scale, in the same order.
        weight: how much they count, against those of the others; with 0 neither scores nor ranks count.
        usual: the score of a document that has nothing to do with the query.
    """

    keys: Sequence[Key]
    scores: Sequence[float]
    weight: float = 1.0
    usual: float = 0.0


def shares(scores: Sequence[float], usual: float = 0.0) -> list[float]:
    """Scores on a common scale: 1 for the best, 0 for that at rank 50 or at the end, and for all if the best is 0.

    Args:
        scores: best first.
        usual: the score of a document that has nothing to do with the query. Cosines of some models lie between 0.6
            and 0.8, and differences among them tell as much as those between 0 and 0.6 do of another model.
    """
    # Where the best score is 0 nothing is alike.
    if not scores or not scores[0]:
        return [0.0] * len(scores)
    best = scores[0]
    spread = max(best - scores[:SPREAD_RANKS][-1], LEAST_SPREAD * abs(best - usual), LEAST_SHARE * abs(best))
    return [max(0.0, 1 - (best - score) / spread) for score in scores]


def fuse(rankings: Sequence[Ranking[Key]], first: Mapping[Key, float]) -> list[tuple[Key, float]]:
    """Fuse rankings by the weighted mean of their scores on a common scale, and a little by their ranks.

    Ranks alone would not do: of two retrievers, what only one of them finds (an error code) always loses to
    what both find somewhere.

    Args:
        rankings: one for each retriever, any number.
        first: what is added for some keys; 1 puts a key before all without.

    Returns:
        ``(key, fused score)``, best first, the score between 0 and 1 before what is added; of equal ones the one
        with the better rank is first. Rankings of 100 keys or more give the same order however many more they hold.

    Source:
        Bruch, Gai, Ingber: An Analysis of Fusion Functions for Hybrid Retrieval, TOIS 2023 (convex combination
        of normalised scores).
    """
    total = sum(ranking.weight for ranking in rankings if ranking.keys)
    most = 1 + RANK_PART * len(rankings)
    fused: dict[Key, float] = {}
    best: dict[Key, int] = {}
    for ranking in rankings:
        scaled = shares(ranking.scores, ranking.usual)
        part_of_scores = ranking.weight / total if total else 0.0
        for rank, (key, share) in enumerate(zip(ranking.keys, scaled, strict=True), start=1):
            part = RANK_PART * RANK_OFFSET / (RANK_OFFSET + rank)
            if rank > RANKS or not ranking.weight:
                part = share = 0.0
            fused[key] = fused.get(key, 0.0) + (part_of_scores * share + part) / most
            best[key] = min(rank, best.get(key, rank))
    scored = [(key, score + first.get(key, 0.0)) for key, score in fused.items()]
    return sorted(scored, key=lambda pair: (-pair[1], best[pair[0]]))
