"""How far is a student from its teacher?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.arrays import check_same_width
from vicinal.core.inputs import explains_keywords
from vicinal.evaluation.base import Measured
from vicinal.evaluation.checks import check_teacher
from vicinal.evaluation.translation import TranslatedTextsEvaluator


class MSEEvaluator(TranslatedTextsEvaluator):
    """Mean squared error between the teacher's vectors of source texts and the model's of target texts.

    The metric is ``negative_mse``: -100 times the mean over texts and dimensions, so that larger is better.

    Args:
        source_sentences: n texts for the teacher, e.g. in English.
        target_sentences: n texts for the model: the same ones, or translations.
        teacher_model: encodes the sources, once, at the first call.
        show_progress_bar: while encoding.
        batch_size: texts per batch; None leaves it to the model.
        name: stands before the metric's name and in the file's.
        write_csv: append to ``mse_evaluation_{name}_results.csv`` where ``output_path`` is given.
        truncate_dim: evaluate this many first dimensions of the vectors.

    Raises:
        InputError: columns of different lengths or empty ones; when called, vectors of different lengths.
        InputTypeError: something that is not a text, or not a teacher.

    Reference: Reimers and Gurevych, Making Monolingual Sentence Embeddings Multilingual using Knowledge
    Distillation, 2020.
    """

    primary_metric = "negative_mse"
    csv_headers = ("epoch", "steps", "MSE")

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
        check_teacher(teacher_model)
        self._set_up("mse_evaluation", name, batch_size, show_progress_bar, write_csv, truncate_dim)
        self._set_texts(source_sentences, target_sentences)
        self.teacher_model = teacher_model
        self._wanted: NDArray[Any] | None = None

    @property
    def description(self) -> str:
        return "Knowledge Distillation"

    @property
    def source_embeddings(self) -> NDArray[Any]:
        """(n, dim) what the teacher gives; encoded when it is first needed."""
        if self._wanted is None:
            (self._wanted,) = self._embed(self.teacher_model, self.source_sentences)
        return self._wanted

    def _measure(self, model: Any) -> Measured:
        wanted = self.source_embeddings
        (found,) = self._embed(model, self.target_sentences)
        check_same_width(wanted, found, "the teacher's vectors", "the model's vectors")
        error = 100 * float(np.square(wanted.astype(np.float64) - found).mean())
        return Measured({"negative_mse": -error}, "negative_mse", {"MSE": error})
