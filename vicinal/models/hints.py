"""What a model has to say about its use, each thing once."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vicinal.core.inputs import caller_level
from vicinal.errors import UnknownScriptWarning
from vicinal.tokens.text import TextTokenizer

# Texts, characters of each, and calls that are looked at: a hint must cost next to nothing.
_TEXTS, _CHARACTERS, _CALLS = 16, 200, 16
# Letters that are needed at least; a foreign name is not worth a hint.
_LETTERS = 10
# The lost share from which a script counts as unknown. A vocabulary that was made from a language loses
# less than 5 % of it.
_LOST = 0.25
# Vocabularies this large are multilingual ones, and spell rare scripts that they were trained on all the same.
_LARGE = 100_000
# Letters of all scripts from the Greek on; no accents, punctuation and symbols. Sorts out Latin texts fast.
_NOT_LATIN = re.compile("[\u0370-\u1dff\u1f00-\u1fff\u2c00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]")


@dataclass
class UnknownTexts:
    """Counts, during one call, the texts that are made of unknown tokens alone.

    Attributes:
        texts: texts in all.
        count: those made of unknown tokens alone.
        example: the first of them.
    """

    texts: int = 0
    count: int = 0
    example: str = ""

    def add(self, texts: Sequence[str], unknown: NDArray[np.bool_] | None) -> None:
        """Count some texts, of which ``unknown`` are; None for none of them."""
        self.texts += len(texts)
        if unknown is None or not unknown.any():
            return
        if not self.count:
            self.example = texts[int(unknown.argmax())]
        self.count += int(unknown.sum())


class Hints:
    """Remembers what was said.

    Attributes:
        script_looks: calls in which the texts' script is still looked at.
        said_unknown: whether it was said that texts are unknown.
        said_short: whether it was said that vectors are shorter than asked for.
    """

    def __init__(self) -> None:
        self.script_looks = _CALLS
        self.said_unknown = False
        self.said_short = False

    def short(self, asked: int, dimension: int, model: str) -> None:
        """Warn, once, that there are fewer dimensions than ``truncate_dim`` asks for."""
        if asked <= dimension or self.said_short:
            return
        self.said_short = True
        warnings.warn(
            f"truncate_dim={asked}, but vectors of model {model!r} have {dimension} dimensions: all are kept",
            stacklevel=caller_level(),
        )

    def only_unknown(self, found: UnknownTexts) -> None:
        """Warn, once, of texts that are made of unknown tokens alone."""
        if not found.count or self.said_unknown:
            return
        self.said_unknown = True
        warnings.warn(
            f"{found.count} of {found.texts} texts, such as {found.example[:30]!r}, are made of unknown tokens alone: "
            "the model's vocabulary holds nothing of them, and their vectors say nothing about them. Use a model that "
            "was made for such texts, or leave them out",
            UnknownScriptWarning,
            stacklevel=caller_level(),
        )

    def script(self, texts: Sequence[str], tokenizer: TextTokenizer) -> None:
        """Warn, once, if most of the texts are in a script that the tokenizer has no words for."""
        if not self.script_looks:
            return
        sample = texts[:_TEXTS]
        foreign = [
            text[:_CHARACTERS]
            for text in sample
            if not text.isascii() and _NOT_LATIN.search(text, 0, _CHARACTERS)
        ]
        if 2 * len(foreign) < len(sample) or not foreign or not _mostly_not_latin(foreign):
            return
        self.script_looks -= 1
        share = lost_share(foreign, tokenizer)
        if share < _LOST:
            return
        self.script_looks = 0
        self.said_unknown = True
        warnings.warn(
            f"{share:.0%} of texts such as {foreign[0][:30]!r} are unknown tokens or spelt letter by letter: the "
            "model seems not to have learnt this script, and its vectors say little about it. Use a multilingual "
            "model, e.g. 'paraphrase-multilingual-MiniLM-L12-v2'",
            UnknownScriptWarning,
            stacklevel=caller_level(),
        )


def lost_share(texts: Sequence[str], tokenizer: TextTokenizer) -> float:
    """Which part of the texts' letters a vocabulary has no words for, 0 to 1.

    A word is lost that holds an unknown token, or that is spelt: cut into about as many tokens as it has
    letters. Of Chinese, Japanese and Korean, where a token a character is usual, the unknown characters are
    lost, and words cut into pieces of characters.
    """
    words = [word for text in texts for word in "".join(map(_letter_or_space, text)).split()]
    if not words:
        return 0.0
    unknown, small = tokenizer.unknown_token_id, tokenizer.vocabulary_size < _LARGE
    lost = 0
    for word, ids in zip(words, tokenizer.split(words), strict=True):
        signs = 2 * sum(map(_is_sign, word)) > len(word)
        unknowns = 0 if unknown is None else ids.count(unknown)
        if small and len(word) > 2 and len(ids) >= (1.5 if signs else 0.7) * len(word):
            lost += len(word) if not signs or not unknowns else unknowns
        elif unknowns:
            lost += min(unknowns, len(word)) if signs and len(ids) > 1 else len(word)
    return lost / sum(map(len, words))


def _mostly_not_latin(texts: Sequence[str]) -> bool:
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    # Up to U+024F and from U+1E00 to U+1EFF the letters are Latin ones.
    other = sum(letter > "\u024f" and not "\u1e00" <= letter <= "\u1eff" for letter in letters)
    return other >= _LETTERS and 2 * other > len(letters)


def _letter_or_space(letter: str) -> str:
    """Vowel signs of Indian scripts, say, are no letters to Python, but part of words."""
    return letter if letter.isalpha() or unicodedata.category(letter)[0] == "M" else " "


def _is_sign(letter: str) -> bool:
    """Whether it is a Chinese character, a kana or a Hangul syllable."""
    return (
        "\u3040" <= letter <= "\u30ff"
        or "\u3400" <= letter <= "\u9fff"
        or "\uac00" <= letter <= "\ud7a3"
        or letter >= "\U00020000"
    )
