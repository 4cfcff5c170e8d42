"""Are the positives of a query put before its negatives?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vicinal.core.inputs import as_texts, check_positive, explains_keywords
from vicinal.errors import InputError, InputTypeError
from vicinal.evaluation.base import Measured, VectorEvaluator, mean
from vicinal.evaluation.checks import check_scores, samples_of, texts_of
from vicinal.evaluation.metrics import average_precision, expected_ndcg, expected_reciprocal_rank
from vicinal.vectors.similarity import SimilarityCallable, cos_sim, scores_by


class RerankingEvaluator(VectorEvaluator):
    """Order of a query's positives and negatives by the similarity of their vectors to the query's.

    The metrics are ``map``, ``mrr@k`` and ``ndcg@k``, the primary one. Equal scores count as a random order
    of them would on average. Samples without a positive or without a negative are left out.

    Args:
        samples: dictionaries with ``query`` (a text), ``positive`` and ``negative`` (lists of texts).
        at_k: ranks that count for MRR and nDCG.
        name: stands before the metrics' names and in the file's.
        write_csv: append to ``RerankingEvaluator_{name}_results_@{k}.csv`` where ``output_path`` is given.
        similarity_fct: function of (1, dim) and (n, dim) that gives (1, n) scores.
        batch_size: texts per batch; None leaves it to the model.
        show_progress_bar: while encoding.
        use_batched_encoding: encode the texts of all samples at once; False goes sample by sample, which
            takes less memory and more time.
        truncate_dim: evaluate this many first dimensions of the vectors.
        mrr_at_k: the old name of ``at_k``.

    Raises:
        InputError: a sample lacks a field, or no sample has both positives and negatives.
        InputTypeError: something that is not a text (its position is named).
    """

    @explains_keywords
    def __init__(
        self,
        samples: Sequence[Mapping[str, Any]] | Mapping[Any, Mapping[str, Any]],
        at_k: int = 10,
        name: str = "",
        write_csv: bool = True,
        similarity_fct: SimilarityCallable = cos_sim,
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
        use_batched_encoding: bool = True,
        truncate_dim: int | None = None,
        mrr_at_k: int | None = None,
    ) -> None:
        self.at_k = at_k if mrr_at_k is None else mrr_at_k
        check_positive(self.at_k, "at_k")
        end = f"results_@{self.at_k}.csv"
        self._set_up("RerankingEvaluator", name, batch_size, show_progress_bar, write_csv, truncate_dim, end)
        self.samples: list[tuple[str, list[str], list[str]]] = []
        for place, sample in enumerate(samples_of(samples, ("negative",))):
            (query, *more), _ = as_texts(sample["query"], f"samples[{place}]['query']")
            if more:
                raise InputTypeError(
                    f"samples[{place}]['query'] is a list: give one text, and a sample for each query"
                )
            positive, negative = texts_of(sample, "positive", place), texts_of(sample, "negative", place)
            if positive and negative:
                self.samples.append((query, positive, negative))
        if not self.samples:
            raise InputError("samples: none has both positives and negatives")
        self.primary_metric = f"ndcg@{self.at_k}"
        self.csv_headers = ["epoch", "steps", "MAP", f"MRR@{self.at_k}", f"NDCG@{self.at_k}"]
        self.similarity_fct = similarity_fct
        self.use_batched_encoding = use_batched_encoding

    def get_config_dict(self) -> dict[str, Any]:
        return {"at_k": self.at_k, **super().get_config_dict()}

    def compute_metrics(self, model: Any) -> dict[str, float]:
        """``map``, ``mrr`` and ``ndcg`` of a model, without the rank in their names."""
        return self._means(model, self.use_batched_encoding)

    def compute_metrics_batched(self, model: Any) -> dict[str, float]:
        """The same, all samples encoded in one call."""
        return self._means(model, True)

    def compute_metrics_individual(self, model: Any) -> dict[str, float]:
        """The same, one sample encoded after the other."""
        return self._means(model, False)

    def compute_metrices(self, model: Any) -> dict[str, float]:
        """The old name of :meth:`compute_metrics`."""
        return self.compute_metrics(model)

    def compute_metrices_batched(self, model: Any) -> dict[str, float]:
        """The old name of :meth:`compute_metrics_batched`."""
        return self.compute_metrics_batched(model)

    def compute_metrices_individual(self, model: Any) -> dict[str, float]:
        """The old name of :meth:`compute_metrics_individual`."""
        return self.compute_metrics_individual(model)

    def _measure(self, model: Any) -> Measured:
        found = self.compute_metrics(model)
        return named_figures([(found["map"], found["mrr"], found["ndcg"])], self.at_k)

    def _means(self, model: Any, together: bool) -> dict[str, float]:
        groups = [self.samples] if together else [[sample] for sample in self.samples]
        found = []
        for group in groups:
            (queries,) = self._embed(model, [query for query, _, _ in group], encode_fn_name="query")
            texts = ([*positive, *negative] for _, positive, negative in group)
            documents = self._embed(model, *texts, encode_fn_name="document")
            for number, ((_, positive, negative), rows) in enumerate(zip(group, documents, strict=True)):
                scores = scores_by(self.similarity_fct, queries[number : number + 1], rows)[0]
                check_scores(scores, "similarity_fct")
                relevant = np.repeat([1, 0], [len(positive), len(negative)])
                found.append(ranking_figures(relevant, scores, self.at_k))
        means = [mean(column) for column in zip(*found, strict=True)]
        return dict(zip(("map", "mrr", "ndcg"), means, strict=True))


def ranking_figures(relevant: Any, scores: Any, k: int) -> tuple[float, float, float]:
    """Average precision, reciprocal rank and nDCG of one query's candidates."""
    return (
        average_precision(relevant, scores),
        expected_reciprocal_rank(relevant, scores, k),
        expected_ndcg(relevant, scores, k),
    )


def named_figures(found: Sequence[tuple[float, float, float]], k: int) -> Measured:
    """Means over the queries by name, the primary name, and the same as columns of the file."""
    means = [mean(column) for column in zip(*found, strict=True)]
    keys, columns = ("map", f"mrr@{k}", f"ndcg@{k}"), ("MAP", f"MRR@{k}", f"NDCG@{k}")
    return Measured(dict(zip(keys, means, strict=True)), keys[2], dict(zip(columns, means, strict=True)))
