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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.native_calls import native_call
from vicinal.errors import ForkError, ModelFormatError
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
    """

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    full_lengths: NDArray[np.int32]
    type_ids: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.full_lengths)

    @property
    def lengths(self) -> NDArray[np.int32]:
        """``(n,)`` int32, tokens of each text after truncation."""
        return np.diff(self.starts).astype(np.int32)

    def lengths_of(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """Tokens of some of the texts after truncation."""
        return (self.starts[rows + 1] - self.starts[rows]).astype(np.int32)

    @property
    def truncated(self) -> NDArray[np.intp]:
        """Places of the texts that lost tokens."""
        return np.flatnonzero(self.full_lengths > self.lengths)


class TextTokenizer:
    """A folder's tokenizer together with its limits.

    Attributes:
        backend: the ``tokenizers.Tokenizer``, without truncation and padding of its own.
        max_length: tokens that a text may have, special tokens included.
        pad_id: the id that fills up rows.
        padding_side: ``"right"`` or ``"left"``, as the folder says; batches for the engines are padded on
            the right all the same.
        vocabulary: ids that the model has vectors for; None if not known.
        special_tokens: whether the tokenizer's own go around each text.
    """

    def __init__(
        self,
        backend: Tokenizer,
        *,
        max_length: int,
        pad_id: int = 0,
        lower: bool = False,
        truncation_side: str = "right",
        padding_side: str = "right",
        vocabulary: int | None = None,
        special_tokens: bool = True,
    ) -> None:
        backend.no_truncation()
        backend.no_padding()
        if lower:
            _lowercase(backend)
        self.backend = backend
        self.max_length = max_length
        self.pad_id = pad_id
        self.vocabulary = vocabulary
        self.truncation_side = truncation_side
        self.padding_side = padding_side
        example = example_text(backend)
        self._single = Template.of(backend, example) if special_tokens else Template.bare(1)
        self._pair = Template.of(backend, example, example) if special_tokens else Template.bare(2)
        self._process = os.getpid()

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
        kept = longest_first(full[0], full[1], max(self.max_length - self._pair.count, 0))
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

    def prompt_length(self, prompt: str) -> int:
        """Tokens that ``prompt`` takes at the start of a text, special tokens in front of it included."""
        (ids,) = self.split([prompt])
        return len(ids) + len(self._single.parts[0])

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
        try:
            with native_call():
                encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        except ForkError:
            raise
        except Exception as error:  # the library raises plain Exception, e.g. without an unknown token
            raise ModelFormatError(f"the folder's tokenizer cannot split these texts ({error})") from error
        return [encoding.ids for encoding in encodings]

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
                f"the tokenizer gives the id {highest} ({self.backend.id_to_token(highest)!r}), but config.json "
                f"has vocab_size {self.vocabulary}: the folder's tokenizer and weights do not belong together"
            )

    def _cut(self, ids: Any, room: int) -> Any:
        if len(ids) <= room:
            return ids
        return ids[:room] if self.truncation_side == "right" else ids[len(ids) - room :]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "backend": self.backend.to_str()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from tokenizers import Tokenizer

        self.__dict__.update(state)
        self.backend = Tokenizer.from_str(state["backend"])
        self._process = os.getpid()


def _lowercase(backend: Tokenizer) -> None:
    """Put lower case in front of the other normalisation; special tokens in a text stay what they are."""
    from tokenizers.normalizers import Lowercase, Sequence

    known = backend.normalizer
    backend.normalizer = Lowercase() if known is None else Sequence([Lowercase(), known])


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
