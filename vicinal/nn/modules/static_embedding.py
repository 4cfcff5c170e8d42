"""StaticEmbedding: one vector a token, averaged."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vicinal.core.inputs import check_positive
from vicinal.errors import InputError, InputTypeError, ModelFormatError
from vicinal.folder.specs import UNLIMITED, StaticEmbeddingSpec
from vicinal.nn.modules.base import Features, InputModule
from vicinal.tokens.guard import guarded
from vicinal.tokens.static import unknown_id_of


class StaticEmbedding(InputModule):
    """A table of vectors; a text's vector is the mean of its tokens' rows.

    Args:
        tokenizer: a ``tokenizers.Tokenizer`` or a fast tokenizer of transformers.
        embedding_weights: ``(vocabulary, width)``; None for random ones of ``embedding_dim``.
        embedding_dim: width of random vectors.
        drop_unknown: leave unknown tokens out of the mean, as model2vec does.
        max_seq_length: tokens that count, None for all.

    Reads ``input_ids`` ``(total,)`` and ``offsets`` ``(n,)`` (tokens of all texts in one row, and where each
    text begins); writes ``sentence_embedding`` ``(n, width)``. A text without tokens has the zero vector.
    """

    save_in_root = True

    def __init__(
        self,
        tokenizer: Any,
        embedding_weights: NDArray[Any] | Tensor | None = None,
        embedding_dim: int | None = None,
        *,
        drop_unknown: bool = False,
        max_seq_length: int | None = None,
    ) -> None:
        super().__init__()
        tokenizer = getattr(tokenizer, "_tokenizer", tokenizer)  # transformers wraps the library's object
        if not hasattr(tokenizer, "encode_batch"):
            raise InputTypeError(f"tokenizer is {type(tokenizer).__name__}; give a tokenizers.Tokenizer")
        self.tokenizer = tokenizer
        self.tokenizer.no_padding()
        if embedding_weights is None:
            if embedding_dim is None:
                raise InputTypeError("give embedding_weights, or embedding_dim for random vectors")
            check_positive(embedding_dim, "embedding_dim")
            self.embedding = nn.EmbeddingBag(tokenizer.get_vocab_size(), embedding_dim)
        else:
            table = torch.as_tensor(np.asarray(embedding_weights)).float().clone()
            if table.ndim != 2:
                raise InputError(
                    f"embedding_weights has the shape {tuple(table.shape)}; (vocabulary, width) is wanted"
                )
            self.embedding = nn.EmbeddingBag.from_pretrained(table, freeze=False)
        self.drop_unknown = drop_unknown
        self._max_seq_length = max_seq_length

    @classmethod
    def from_spec(cls, spec: StaticEmbeddingSpec) -> StaticEmbedding:
        """The module of a static model's folder."""
        from vicinal.engine.static import read_rows
        from vicinal.engine.weights import Weights
        from vicinal.tokens.static import load_static_tokenizer

        texts = load_static_tokenizer(spec)
        limit = texts.max_length if texts.max_length < UNLIMITED else None
        rows = read_rows(Weights.open(spec.folder))
        return cls(texts.backend, rows, drop_unknown=spec.drop_unknown, max_seq_length=limit)

    @classmethod
    def load(cls, folder: str, **kwargs: Any) -> StaticEmbedding:
        """Read a module back from its folder."""
        drop = bool(cls.load_config(folder).get("drop_unknown", False))
        return cls.from_spec(StaticEmbeddingSpec(Path(folder), drop_unknown=drop))

    @classmethod
    def from_model2vec(cls, model_id_or_path: str | os.PathLike[str]) -> StaticEmbedding:
        """The table of a model2vec folder or hub name."""
        from vicinal.hub.resolve import resolve_model

        return cls.from_spec(StaticEmbeddingSpec(resolve_model(model_id_or_path), drop_unknown=True))

    @property
    def max_seq_length(self) -> int | None:
        """Tokens of a text that count; None for all."""
        return self._max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        check_positive(value, "max_seq_length")
        self._max_seq_length = value

    @property
    def embedding_dim(self) -> int:
        """Width of the vectors."""
        return int(self.embedding.embedding_dim)

    def get_embedding_dimension(self) -> int:
        """Width of the vectors."""
        return self.embedding_dim

    get_sentence_embedding_dimension = get_embedding_dimension

    def tokenize(self, texts: Sequence[str]) -> Features:
        """Ids of all texts in one row, and where each text begins."""
        with guarded("this StaticEmbedding", "cannot split these texts"):
            encodings = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        unknown = unknown_id_of(self.tokenizer)
        rows = [self._row(each.ids, unknown) for each in encodings]
        starts = np.cumsum([0, *(len(row) for row in rows)])[:-1]
        ids = [id for row in rows for id in row]
        highest = max(ids, default=-1)
        if highest >= self.embedding.num_embeddings:
            raise ModelFormatError(
                f"the tokenizer gives the id {highest}, but there are vectors for {self.embedding.num_embeddings} "
                "tokens: tokenizer.json and model.safetensors do not belong together"
            )
        return {
            "input_ids": torch.tensor(ids, dtype=torch.long),
            "offsets": torch.from_numpy(starts.astype(np.int64)),
        }

    def _row(self, ids: list[int], unknown: int | None) -> list[int]:
        """The tokens of a text that count; none where all are unknown."""
        ids = ids[: self._max_seq_length]
        known = [id for id in ids if id != unknown]
        return known if self.drop_unknown or not known else ids

    def forward(self, features: Features) -> Features:
        """Add ``sentence_embedding``."""
        features["sentence_embedding"] = self.embedding(features["input_ids"], features["offsets"])
        return features

    def get_config_dict(self) -> dict[str, Any]:
        """Nothing, unless unknown tokens are dropped."""
        return {"drop_unknown": True} if self.drop_unknown else {}

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write table, tokenizer and configuration."""
        from vicinal.folder.static import write_static

        write_static(
            Path(output_path),
            self.embedding.weight.detach().cpu().numpy(),
            json.loads(self.tokenizer.to_str()),
            max_seq_length=self._max_seq_length or UNLIMITED,
        )
        self.save_config(output_path)

    def __repr__(self) -> str:
        return f"StaticEmbedding({self.embedding.num_embeddings} x {self.embedding_dim})"
