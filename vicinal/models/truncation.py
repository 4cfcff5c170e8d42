"""Texts that are longer than the model reads are counted, and what was cut is said once per call."""

from __future__ import annotations

import warnings
from typing import Literal

from vicinal.core.inputs import caller_level
from vicinal.errors import TruncationError, TruncationWarning
from vicinal.tokens.text import Ragged

OnTruncate = Literal["warn", "error", "ignore"]
ON_TRUNCATE = ("warn", "error", "ignore")


class Truncations:
    """Counts what truncation took during one call, and says it once."""

    def __init__(self, mode: str, limit: int, argument: str = "sentences") -> None:
        self.argument = argument
        self.mode, self.limit = mode, limit
        self.count, self.texts, self.longest, self.first = 0, 0, 0, 0

    def add(self, ragged: Ragged, offset: int) -> None:
        places = ragged.truncated
        self.texts += len(ragged)
        if self.mode == "ignore" or not len(places):
            return
        longest = int(ragged.full_lengths[places].max())
        if self.mode == "error":
            found = int(ragged.full_lengths[places[0]])
            raise TruncationError(
                f"{self.argument}[{offset + int(places[0])}] has {found} tokens, the model reads "
                f"{self.limit}; split the text, raise model.max_seq_length, or set on_truncate='ignore'"
            )
        if not self.count:
            self.first = offset + int(places[0])
        self.count += len(places)
        self.longest = max(self.longest, longest)

    def report(self) -> None:
        if self.count:
            message = (
                f"{self.count} of {self.texts} texts were cut to {self.limit} tokens (the longest had "
                f"{self.longest}; the first is text {self.first}). Split long texts, or set on_truncate='ignore'"
            )
            warnings.warn(
                TruncationWarning(message, self.count, self.limit, self.longest, self.first),
                stacklevel=caller_level(),
            )
