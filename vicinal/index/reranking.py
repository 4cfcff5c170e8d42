"""What an index asks of a reranker."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vicinal.core.arrays import as_array, is_tensor
from vicinal.core.inputs import shown
from vicinal.errors import InputError, InputTypeError
from vicinal.index.stores.database import foreign_errors


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


def check_reranker(reranker: object) -> Reranker:
    """The same; refuses what can neither rank nor predict, before any work is done."""
    if not isinstance(reranker, (RankingModel, PredictingModel)):
        raise InputTypeError(
            f"reranker must have rank(query, documents, top_k=...) or predict(pairs), as CrossEncoder has; "
            f"got {type(reranker).__name__}"
        )
    return reranker


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
    name, n = type(reranker).__name__, len(passages)
    if isinstance(reranker, RankingModel):
        with foreign_errors():
            rows = reranker.rank(query, list(passages), top_k=n)
        scores = _scores_of_rows(name, rows, n)
    else:
        with foreign_errors():
            predicted = reranker.predict([(query, passage) for passage in passages])
        try:
            if is_tensor(predicted):
                predicted = as_array(predicted, "scores")
            scores = np.asarray(predicted, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise InputTypeError(
                f"reranker {name} predicted {shown(predicted)}: it must give one number for each pair"
            ) from None
        if scores.shape != (n,):
            raise InputError(
                f"reranker {name} gave scores of shape {scores.shape} for {n} pairs: it must give one number for each"
            )
    if not np.isfinite(scores).all():
        raise InputError(f"reranker {name} left passages without a finite score")
    return [float(score) for score in scores]


def _scores_of_rows(name: str, rows: Any, n: int) -> NDArray[np.float64]:
    scores = np.full(n, np.nan)
    try:
        pairs = [(operator.index(row["corpus_id"]), float(row["score"])) for row in rows]
    except (TypeError, KeyError, ValueError, IndexError, OverflowError):
        raise InputTypeError(
            f"reranker {name} gave {shown(rows)}: rank() must give a list of dictionaries with 'corpus_id' and 'score'"
        ) from None
    for place, score in pairs:
        if not (0 <= place < n and np.isnan(scores[place])):
            raise InputError(
                f"reranker {name} ranked document {place} of {n}, which it was not given, or twice"
            )
        scores[place] = score
    return scores
