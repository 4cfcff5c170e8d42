"""Is there an answer at all? What the best score of a search means, told from the collection itself."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vicinal.core.arrays import as_array
from vicinal.core.files import check_target, replacing
from vicinal.core.inputs import shown
from vicinal.errors import InputError, InputTypeError
from vicinal.evaluation.checks import check_scores, gives_vectors
from vicinal.evaluation.known_items import known_items
from vicinal.vectors.search import semantic_search
from vicinal.vectors.similarity import SimilarityFunction, all_pairs_function

# Fewer queries tell too little.
_FEWEST = 20


@dataclass(frozen=True)
class Calibration:
    """What the best scores of queries with an answer are.

    Attributes:
        scores: the best score of each query that the collection answers, the lowest first.

    Raises:
        InputError: there are no scores, or one is not finite; they are brought into order.
    """

    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        scores = tuple(sorted(self.scores))
        if not scores or not all(map(math.isfinite, scores)):
            raise InputError("a calibration holds no scores, or some are not finite")
        object.__setattr__(self, "scores", scores)

    def share(self, scores: ArrayLike) -> Any:
        """How usual a best score is: the share of queries with an answer whose best score is no higher.

        Below 0.05, say, hardly any query with an answer scores so low: the collection is about something else. It is
        no probability that the hit is relevant. Of two models, equal shares mean the same, equal scores do not.

        Args:
            scores: best scores of searches: a number, or an array of any shape.

        Returns:
            Above 0 up to 1, a float or an array of the same shape. It rises with the score. For queries like those of
            the collection, a share of ``p`` or less comes up at most about once in ``1 / p`` (a conformal p-value).

        Raises:
            InputError: a score is NaN, or no number.
        """
        try:
            values = np.asarray(scores, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputTypeError(f"scores is {shown(scores)}: give the best score of each search") from None
        if np.isnan(values).any():
            raise InputError("scores hold NaN: give the best score of each search")
        places = np.searchsorted(np.array(self.scores), values, side="right")
        found = (1 + places) / (1 + len(self.scores))
        return float(found) if values.ndim == 0 else found

    def threshold(self, lost: float = 0.05) -> float:
        """The best score below which there is no good answer.

        Args:
            lost: share of queries with an answer that may be lost by it, at most.

        Returns:
            A score: a search whose best hit is lower has no good answer.

        Raises:
            InputError: ``lost`` is not between 0 and 1, or so small that there are too few queries to tell.
        """
        if isinstance(lost, bool) or not isinstance(lost, (int, float)) or not 0 < lost < 1:
            raise InputError(f"lost={lost!r}: give a share between 0 and 1, such as 0.05")
        # Of n queries and a further one, any is the k-th lowest of all with the same chance.
        place = math.floor(lost * (1 + len(self.scores)) + 1e-9)
        if not place:
            raise InputError(
                f"lost={lost}: {len(self.scores)} queries are too few to tell; {math.ceil(1 / lost) - 1} are needed"
            )
        return self.scores[min(place, len(self.scores)) - 1]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON; the file appears under its name when it is complete."""
        with replacing(check_target(os.fspath(path), "path")) as scratch:
            scratch.write_text(json.dumps({"scores": self.scores}) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: no such file, or it is something else.
        """
        try:
            scores = json.loads(Path(path).read_text(encoding="utf-8"))["scores"]
            if not isinstance(scores, list):
                raise TypeError("its scores are no list")
            return cls(tuple(float(score) for score in scores))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{os.fspath(path)}: not a saved calibration ({error})") from error


def calibrate(
    model: Any,
    documents: Iterable[str],
    *,
    queries: int = 300,
    passages: int | None = 5000,
    seed: int = 0,
) -> Calibration:
    """Find out how high the best scores of queries are that a collection answers.

    Headings and sentences of the documents become queries, taken out of the passages that answer them
    (:func:`~vicinal.evaluation.known_items.known_items`); each searches the passages. No judgements are needed. It
    tells queries about something else from those about the collection (docs/evaluate.md has figures), not a good
    answer from a middling one.

    Args:
        model: a ``SentenceTransformer``, or anything that encodes.
        documents: the texts of the collection, or a fair sample.
        queries: how many to make at most.
        passages: how many to search at most; fewer give lower scores than the whole collection would.
        seed: of the draws.

    Raises:
        InputError: fewer than 20 queries can be made.
        InputTypeError: ``model`` does not encode.
    """
    if not gives_vectors(model):
        raise InputTypeError(
            f"model is {type(model).__name__}, which has no encode(): give a SentenceTransformer"
        )
    items = known_items(documents, queries=queries, passages=passages, seed=seed)
    if len(items.queries) < _FEWEST:
        raise InputError(
            f"the documents give {len(items.queries)} queries, and {_FEWEST} are needed: give more or longer ones"
        )
    of_query = getattr(model, "encode_query", model.encode)
    of_document = getattr(model, "encode_document", model.encode)
    asked = as_array(of_query(items.queries, show_progress_bar=False))
    searched = as_array(of_document(items.passages, show_progress_bar=False))
    name = getattr(model, "similarity_fn_name", None) or SimilarityFunction.COSINE
    hits = semantic_search(asked, searched, top_k=1, score_function=all_pairs_function(name))
    if len(hits) != len(items.queries):
        raise InputError(
            f"model gave {len(hits)} vectors for {len(items.queries)} queries: one for each is needed"
        )
    scores = np.array([found[0]["score"] for found in hits])
    check_scores(scores, "model")
    return Calibration(tuple(scores.tolist()))
