"""Several rankings become one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

RRF_K = 60


def reciprocal_rank_fusion(rankings: Sequence[Sequence[Key]], k: int = RRF_K) -> list[tuple[Key, float]]:
    """Fuse rankings by the sum of ``1 / (k + rank)``, ranks from 1.

    Scores of different retrievers (a cosine, a BM25 sum) have no common scale; their ranks do.

    Args:
        rankings: one sequence of keys for each retriever (any number), best first, no key twice in one.
        k: how quickly a rank loses weight; 60 is the paper's value.

    Returns:
        ``(key, fused score)``, best first; ties keep the order of first appearance.

    Source:
        Cormack, Clarke, Buettcher: Reciprocal Rank Fusion outperforms Condorcet and individual Rank
        Learning Methods, SIGIR 2009.
    """
    fused: dict[Key, float] = {}
    for ranking in rankings:
        for rank, key in enumerate(ranking, start=1):
            fused[key] = fused.get(key, 0.0) + 1.0 / (k + rank)
    return sorted(fused.items(), key=lambda pair: -pair[1])
