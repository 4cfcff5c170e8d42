"""Do vectors' similarities follow the scores that people gave?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vicinal.core.inputs import check_choice, explains_keywords
from vicinal.evaluation.base import Measured, model_similarity, set_only
from vicinal.evaluation.checks import (
    check_lengths,
    number_column,
    similarity_names,
)
from vicinal.evaluation.labelled import LabelledTextsEvaluator
from vicinal.evaluation.metrics import pearson, spearman
from vicinal.vectors.similarity import SimilarityFunction, as_similarity, pairwise_function

Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]


class EmbeddingSimilarityEvaluator(LabelledTextsEvaluator):
    """Correlation of the similarity of pairs with gold scores (semantic textual similarity).

    The metrics are ``pearson_cosine`` and ``spearman_cosine``, and the same of every other similarity that is
    asked for; of several also the largest of each, ``pearson_max`` and ``spearman_max``. The primary one is
    Spearman's, of ``main_similarity`` if that is given, else the largest.

    Args:
        sentences1: n texts.
        sentences2: n texts, the other halves of the pairs.
        scores: n numbers of any scale; a larger one means more similar.
        batch_size: texts per batch; None leaves it to the model.
        main_similarity: which similarity's Spearman is the primary metric.
        similarity_fn_names: the similarities to compute: "cosine", "dot", "euclidean", "manhattan"; None is
            ``main_similarity``, or the model's own.
        name: stands before the metrics' names and in the file's.
        show_progress_bar: while encoding.
        write_csv: append to ``similarity_evaluation_{name}_results.csv`` where ``output_path`` is given.
        precision: quantised vectors to evaluate, as in ``encode``; binary ones are compared bit by bit.
        truncate_dim: evaluate this many first dimensions of the vectors.

    Raises:
        InputError: columns of different lengths or empty ones, an unknown name.
        InputTypeError: something that is not a text or not a number (its position is named).

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
        end = "_".join(filter(None, (precision, "results.csv")))
        self._set_up(
            "similarity_evaluation", name, batch_size, show_progress_bar, write_csv, truncate_dim, end
        )
        self._set_texts(sentences1, sentences2)
        self.scores = number_column(scores, "scores")
        check_lengths(sentences1=self.sentences1, sentences2=self.sentences2, scores=self.scores)
        self.main_similarity = None if main_similarity is None else as_similarity(main_similarity).value
        self.similarity_fn_names = similarity_names(similarity_fn_names, main_similarity)
        self.precision = precision

    @property
    def description(self) -> str:
        return "Semantic Similarity"

    def get_config_dict(self) -> dict[str, Any]:
        return {**super().get_config_dict(), **set_only(precision=self.precision)}

    def _measure(self, model: Any) -> Measured:
        options = set_only(precision=self.precision, normalize_embeddings=True if self.precision else None)
        embedded = self._embed(model, self.sentences1, self.sentences2, **options)
        first, second = map(self._unpacked, embedded)
        names = self.similarity_fn_names or [model_similarity(model)]
        metrics, row = {}, {}
        for each in names:
            found = pairwise_function(each)(first, second)
            for figure, value in (
                ("pearson", pearson(self.scores, found)),
                ("spearman", spearman(self.scores, found)),
            ):
                metrics[f"{figure}_{each}"] = row[f"{each}_{figure}"] = value
        if len(names) > 1:
            for figure in ("pearson", "spearman"):
                metrics[f"{figure}_max"] = max(metrics[f"{figure}_{each}"] for each in names)
        main = self.main_similarity or ("max" if len(names) > 1 else names[0])
        return Measured(metrics, f"spearman_{main}", row)

    def _unpacked(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """One number per bit, of vectors that are packed bits."""
        if self.precision == "binary":  # signed: 128 less than the packed bits
            vectors = (vectors.astype(np.int16) + 128).astype(np.uint8)
        if self.precision in ("binary", "ubinary"):
            return np.unpackbits(vectors.astype(np.uint8), axis=1).astype(np.float32)
        return vectors
