"""What a search found for many queries at once, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Ranked(NamedTuple):
    """The documents that were found, those of one query after the other, the best first.

    Attributes:
        numbers: (hits,) places in the corpus.
        scores: (hits,).
        offsets: (queries + 1,) where the hits of each query begin.
    """

    numbers: NDArray[Any]
    scores: NDArray[Any]
    offsets: NDArray[Any]


def id_orders(ids: Sequence[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(documents,) the place of each in the sorted order of ids, by which equal scores are ranked; and its inverse.

    Where ids cannot be compared, as numbers with strings, it is the order in which they are given.
    """
    try:
        numbers = np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)
    except TypeError:
        numbers = np.arange(len(ids))
    places = np.empty_like(numbers)
    places[numbers] = np.arange(len(ids))
    return places, numbers


def gains_of(
    ranked: Ranked, grades: Sequence[Mapping[Any, float]], ids: Sequence[Any]
) -> NDArray[np.float64]:
    """(queries, depth): the grade of the document on each rank, 0 for one that is not relevant.

    Args:
        ranked: of each query.
        grades: of each query, id of each relevant document -> grade.
        ids: of the documents.
    """
    counts = np.diff(ranked.offsets)
    query = np.repeat(np.arange(len(counts)), counts)
    gains = np.zeros((len(counts), max(1, int(counts.max(initial=0)))))
    if not len(query):
        return gains
    asked_for = set().union(*grades)
    place = {key: number for number, key in enumerate(ids) if key in asked_for}
    # Pairs of query and document as one number, query times documents plus document.
    relevant = sorted(
        (number * len(ids) + place[key], grade)
        for number, found in enumerate(grades)
        for key, grade in found.items()
    )
    known, worth = np.array([pair for pair, _ in relevant]), np.array([grade for _, grade in relevant])
    asked = query * len(ids) + ranked.numbers
    spot = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    rank = np.arange(len(query)) - ranked.offsets[query]
    gains[query, rank] = np.where(known[spot] == asked, worth[spot], 0.0)
    return gains


def ideal_gains(grades: Sequence[Mapping[Any, float]], depth: int) -> NDArray[np.float64]:
    """(queries, at most depth): the gains of the best order, the highest first."""
    ideal = np.zeros((len(grades), min(depth, max(map(len, grades)))))
    for row, found in zip(ideal, grades, strict=True):
        best = sorted(found.values(), reverse=True)[: len(row)]
        row[: len(best)] = best
    return ideal
