"""A tiny deterministic model and rerankers, so that the index is tested without any weights."""

from __future__ import annotations

import re
import zlib

import numpy as np

WORD = re.compile(r"\w+")


class FakeModel:
    """Hashed bag of words, each word a fixed random direction, normalised.

    A token is a word; two special tokens are counted as real models do.
    """

    similarity_fn_name = "cosine"

    def __init__(self, dimension=16, window=64, fingerprint="fake-1", name="fake", prompts=None):
        self.dimension = dimension
        self.max_seq_length = window
        self.fingerprint = fingerprint
        self.name = name
        self.prompts = prompts or {}
        self.encoded = 0
        self.words = {}

    def get_embedding_dimension(self):
        return self.dimension

    def count_tokens(self, texts):
        return [len(WORD.findall(text)) + 2 for text in texts]

    def word(self, word):
        known = self.words.get(word)
        if known is None:
            rng = np.random.default_rng(zlib.crc32(word.lower().encode()))
            known = self.words[word] = rng.standard_normal(self.dimension)
        return known

    def encode(self, texts):
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for i, text in enumerate(texts):
            for word in WORD.findall(text):
                rows[i] += self.word(word)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.maximum(norms, 1e-9)).astype(np.float32)

    def encode_document(self, texts):
        self.encoded += len(texts)
        return self.encode(texts)

    def encode_query(self, texts):
        return self.encode(texts)


class LengthRanker:
    """Ranks short passages first."""

    def rank(self, query, documents, *, top_k=None):
        order = sorted(range(len(documents)), key=lambda i: len(documents[i]))
        return [{"corpus_id": i, "score": -float(len(documents[i]))} for i in order][:top_k]


class PairScorer:
    """Scores pairs by the number of common letters."""

    def predict(self, pairs):
        return np.array([len(set(query) & set(text)) for query, text in pairs], np.float32)
