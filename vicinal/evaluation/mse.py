"""How far is a student from its teacher?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.arrays import check_same_width
from vicinal.core.inputs import check_positive, explains_keywords
from vicinal.errors import InputTypeError
from vicinal.evaluation.base import SentenceEvaluator, embed_columns, file_name
from vicinal.evaluation.checks import check_lengths, text_column


class MSEEvaluator(SentenceEvaluator):
    """Mean squared error between the teacher's vectors of source texts and the model's of target texts.

    The figure is ``negative_mse``: -100 times the mean over texts and dimensions, so that larger is better.

    Args:
        source_sentences: n texts for the teacher, e.g. in English.
        target_sentences: n texts for the model: the same ones, or translations.
        teacher_model: encodes the sources, once, at the first call.
        show_progress_bar: while encoding.
        batch_size: texts a batch; None leaves it to the model.
        name: stands before the figure's name and in the file's.
        write_csv: append to ``mse_evaluation_{name}_results.csv`` where ``output_path`` is given.
        truncate_dim: evaluate this many first dimensions of the vectors.

    Raises:
        InputError: columns of different lengths or empty ones; when called, vectors of different lengths.
        InputTypeError: something that is no text, or no teacher.

    Reference: Reimers and Gurevych, Making Monolingual Sentence Embeddings Multilingual using Knowledge
    Distillation, 2020.
    """

    @explains_keywords
    def __init__(
        self,
        source_sentences: Sequence[str],
        target_sentences: Sequence[str],
        teacher_model: Any = None,
        show_progress_bar: bool | None = False,
        batch_size: int | None = None,
        name: str = "",
        write_csv: bool = True,
        truncate_dim: int | None = None,
    ) -> None:
        if not hasattr(teacher_model, "encode"):
            raise InputTypeError(
                f"teacher_model is {type(teacher_model).__name__}: give a model with encode()"
            )
        check_positive(batch_size, "batch_size")
        check_positive(truncate_dim, "truncate_dim")
        self.source_sentences = text_column(source_sentences, "source_sentences")
        self.target_sentences = text_column(target_sentences, "target_sentences")
        check_lengths(source_sentences=self.source_sentences, target_sentences=self.target_sentences)
        self.teacher_model = teacher_model
        self.show_progress_bar = show_progress_bar
        self.batch_size = batch_size
        self.name = name
        self.write_csv = write_csv
        self.truncate_dim = truncate_dim
        self.csv_file = file_name("mse_evaluation", name)
        self._wanted: NDArray[Any] | None = None

    @property
    def description(self) -> str:
        return "Knowledge Distillation"

    def __call__(
        self,
        model: Any,
        output_path: str | os.PathLike[str] | None = None,
        epoch: int = -1,
        steps: int = -1,
    ) -> dict[str, float]:
        if self._wanted is None:
            self._wanted = self._embed(self.teacher_model, self.source_sentences)
        found = self._embed(model, self.target_sentences)
        check_same_width(self._wanted, found, "the teacher's vectors", "the model's vectors")
        error = 100 * float(np.square(self._wanted.astype(np.float64) - found).mean())
        return self._report(
            {"negative_mse": -error}, "negative_mse", {"MSE": error}, (output_path, epoch, steps)
        )

    def _embed(self, model: Any, texts: list[str]) -> NDArray[Any]:
        (vectors,) = embed_columns(
            model.encode, [texts], self.batch_size, self.show_progress_bar, truncate_dim=self.truncate_dim
        )
        return vectors
