"""Does a cross-encoder put pairs into the right class?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vicinal.core.inputs import explains_keywords
from vicinal.errors import InputError
from vicinal.evaluation.base import Measured
from vicinal.evaluation.checks import binary_column, check_lengths, class_column
from vicinal.evaluation.cross_encoder.pairs import PairEvaluator
from vicinal.evaluation.metrics import average_precision, f1_of_classes, threshold_metrics


class CrossEncoderClassificationEvaluator(PairEvaluator):
    """Classes of pairs, of two or of more.

    A model with one score per pair is judged on labels 0 and 1: ``accuracy`` and ``accuracy_threshold`` of the
    most accurate threshold, ``f1``, ``f1_threshold``, ``precision`` and ``recall`` of the one with the highest
    F1, and ``average_precision``, the primary metric. A model with several scores per pair chooses the class of
    the highest: ``f1_macro`` (the primary metric), ``f1_micro`` (which is the accuracy) and ``f1_weighted``.

    Args:
        sentence_pairs: n pairs of texts.
        labels: n class numbers from 0.
        name: stands before the metrics' names and in the file's.
        prompt_name: given to ``predict`` if not None.
        batch_size: pairs per batch; None leaves it to the model.
        show_progress_bar: while predicting; None shows one after two seconds of work in a terminal.
        write_csv: append to ``CrossEncoderClassificationEvaluator_{name}_results.csv`` where ``output_path``
            is given.

    Raises:
        InputError: columns of different lengths or empty ones; when called, a label that the model does not
            know.
        InputTypeError: something that is not a pair of texts or not a number (its position is named).
    """

    _file = "CrossEncoderClassificationEvaluator"

    @explains_keywords
    def __init__(
        self,
        sentence_pairs: Sequence[Sequence[str]],
        labels: Sequence[int],
        name: str = "",
        prompt_name: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        write_csv: bool = True,
    ) -> None:
        self._set_up(sentence_pairs, name, prompt_name, batch_size, show_progress_bar, write_csv)
        self.labels = class_column(labels, "labels")
        check_lengths(sentence_pairs=self.sentence_pairs, labels=self.labels)

    def _measure(self, model: Any) -> Measured:
        scores = self._predicted(model)
        return self._two(scores) if scores.ndim == 1 else self._several(scores)

    def _two(self, scores: Any) -> Measured:
        labels = binary_column(self.labels, "labels")
        metrics = {
            **threshold_metrics(scores, labels),
            "average_precision": average_precision(labels, scores),
        }
        return Measured(metrics, "average_precision", {key.title(): value for key, value in metrics.items()})

    def _several(self, scores: Any) -> Measured:
        count = scores.shape[1]
        if self.labels.max() >= count:
            where = int(self.labels.argmax())
            raise InputError(f"labels[{where}] is {self.labels[where]}, but the model knows 0 to {count - 1}")
        found = f1_of_classes(self.labels, scores.argmax(axis=1))
        metrics = {f"f1_{kind}": value for kind, value in found.items()}
        row = {f"{kind.title()}_F1": value for kind, value in found.items()}
        return Measured(metrics, "f1_macro", row)
