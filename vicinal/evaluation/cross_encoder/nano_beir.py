"""NanoBEIR for cross-encoders: the documents that BM25 found, reranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vicinal.core.inputs import check_positive, explains_keywords
from vicinal.evaluation.base import mean, set_only
from vicinal.evaluation.cross_encoder.reranking import CrossEncoderRerankingEvaluator
from vicinal.evaluation.nano_beir import (
    COLLECTION,
    TASKS,
    TasksEvaluator,
    read_lists,
    read_texts,
    split_name,
    task_names,
)

# Finding counterarguments is another task than finding answers.
_DEFAULT = [task for task in TASKS if task not in ("arguana", "touche2020")]


class CrossEncoderNanoBEIREvaluator(TasksEvaluator):
    """Reranking on the tasks of NanoBEIR, each as :class:`CrossEncoderRerankingEvaluator` evaluates it.

    The metrics are those of each task, ``NanoMSMARCO_R100_ndcg@10`` and of the order that BM25 gave,
    ``NanoMSMARCO_R100_base_ndcg@10``, and their means over the tasks, ``NanoBEIR_R100_mean_ndcg@10``, the primary
    one. The data sets are read from the hub, with the package ``datasets``, when the evaluator is made.

    Args:
        dataset_names: the tasks, in any case, as in :class:`NanoBEIREvaluator`; None for all but "arguana" and
            "touche2020".
        dataset_id: the collection on the hub, or a local folder that ``datasets.load_dataset`` reads, with the
            subsets "corpus", "queries", "qrels" and "bm25" and a split per task, ``NanoMSMARCO``.
        rerank_k: how many of the documents that BM25 found are reranked.
        at_k: ranks that count for MRR and nDCG.
        always_rerank_positives: rerank also the positives that BM25 did not find.
        prompt_name: given to ``predict`` if not None.
        batch_size: pairs per batch; None leaves it to the model.
        show_progress_bar: while predicting.
        write_csv: append to ``NanoBEIR_evaluation_{aggregate_key}_results.csv``, and to a file per task, where
            ``output_path`` is given.
        aggregate_fn: from a metric's values, one per task, to one number.
        aggregate_key: its name in the metrics.

    Raises:
        InputError: an unknown task, or none at all; when called, a model with several labels.
        MissingExtraError: ``datasets`` is not installed.
    """

    @explains_keywords
    def __init__(
        self,
        dataset_names: Sequence[str] | None = None,
        dataset_id: str = COLLECTION,
        rerank_k: int = 100,
        at_k: int = 10,
        always_rerank_positives: bool = True,
        prompt_name: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
        write_csv: bool = True,
        aggregate_fn: Callable[[list[float]], float] = mean,
        aggregate_key: str = "mean",
    ) -> None:
        check_positive(rerank_k, "rerank_k")
        check_positive(at_k, "at_k")
        self.dataset_names = task_names(dataset_names, _DEFAULT)
        self.dataset_id = dataset_id
        self.rerank_k = rerank_k
        self.at_k = at_k
        self.always_rerank_positives = always_rerank_positives
        self.prompt_name = prompt_name
        self.aggregate_fn = aggregate_fn
        self.aggregate_key = aggregate_key
        self.write_csv = write_csv
        self.name = f"NanoBEIR_R{rerank_k}_{aggregate_key}"
        self.primary_metric = f"ndcg@{at_k}"
        self.csv_file = f"NanoBEIR_evaluation_{aggregate_key}_results.csv"
        self.evaluators = [
            CrossEncoderRerankingEvaluator(
                _samples(dataset_id, task, rerank_k),
                at_k=at_k,
                always_rerank_positives=always_rerank_positives,
                name=f"{split_name(task)}_R{rerank_k}",
                prompt_name=prompt_name,
                batch_size=batch_size,
                show_progress_bar=show_progress_bar,
                write_csv=write_csv,
            )
            for task in self.dataset_names
        ]

    def get_config_dict(self) -> dict[str, Any]:
        return {
            **super().get_config_dict(),
            "rerank_k": self.rerank_k,
            "at_k": self.at_k,
            "always_rerank_positives": self.always_rerank_positives,
            **set_only(prompt_name=self.prompt_name),
        }

    def _primary(self, metrics: Mapping[str, float]) -> str:
        return f"ndcg@{self.at_k}"

    def _row(self, metrics: Mapping[str, float]) -> dict[str, float]:
        return {
            "MAP": metrics["map"],
            f"MRR@{self.at_k}": metrics[f"mrr@{self.at_k}"],
            f"NDCG@{self.at_k}": metrics[f"ndcg@{self.at_k}"],
        }


def _samples(dataset_id: str, task: str, rerank_k: int) -> list[dict[str, object]]:
    corpus = read_texts(dataset_id, "corpus", task)
    queries = read_texts(dataset_id, "queries", task)
    relevant = read_lists(dataset_id, "qrels", task, "corpus-id")
    found = read_lists(dataset_id, "bm25", task, "corpus-ids")
    return [
        {
            "query": queries[key],
            "positive": [corpus[document] for document in relevant.get(key, ())],
            "documents": [corpus[document] for document in documents[:rerank_k]],
        }
        for key, documents in found.items()
        if key in queries
    ]
