"""Pairs of texts that have something to do with each other, and how similar several teachers find them.

Two texts drawn at random are nearly always strangers, so similarities of random pairs teach little about the grades
between "the same" and "on the same subject". Pairs of neighbours do.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

# Share of a sentence's words that another sentence's word replaces.
_REPLACED = 0.25
# Of a sentence's neighbours, by rank: how many are drawn from how many.
_RANKS = ((2, 0, 8), (2, 8, 40), (1, 40, 120))
_BLOCK = 1024


class Pairs(NamedTuple):
    """Texts ``first[p]`` and ``second[p]``, by their numbers, and how similar they should be."""

    first: Places
    second: Places
    wanted: Floats


def variants(sentences: Sequence[str], replaced: int, crossed: int, seed: int) -> list[str]:
    """Made-up sentences of the same kind, beside which the real ones have near relatives.

    Args:
        sentences: real ones.
        replaced: how many have a quarter of their words replaced by words of others.
        crossed: how many begin as one and end as another.
        seed: of the random choices.
    """
    draw = random.Random(seed)
    words = [word for sentence in sentences for word in sentence.split()]
    made = []
    for _ in range(replaced):
        parts = draw.choice(sentences).split()
        made.append(" ".join(draw.choice(words) if draw.random() < _REPLACED else part for part in parts))
    for _ in range(crossed):
        one, other = draw.choice(sentences).split(), draw.choice(sentences).split()
        end, begin = draw.randint(1, max(1, len(one) - 1)), draw.randint(0, max(0, len(other) - 1))
        made.append(" ".join(one[:end] + other[begin:]))
    return made


def related(vectors: Floats, count: int, seed: int) -> tuple[Places, Places]:
    """Each of the first ``count`` texts with five of its 120 nearest, near ones oftener, and one drawn at random.

    Args:
        vectors: ``(n, dim)`` of length 1, more than 120.
        count: texts that get neighbours.
        seed: of the random choices.
    """
    draw = np.random.default_rng(seed)
    most = _RANKS[-1][2]
    first, second = list[int](), list[int]()
    for at in range(0, count, _BLOCK):
        scores = vectors[at : min(at + _BLOCK, count)] @ vectors.T
        for place, row in enumerate(scores, start=at):
            row[place] = -2.0
            nearest = np.argpartition(-row, most)[:most]
            nearest = nearest[np.argsort(-row[nearest])]
            for drawn, low, high in _RANKS:
                second += nearest[low + draw.choice(high - low, drawn, replace=False)].tolist()
            second.append(int(draw.integers(len(vectors))))
            first += [place] * (len(second) - len(first))
    return np.array(first), np.array(second)


def blended(opinions: Sequence[tuple[Floats, float]], scale: Floats) -> Floats:
    """What several judges find, each with its weight, brought to the scale of one of them.

    Args:
        opinions: ``(n,)`` scores of the same pairs, and the judge's weight.
        scale: ``(n,)`` scores to whose mean and spread the blend is fitted (least squares).
    """
    total = np.zeros(len(scale))
    for scores, weight in opinions:
        total += weight * (scores - scores.mean()) / max(float(scores.std()), 1e-12)
    slope, offset = np.polyfit(total, scale, 1)
    found: Floats = (slope * total + offset).astype(np.float32)
    return found
