"""A reranker that reads as many passages as it can in the time there is."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vicinal.index.reranking import Reranker, rerank_scores

# Candidates between two looks at the clock.
_GROUP = 8
# A long passage is cut to the model's window, so that it takes no longer than one of about so many characters.
_LONGEST = 2000
# What a pair takes beside its characters, as characters.
_OVERHEAD = 50
# What the latest measurement counts against those before.
_NEWEST = 0.3
# A search that leaves the reranker out measures nothing. So that one bad moment does not leave it out for good, it is
# then taken for a little faster, down to this part of the shortest time that was measured.
_FORGIVEN, _LIMIT = 0.95, 0.5


@dataclass(slots=True)
class Pace:
    """How long a reranker takes, measured while it works.

    Attributes:
        seconds: per character; None before it has read anything.
        fastest: the shortest that was measured.
    """

    seconds: float | None = None
    fastest: float = math.inf

    def note(self, query: str, passages: Sequence[str], seconds: float) -> None:
        """Take in what some passages took."""
        measured = seconds / sum(_sizes(query, passages))
        known = self.seconds
        self.fastest = min(self.fastest, measured)
        self.seconds = measured if known is None else (1 - _NEWEST) * known + _NEWEST * measured

    def forgive(self) -> None:
        """Take it for a little faster: it was left out."""
        if self.seconds is not None:
            self.seconds = max(_FORGIVEN * self.seconds, min(self.seconds, _LIMIT * self.fastest))

    def fitting(self, query: str, passages: Sequence[str], seconds: float) -> int:
        """How many of the passages, from the first on, are read in so many seconds."""
        if self.seconds is None:
            return 0
        takes = np.cumsum(_sizes(query, passages)) * self.seconds
        return int(np.searchsorted(takes, seconds, side="right"))


def _sizes(query: str, passages: Sequence[str]) -> list[int]:
    return [min(len(query) + len(passage), _LONGEST) + _OVERHEAD for passage in passages]


def scores_in_time(
    reranker: Reranker, query: str, passages: Sequence[str], pace: Pace, until: float
) -> list[float]:
    """The reranker's scores of as many passages as it can read in time, from the first on.

    A reranker whose pace is not known reads two passages twice: the first time it compiles what it needs for them,
    which does not count, the second time it is measured.

    Args:
        reranker: reads.
        query: the query.
        passages: best first.
        pace: of this reranker, which is brought up to date.
        until: of the clock ``time.perf_counter``.

    Returns:
        A score for each passage that was read: two or more, or none; of a single passage none.
    """
    if len(passages) < 2:
        return []
    if pace.seconds is None:
        started = time.perf_counter()
        rerank_scores(reranker, query, passages[:2])
        warm = time.perf_counter()
        rerank_scores(reranker, query, passages[:2])
        pace.note(query, passages[:2], time.perf_counter() - warm)
        until += time.perf_counter() - started
    scores: list[float] = []
    while len(scores) < len(passages):
        started = time.perf_counter()
        count = min(_GROUP, pace.fitting(query, passages[len(scores) :], until - started))
        if len(scores) + count < 2 or not count:
            break
        group = passages[len(scores) : len(scores) + count]
        scores += rerank_scores(reranker, query, group)
        pace.note(query, group, time.perf_counter() - started)
    if not scores:
        pace.forgive()
    return scores
