"""The texts that are most similar to each anchor, with their scores: where hard negatives are chosen from.

Embeddings are compared as unit vectors, as the field does it for mining. The search is exact and goes through the
corpus in blocks (:mod:`vicinal.vectors.nearest`): no matrix of all scores ever exists. The scores of what it finds
are computed again pair by pair, as those of the positives are, so that equal vectors get equal scores and a margin
of 0 means what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vicinal.core.arrays import Embeddings, Matrix, as_array, as_rows, check_same_width, compute_type
from vicinal.errors import InputError
from vicinal.util.mining_rows import Pairs
from vicinal.vectors.nearest import Nearest
from vicinal.vectors.search import QUERY_SPAN, semantic_search, unit_rows
from vicinal.vectors.similarity import SimilarityFunction, all_pairs_function, pairwise_function

# Candidates that are held at once, unless those of so few anchors are more.
_HELD = 1 << 22
_FEWEST = 256
# Pairs of vectors whose distances are computed at once.
_GATHERED = 4096
# Rows of the corpus that a distance meets at once.
_CHUNK = 50_000

Predict = Callable[[list[tuple[str, str]]], Any]
"""Gives the scores of pairs of texts."""


@dataclass(frozen=True)
class Candidates:
    """The candidates of the anchors from ``first`` on, best first: ids and scores are (anchors, k)."""

    first: int
    ids: Matrix
    scores: Matrix
    usable: Matrix
    """(anchors, k): whether one may be chosen, which the anchor's own positives may not."""


class Search:
    """Anchors and documents as unit vectors."""

    def __init__(
        self, pairs: Pairs, anchors: Embeddings, documents: Embeddings, similarity: SimilarityFunction
    ) -> None:
        """Normalise the embeddings.

        Raises:
            InputError: the model gave more or fewer than there are texts, or a NaN or infinity.
        """
        self._pairs, self._similarity = pairs, similarity
        unit = []
        for given, texts, name in (
            (anchors, pairs.anchors, "query_embeddings"),
            (documents, pairs.documents, "corpus_embeddings"),
        ):
            rows = as_rows(given, name)
            if len(rows) != len(texts):
                raise InputError(f"the model gave {len(rows)} embeddings for {len(texts)} texts")
            unit.append(unit_rows(rows.astype(compute_type(rows.dtype), copy=False), name))
        kind = compute_type(*(rows.dtype for rows in unit))
        self._anchors, self._documents = (rows.astype(kind, copy=False) for rows in unit)
        check_same_width(self._anchors, self._documents, "query_embeddings", "corpus_embeddings")
        self._by_product = similarity in (SimilarityFunction.COSINE, SimilarityFunction.DOT_PRODUCT)
        self._nearest = Nearest(self._anchors, self._documents)

    def positives(self) -> Matrix:
        """(pairs,) scores of the positives."""
        scores = self._nearest.scores if self._by_product else self._distances
        return scores(self._pairs.anchor, self._pairs.document)

    def candidates(self, k: int, include_positives: bool, predict: Predict | None) -> Iterator[Candidates]:
        """The ``k`` best of each anchor, or all documents if there are fewer.

        Args:
            k: candidates for each anchor, its positives among them.
            include_positives: whether positives are usable.
            predict: scores them again, and orders them by these scores; not the positives that are not usable.
        """
        k = min(k, len(self._pairs.documents))
        # A cross-encoder takes long: progress is seen after each step.
        step = _FEWEST if predict is not None else min(QUERY_SPAN, max(_FEWEST, _HELD // k))
        known = self._pairs.anchor * len(self._pairs.documents) + self._pairs.document
        known.sort()
        first = 0
        for ids, scores in self._best(k, step):
            anchors = np.arange(first, first + len(ids))[:, np.newaxis]
            usable = np.ones(ids.shape, dtype=bool)
            if not include_positives:
                keys = anchors * len(self._pairs.documents) + ids
                usable = known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] != keys
            if predict is not None:
                scores = self._predicted(predict, anchors, ids, usable)
                ids, scores, usable = _ordered(ids, scores, usable)
            yield Candidates(first, ids, scores, usable)
            first += len(ids)

    def _best(self, k: int, step: int) -> Iterator[tuple[Matrix, Matrix]]:
        """The best documents of the next ``step`` anchors: ids and scores, (anchors, k)."""
        if self._by_product:
            yield from self._nearest.best(k, step)
            return
        function = all_pairs_function(self._similarity)
        for first in range(0, len(self._anchors), step):
            part = self._anchors[first : first + step]
            hits = semantic_search(
                part, self._documents, corpus_chunk_size=_CHUNK, top_k=k, score_function=function
            )
            ids = np.sort(np.array([[hit["corpus_id"] for hit in row] for row in hits], np.int64), axis=1)
            anchor = np.repeat(np.arange(first, first + len(part)), k)
            found = _ordered(ids, self._distances(anchor, ids.ravel()).reshape(ids.shape))
            yield found[0], found[1]

    def _distances(self, anchor: Matrix, document: Matrix) -> Matrix:
        """The score of anchor[p] with document[p], for every p, where it is a negative distance."""
        function = pairwise_function(self._similarity)
        parts = [np.empty(0, dtype=self._anchors.dtype)]
        for at in range(0, len(anchor), _GATHERED):
            some = slice(at, at + _GATHERED)
            parts.append(function(self._anchors[anchor[some]], self._documents[document[some]]))
        return np.concatenate(parts)

    def _predicted(self, predict: Predict, anchors: Matrix, ids: Matrix, usable: Matrix) -> Matrix:
        """The candidates' scores by a cross-encoder; what is not usable gets -inf."""
        anchor = np.broadcast_to(anchors, ids.shape)[usable].tolist()
        texts = zip(anchor, ids[usable].tolist(), strict=True)
        predicted = scored(predict, [(self._pairs.anchors[a], self._pairs.documents[d]) for a, d in texts])
        scores = np.full(ids.shape, -np.inf, dtype=predicted.dtype)
        scores[usable] = predicted
        return scores


def scored(predict: Predict, pairs: list[tuple[str, str]]) -> Matrix:
    """(pairs,) scores of pairs of texts by a cross-encoder.

    Raises:
        InputError: it gives several scores for a pair, or one that is NaN.
    """
    if not pairs:
        return np.empty(0, dtype=np.float32)
    scores = as_array(predict(pairs), "scores")
    if scores.shape == (len(pairs), 1):
        scores = scores[:, 0]
    if scores.shape != (len(pairs),):
        raise InputError(
            f"cross_encoder gave scores of shape {scores.shape} for {len(pairs)} pairs: it must give one score for "
            "each (num_labels=1)"
        )
    scores = scores.astype(compute_type(scores.dtype), copy=False)
    wrong = np.flatnonzero(np.isnan(scores))
    if len(wrong):
        raise InputError(f"cross_encoder gave NaN for the pair {pairs[wrong[0]]!r}")
    return scores


def _ordered(ids: Matrix, scores: Matrix, *others: Matrix) -> tuple[Matrix, ...]:
    """Rows by descending score; equal scores keep their order."""
    order = np.argsort(-scores, axis=1, kind="stable")
    return tuple(np.take_along_axis(each, order, axis=1) for each in (ids, scores, *others))
