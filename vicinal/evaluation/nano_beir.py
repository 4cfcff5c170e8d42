"""NanoBEIR: thirteen retrieval tasks of 50 queries each, small enough to evaluate during training."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vicinal.core.inputs import explains_keywords
from vicinal.errors import InputError, InputTypeError, missing_extra
from vicinal.evaluation.base import SentenceEvaluator, mean, set_only
from vicinal.evaluation.csv import append_row
from vicinal.evaluation.information_retrieval import InformationRetrievalEvaluator
from vicinal.vectors.similarity import SimilarityCallable, SimilarityFunction

_log = logging.getLogger(__name__)

#: Short name -> the end of the name of its split.
TASKS = {
    "climatefever": "ClimateFEVER",
    "dbpedia": "DBPedia",
    "fever": "FEVER",
    "fiqa2018": "FiQA2018",
    "hotpotqa": "HotpotQA",
    "msmarco": "MSMARCO",
    "nfcorpus": "NFCorpus",
    "nq": "NQ",
    "quoraretrieval": "QuoraRetrieval",
    "scidocs": "SCIDOCS",
    "arguana": "ArguAna",
    "scifact": "SciFact",
    "touche2020": "Touche2020",
}
COLLECTION = "sentence-transformers/NanoBEIR-en"


class TasksEvaluator(SentenceEvaluator):
    """Base of the evaluators that run one evaluator per task and aggregate each metric over the tasks."""

    dataset_names: list[str]
    dataset_id: str
    evaluators: list[Any]
    aggregate_fn: Callable[[list[float]], float]

    def __call__(
        self,
        model: Any,
        output_path: str | os.PathLike[str] | None = None,
        epoch: int = -1,
        steps: int = -1,
    ) -> dict[str, float]:
        """Evaluate a model on every task.

        Args:
            model: the model; only its public methods are used, and it is not changed.
            output_path: the folder for the CSV files, one per task and one of the aggregated metrics; None writes
                nothing.
            epoch: written into the CSV; -1 outside of training.
            steps: likewise, optimizer steps within the epoch.

        Returns:
            Metrics by name: of each task, then the aggregated ones.
        """
        every: dict[str, float] = {}
        tasks: list[dict[str, float]] = []
        for each in self.evaluators:
            found = each(model, output_path, epoch, steps)
            every.update(found)
            tasks.append({key.removeprefix(f"{each.name}_"): value for key, value in found.items()})
        metrics = {key: float(self.aggregate_fn([task[key] for task in tasks])) for key in tasks[0]}
        self.primary_metric = self._primary(metrics)
        named = self.prefix_name_to_metrics(metrics, self.name)
        _log.info("%s: %s", self.description, ", ".join(f"{key} {value:.4f}" for key, value in named.items()))
        if output_path is not None and self.write_csv:
            append_row(output_path, self.csv_file, {"epoch": epoch, "steps": steps, **self._row(metrics)})
        return {**every, **named}

    def get_config_dict(self) -> dict[str, Any]:
        return {"dataset_names": self.dataset_names, "dataset_id": self.dataset_id}

    def _primary(self, metrics: Mapping[str, float]) -> str:
        raise NotImplementedError

    def _row(self, metrics: Mapping[str, float]) -> dict[str, float]:
        raise NotImplementedError


class NanoBEIREvaluator(TasksEvaluator):
    """Retrieval on the tasks of NanoBEIR, each as :class:`InformationRetrievalEvaluator` evaluates it.

    The metrics are those of each task, ``NanoMSMARCO_cosine_ndcg@10``, and their means over the tasks,
    ``NanoBEIR_mean_cosine_ndcg@10``, which is the primary one (with the model's similarity and the largest of
    ``ndcg_at_k``). The data sets are read from the hub, with the package ``datasets``, when the evaluator is made.

    Args:
        dataset_names: the tasks, in any case: "climatefever", "dbpedia", "fever", "fiqa2018", "hotpotqa", "msmarco",
            "nfcorpus", "nq", "quoraretrieval", "scidocs", "arguana", "scifact", "touche2020"; None for all.
        dataset_id: the collection on the hub, or a local folder that ``datasets.load_dataset`` reads, with the
            subsets "corpus", "queries" and "qrels" and a split per task, ``NanoMSMARCO``.
        mrr_at_k: ranks, as in :class:`InformationRetrievalEvaluator`; so are the next four.
        ndcg_at_k: see there.
        accuracy_at_k: see there.
        precision_recall_at_k: see there.
        map_at_k: see there.
        show_progress_bar: while encoding.
        batch_size: texts per batch; None leaves it to the model.
        write_csv: append to ``NanoBEIR_evaluation_{aggregate_key}_results.csv``, and to a file per task, where
            ``output_path`` is given.
        truncate_dim: evaluate this many first dimensions of the vectors.
        score_functions: name -> function of (q, dim) and (r, dim) that gives (q, r) scores; None is the model's own
            similarity.
        main_score_function: whose nDCG is the primary metric; None is that of the largest.
        aggregate_fn: from a metric's values, one per task, to one number.
        aggregate_key: its name in the metrics.
        query_prompts: put before every query: one for all tasks, or a dictionary by task as in ``dataset_names``.
        corpus_prompts: likewise before every document.
        write_predictions: also write the documents found, a file per task, where ``output_path`` is given.

    Raises:
        InputError: an unknown task, none at all, or a task without a prompt.
        MissingExtraError: ``datasets`` is not installed.

    Attributes:
        information_retrieval_class: the evaluator of one task; a subclass may put its own there.

    Reference: Thakur et al., BEIR, 2021.
    """

    information_retrieval_class: type[InformationRetrievalEvaluator] = InformationRetrievalEvaluator

    @explains_keywords
    def __init__(
        self,
        dataset_names: Sequence[str] | None = None,
        dataset_id: str = COLLECTION,
        mrr_at_k: Sequence[int] = (10,),
        ndcg_at_k: Sequence[int] = (10,),
        accuracy_at_k: Sequence[int] = (1, 3, 5, 10),
        precision_recall_at_k: Sequence[int] = (1, 3, 5, 10),
        map_at_k: Sequence[int] = (100,),
        show_progress_bar: bool | None = False,
        batch_size: int | None = None,
        write_csv: bool = True,
        truncate_dim: int | None = None,
        score_functions: Mapping[str, SimilarityCallable] | None = None,
        main_score_function: str | SimilarityFunction | None = None,
        aggregate_fn: Callable[[list[float]], float] = mean,
        aggregate_key: str = "mean",
        query_prompts: str | Mapping[str, str] | None = None,
        corpus_prompts: str | Mapping[str, str] | None = None,
        write_predictions: bool = False,
    ) -> None:
        self.dataset_names = task_names(dataset_names, TASKS)
        self.dataset_id = dataset_id
        self.aggregate_fn = aggregate_fn
        self.aggregate_key = aggregate_key
        self.write_csv = write_csv
        self.truncate_dim = truncate_dim
        end = "" if truncate_dim is None else f"_{truncate_dim}"
        self.name = f"NanoBEIR_{aggregate_key}{end}"
        self.csv_file = f"NanoBEIR_evaluation_{aggregate_key}_results.csv"
        self.query_prompts = query_prompts
        self.corpus_prompts = corpus_prompts
        before_query = _prompts(query_prompts, "query_prompts", self.dataset_names)
        before_corpus = _prompts(corpus_prompts, "corpus_prompts", self.dataset_names)
        self.evaluators = []
        for task in self.dataset_names:
            corpus = read_texts(dataset_id, "corpus", task)
            self.evaluators.append(
                self.information_retrieval_class(
                    read_texts(dataset_id, "queries", task),
                    corpus,
                    read_lists(dataset_id, "qrels", task, "corpus-id"),
                    mrr_at_k=mrr_at_k,
                    ndcg_at_k=ndcg_at_k,
                    accuracy_at_k=accuracy_at_k,
                    precision_recall_at_k=precision_recall_at_k,
                    map_at_k=map_at_k,
                    show_progress_bar=show_progress_bar,
                    batch_size=batch_size,
                    name=split_name(task) + end,
                    write_csv=write_csv,
                    truncate_dim=truncate_dim,
                    score_functions=score_functions,
                    main_score_function=main_score_function,
                    query_prompt=before_query[task],
                    corpus_prompt=before_corpus[task],
                    write_predictions=write_predictions,
                )
            )

    def _primary(self, metrics: Mapping[str, float]) -> str:
        first = self.evaluators[0]
        end = f"_ndcg@{max(first.ndcg_at_k)}"
        main = first.main_score_function
        if main is not None:
            return f"{main}{end}"
        return max((key for key in metrics if key.endswith(end)), key=lambda key: metrics[key])

    def _row(self, metrics: Mapping[str, float]) -> dict[str, float]:
        first = self.evaluators[0]
        functions = dict.fromkeys(key.rpartition("_")[0] for key in metrics)
        return {column: metrics[key] for each in functions for column, key in first.csv_columns(each)}

    def get_config_dict(self) -> dict[str, Any]:
        return {
            **super().get_config_dict(),
            **set_only(
                truncate_dim=self.truncate_dim,
                query_prompts=self.query_prompts,
                corpus_prompts=self.corpus_prompts,
            ),
        }


def task_names(given: Sequence[str] | None, default: Iterable[str]) -> list[str]:
    """The names of tasks as they were given, checked."""
    if given is None:
        return list(default)
    if isinstance(given, str):
        raise InputTypeError(f"dataset_names is one string: give a list, [{given!r}]")
    names = list(given)
    if not names:
        raise InputError("dataset_names is empty: leave it out for all of NanoBEIR")
    unknown = [name for name in names if str(name).lower() not in TASKS]
    if unknown:
        raise InputError(f"dataset_names: NanoBEIR has no {unknown[0]!r}; its tasks are {', '.join(TASKS)}")
    return names


def split_name(task: str) -> str:
    """``NanoMSMARCO`` of "msmarco"."""
    return f"Nano{TASKS[task.lower()]}"


def read_texts(dataset_id: str, subset: str, task: str) -> dict[str, str]:
    """Id -> text; empty texts are left out."""
    table = _read(dataset_id, subset, task)
    return {key: text for key, text in zip(table["_id"], table["text"], strict=True) if text}


def read_lists(dataset_id: str, subset: str, task: str, column: str) -> dict[str, list[str]]:
    """Query id -> document ids, in the order of the rows; a row holds one or a list of them."""
    table = _read(dataset_id, subset, task)
    found: dict[str, list[str]] = {}
    for key, value in zip(table["query-id"], table[column], strict=True):
        found.setdefault(key, []).extend([value] if isinstance(value, str) else value)
    return found


def _read(dataset_id: str, subset: str, task: str) -> Any:
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise missing_extra("datasets", "NanoBEIR", "train") from error
    return load_dataset(dataset_id, subset, split=split_name(task))


def _prompts(
    given: str | Mapping[str, str] | None, argument: str, names: Sequence[str]
) -> dict[str, str | None]:
    if given is None or isinstance(given, str):
        return dict.fromkeys(names, given)
    missing = [name for name in names if name not in given]
    if missing:
        raise InputError(
            f"{argument} has no prompt for {missing[0]!r}: give one for every name in dataset_names"
        )
    return {name: given[name] for name in names}
