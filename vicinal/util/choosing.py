"""Which candidates become negatives: limits on their scores, then on their ranks, then the best or some at random."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vicinal.core.arrays import Matrix
from vicinal.errors import InputError
from vicinal.util.candidates import Candidates

# Without range_max, where scores are limited: this many candidates are looked at for each negative wanted.
_SPARE = 10


@dataclass(frozen=True)
class Limits:
    """What a candidate must keep to. None sets no limit."""

    range_min: int
    range_max: int
    max_score: float | None
    min_score: float | None
    absolute_margin: float | None
    relative_margin: float | None

    @property
    def of_scores(self) -> bool:
        """Whether any score is limited."""
        given = (self.max_score, self.min_score, self.absolute_margin, self.relative_margin)
        return any(limit is not None for limit in given)

    def check(self, wanted: int) -> None:
        """Refuse limits that leave no room.

        Raises:
            InputError: the ranks leave fewer candidates than are wanted, or no score is within the limits.
        """
        if self.range_max <= self.range_min:
            raise InputError(
                f"range_max={self.range_max} must be larger than range_min={self.range_min}: candidates of the ranks "
                "between them are taken"
            )
        if self.range_max - self.range_min < wanted:
            raise InputError(
                f"range_min={self.range_min} and range_max={self.range_max} leave "
                f"{self.range_max - self.range_min} candidates, but num_negatives={wanted}: raise range_max, or lower "
                "range_min or num_negatives"
            )
        if self.min_score is not None and self.max_score is not None and self.min_score > self.max_score:
            raise InputError(
                f"min_score={self.min_score} is above max_score={self.max_score}: no score is between them"
            )

    def beyond(self, scores: Matrix, lowest: Matrix) -> Iterator[tuple[str, Matrix]]:
        """The limits that are set, each with the candidates that it forbids.

        Args:
            scores: (anchors, k).
            lowest: (anchors, 1) score of each anchor's worst positive, to which margins are measured.
        """
        if self.absolute_margin is not None:
            yield "absolute_margin", scores > lowest - self.absolute_margin
        if self.relative_margin is not None:
            yield "relative_margin", scores > lowest - np.abs(lowest) * self.relative_margin
        if self.max_score is not None:
            yield "max_score", scores > self.max_score
        if self.min_score is not None:
            yield "min_score", scores < self.min_score


def range_end(wanted: int, range_min: int, most: int, generous: bool) -> int:
    """The ``range_max`` that is taken where none is given.

    Args:
        wanted: negatives for each anchor.
        range_min: candidates that are passed over.
        most: positives that an anchor may have.
        generous: scores are limited, so that many candidates may fall away.
    """
    return range_min + wanted * (_SPARE if generous else 1) + most


def choose(
    candidates: Candidates,
    lowest: Matrix,
    limits: Limits,
    wanted: int,
    at_random: bool,
    left_out: dict[str, int],
) -> tuple[Matrix, Matrix, Matrix]:
    """Choose negatives for some anchors.

    Ranks count only what the limits on scores have left.

    Args:
        candidates: of these anchors.
        lowest: (anchors,) score of each anchor's worst positive.
        limits: of scores and ranks.
        wanted: negatives for each anchor, at most.
        at_random: draw them with Python's generator, one ``random.sample`` for each anchor; False takes the best.
        left_out: name of a limit -> candidates that it took away; added to.

    Returns:
        ids and scores (anchors, wanted), best first, and how many of them are filled (anchors,).
    """
    ids, scores = candidates.ids, candidates.scores
    keep = candidates.usable.copy()
    for name, forbidden in limits.beyond(scores, lowest[:, np.newaxis]):
        forbidden &= keep
        left_out[name] = left_out.get(name, 0) + int(np.count_nonzero(forbidden))
        keep &= ~forbidden
    rank = np.cumsum(keep, axis=1)  # from 1
    keep &= (rank > limits.range_min) & (rank <= limits.range_max)
    there = np.count_nonzero(keep, axis=1)
    # The places of those that are kept, in their order, come first.
    places = np.argsort(~keep, axis=1, kind="stable")
    chosen = np.zeros((len(ids), wanted), dtype=np.int64)
    counts = np.minimum(there, wanted)
    if at_random:
        for row, count in enumerate(there.tolist()):
            drawn = sorted(random.sample(range(max(count, wanted)), k=wanted))
            few = [place for place in drawn if place < count]
            chosen[row, : len(few)] = places[row, few]
    else:
        width = min(wanted, places.shape[1])
        chosen[:, :width] = places[:, :width]
    return np.take_along_axis(ids, chosen, axis=1), np.take_along_axis(scores, chosen, axis=1), counts
