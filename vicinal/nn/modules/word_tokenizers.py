"""Tokenizers of the models before transformers: a text is split at its spaces, and words are looked up."""

from __future__ import annotations

import json
import string
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vicinal.errors import MissingExtraError
from vicinal.folder.json_files import read_json
from vicinal.folder.write import write_bytes

_LISTED = """
a about above after again against all also am an and any are as at be because been before being below between both but
by can cannot could did do does doing down during each few for from further get gets had has have having he her here
hers herself him himself his how i if in into is it its itself just let like made make makes many may me might more
most much must my myself no nor not of off on once one only onto or other others ought our ours ourselves out over own
per rather same shall she should since so some such than that the their theirs them themselves then there these they
this those though through to too toward under until up upon us very via was we well were what when where whether which
while who whom whose why will with within without would yet you your yours yourself yourselves
"""
#: Words of English that say how others belong together, for ``stop_words``. The list is Vicinal's own:
#: sentence-transformers has another one under this name.
ENGLISH_STOP_WORDS = frozenset(_LISTED.split())


class WordTokenizer(ABC):
    """Splits a text into numbers of words."""

    @abstractmethod
    def set_vocab(self, vocab: Iterable[str]) -> None:
        """Take these words; their places are their numbers."""

    @abstractmethod
    def get_vocab(self) -> list[str]:
        """The words in the order of their numbers."""

    @abstractmethod
    def tokenize(self, text: str) -> list[int]:
        """Numbers of the words of a text that are known."""

    @abstractmethod
    def save(self, output_path: str) -> None:
        """Write what :meth:`load` reads."""

    @classmethod
    @abstractmethod
    def load(cls, input_path: str) -> WordTokenizer:
        """Read it back."""


class WhitespaceTokenizer(WordTokenizer):
    """Splits at spaces and looks each word up: as it stands, without punctuation around it, in lower case.

    Args:
        vocab: the words.
        stop_words: left out wherever they stand; default punctuation. (sentence-transformers' default also has
            English function words; a folder that it saved brings them along. See ``ENGLISH_STOP_WORDS``.)
        do_lower_case: lower the text first.
    """

    _FILE = "whitespacetokenizer_config.json"

    def __init__(
        self,
        vocab: Iterable[str] = (),
        stop_words: Iterable[str] = tuple(string.punctuation),
        do_lower_case: bool = False,
    ) -> None:
        self.stop_words = set(stop_words)
        self.do_lower_case = do_lower_case
        self.set_vocab(vocab)

    def set_vocab(self, vocab: Iterable[str]) -> None:
        """Take these words; their places are their numbers."""
        self.vocab = list(vocab)
        self.word2idx = {word: number for number, word in enumerate(self.vocab)}

    def get_vocab(self) -> list[str]:
        """The words in the order of their numbers."""
        return self.vocab

    def tokenize(self, text: str) -> list[int]:
        """Numbers of the words of a text that are known and no stop words."""
        found = (self._number(word) for word in (text.lower() if self.do_lower_case else text).split())
        return [number for number in found if number is not None]

    def _number(self, word: str) -> int | None:
        bare = word.strip(string.punctuation)
        for form in (word, bare, bare.lower()):
            if not form or form in self.stop_words:
                return None
            if form in self.word2idx:
                return self.word2idx[form]
        return None

    def save(self, output_path: str) -> None:
        """Write the words and settings as one JSON file, ``whitespacetokenizer_config.json`` or of the class's name."""
        content = json.dumps(self._settings(), ensure_ascii=False).encode()
        write_bytes(Path(output_path) / self._FILE, content)

    def _settings(self) -> dict[str, Any]:
        return {
            "vocab": self.vocab,
            "stop_words": sorted(self.stop_words),
            "do_lower_case": self.do_lower_case,
        }

    @classmethod
    def load(cls, input_path: str) -> WhitespaceTokenizer:
        """Read that file."""
        return cls(**read_json(Path(input_path) / cls._FILE))


class PhraseTokenizer(WhitespaceTokenizer):
    """Splits into words and punctuation marks, and joins those that the vocabulary has as one phrase, ``New_York``.

    A word is looked up as it stands, in lower case, then without punctuation around it. It needs the package nltk.

    Args:
        vocab: the words and phrases.
        stop_words: left out.
        do_lower_case: kept and saved; words are looked up in lower case too, whatever it is.
        ngram_separator: what stands between the words of a phrase; None for no phrases.
        max_ngram_length: words of the longest phrase.

    Raises:
        MissingExtraError: nltk is not installed.
    """

    _FILE = "phrasetokenizer_config.json"

    def __init__(
        self,
        vocab: Iterable[str] = (),
        stop_words: Iterable[str] = tuple(string.punctuation),
        do_lower_case: bool = False,
        ngram_separator: str | None = "_",
        max_ngram_length: int = 5,
    ) -> None:
        try:
            from nltk.tokenize import NLTKWordTokenizer
        except ImportError as error:
            raise MissingExtraError(
                "PhraseTokenizer needs 'nltk', which is not installed: pip install nltk"
            ) from error
        self._split = NLTKWordTokenizer().tokenize
        self.ngram_separator = ngram_separator
        self.max_ngram_length = max_ngram_length
        super().__init__(vocab, stop_words, do_lower_case)

    def set_vocab(self, vocab: Iterable[str]) -> None:
        """Take these words; their places are their numbers."""
        super().set_vocab(vocab)
        joint = self.ngram_separator
        phrases = [word for word in self.vocab if joint and joint in word and joint + joint not in word]
        counted = {word: word.count(str(joint)) + 1 for word in phrases}
        self.ngram_lookup = {word for word, count in counted.items() if count <= self.max_ngram_length}
        self.ngram_lengths = {counted[word] for word in self.ngram_lookup}

    def tokenize(self, text: str, **_: Any) -> list[int]:
        """Numbers of the words and phrases of a text that are known and no stop words."""
        words: list[str] = self._split(text)
        for length in sorted(self.ngram_lengths, reverse=True):
            place = 0
            while place <= len(words) - length:
                phrase = str(self.ngram_separator).join(words[place : place + length])
                known = next((form for form in (phrase, phrase.lower()) if form in self.ngram_lookup), None)
                if known is not None:
                    words[place : place + length] = [known]
                place += 1
        numbers = map(self._number, words)
        return [number for number in numbers if number is not None]

    def _number(self, word: str) -> int | None:
        low = word.lower()
        for form in (word, low, low.strip(string.punctuation)):
            if form in self.stop_words:
                return None
            if form and form in self.word2idx:
                return self.word2idx[form]
        return None

    def _settings(self) -> dict[str, Any]:
        return {
            **super()._settings(),
            "ngram_separator": self.ngram_separator,
            "max_ngram_length": self.max_ngram_length,
        }


class TransformersTokenizerWrapper(WordTokenizer):
    """A tokenizer of transformers in the place of one of words.

    Args:
        tokenizer: what ``AutoTokenizer.from_pretrained`` gives.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def set_vocab(self, vocab: Iterable[str]) -> None:
        """Not possible: these tokenizers come with their words."""
        raise NotImplementedError("a tokenizer of transformers comes with its vocabulary")

    def get_vocab(self) -> list[str]:
        """The tokens in the order of their numbers."""
        numbers: dict[str, int] = self.tokenizer.get_vocab()
        return sorted(numbers, key=numbers.__getitem__)

    def tokenize(self, text: str) -> list[int]:
        """Ids of a text, special tokens included."""
        ids: list[int] = self.tokenizer.encode(text)
        return ids

    def save(self, output_path: str) -> None:
        """Write the tokenizer's own files."""
        self.tokenizer.save_pretrained(output_path)

    @classmethod
    def load(cls, input_path: str) -> TransformersTokenizerWrapper:
        """Read them back."""
        from transformers import AutoTokenizer

        found = AutoTokenizer.from_pretrained(input_path, local_files_only=True, trust_remote_code=False)
        return cls(found)
