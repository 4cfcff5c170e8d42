"""Does a threshold on the similarity tell pairs that belong together from others?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from vicinal.core.inputs import explains_keywords
from vicinal.evaluation.base import Measured, model_similarity
from vicinal.evaluation.checks import (
    binary_column,
    check_lengths,
    similarity_names,
)
from vicinal.evaluation.labelled import LabelledTextsEvaluator
from vicinal.evaluation.metrics import average_precision, best_accuracy, best_f1, matthews, threshold_metrics
from vicinal.vectors.similarity import SimilarityFunction, pairwise_function

_DISTANCES = ("euclidean", "manhattan")
_COLUMNS = ("accuracy", "accuracy_threshold", "f1", "precision", "recall", "f1_threshold", "ap", "mcc")


class BinaryClassificationEvaluator(LabelledTextsEvaluator):
    """Pairs that belong together (label 1) or do not (0), told apart by their similarity.

    The metrics, each of each similarity, e.g. ``cosine_accuracy``: ``accuracy`` and ``accuracy_threshold`` of
    the most accurate threshold; ``f1``, ``precision``, ``recall``, ``f1_threshold`` and ``mcc`` (Matthews'
    correlation) of the one with the highest F1; ``ap``, the average precision over all thresholds. Of several
    similarities there is also the largest of each, ``max_accuracy``, ... The primary metric is ``ap``. The
    thresholds of "euclidean" and "manhattan" are distances: pairs no farther apart are positive.

    Args:
        sentences1: n texts.
        sentences2: n texts, the other halves of the pairs.
        labels: n of 0 and 1.
        name: stands before the metrics' names and in the file's.
        batch_size: texts per batch; None leaves it to the model.
        show_progress_bar: while encoding.
        write_csv: append to ``binary_classification_evaluation_{name}_results.csv`` where ``output_path`` is
            given.
        truncate_dim: evaluate this many first dimensions of the vectors.
        similarity_fn_names: the similarities to compute: "cosine", "dot", "euclidean", "manhattan"; None is
            the model's own.

    Raises:
        InputError: columns of different lengths or empty ones, a label that is not 0 or 1.
        InputTypeError: something that is not a text (its position is named).
    """

    @explains_keywords
    def __init__(
        self,
        sentences1: Sequence[str],
        sentences2: Sequence[str],
        labels: Sequence[int],
        name: str = "",
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
        write_csv: bool = True,
        truncate_dim: int | None = None,
        similarity_fn_names: Sequence[str | SimilarityFunction] | None = None,
    ) -> None:
        self._set_up(
            "binary_classification_evaluation", name, batch_size, show_progress_bar, write_csv, truncate_dim
        )
        self._set_texts(sentences1, sentences2)
        self.labels = binary_column(labels, "labels")
        check_lengths(sentences1=self.sentences1, sentences2=self.sentences2, labels=self.labels)
        self.similarity_fn_names = similarity_names(similarity_fn_names, None)

    def compute_metrics(self, model: Any) -> dict[str, dict[str, float]]:
        """The metrics by similarity and then by name."""
        first, second = self._embed(model, self.sentences1, self.sentences2)
        names = self.similarity_fn_names or [model_similarity(model)]
        found = {}
        for each in names:
            similarities = pairwise_function(each)(first, second)
            found[each] = self._figures(similarities, each in _DISTANCES)
        return found

    def compute_metrices(self, model: Any) -> dict[str, dict[str, float]]:
        """The old name of :meth:`compute_metrics`."""
        return self.compute_metrics(model)

    @staticmethod
    def find_best_acc_and_threshold(
        scores: ArrayLike, labels: ArrayLike, high_score_more_similar: bool
    ) -> tuple[float, float]:
        """The most accurate threshold.

        Args:
            scores: (n,) similarities, or distances.
            labels: (n,) of 0 and 1.
            high_score_more_similar: False for distances.

        Returns:
            Accuracy and threshold.
        """
        found = best_accuracy(scores, labels, high_score_more_similar)
        return found.accuracy, found.threshold

    @staticmethod
    def find_best_f1_and_threshold(
        scores: ArrayLike, labels: ArrayLike, high_score_more_similar: bool
    ) -> tuple[float, float, float, float]:
        """The threshold of the highest F1; arguments as in :meth:`find_best_acc_and_threshold`.

        Returns:
            F1, precision, recall and threshold.
        """
        found = best_f1(scores, labels, high_score_more_similar)
        return found.f1, found.precision, found.recall, found.threshold

    def _measure(self, model: Any) -> Measured:
        by_name = self.compute_metrics(model)
        names = list(by_name)
        metrics, row = {}, {}
        for each, figures in by_name.items():
            metrics.update({f"{each}_{key}": value for key, value in figures.items()})
            row.update({f"{each}_{key}": figures[key] for key in _COLUMNS})
        if len(names) > 1:
            for key in figures:
                metrics[f"max_{key}"] = max(metrics[f"{each}_{key}"] for each in names)
        main = "max" if len(names) > 1 else names[0]
        return Measured(metrics, f"{main}_ap", row)

    def _figures(self, similarities: Any, distance: bool) -> dict[str, float]:
        scores = -similarities if distance else similarities
        found = threshold_metrics(scores, self.labels, not distance)
        threshold = found["f1_threshold"]
        positive = scores <= threshold if distance else scores >= threshold
        return {
            **found,
            "ap": average_precision(self.labels, similarities),
            "mcc": matthews(self.labels, positive),
        }
