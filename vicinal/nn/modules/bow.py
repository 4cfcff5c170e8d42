"""BoW: a text as the counts of its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from vicinal.errors import InputError
from vicinal.nn.modules.base import Features, InputModule
from vicinal.nn.modules.word_tokenizers import WhitespaceTokenizer


class BoW(InputModule):
    """A first module whose vector has one number a word of the vocabulary.

    Args:
        vocab: the words.
        word_weights: word -> what its number is multiplied by, for instance its inverse document frequency.
        unknown_word_weight: the weight of the others, default 1.
        cumulative_term_frequency: count a word as often as it stands there (default), or once.

    Writes ``sentence_embedding`` ``(n, words)``. Nothing in it is trained.
    """

    config_keys = ("vocab", "word_weights", "unknown_word_weight", "cumulative_term_frequency")

    def __init__(
        self,
        vocab: Sequence[str],
        word_weights: Mapping[str, float] | None = None,
        unknown_word_weight: float = 1,
        cumulative_term_frequency: bool = True,
    ) -> None:
        super().__init__()
        self.vocab = list(dict.fromkeys(vocab))
        if not self.vocab:
            raise InputError("vocab is empty: give the words to count")
        self.word_weights = dict(word_weights or {})
        self.unknown_word_weight = unknown_word_weight
        self.cumulative_term_frequency = cumulative_term_frequency
        self.weights = [float(self.word_weights.get(word, unknown_word_weight)) for word in self.vocab]
        self.tokenizer = WhitespaceTokenizer(self.vocab, stop_words=(), do_lower_case=False)

    def get_embedding_dimension(self) -> int:
        """Words in the vocabulary."""
        return len(self.vocab)

    get_sentence_embedding_dimension = get_embedding_dimension

    def tokenize(self, texts: Sequence[str]) -> Features:
        """The vectors themselves."""
        rows = torch.zeros(len(texts), len(self.vocab))
        for row, text in enumerate(texts):
            for word in self.tokenizer.tokenize(text):
                before = float(rows[row, word]) if self.cumulative_term_frequency else 0.0
                rows[row, word] = before + self.weights[word]
        return {"sentence_embedding": rows}

    def forward(self, features: Features) -> Features:
        """Nothing is left to do."""
        return features

    def __repr__(self) -> str:
        return f"BoW({len(self.vocab)} words)"
