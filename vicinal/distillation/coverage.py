"""Made-up texts that show a student the words its real texts do not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# The share of a text's words that is replaced.
_REPLACED = 0.4


def coverage_texts(tokenizer: Tokenizer, texts: Sequence[str], count: int, seed: int) -> list[str]:
    """``count`` texts in which every word of the vocabulary has its turn.

    Half are real texts with some words replaced by words of the vocabulary; half are 2 to 9 words of the
    vocabulary in a row. Words are drawn in inverse proportion to the root of their number, since trained
    vocabularies begin with frequent words: rare words come less often, but none never.

    Args:
        tokenizer: whose vocabulary it is.
        texts: real texts; without any, all are made of single words.
        count: how many to make.
        seed: of the random choices.
    """
    random = np.random.default_rng(seed)
    words = _words(tokenizer)
    if not words:
        return []
    chances = 1.0 / np.sqrt(np.arange(len(words)) + 100.0)
    chances /= chances.sum()
    replaced = count // 2 if texts else 0
    drawn = _Draws(random, words, chances)
    made = []
    for number in random.integers(0, max(len(texts), 1), replaced):
        parts = texts[int(number)].split()
        for place in np.flatnonzero(random.random(len(parts)) < _REPLACED):
            parts[place] = drawn()
        made.append(" ".join(parts))
    made += [
        " ".join(drawn() for _ in range(int(length))) for length in random.integers(2, 10, count - replaced)
    ]
    return made


class _Draws:
    """Words in random order, drawn many at a time, as drawing one costs as much."""

    def __init__(self, random: np.random.Generator, words: list[str], chances: NDArray[np.float64]) -> None:
        self._random, self._words, self._chances = random, words, chances
        self._waiting: list[int] = []

    def __call__(self) -> str:
        if not self._waiting:
            self._waiting = self._random.choice(len(self._words), 65_536, p=self._chances).tolist()
        return self._words[self._waiting.pop()]


def _words(tokenizer: Tokenizer) -> list[str]:
    """Tokens that are whole words of at least two letters, in the order of the vocabulary."""
    tokens = sorted(tokenizer.get_vocab(with_added_tokens=False).items(), key=lambda item: item[1])
    marks = ("Ġ", "▁")  # what begins a word in byte-level and in sentencepiece vocabularies
    marked = sum(token[:1] in marks for token, _ in tokens) * 10 > len(tokens)
    found = []
    for token, _ in tokens:
        if marked and token[:1] not in marks:
            continue
        word = token[1:] if marked else token
        if len(word) >= 2 and word.isalpha():
            found.append(word)
    return found
