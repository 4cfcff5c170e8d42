"""Do vectors' similarities follow the scores that people gave?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vicinal.core.inputs import check_choice, check_positive, explains_keywords
from vicinal.evaluation.base import SentenceEvaluator, embed_columns, file_name, model_similarity
from vicinal.evaluation.checks import (
    check_examples,
    check_lengths,
    number_column,
    similarity_names,
    text_column,
)
from vicinal.evaluation.metrics import pearson, spearman
from vicinal.readers.input_example import InputExample
from vicinal.vectors.similarity import SimilarityFunction

Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]


class EmbeddingSimilarityEvaluator(SentenceEvaluator):
    """Correlation of the similarity of pairs with gold scores (semantic textual similarity).

    The figures are ``pearson_cosine`` and ``spearman_cosine``, and the same of every other similarity that is
    asked for; of several also the largest of each, ``pearson_max`` and ``spearman_max``. The primary one is
    Spearman's, of ``main_similarity`` if that is given, else the largest.

    Args:
        sentences1: n texts.
        sentences2: n texts, the other halves of the pairs.
        scores: n numbers of any scale; more means more alike.
        batch_size: texts a batch; None leaves it to the model.
        main_similarity: which similarity's Spearman is the primary figure.
        similarity_fn_names: the similarities to compute: "cosine", "dot", "euclidean", "manhattan"; None is
            ``main_similarity``, or the model's own.
        name: stands before the figures' names and in the file's.
        show_progress_bar: while encoding.
        write_csv: append to ``similarity_evaluation_{name}_results.csv`` where ``output_path`` is given.
        precision: quantised vectors to evaluate, as in ``encode``; binary ones are compared bit by bit.
        truncate_dim: evaluate this many first dimensions of the vectors.

    Raises:
        InputError: columns of different lengths or empty ones, an unknown name.
        InputTypeError: something that is no text or no number (its position is named).

    Reference: Cer et al., SemEval-2017 Task 1: Semantic Textual Similarity.
    """

    @explains_keywords
    def __init__(
        self,
        sentences1: Sequence[str],
        sentences2: Sequence[str],
        scores: Sequence[float],
        batch_size: int | None = None,
        main_similarity: str | SimilarityFunction | None = None,
        similarity_fn_names: Sequence[str | SimilarityFunction] | None = None,
        name: str = "",
        show_progress_bar: bool | None = False,
        write_csv: bool = True,
        precision: Precision | None = None,
        truncate_dim: int | None = None,
    ) -> None:
        if precision is not None:
            check_choice(precision, ("float32", "int8", "uint8", "binary", "ubinary"), "precision")
        check_positive(batch_size, "batch_size")
        check_positive(truncate_dim, "truncate_dim")
        self.sentences1 = text_column(sentences1, "sentences1")
        self.sentences2 = text_column(sentences2, "sentences2")
        self.scores = number_column(scores, "scores")
        check_lengths(sentences1=self.sentences1, sentences2=self.sentences2, scores=self.scores)
        self.main_similarity = None if main_similarity is None else SimilarityFunction(main_similarity).value
        self.similarity_fn_names = similarity_names(similarity_fn_names, main_similarity)
        self.batch_size = batch_size
        self.name = name
        self.show_progress_bar = show_progress_bar
        self.write_csv = write_csv
        self.precision = precision
        self.truncate_dim = truncate_dim
        self.csv_file = file_name("similarity_evaluation", "_".join(filter(None, (name, precision))))

    @classmethod
    def from_input_examples(
        cls, examples: Sequence[InputExample], **keywords: Any
    ) -> EmbeddingSimilarityEvaluator:
        """From pairs with a score as their label; ``keywords`` are the other arguments of the class."""
        check_examples(examples, 2)
        return cls(
            [example.texts[0] for example in examples],
            [example.texts[1] for example in examples],
            [example.label for example in examples],  # type: ignore[misc]
            **keywords,
        )

    @property
    def description(self) -> str:
        return "Semantic Similarity"

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
            precision=self.precision,
            truncate_dim=self.truncate_dim,
        )
        first, second = self._unpacked(first), self._unpacked(second)
        names = self.similarity_fn_names or [model_similarity(model)]
        metrics, row = {}, {}
        for each in names:
            found = SimilarityFunction.to_similarity_pairwise_fn(each)(first, second)
            for figure, value in (
                ("pearson", pearson(self.scores, found)),
                ("spearman", spearman(self.scores, found)),
            ):
                metrics[f"{figure}_{each}"] = row[f"{each}_{figure}"] = value
        if len(names) > 1:
            for figure in ("pearson", "spearman"):
                metrics[f"{figure}_max"] = max(metrics[f"{figure}_{each}"] for each in names)
        main = self.main_similarity or ("max" if len(names) > 1 else names[0])
        return self._report(metrics, f"spearman_{main}", row, (output_path, epoch, steps))

    def _unpacked(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """One number a bit, of vectors that are packed bits."""
        if self.precision == "binary":  # signed: 128 less than the packed bits
            vectors = (vectors.astype(np.int16) + 128).astype(np.uint8)
        if self.precision in ("binary", "ubinary"):
            return np.unpackbits(vectors.astype(np.uint8), axis=1).astype(np.float32)
        return vectors
