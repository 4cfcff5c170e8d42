"""One example of training or evaluation data, as old code writes it."""

from __future__ import annotations

from collections.abc import Sequence

from vicinal.core.inputs import as_texts, explains_keywords
from vicinal.errors import InputTypeError

Label = int | float | Sequence[float]


class InputExample:
    """Texts that belong together, and what is known of them.

    Args:
        guid: a name of the example; nothing reads it.
        texts: the texts: two for a pair, three for anchor, positive and negative.
        label: the class, the similarity, or the vector to reach.

    Raises:
        InputTypeError: ``texts`` is one string or holds something else than strings, or the label is a text.
    """

    @explains_keywords
    def __init__(self, guid: str = "", texts: Sequence[str] | None = None, label: Label = 0) -> None:
        if isinstance(texts, str):
            raise InputTypeError(
                f"texts is one string, {texts[:40]!r}: give a list of strings, [{texts[:40]!r}]"
            )
        if label is None or isinstance(label, (str, bytes)):
            raise InputTypeError(
                f"label={label!r} is {type(label).__name__}, not a number or a list of numbers: convert it, "
                "e.g. float(label)"
            )
        self.guid = guid
        self.texts: list[str] = [] if texts is None else list(as_texts(texts, "texts")[0])
        self.label = label

    def __repr__(self) -> str:
        guid = f"guid={self.guid!r}, " if self.guid else ""
        return f"InputExample({guid}texts={self.texts!r}, label={self.label!r})"

    def __str__(self) -> str:
        return f"<InputExample> label: {self.label}, texts: {'; '.join(self.texts)}"
