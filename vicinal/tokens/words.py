"""Plain words are split into tokens once and then remembered.

For a static model the tokenizer is the whole cost: the library needs about 20 microseconds for a short
sentence, and averaging its vectors 1. Most texts in Latin script are plain ASCII, and BERT's rules cut
those into words by their characters alone; a word's tokens do not depend on its neighbours. So an ASCII
text is cut by a regular expression and its words are looked up; the library sees each new word once, and
every text that is not plain. The result is the library's, token for token.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vicinal.core.native_calls import native_call

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Stands between the texts of a chunk. BERT's rules drop it, so a text that holds one is not plain.
_BETWEEN = "\0"
_PLAIN = bytes([9, 10, 13, *range(32, 127)])
_PUNCTUATION = r"[!-/:-@\[-`{-~]"
# Words remembered at most (about 150 bytes each); then all are forgotten.
_MOST_WORDS = 200_000
# More added tokens than this cannot be looked for in every text.
_MOST_ADDED = 64


class WordMemory:
    """Splits plain ASCII texts for one tokenizer, from any number of threads.

    Args:
        backend: a tokenizer that :func:`cuts_by_characters`.
        lowercase: whether it ignores case.
        added: tokens that it finds before it cuts words; texts with one of them are not plain.
    """

    def __init__(self, backend: Tokenizer, lowercase: bool, added: Sequence[str]) -> None:
        self._backend = backend
        self._lowercase = lowercase
        self._added = [token.lower() for token in added]
        letters = "[0-9a-z]+" if lowercase else "[0-9A-Za-z]+"
        self._cut = re.compile(f"{letters}|{_PUNCTUATION}|{_BETWEEN}").findall
        self._known = _Known()

    @classmethod
    def of(cls, backend: Tokenizer) -> WordMemory | None:
        """The memory for a tokenizer, None where words cannot be told from the characters alone."""
        parts = json.loads(backend.to_str())
        normalizer, model = parts.get("normalizer") or {}, parts.get("model") or {}
        added = [str(token["content"]) for token in parts.get("added_tokens") or []]
        suits = (
            normalizer.get("type") == "BertNormalizer"
            and normalizer.get("clean_text") is True
            and (parts.get("pre_tokenizer") or {}).get("type") == "BertPreTokenizer"
            and model.get("type") == "WordPiece"
            and len(added) <= _MOST_ADDED
            and all(re.fullmatch("[!-~]+", token) for token in added)
        )
        return cls(backend, bool(normalizer.get("lowercase")), added) if suits else None

    def split(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]] | None:
        """Token ids of all texts in one row, and how many each text has; None if one is not plain.

        Args:
            texts: n texts, n > 0.
        """
        joined = _BETWEEN.join(texts)
        if not joined.isascii():
            return None
        if len(joined.encode().translate(None, _PLAIN)) != len(texts) - 1:
            return None
        lowered = joined.lower()
        if any(token in lowered for token in self._added):
            return None
        words: list[str] = self._cut(lowered if self._lowercase else joined)
        words.append(_BETWEEN)
        known = self._known
        if len(known.numbers) > _MOST_WORDS:
            known = self._known = _Known()
        new = set(words).difference(known.numbers)
        if new:
            known.learn(self._backend, sorted(new))
        numbers = np.fromiter(map(known.numbers.__getitem__, words), dtype=np.int32, count=len(words))
        table = known.table
        ends = np.flatnonzero(numbers == 0)  # the number of _BETWEEN, which has no tokens
        counts = table.counts[numbers]
        before = np.zeros(len(numbers) + 1, dtype=np.int64)
        np.cumsum(counts, out=before[1:])
        # The k-th token of word w lies at starts[w] + k.
        places = np.repeat(table.starts[numbers] - before[:-1], counts)
        places += np.arange(before[-1])
        return table.ids[places], np.diff(before[ends], prepend=0).astype(np.int32)


class _Table:
    """The tokens of all known words: word w has ``ids[starts[w]:starts[w] + counts[w]]``."""

    def __init__(self, ids: NDArray[np.int32], counts: NDArray[np.int32]) -> None:
        self.ids, self.counts = ids, counts
        self.starts: NDArray[np.int64] = np.cumsum(counts, dtype=np.int64) - counts


class _Known:
    """Words and their numbers. A number is given out after its tokens are in the table, and never changes."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {_BETWEEN: 0}
        self.table = _Table(np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int32))
        self._lock = threading.Lock()

    def learn(self, backend: Tokenizer, words: list[str]) -> None:
        with native_call(), self._lock:
            split = [found.ids for found in backend.encode_batch_fast(words, add_special_tokens=False)]
            fresh = [(word, ids) for word, ids in zip(words, split, strict=True) if word not in self.numbers]
            old = self.table
            added = np.fromiter(chain.from_iterable(ids for _, ids in fresh), dtype=np.int32)
            counts = np.array([len(ids) for _, ids in fresh], dtype=np.int32)
            self.table = _Table(np.concatenate([old.ids, added]), np.concatenate([old.counts, counts]))
            first = len(old.counts)
            self.numbers.update({word: first + place for place, (word, _) in enumerate(fresh)})
