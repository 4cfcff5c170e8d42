"""Does a threshold on the similarity tell pairs that belong together from others?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from vicinal.core.inputs import check_positive, explains_keywords
from vicinal.evaluation.base import SentenceEvaluator, embed_columns, file_name, model_similarity
from vicinal.evaluation.checks import (
    binary_column,
    check_examples,
    check_lengths,
    similarity_names,
    text_column,
)
from vicinal.evaluation.metrics import average_precision, best_accuracy, best_f1, matthews
from vicinal.readers.input_example import InputExample
from vicinal.vectors.similarity import SimilarityFunction

_DISTANCES = ("euclidean", "manhattan")
_COLUMNS = ("accuracy", "accuracy_threshold", "f1", "precision", "recall", "f1_threshold", "ap", "mcc")


class BinaryClassificationEvaluator(SentenceEvaluator):
    """Pairs that belong together (label 1) or do not (0), told apart by their similarity.

    The figures, each of each similarity, e.g. ``cosine_accuracy``: ``accuracy`` and ``accuracy_threshold`` of
    the most accurate threshold; ``f1``, ``precision``, ``recall``, ``f1_threshold`` and ``mcc`` (Matthews'
    correlation) of the one with the highest F1; ``ap``, the average precision over all thresholds. Of several
    similarities there is also the largest of each, ``max_accuracy``, ... The primary figure is ``ap``. The
    thresholds of "euclidean" and "manhattan" are distances: pairs no farther apart are positive.

    Args:
        sentences1: n texts.
        sentences2: n texts, the other halves of the pairs.
        labels: n of 0 and 1.
        name: stands before the figures' names and in the file's.
        batch_size: texts a batch; None leaves it to the model.
        show_progress_bar: while encoding.
        write_csv: append to ``binary_classification_evaluation_{name}_results.csv`` where ``output_path`` is
            given.
        truncate_dim: evaluate this many first dimensions of the vectors.
        similarity_fn_names: the similarities to compute: "cosine", "dot", "euclidean", "manhattan"; None is
            the model's own.

    Raises:
        InputError: columns of different lengths or empty ones, a label that is not 0 or 1.
        InputTypeError: something that is no text (its position is named).
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
        check_positive(batch_size, "batch_size")
        check_positive(truncate_dim, "truncate_dim")
        self.sentences1 = text_column(sentences1, "sentences1")
        self.sentences2 = text_column(sentences2, "sentences2")
        self.labels = binary_column(labels, "labels")
        check_lengths(sentences1=self.sentences1, sentences2=self.sentences2, labels=self.labels)
        self.similarity_fn_names = similarity_names(similarity_fn_names, None)
        self.name = name
        self.batch_size = batch_size
        self.show_progress_bar = show_progress_bar
        self.write_csv = write_csv
        self.truncate_dim = truncate_dim
        self.csv_file = file_name("binary_classification_evaluation", name)

    @classmethod
    def from_input_examples(
        cls, examples: Sequence[InputExample], **keywords: Any
    ) -> BinaryClassificationEvaluator:
        """From pairs with label 0 or 1; ``keywords`` are the other arguments of the class."""
        check_examples(examples, 2)
        return cls(
            [example.texts[0] for example in examples],
            [example.texts[1] for example in examples],
            [example.label for example in examples],  # type: ignore[misc]
            **keywords,
        )

    def __call__(
        self,
        model: Any,
        output_path: str | os.PathLike[str] | None = None,
        epoch: int = -1,
        steps: int = -1,
    ) -> dict[str, float]:
        first, second = embed_columns(
            model.encode,
            (self.sentences1, self.sentences2),
            self.batch_size,
            self.show_progress_bar,
            truncate_dim=self.truncate_dim,
        )
        names = self.similarity_fn_names or [model_similarity(model)]
        metrics, row = {}, {}
        for each in names:
            found = SimilarityFunction.to_similarity_pairwise_fn(each)(first, second)
            figures = self._figures(found, each in _DISTANCES)
            metrics.update({f"{each}_{key}": value for key, value in figures.items()})
            row.update({f"{each}_{key}": figures[key] for key in _COLUMNS})
        if len(names) > 1:
            for key in figures:
                metrics[f"max_{key}"] = max(metrics[f"{each}_{key}"] for each in names)
        main = "max" if len(names) > 1 else names[0]
        return self._report(metrics, f"{main}_ap", row, (output_path, epoch, steps))

    def _figures(self, similarities: Any, distance: bool) -> dict[str, float]:
        scores = -similarities if distance else similarities
        accuracy = best_accuracy(scores, self.labels, not distance)
        best = best_f1(scores, self.labels, not distance)
        positive = scores <= best.threshold if distance else scores >= best.threshold
        return {
            "accuracy": accuracy.accuracy,
            "accuracy_threshold": accuracy.threshold,
            "f1": best.f1,
            "f1_threshold": best.threshold,
            "precision": best.precision,
            "recall": best.recall,
            "ap": average_precision(self.labels, similarities),
            "mcc": matthews(self.labels, positive),
        }
