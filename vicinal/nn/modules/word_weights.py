"""WordWeights: token vectors are scaled by a weight of their word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from vicinal.nn.modules.base import Features, Module


class WordWeights(Module):
    """Scales each token's vector by the weight of its word, for instance its inverse document frequency.

    Args:
        vocab: the words, in the order of the tokenizer's ids.
        word_weights: word -> weight; upper and lower case count as the same where only one is given.
        unknown_word_weight: the weight of the others, default 1.

    Reads ``input_ids``, ``attention_mask`` and ``token_embeddings``; replaces the last and adds
    ``token_weights_sum`` ``(n,)``. The weights are trained with the rest.
    """

    config_keys = ("vocab", "word_weights", "unknown_word_weight")

    def __init__(
        self, vocab: Sequence[str], word_weights: Mapping[str, float], unknown_word_weight: float = 1
    ) -> None:
        super().__init__()
        self.vocab = list(vocab)
        self.word_weights = dict(word_weights)
        self.unknown_word_weight = unknown_word_weight
        known = self.word_weights
        weights = [known.get(word, known.get(word.lower(), unknown_word_weight)) for word in self.vocab]
        self.emb_layer = nn.Embedding(len(weights), 1)
        with torch.no_grad():
            self.emb_layer.weight.copy_(torch.tensor(weights, dtype=torch.float32)[:, None])

    def forward(self, features: Features) -> Features:
        """Replace ``token_embeddings``."""
        weights = self.emb_layer(features["input_ids"]).squeeze(-1)
        weights = weights * features["attention_mask"].to(weights.dtype)
        features["token_embeddings"] = features["token_embeddings"] * weights[:, :, None]
        features["token_weights_sum"] = weights.sum(1)
        return features

    def __repr__(self) -> str:
        return f"WordWeights({len(self.vocab)} words)"
