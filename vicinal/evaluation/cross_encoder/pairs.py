"""What the evaluators of labelled pairs share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from numpy.typing import NDArray

from vicinal.core.inputs import check_positive
from vicinal.evaluation.base import SentenceEvaluator, file_name, predict_pairs
from vicinal.evaluation.checks import check_examples, pair_column
from vicinal.readers.input_example import InputExample

Self = TypeVar("Self", bound="PairEvaluator")


class PairEvaluator(SentenceEvaluator):
    """Base of evaluators that predict pairs; a subclass's first two arguments are the pairs and what is known."""

    _file: ClassVar[str]

    def _set_up(
        self,
        sentence_pairs: Sequence[Sequence[str]],
        name: str,
        prompt_name: str | None,
        batch_size: int | None,
        show_progress_bar: bool | None,
        write_csv: bool,
    ) -> None:
        check_positive(batch_size, "batch_size")
        self.sentence_pairs = pair_column(sentence_pairs, "sentence_pairs")
        self.name = name
        self.prompt_name = prompt_name
        self.batch_size = batch_size
        self.show_progress_bar = show_progress_bar
        self.write_csv = write_csv
        self.csv_file = file_name(self._file, name)

    @classmethod
    def from_input_examples(cls: type[Self], examples: Sequence[InputExample], **keywords: Any) -> Self:
        """From pairs with what is known of them as their label; ``keywords`` are the class's other arguments."""
        check_examples(examples, 2)
        made: Any = cls
        found: Self = made(
            [example.texts for example in examples], [example.label for example in examples], **keywords
        )
        return found

    def _predicted(self, model: Any) -> NDArray[Any]:
        return predict_pairs(
            model, self.sentence_pairs, self.batch_size, self.show_progress_bar, self.prompt_name
        )
