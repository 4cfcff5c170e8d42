"""Texts and pairs of texts become ragged token ids.

The `tokenizers` library splits texts into ids on all cores; special tokens and truncation are added here,
on arrays. That way the true length of every text is known (so nothing is cut unnoticed), no objects are
made for what is cut off, and a query that is paired with a thousand documents is split once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vicinal.core.native_calls import native_call
from vicinal.errors import ModelFormatError
from vicinal.tokens.guard import check_lengths, guarded
from vicinal.tokens.special import Template, example_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Texts handed to the library at a time: enough for all cores, while its result (about 80 bytes per token,
# against 4 in our arrays) stays small.
_CHUNK = 1024


@dataclass(frozen=True)
class Ragged:
    """Token ids of n texts, one behind the other.

    Attributes:
        ids: ``(total,)`` int32.
        starts: ``(n + 1,)`` int64; text i has ``ids[starts[i]:starts[i + 1]]``.
        full_lengths: ``(n,)`` int32, tokens before truncation, special tokens included.
        type_ids: ``(total,)`` int32 for pairs, else None.
        unknown: ``(n,)``, which texts are made of unknown tokens alone; None for no text, or not known.
    """

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    full_lengths: NDArray[np.int32]
    type_ids: NDArray[np.int32] | None = None
    unknown: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.full_lengths)

    @property
    def lengths(self) -> NDArray[np.int32]:
        """``(n,)`` int32, tokens of each text after truncation."""
        return np.diff(self.starts).astype(np.int32)

    def lengths_of(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """Tokens of some of the texts after truncation."""
        return (self.starts[rows + 1] - self.starts[rows]).astype(np.int32)

    def without_unknown(self) -> Ragged:
        """The same, but that texts of unknown tokens alone have no tokens."""
        if self.unknown is None:
            return self
        kept = np.where(self.unknown, 0, self.lengths).astype(np.int32)
        ids = self.ids[~np.repeat(self.unknown, self.lengths)]
        return Ragged(ids, _starts(kept), self.full_lengths, unknown=self.unknown)

    @property
    def truncated(self) -> NDArray[np.intp]:
        """Places of the texts that lost tokens."""
        return np.flatnonzero(self.full_lengths > self.lengths)


Self = TypeVar("Self", bound="TextTokenizer")


class TextTokenizer:
    """A folder's tokenizer together with its limits.

    Attributes:
        backend: the ``tokenizers.Tokenizer``; it is changed, so give one that nobody else holds.
        max_length: tokens that a text may have, special tokens included.
        pad_id: the id that fills up rows.
        padding_side: ``"right"`` or ``"left"``, as the folder says; batches for the engines are padded on
            the right all the same.
        vocabulary: ids that the model has vectors for; None if not known.
        token_types: whether the second text of a pair is told from the first by its types.
        name: where it comes from, for messages.
        special_tokens: whether the tokenizer's own go around each text.
    """

    def __init__(
        self,
        backend: Tokenizer | None,
        *,
        max_length: int,
        pad_id: int = 0,
        lower: bool = False,
        truncation_side: str = "right",
        padding_side: str = "right",
        vocabulary: int | None = None,
        token_types: bool = True,
        name: str = "this folder",
        special_tokens: bool = True,
    ) -> None:
        if backend is not None:
            backend.no_truncation()
            backend.no_padding()
            if lower:
                lowercase(backend)
        self._backend = backend
        self._given: Tokenizer | None = None
        self.name = name
        self.max_length = max_length
        self.pad_id = pad_id
        self.vocabulary = vocabulary
        self.truncation_side = truncation_side
        self.padding_side = padding_side
        self._process = os.getpid()
        with guarded(name, "makes no tokens"):
            self._single, self._pair = self._learn(special_tokens)
        self.token_types = token_types
        if not token_types:
            self._pair = self._pair.without_types()

    def _learn(self, special_tokens: bool) -> tuple[Template, Template]:
        """The special tokens around one text, and around and between two."""
        example = example_text(self.backend)
        if not special_tokens:
            return Template.bare(1), Template.bare(2)
        return Template.of(self.backend, example), Template.of(self.backend, example, example)

    @property
    def backend(self) -> Tokenizer:
        """The ``tokenizers.Tokenizer`` that splits texts, without truncation and padding of its own."""
        assert self._backend is not None
        return self._backend

    @property
    def given(self) -> Any:
        """A copy of the tokenizer, the same one each time, to look at and to change: that changes no vectors."""
        if self._given is None:
            from tokenizers import Tokenizer

            self._given = Tokenizer.from_str(self.backend.to_str())
        return self._given

    def __call__(self, texts: Sequence[str]) -> Ragged:
        """Split texts, cut them to ``max_length`` and put the special tokens around them."""
        room = max(self.max_length - self._single.count, 0)
        prefix, suffix = self._single.parts
        pieces: list[NDArray[np.int32]] = []
        counts = np.zeros(len(texts), dtype=np.int32)
        for first in range(0, len(texts), _CHUNK):
            contents = self.split(texts[first : first + _CHUNK])
            counts[first : first + len(contents)] = [len(ids) for ids in contents]
            rows = (chain(prefix, self._cut(ids, room), suffix) for ids in contents)
            pieces.append(np.fromiter(chain.from_iterable(rows), dtype=np.int32))
        starts = _starts(np.minimum(counts, room) + self._single.count)
        flat = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int32)
        self._check_ids(flat)
        return Ragged(flat, starts, counts + np.int32(self._single.count))

    def count(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """``(n,)`` int32: tokens of each text before truncation, special tokens included."""
        counts = [
            len(ids) + self._single.count
            for first in range(0, len(texts), _CHUNK)
            for ids in self.split(texts[first : first + _CHUNK])
        ]
        return np.array(counts, dtype=np.int32)

    def pairs(self, firsts: Sequence[str], seconds: Sequence[str]) -> Ragged:
        """Put pairs of texts together, the longer one cut first until both fit into ``max_length``.

        Each different text is split once, however many pairs it stands in.
        """
        places: dict[str, int] = {}
        numbers = [
            np.array([places.setdefault(text, len(places)) for text in side], dtype=np.intp)
            for side in (firsts, seconds)
        ]
        distinct = list(places)
        contents = [
            np.array(ids, dtype=np.int32)
            for first in range(0, len(distinct), _CHUNK)
            for ids in self.split(distinct[first : first + _CHUNK])
        ]
        counts = np.array([len(ids) for ids in contents], dtype=np.int64)
        full = [counts[number] for number in numbers] if len(contents) else [np.zeros(0, dtype=np.int64)] * 2
        kept = self._keep(full[0], full[1], max(self.max_length - self._pair.count, 0))
        special = [np.array(part, dtype=np.int32) for part in self._pair.parts]
        pieces: list[NDArray[np.int32]] = []
        for row in range(len(firsts)):
            pieces.append(special[0])
            for side in (0, 1):
                pieces.append(np.asarray(self._cut(contents[numbers[side][row]], int(kept[side][row]))))
                pieces.append(special[side + 1])
        starts = _starts((kept[0] + kept[1] + self._pair.count).astype(np.int32))
        # Every piece is of one type, so the types follow from the pieces' lengths.
        kinds = np.tile(np.array(self._pair.piece_types, dtype=np.int32), len(firsts))
        types = np.repeat(kinds, [len(piece) for piece in pieces])
        ids = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int32)
        self._check_ids(ids)
        return Ragged(
            ids, starts, (full[0] + full[1] + self._pair.count).astype(np.int32), types.astype(np.int32)
        )

    @staticmethod
    def _keep(
        first: NDArray[np.int64], second: NDArray[np.int64], room: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many tokens of each text of a pair are kept."""
        return longest_first(first, second, room)

    def prompt_length(self, prompt: str) -> int:
        """Tokens that ``prompt`` takes at the start of a text, special tokens in front of it included."""
        (ids,) = self.split([prompt])
        return len(ids) + len(self._single.parts[0])

    def only_unknown(self, ragged: Ragged, prompt: str = "") -> NDArray[np.bool_] | None:
        """``(n,)``, which texts are made of unknown tokens alone, but for ``prompt`` before each; None for no text."""
        if ragged.unknown is not None:
            return ragged.unknown
        unknown = self.unknown_token_id
        if unknown is None:
            return None
        found = ragged.ids == unknown
        if not found.any():
            return None
        owners = np.repeat(np.arange(len(ragged)), ragged.lengths)
        counts = np.bincount(owners[found], minlength=len(ragged))
        before = self.split([prompt])[0] if prompt else []
        lost = sum(each == unknown for each in before)
        alone: NDArray[np.bool_] = (counts > lost) & (
            ragged.lengths - counts <= self._single.count + len(before) - lost
        )
        return alone

    @property
    def sides(self) -> dict[str, str]:
        """The keys of ``tokenizer_config.json`` for where texts are cut and padded."""
        return {"truncation_side": self.truncation_side, "padding_side": self.padding_side}

    @property
    def unknown_token_id(self) -> int | None:
        """The id of the unknown token; None where there is none."""
        names = (getattr(self.backend.model, "unk_token", None), "<unk>", "[UNK]")
        found = (self.backend.token_to_id(name) for name in names if isinstance(name, str))
        return next((place for place in found if place is not None), None)

    def split(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text alone, without special tokens."""
        self._notice_fork()
        check_lengths(texts)
        with guarded(self.name, "cannot split these texts"), native_call():  # e.g. without an unknown token
            encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    @property
    def vocabulary_size(self) -> int:
        """Tokens in all."""
        return int(self.backend.get_vocab_size())

    def token(self, number: int) -> str | None:
        """The token of an id."""
        found: str | None = self.backend.id_to_token(number)
        return found

    def _notice_fork(self) -> bool:
        """Whether this is another process than before; to be asked before the library is used."""
        if self._process == os.getpid():
            return False
        # The library's threads do not survive a fork; without this it prints a warning about it.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._process = os.getpid()
        return True

    def _check_ids(self, ids: NDArray[np.int32]) -> None:
        """Refuse ids without a vector; the engine would take zeros for them and say nothing."""
        highest = int(ids.max(initial=-1))
        if self.vocabulary is not None and highest >= self.vocabulary:
            raise ModelFormatError(
                f"the tokenizer gives the id {highest} ({self.token(highest)!r}), but config.json "
                f"has vocab_size {self.vocabulary}: the folder's tokenizer and weights do not belong together"
            )

    def _cut(self, ids: Any, room: int) -> Any:
        if len(ids) <= room:
            return ids
        return ids[:room] if self.truncation_side == "right" else ids[len(ids) - room :]

    def __copy__(self: Self) -> Self:
        """Another one with limits of its own; the library's object, which nothing changes, is shared."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__, _given=None)
        return other

    def __getstate__(self) -> dict[str, Any]:
        backend = None if self._backend is None else self._backend.to_str()
        return {**self.__dict__, "_backend": backend, "_given": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from tokenizers import Tokenizer

        self.__dict__.update(state)
        if self._backend is not None:
            self._backend = Tokenizer.from_str(state["_backend"])
        self._process = os.getpid()


def lowercase(backend: Tokenizer) -> None:
    """Put lower case in front of the other normalisation, unless it is there; special tokens stay what they are."""
    from tokenizers.normalizers import Lowercase, Sequence

    known: Any = backend.normalizer
    alone = [] if known is None else [known]
    steps: list[Any] = [*known] if isinstance(known, Sequence) else alone  # type: ignore[misc]
    if not any(isinstance(step, Lowercase) for step in steps):
        backend.normalizer = Sequence([Lowercase(), *steps])


def longest_first(
    first: NDArray[np.int64], second: NDArray[np.int64], room: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tokens that each text of a pair keeps when both must fit into ``room``.

    Tokens go from the longer text until both are equal, then from both in turn; of an odd ``room`` the
    longer text (on a tie the second) keeps the extra token.
    """
    short, long = np.minimum(first, second), np.maximum(first, second)
    half = room // 2
    fits = short + long <= room
    keep_short = np.where(fits, short, np.minimum(short, half))
    keep_long = np.where(fits, long, room - keep_short)
    swapped = first > second
    return np.where(swapped, keep_long, keep_short), np.where(swapped, keep_short, keep_long)


def _starts(lengths: NDArray[np.int32]) -> NDArray[np.int64]:
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts
