"""Which model finds what: several models beside each other on a user's own documents, without judgements."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.arrays import as_array
from vicinal.errors import InputError, InputTypeError, TruncationWarning
from vicinal.evaluation.checks import check_scores, gives_vectors
from vicinal.evaluation.known_items import KnownItems
from vicinal.evaluation.metrics import ndcg_at_k, recall_at_k
from vicinal.evaluation.ranked import ideal_gains
from vicinal.vectors.search import semantic_search
from vicinal.vectors.similarity import SimilarityFunction, all_pairs_function

#: ranks that count
DEPTH = 10
_DRAWS = 2000
# Queries that are timed one at a time.
_TIMED = 50

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """What was found out about a model.

    Attributes:
        name: the model's.
        ndcg: nDCG@10, the mean over the queries.
        recall: share of the answers among the first 10.
        level: whether the best model's lead could be chance: of 2,000 draws of the queries (paired bootstrap), more
            than 5 % have this model in front, or it is the best one itself.
        dimension: of its vectors.
        passages_per_second: encoded.
        query_seconds: to encode one query by itself, the median.
    """

    name: str
    ndcg: float
    recall: float
    level: bool
    dimension: int
    passages_per_second: float
    query_seconds: float


@dataclass(frozen=True)
class _Run:
    """The best passages of each query, (queries, at most 10), and what they cost."""

    places: NDArray[np.int64]
    dimension: int
    passages_per_second: float
    query_seconds: float


def compare_models(
    items: KnownItems,
    models: Mapping[str, Any],
    *,
    judge: Any = None,
    on_step: Callable[[str], None] | None = None,
) -> list[Candidate]:
    """Search the same passages with each model, and compare what they find.

    A passage is worth 1 to a query that it answers by construction. With a judge, the others among any model's first 10
    are worth the probability that the judge gives them, so that a model is not punished for other good answers.

    Args:
        items: queries, passages and answers, of :func:`~vicinal.evaluation.known_items.known_items`.
        models: name -> anything that encodes, such as a ``SentenceTransformer``.
        judge: a ``CrossEncoder`` with one score a pair; it reads up to 10 passages a query and model.
        on_step: called with what is done next.

    Returns:
        The models, the best first.

    Raises:
        InputError: no models, one that gives other than a vector for each text, or a judge that gives several scores or
            was never trained.
        InputTypeError: something among ``models`` does not encode, the judge does not predict, or ``items`` is
            something else.
    """
    if not isinstance(items, KnownItems):
        raise InputTypeError(f"items is {type(items).__name__}: give what known_items(documents) makes")
    if not isinstance(models, Mapping):
        raise InputTypeError(f"models is {type(models).__name__}: give names with their models, a dictionary")
    if judge is not None:
        _check_judge(judge)
    if not models:
        raise InputError("models is empty: give at least one")
    report = on_step or (lambda step: None)
    runs = {}
    for name, model in models.items():
        if not gives_vectors(model):
            raise InputTypeError(f"models[{name!r}] is {type(model).__name__}, which has no encode()")
        report(f"searching with {name}")
        runs[name] = _search(model, items)
    worth: list[dict[int, float]] = [dict.fromkeys(answers, 1.0) for answers in items.answers]
    if judge is not None:
        _judge(judge, items, [run.places for run in runs.values()], worth, report)
    ideal = ideal_gains(worth, DEPTH)
    ndcg = {name: ndcg_at_k(_gains(run.places, worth), DEPTH, ideal) for name, run in runs.items()}
    best = max(ndcg, key=lambda name: float(ndcg[name].mean()))
    totals = np.array([len(answers) for answers in items.answers])
    truth: list[dict[int, float]] = [dict.fromkeys(answers, 1.0) for answers in items.answers]
    found = [
        Candidate(
            name,
            float(ndcg[name].mean()),
            float(recall_at_k(_gains(run.places, truth), DEPTH, totals).mean()),
            name == best or _could_win(ndcg[name], ndcg[best]),
            run.dimension,
            run.passages_per_second,
            run.query_seconds,
        )
        for name, run in runs.items()
    ]
    return sorted(found, key=lambda candidate: -candidate.ndcg)


def _search(model: Any, items: KnownItems) -> _Run:
    of_query = getattr(model, "encode_query", model.encode)
    of_document = getattr(model, "encode_document", model.encode)
    with warnings.catch_warnings():  # the whole says what is too long
        warnings.simplefilter("ignore", TruncationWarning)
        of_document(items.passages[:8], show_progress_bar=False)  # the engine is compiled on its first call
    started = time.perf_counter()
    documents = as_array(of_document(items.passages, show_progress_bar=False))
    passages_per_second = len(documents) / max(time.perf_counter() - started, 1e-9)
    queries = as_array(of_query(items.queries, show_progress_bar=False))
    for found, texts in ((documents, items.passages), (queries, items.queries)):
        if found.ndim != 2 or len(found) != len(texts):
            raise InputError(
                f"the model gave {found.shape} numbers for {len(texts):,} texts: a vector for each is needed"
            )
    seconds = []
    for query in items.queries[:_TIMED]:
        started = time.perf_counter()
        of_query([query], show_progress_bar=False)
        seconds.append(time.perf_counter() - started)
    name = getattr(model, "similarity_fn_name", None) or SimilarityFunction.COSINE
    hits = semantic_search(queries, documents, top_k=DEPTH, score_function=all_pairs_function(name))
    places = np.array([[hit["corpus_id"] for hit in row] for row in hits], dtype=np.int64)
    return _Run(places, documents.shape[1], passages_per_second, float(np.median(seconds)))


def _check_judge(judge: Any) -> None:
    if not callable(getattr(judge, "predict", None)):
        raise InputTypeError(f"judge is {type(judge).__name__}, which has no predict(): give a CrossEncoder")
    if getattr(judge, "head_is_new", False):
        raise InputError("judge has a new head of random weights: it is no reranker before it is trained")


def _judge(
    judge: Any,
    items: KnownItems,
    found: Sequence[NDArray[np.int64]],
    worth: list[dict[int, float]],
    report: Callable[[str], None],
) -> None:
    """Add what a reranker thinks of passages that some model found and that are no known answers."""
    asked = [
        (number, place)
        for number, rows in enumerate(zip(*found, strict=True))
        for place in sorted({int(place) for row in rows for place in row} - set(worth[number]))
    ]
    report(f"judging {len(asked):,} passages")
    if not asked:
        return
    pairs = [(items.queries[number], items.passages[place]) for number, place in asked]
    scores = np.asarray(judge.predict(pairs, show_progress_bar=False), dtype=np.float64)
    if scores.ndim != 1:
        raise InputError(f"judge gives {scores.shape[1]} scores per pair: a reranker with one is needed")
    check_scores(scores, "judge")
    if ((scores < 0) | (scores > 1)).any():  # raw scores
        scores = 0.5 * (1 + np.tanh(0.5 * scores))
    for (number, place), score in zip(asked, scores.tolist(), strict=True):
        worth[number][place] = score


def _gains(places: NDArray[np.int64], worth: Sequence[Mapping[int, float]]) -> Floats:
    """(queries, ranks): what each passage that was found is worth."""
    return np.array(
        [[gains.get(place, 0.0) for place in row] for gains, row in zip(worth, places.tolist(), strict=True)]
    )


def _could_win(one: Floats, best: Floats) -> bool:
    """Whether a model beats the best one in more than 5 % of draws of the queries."""
    draws = np.random.default_rng(0).integers(len(one), size=(_DRAWS, len(one)))
    return bool(((one - best)[draws].mean(axis=1) >= 0).mean() > 0.05)
