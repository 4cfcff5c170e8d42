"""Do a cross-encoder's scores follow those that people gave?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vicinal.core.inputs import explains_keywords
from vicinal.errors import InputError
from vicinal.evaluation.base import Measured
from vicinal.evaluation.checks import check_lengths, number_column
from vicinal.evaluation.cross_encoder.pairs import PairEvaluator
from vicinal.evaluation.metrics import pearson, spearman


class CrossEncoderCorrelationEvaluator(PairEvaluator):
    """Correlation of predicted scores of pairs with gold scores.

    The metrics are ``pearson`` and ``spearman``, the primary one.

    Args:
        sentence_pairs: n pairs of texts.
        scores: n numbers of any scale.
        name: stands before the metrics' names and in the file's.
        prompt_name: given to ``predict`` if not None.
        batch_size: pairs per batch; None leaves it to the model.
        show_progress_bar: while predicting; None shows one after two seconds of work in a terminal.
        write_csv: append to ``CrossEncoderCorrelationEvaluator_{name}_results.csv`` where ``output_path`` is
            given.

    Raises:
        InputError: columns of different lengths or empty ones; when called, a model with several labels.
        InputTypeError: something that is not a pair of texts or not a number (its position is named).
    """

    primary_metric = "spearman"
    csv_headers = ("epoch", "steps", "Pearson_Correlation", "Spearman_Correlation")
    _file = "CrossEncoderCorrelationEvaluator"

    @explains_keywords
    def __init__(
        self,
        sentence_pairs: Sequence[Sequence[str]],
        scores: Sequence[float],
        name: str = "",
        prompt_name: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        write_csv: bool = True,
    ) -> None:
        self._set_up(sentence_pairs, name, prompt_name, batch_size, show_progress_bar, write_csv)
        self.scores = number_column(scores, "scores")
        check_lengths(sentence_pairs=self.sentence_pairs, scores=self.scores)

    def _measure(self, model: Any) -> Measured:
        found = self._predicted(model)
        if found.ndim != 1:
            raise InputError(
                f"the model gives {found.shape[1]} scores per pair, and a correlation needs one: use "
                "CrossEncoderClassificationEvaluator"
            )
        metrics = {"pearson": pearson(self.scores, found), "spearman": spearman(self.scores, found)}
        row = {"Pearson_Correlation": metrics["pearson"], "Spearman_Correlation": metrics["spearman"]}
        return Measured(metrics, "spearman", row)
