"""What an index asks of a reranker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vicinal.errors import InputError, InputTypeError


@runtime_checkable
class RankingModel(Protocol):
    """Orders documents by a query."""

    def rank(self, query: str, documents: list[str], /, *, top_k: int | None = None) -> Sequence[Any]:
        """Dictionaries with ``"corpus_id"`` (place in ``documents``) and ``"score"``."""
        ...


@runtime_checkable
class PredictingModel(Protocol):
    """Scores pairs."""

    def predict(self, pairs: list[tuple[str, str]], /) -> Any:
        """One score for each pair of query and document."""
        ...


Reranker = RankingModel | PredictingModel


def check_reranker(reranker: object) -> None:
    """Refuse what can neither rank nor predict, before any work is done."""
    if not isinstance(reranker, (RankingModel, PredictingModel)):
        raise InputTypeError(
            f"reranker must have rank(query, documents, top_k=...) or predict(pairs), as CrossEncoder has; "
            f"got {type(reranker).__name__}"
        )


def rerank_scores(reranker: Reranker, query: str, passages: Sequence[str]) -> list[float]:
    """The reranker's score of each passage.

    Args:
        reranker: with ``rank`` or ``predict``.
        query: the query.
        passages: the passages.

    Returns:
        One score for each passage, in their order.

    Raises:
        InputError: it does not give one finite score for each.
    """
    if not passages:
        return []
    scores = np.full(len(passages), np.nan)
    if isinstance(reranker, RankingModel):
        for row in reranker.rank(query, list(passages), top_k=len(passages)):
            scores[int(row["corpus_id"])] = float(row["score"])
    else:
        given = np.asarray(reranker.predict([(query, passage) for passage in passages]), dtype=np.float64)
        if given.shape != scores.shape:
            raise InputError(
                f"reranker {type(reranker).__name__} gave scores of shape {given.shape} for {len(passages)} "
                "pairs: it must give one number for each"
            )
        scores = given
    if not np.isfinite(scores).all():
        raise InputError(f"reranker {type(reranker).__name__} left passages without a finite score")
    return [float(score) for score in scores]
