"""The tokenizer of a static model: no special tokens, and by default no longest text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vicinal.errors import ModelFormatError
from vicinal.folder.json_files import read_json
from vicinal.folder.specs import UNLIMITED, StaticEmbeddingSpec
from vicinal.tokens.guard import check_growth, guarded
from vicinal.tokens.text import Ragged, TextTokenizer
from vicinal.tokens.words import WordMemory

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Texts handled at a time; the lists of words are what is held.
_CHUNK = 2048


class StaticTokenizer(TextTokenizer):
    """Splits texts for a static model, and marks those that are made of unknown tokens alone.

    Args:
        backend: the ``tokenizers.Tokenizer``.
        max_length: tokens of a text that count.
        unknown_id: a token that is left out, or None.
        name: where it comes from, for messages.
    """

    def __init__(
        self,
        backend: Tokenizer,
        *,
        max_length: int = UNLIMITED,
        unknown_id: int | None = None,
        name: str = "this model",
    ) -> None:
        super().__init__(backend, max_length=max_length, special_tokens=False, name=name)
        self.unknown_id = unknown_id
        self._unknown = unknown_id if unknown_id is not None else unknown_id_of(backend)
        self._words = WordMemory.of(backend)

    def __call__(self, texts: Sequence[str]) -> Ragged:
        """Split texts and cut them to ``max_length``."""
        ids, counts = self._flat(texts)
        full = counts
        if len(counts) and int(counts.max()) > self.max_length:
            counts = np.minimum(counts, np.int32(self.max_length))
            places = np.arange(len(ids)) - np.repeat(np.cumsum(full) - full, full)
            ids = ids[places < self.max_length]
        known = None if self._unknown is None else ids != self._unknown
        alone = None
        if known is not None and not known.all():
            owners = np.repeat(np.arange(len(counts)), counts)
            kept = np.bincount(owners[known], minlength=len(counts)).astype(np.int32)
            alone = (kept == 0) & (counts > 0)
            if self.unknown_id is not None:
                # What is left out was not cut off: only max_length does that.
                ids, full, counts = ids[known], full - (counts - kept), kept
        starts = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=starts[1:])
        return Ragged(ids, starts, full, unknown=alone if alone is not None and alone.any() else None)

    def only_unknown(self, ragged: Ragged, prompt: str = "") -> NDArray[np.bool_] | None:
        """As for every tokenizer; without a prompt it was found out when the texts were split."""
        if self._unknown is not None and not prompt:
            return ragged.unknown
        return super().only_unknown(ragged, prompt)

    def count(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """``(n,)`` int32: tokens of each text before truncation."""
        return self._flat(texts)[1]

    def _flat(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """All ids in one row, and the number of ids of each text."""
        if self._notice_fork():  # a lock may have been held when this process was forked off
            self._words = WordMemory.of(self.backend)
        pieces: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []
        for first in range(0, len(texts), _CHUNK):
            pieces += self._chunk(texts[first : first + _CHUNK])
        if not pieces:
            return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32)
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate([ids for ids, _ in pieces]), np.concatenate([counts for _, counts in pieces])

    def _chunk(self, texts: Sequence[str]) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        with guarded(self.name, "cannot split these texts"):
            found = None if self._words is None else self._words.split(texts)
        if found is not None:
            return [found]
        if self._words is None or len(texts) == 1:
            return [self._by_library(texts)]
        # Some are not plain: halve, so that a few of them do not send all to the library.
        if len(texts) <= 32:
            return [self._mixed(texts)]
        middle = len(texts) // 2
        return self._chunk(texts[:middle]) + self._chunk(texts[middle:])

    def _mixed(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        assert self._words is not None
        with guarded(self.name, "cannot split these texts"):
            parts = [self._words.split([text]) for text in texts]
        slow = [place for place, part in enumerate(parts) if part is None]
        ids, counts = self._by_library([texts[place] for place in slow])
        ends = np.cumsum(counts)
        for number, place in enumerate(slow):
            count = counts[number : number + 1]
            parts[place] = (ids[ends[number] - count[0] : ends[number]], count)
        whole = [part for part in parts if part is not None]
        return np.concatenate([ids for ids, _ in whole]), np.concatenate([counts for _, counts in whole])

    def _by_library(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        contents = self.split(texts)
        return (
            np.fromiter(chain.from_iterable(contents), dtype=np.int32),
            np.array([len(ids) for ids in contents], dtype=np.int32),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_words": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._words = WordMemory.of(self.backend)


def load_static_tokenizer(spec: StaticEmbeddingSpec) -> StaticTokenizer:
    """The tokenizer of a static model's folder.

    Its limit is the folder's: ``spec.max_seq_length``, or the truncation that ``tokenizer.json`` states.

    Raises:
        ModelFormatError: ``tokenizer.json`` is missing or damaged.
    """
    from tokenizers import Tokenizer

    path = spec.folder / "tokenizer.json"
    if not path.is_file():
        raise ModelFormatError(f"{path}: this file of the model folder is missing")
    check_growth(read_json(path), path)
    with guarded(path):
        backend = Tokenizer.from_file(str(path))
    truncation = backend.truncation or {}
    limit = spec.max_seq_length or truncation.get("max_length") or UNLIMITED
    return StaticTokenizer(
        backend,
        max_length=int(limit),
        unknown_id=unknown_id_of(backend) if spec.drop_unknown else None,
        name=str(spec.folder),
    )


def unknown_id_of(backend: Tokenizer) -> int | None:
    """The id of the unknown token; a Unigram model knows it by its number only."""
    model = json.loads(backend.to_str())["model"]
    if isinstance(model.get("unk_token"), str):
        found: int | None = backend.token_to_id(model["unk_token"])
        return found
    number = model.get("unk_id")
    return None if number is None else int(number)
