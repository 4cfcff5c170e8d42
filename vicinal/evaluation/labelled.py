"""What the evaluators of two columns of texts with labels share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from vicinal.evaluation.base import VectorEvaluator
from vicinal.evaluation.checks import check_examples, text_column
from vicinal.readers.input_example import InputExample

Self = TypeVar("Self", bound="LabelledTextsEvaluator")


class LabelledTextsEvaluator(VectorEvaluator):
    """Base of evaluators whose first three arguments are the two texts of each pair and its label."""

    def _set_texts(self, sentences1: Sequence[str], sentences2: Sequence[str]) -> None:
        self.sentences1 = text_column(sentences1, "sentences1")
        self.sentences2 = text_column(sentences2, "sentences2")

    @classmethod
    def from_input_examples(cls: type[Self], examples: Sequence[InputExample], **keywords: Any) -> Self:
        """From pairs with their labels; ``keywords`` are the other arguments of the class.

        Raises:
            InputError: an example does not have two texts (its position is named).
        """
        check_examples(examples, 2)
        made: Any = cls
        found: Self = made(
            [example.texts[0] for example in examples],
            [example.texts[1] for example in examples],
            [example.label for example in examples],
            **keywords,
        )
        return found
