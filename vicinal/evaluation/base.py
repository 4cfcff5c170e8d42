"""What every evaluator is: called with a model, it gives metrics."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vicinal.core.arrays import as_array
from vicinal.core.inputs import check_positive
from vicinal.evaluation.checks import check_scores
from vicinal.evaluation.csv import append_row

_log = logging.getLogger(__name__)


class Measured(NamedTuple):
    """What an evaluator found.

    Attributes:
        metrics: their values, without the evaluator's name.
        primary: the key of the primary one.
        row: column of the CSV file -> value.
    """

    metrics: Mapping[str, float]
    primary: str
    row: Mapping[str, float]


class SentenceEvaluator:
    """Base of all evaluators. A custom one overrides :meth:`__call__`.

    Attributes:
        primary_metric: key of the metric that decides which model is best; some evaluators know it only after
            the first call, because it carries the name of the model's similarity.
        greater_is_better: whether a larger primary metric is a better one.
        name: what stands before every key; "" for nothing.
        csv_file: name of the file that a call with ``output_path`` appends to.
        csv_headers: its columns; some evaluators know all of them only after the first call.
        write_csv: whether it does.
    """

    primary_metric: str | None = None
    greater_is_better: bool = True
    name: str = ""
    csv_file: str = ""
    csv_headers: Sequence[str] = ("epoch", "steps")
    write_csv: bool = True

    def __call__(
        self,
        model: Any,
        output_path: str | os.PathLike[str] | None = None,
        epoch: int = -1,
        steps: int = -1,
    ) -> dict[str, float]:
        """Evaluate a model.

        Args:
            model: the model; only its public methods are used, and it is not changed.
            output_path: the folder for the CSV file; None writes nothing.
            epoch: written into the CSV; -1 outside of training.
            steps: likewise, optimizer steps within the epoch.

        Returns:
            Metrics by name.
        """
        metrics, primary, row = self._measure(model)
        self.primary_metric = primary
        named = self.prefix_name_to_metrics({key: float(value) for key, value in metrics.items()}, self.name)
        when = "" if epoch == -1 else f" after epoch {epoch}" + ("" if steps == -1 else f", step {steps}")
        shown = ", ".join(f"{key} {value:.4f}" for key, value in named.items())
        _log.info("%s%s: %s", self.description, when, shown)
        written = {"epoch": epoch, "steps": steps, **row}
        self.csv_headers = list(written)
        if output_path is not None and self.write_csv:
            append_row(output_path, self.csv_file, written)
        return named

    def _measure(self, model: Any) -> Measured:
        """What Vicinal's own evaluators override."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__(model, output_path, epoch, steps)")

    @property
    def description(self) -> str:
        """The kind of evaluation in words, for people."""
        words = "".join(" " + letter if letter.isupper() else letter for letter in type(self).__name__)
        return words.strip().removesuffix("Evaluator").strip()

    def prefix_name_to_metrics(self, metrics: Mapping[str, float], name: str) -> dict[str, float]:
        """The metrics, and the primary key, with ``name`` and an underscore before them."""
        if not name:
            return dict(metrics)
        primary = self.primary_metric
        # A name may be what the key begins with, such as "cosine": then only the keys tell whether it was put there.
        if primary is not None and (primary in metrics or not primary.startswith(f"{name}_")):
            self.primary_metric = f"{name}_{self.primary_metric}"
        return {f"{name}_{key}": float(value) for key, value in metrics.items()}

    def store_metrics_in_model_card_data(
        self, model: Any, metrics: Any, epoch: int = 0, step: int = 0
    ) -> None:
        """Give the metrics to the model's card, if it keeps them; custom evaluators of old code call it.

        The trainer keeps the metrics for the card by itself.
        """
        keep = getattr(getattr(model, "model_card_data", None), "set_evaluation_metrics", None)
        if keep is not None:
            keep(self, metrics, epoch, step)

    def get_config_dict(self) -> dict[str, Any]:
        """The settings that the model card shows beside the metrics; those that are not set are left out."""
        return {}


class VectorEvaluator(SentenceEvaluator):
    """Base of the evaluators that encode texts."""

    def _set_up(
        self,
        file: str,
        name: str,
        batch_size: int | None,
        show_progress_bar: bool | None,
        write_csv: bool,
        truncate_dim: int | None,
        end: str = "results.csv",
    ) -> None:
        """Keep what all of them take; the CSV file is ``{file}_{name}_{end}``."""
        check_positive(batch_size, "batch_size")
        check_positive(truncate_dim, "truncate_dim")
        self.name = name
        self.batch_size = batch_size
        self.show_progress_bar = show_progress_bar
        self.write_csv = write_csv
        self.truncate_dim = truncate_dim
        self.csv_file = file_name(file, name, end)

    def get_config_dict(self) -> dict[str, Any]:
        return set_only(truncate_dim=self.truncate_dim)

    def embed_inputs(
        self, model: Any, sentences: Sequence[str], encode_fn_name: str | None = None, **kwargs: Any
    ) -> Any:
        """Encode texts; a subclass that encodes in its own way overrides this.

        Args:
            model: the model that is evaluated.
            sentences: n texts.
            encode_fn_name: "query" and "document" take the model's method for these, if it has one; None ``encode``.
            kwargs: further arguments of that method; those that are None are left out.

        Returns:
            (n, dim) vectors.
        """
        encode = getattr(model, f"encode_{encode_fn_name}", model.encode) if encode_fn_name else model.encode
        options = {
            "batch_size": self.batch_size,
            "truncate_dim": self.truncate_dim,
            "show_progress_bar": self.show_progress_bar,
            **kwargs,
        }
        # None means something for a bar only: shown after some seconds.
        given = {key: each for key, each in options.items() if each is not None or key == "show_progress_bar"}
        return encode(sentences, **given)

    def _embed(self, model: Any, *columns: Sequence[str], **options: Any) -> list[NDArray[Any]]:
        """One ``(n, dim)`` array per column, each different text encoded once; ``options`` for ``embed_inputs``."""
        given = {key: value for key, value in options.items() if value is not None}
        if len(columns) == 1 and len(set(columns[0])) == len(columns[0]):
            return [as_array(self.embed_inputs(model, list(columns[0]), **given))]
        different = list(dict.fromkeys(_every(columns)))
        vectors = as_array(self.embed_inputs(model, different, **given))
        place = {text: number for number, text in enumerate(different)}
        return [vectors[[place[text] for text in column]] for column in columns]


def set_only(**given: Any) -> dict[str, Any]:
    """What is set of some settings."""
    return {name: value for name, value in given.items() if value is not None}


def predict_pairs(
    model: Any,
    pairs: Sequence[tuple[str, str]],
    batch_size: int | None,
    show_progress_bar: bool | None,
    prompt_name: str | None = None,
) -> NDArray[Any]:
    """Scores of a cross-encoder: (n,) or, of several labels, (n, labels).

    Raises:
        InputError: a score is NaN.
    """
    options = {"batch_size": batch_size, "prompt_name": prompt_name}
    given = {key: value for key, value in options.items() if value is not None}
    scores = as_array(model.predict(list(pairs), show_progress_bar=show_progress_bar, **given))
    check_scores(scores, "predict()")
    return scores[:, 0] if scores.ndim == 2 and scores.shape[1] == 1 else scores


def model_similarity(model: Any) -> str:
    """Name of the model's own similarity; cosine for a model that names none."""
    found = getattr(model, "similarity_fn_name", None)
    return "cosine" if found is None else str(getattr(found, "value", found))


def file_name(stem: str, name: str, end: str = "results.csv") -> str:
    """``stem_name_results.csv``, without the name if it is empty."""
    return "_".join(part for part in (stem, str(name or "").replace("/", "_"), end) if part)


def _every(columns: Iterable[Iterable[str]]) -> Iterable[str]:
    return chain.from_iterable(columns)


def mean(values: Any) -> float:
    """The mean as a Python number."""
    return float(np.mean(values))
