"""Does a cross-encoder put the positives of a query first?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vicinal.core.inputs import as_texts, check_positive, explains_keywords
from vicinal.errors import InputError
from vicinal.evaluation.base import Measured, SentenceEvaluator, file_name, predict_pairs
from vicinal.evaluation.checks import samples_of, texts_of
from vicinal.evaluation.reranking import named_figures, ranking_figures

# Metrics of a query none of whose candidates is relevant.
_NOTHING = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class _Sample:
    query: str
    candidates: list[str]
    positive: frozenset[str]
    relevant: list[int]
    retrieved: list[str] | None


class CrossEncoderRerankingEvaluator(SentenceEvaluator):
    """Order of a query's candidates by a cross-encoder's scores.

    The metrics are ``map``, ``mrr@k`` and ``ndcg@k``, the primary one. For samples with ``documents``, the
    same metrics of the order in which these came are ``base_map``, ``base_mrr@k`` and ``base_ndcg@k``: what
    the reranking improves on. A query with no positive among its candidates counts 0 in each. Equal scores count
    as a random order of them would on average.

    Args:
        samples: dictionaries with ``query`` (a text), ``positive`` (a list of texts) and either ``negative``
            (a list of texts) or ``documents`` (the texts that a search found, the best first).
        at_k: ranks that count for MRR and nDCG.
        always_rerank_positives: of samples with ``documents``: whether positives that are not among them are
            reranked too. False reranks what was found and nothing else.
        name: stands before the metrics' names and in the file's.
        prompt_name: given to ``predict`` if not None.
        batch_size: pairs per batch; None leaves it to the model.
        show_progress_bar: while predicting.
        write_csv: append to ``CrossEncoderRerankingEvaluator_{name}_results_@{k}.csv`` where ``output_path``
            is given.
        mrr_at_k: the old name of ``at_k``.

    Raises:
        InputError: a sample lacks a field, some have ``documents`` and others ``negative``, or none has
            something to rerank; when called, a model with several labels.
        InputTypeError: something that is not a text (its position is named).
    """

    @explains_keywords
    def __init__(
        self,
        samples: Sequence[Mapping[str, Any]] | Mapping[Any, Mapping[str, Any]],
        at_k: int = 10,
        always_rerank_positives: bool = True,
        name: str = "",
        prompt_name: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
        write_csv: bool = True,
        mrr_at_k: int | None = None,
    ) -> None:
        self.at_k = at_k if mrr_at_k is None else mrr_at_k
        check_positive(self.at_k, "at_k")
        check_positive(batch_size, "batch_size")
        self.always_rerank_positives = always_rerank_positives
        given = samples_of(samples, ("negative", "documents"))
        if len({"documents" in sample for sample in given}) > 1:
            raise InputError("samples: some have 'documents' and others 'negative'; evaluate them apart")
        self.samples = [self._sample(sample, place) for place, sample in enumerate(given)]
        if not any(sample.positive and sample.candidates for sample in self.samples):
            raise InputError("samples: none has a positive and something to rerank")
        self.name = name
        self.prompt_name = prompt_name
        self.batch_size = batch_size
        self.show_progress_bar = show_progress_bar
        self.write_csv = write_csv
        self.primary_metric = f"ndcg@{self.at_k}"
        self.csv_headers = ["epoch", "steps", "MAP", f"MRR@{self.at_k}", f"NDCG@{self.at_k}"]
        self.csv_file = file_name("CrossEncoderRerankingEvaluator", name, f"results_@{self.at_k}.csv")

    def _sample(self, sample: Mapping[str, Any], place: int) -> _Sample:
        (query,), _ = as_texts(sample["query"], f"samples[{place}]['query']")
        positive = texts_of(sample, "positive", place)
        if "documents" not in sample:
            negative = texts_of(sample, "negative", place)
            relevant = [1] * len(positive) + [0] * len(negative)
            return _Sample(query, positive + negative, frozenset(positive), relevant, None)
        retrieved = texts_of(sample, "documents", place)
        wanted = frozenset(positive)
        if self.always_rerank_positives:
            candidates = [*positive, *(text for text in retrieved if text not in wanted)]
        else:
            candidates = retrieved
        return _Sample(query, candidates, wanted, [int(text in wanted) for text in candidates], retrieved)

    def get_config_dict(self) -> dict[str, Any]:
        only_found = {} if self.always_rerank_positives else {"always_rerank_positives": False}
        return {"at_k": self.at_k, **only_found}

    def compute_metrics(self, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[float, float, float]:
        """Metrics of one query.

        Args:
            y_true: (n,) 1 for relevant candidates, else 0.
            y_pred: (n,) their scores.

        Returns:
            Reciprocal rank and nDCG at ``at_k``, and average precision.
        """
        average, reciprocal, gain = ranking_figures(np.asarray(y_true), np.asarray(y_pred), self.at_k)
        return reciprocal, gain, average

    def _measure(self, model: Any) -> Measured:
        asked = [sample for sample in self.samples if any(sample.relevant)]
        found = self._reranked(model, asked) if asked else []
        found += [_NOTHING] * (len(self.samples) - len(asked))
        metrics, primary, row = named_figures(found, self.at_k)
        if self.samples[0].retrieved is not None:
            base = [self._before(sample) for sample in self.samples]
            before = named_figures(base, self.at_k).metrics
            metrics = {**metrics, **{f"base_{key}": value for key, value in before.items()}}
        return Measured(metrics, primary, row)

    def _reranked(self, model: Any, asked: Sequence[_Sample]) -> list[tuple[float, float, float]]:
        """The metrics of each sample's candidates in the order of the model's scores."""
        pairs = [(sample.query, text) for sample in asked for text in sample.candidates]
        scores = predict_pairs(model, pairs, self.batch_size, self.show_progress_bar, self.prompt_name)
        if scores.ndim != 1:
            raise InputError(f"the model gives {scores.shape[1]} scores per pair: reranking needs one")
        ends = np.cumsum([len(sample.candidates) for sample in asked])[:-1]
        return [
            ranking_figures(sample.relevant, part, self.at_k)
            for sample, part in zip(asked, np.split(scores, ends), strict=True)
        ]

    def _before(self, sample: _Sample) -> tuple[float, float, float]:
        """The metrics of the order in which the documents came; positives that were not found come last.

        All are 0 where no positive was found.
        """
        retrieved = sample.retrieved or []
        relevant = [int(text in sample.positive) for text in retrieved]
        if not any(relevant):
            return _NOTHING
        relevant += [1] * len(sample.positive - set(retrieved))
        return ranking_figures(relevant, np.arange(len(relevant), 0, -1), self.at_k)
