"""Models that know their answers, and mining in plain Python, by the words of its documentation."""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class TableModel:
    """Gives the vectors of a table; remembers what it was asked."""

    def __init__(self, vectors: Mapping[str, Sequence[float]], similarity: str | None = None) -> None:
        self.vectors = vectors
        self.asked: list[tuple[list[str], dict[str, Any]]] = []
        if similarity is not None:
            self.similarity_fn_name = similarity

    def encode(self, texts: list[str], **options: Any) -> np.ndarray:
        self.asked.append((list(texts), options))
        return np.array([self.vectors[text] for text in texts], dtype=np.float32)


class Scorer:
    """A cross-encoder whose score depends on the letters of a pair; like no two others, as far as it goes."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []

    def predict(self, pairs: list[tuple[str, str]], **options: Any) -> np.ndarray:
        self.pairs += pairs
        return np.array([self.score(*pair) for pair in pairs], dtype=np.float32)

    @staticmethod
    def score(a: str, b: str) -> float:
        return zlib.crc32(f"{a}|{b}".encode()) / 2**32


def rows_of(anchors: Sequence[str], positives: Sequence[str]) -> list[dict[str, str]]:
    return [{"anchor": a, "positive": p} for a, p in zip(anchors, positives, strict=True)]


def mined(
    anchors: Sequence[str],
    positives: Sequence[str],
    vectors: Mapping[str, Sequence[float]],
    corpus: Sequence[str] = (),
    scorer: Scorer | None = None,
    range_min: int = 0,
    range_max: int | None = None,
    max_score: float | None = None,
    min_score: float | None = None,
    absolute_margin: float | None = None,
    relative_margin: float | None = None,
    num_negatives: int = 3,
    sampling_strategy: str = "top",
    include_positives: bool = False,
) -> dict[str, tuple[list[str], list[float], list[str], list[float]]]:
    """For each anchor its positives, their scores, its negatives and theirs: cosines in float64, sorted as a whole."""
    groups: dict[str, list[str]] = {}
    for a, p in zip(anchors, positives, strict=True):
        groups.setdefault(a, [])
        if p not in groups[a]:
            groups[a].append(p)
    documents = list(dict.fromkeys([*corpus, *positives]))
    most = max(Counter(anchors).values())
    limited = any(x is not None for x in (max_score, min_score, absolute_margin, relative_margin))
    if range_max is None:
        spare = any(x is not None for x in (max_score, absolute_margin, relative_margin)) or (
            scorer is not None and min_score is not None
        )
        range_max = range_min + num_negatives * (10 if spare else 1) + most

    def cosine(a: str, b: str) -> float:
        x, y = np.asarray(vectors[a], np.float64), np.asarray(vectors[b], np.float64)
        length = float(np.linalg.norm(x) * np.linalg.norm(y))
        return float(x @ y) / length if length else 0.0

    result = {}
    for anchor, own in groups.items():
        found = [(document, cosine(anchor, document)) for document in documents]
        found.sort(key=lambda each: -each[1])
        found = found[: range_max + most]
        own_scores = [cosine(anchor, each) for each in own]
        if scorer is not None and limited:
            found = [(document, scorer.score(anchor, document)) for document, _ in found]
            found.sort(key=lambda each: -each[1])
            own_scores = [scorer.score(anchor, each) for each in own]
        if not include_positives:
            found = [each for each in found if each[0] not in own]
        most_allowed = min(own_scores) - (absolute_margin if absolute_margin is not None else -np.inf)
        if relative_margin is not None:
            most_allowed = min(most_allowed, min(own_scores) - abs(min(own_scores)) * relative_margin)
        if max_score is not None:
            most_allowed = min(most_allowed, max_score)
        low = -np.inf if min_score is None else min_score
        found = [each for each in found if low <= each[1] <= most_allowed][range_min:range_max]
        if sampling_strategy == "random":
            drawn = random.sample(range(max(len(found), num_negatives)), k=num_negatives)
            found = [found[place] for place in sorted(drawn) if place < len(found)]
        found = found[:num_negatives]
        result[anchor] = own, own_scores, [each[0] for each in found], [each[1] for each in found]
    return result
