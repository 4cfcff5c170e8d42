"""Tokenizers of transformers that are written in Python, for classes that have no other."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.tokens.guard import check_lengths, guarded
from vicinal.tokens.special import Template
from vicinal.tokens.text import TextTokenizer


class SlowTokenizer(TextTokenizer):
    """A tokenizer of transformers without a ``tokenizers.Tokenizer`` inside, such as BertJapaneseTokenizer.

    Args:
        slow: it; copied.
        lower: lower texts first.
        options: further arguments of :class:`TextTokenizer`.
    """

    def __init__(self, slow: Any, *, lower: bool = False, **options: Any) -> None:
        self.slow = copy.deepcopy(slow)
        self.lower = lower
        super().__init__(None, **options)

    def _learn(self, special_tokens: bool) -> tuple[Template, Template]:
        if not special_tokens:
            return Template.bare(1), Template.bare(2)
        return self._template("a"), self._template("a", "a")

    def _template(self, *texts: str) -> Template:
        """Learn from an example which special tokens stand where; the texts' own tokens are known."""
        found = self.slow(*texts, return_token_type_ids=True, verbose=False)
        ids, kinds = list(found["input_ids"]), list(found["token_type_ids"])
        parts: list[tuple[int, ...]] = []
        types: list[tuple[int, ...]] = []
        contents: list[int] = []
        place = 0
        for text in texts:
            (own,) = self.split([text])
            start = next(at for at in range(place, len(ids)) if ids[at : at + len(own)] == own)
            parts.append(tuple(ids[place:start]))
            types.append(tuple(kinds[place:start]))
            contents.append(kinds[start])
            place = start + len(own)
        return Template((*parts, tuple(ids[place:])), (*types, tuple(kinds[place:])), tuple(contents))

    @staticmethod
    def _keep(
        first: NDArray[np.int64], second: NDArray[np.int64], room: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """As :func:`longest_first`; but of an odd room the first text keeps the extra token."""
        half = room // 2
        fits = first + second <= room
        keep_first = np.minimum(first, np.maximum(room - second, room - half))
        keep_second = np.minimum(second, room - keep_first)
        return np.where(fits, first, keep_first), np.where(fits, second, keep_second)

    def split(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text alone, without special tokens."""
        check_lengths(texts)
        with guarded(self.name, "cannot split these texts"):
            return [
                list(
                    self.slow(text.lower() if self.lower else text, add_special_tokens=False, verbose=False)[
                        "input_ids"
                    ]
                )
                for text in texts
            ]

    @property
    def given(self) -> Any:
        """A copy of the tokenizer, to look at and to change."""
        return copy.deepcopy(self.slow)

    @property
    def unknown_token_id(self) -> int | None:
        """The id of the unknown token; None where there is none."""
        found: int | None = self.slow.unk_token_id
        return found

    @property
    def vocabulary_size(self) -> int:
        """Tokens in all."""
        return len(self.slow)

    def token(self, number: int) -> str | None:
        """The token of an id."""
        found: str | None = self.slow.convert_ids_to_tokens(number)
        return found
