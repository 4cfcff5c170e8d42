"""WordEmbeddings: one fixed vector a word, as from GloVe or word2vec."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vicinal.core.inputs import check_positive
from vicinal.errors import InputError, InputTypeError, ModelFormatError, UnsupportedModelError
from vicinal.nn.modules import word_tokenizers
from vicinal.nn.modules.base import Features, InputModule, read_state
from vicinal.nn.modules.word_tokenizers import (
    PhraseTokenizer,
    TransformersTokenizerWrapper,
    WhitespaceTokenizer,
    WordTokenizer,
)

_PADDING = "PADDING_TOKEN"


class WordEmbeddings(InputModule):
    """A first module that looks up a vector for each word.

    Args:
        tokenizer: a :class:`WhitespaceTokenizer` or another word tokenizer, or one of transformers.
        embedding_weights: ``(words, width)``.
        update_embeddings: whether training changes the vectors; default not.
        max_seq_length: words of a text that count, default 1,000,000.

    Writes ``token_embeddings`` ``(n, length, width)`` and ``attention_mask`` ``(n, length)``.
    """

    save_in_root = True
    config_file_name = "wordembedding_config.json"

    def __init__(
        self,
        tokenizer: Any,
        embedding_weights: NDArray[Any] | Tensor,
        update_embeddings: bool = False,
        max_seq_length: int = 1_000_000,
    ) -> None:
        super().__init__()
        check_positive(max_seq_length, "max_seq_length")
        if not isinstance(tokenizer, WordTokenizer):
            if not callable(getattr(tokenizer, "encode", None)):
                raise InputTypeError(
                    f"tokenizer is {type(tokenizer).__name__}; give a WhitespaceTokenizer(words)"
                )
            tokenizer = TransformersTokenizerWrapper(tokenizer)
        table = torch.as_tensor(np.asarray(embedding_weights)).float()
        if table.ndim != 2:
            raise InputError(
                f"embedding_weights has the shape {tuple(table.shape)}; (words, width) is wanted"
            )
        self.tokenizer = tokenizer
        self.emb_layer = nn.Embedding.from_pretrained(table.clone(), freeze=not update_embeddings)
        self.update_embeddings = update_embeddings
        self._max_seq_length = max_seq_length

    @property
    def max_seq_length(self) -> int:
        """Words of a text that count."""
        return self._max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        check_positive(value, "max_seq_length")
        self._max_seq_length = int(value)

    def get_embedding_dimension(self) -> int:
        """Width of a word's vector."""
        return int(self.emb_layer.embedding_dim)

    get_word_embedding_dimension = get_embedding_dimension

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Known words of each text, those that would be cut included."""
        return [len(self.tokenizer.tokenize(text)) for text in texts]

    def tokenize(self, texts: Sequence[str]) -> Features:
        """Numbers of the words, ``(n, length)``, padded with 0 to the longest."""
        rows = [self.tokenizer.tokenize(text)[: self._max_seq_length] for text in texts]
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
        width = max([1, *(len(row) for row in rows)])  # a batch of empty texts pools to zeros
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], dtype=torch.long)
        ids = ids.reshape(len(rows), width)
        mask = (torch.arange(width)[None, :] < lengths[:, None]).long()
        return {"input_ids": ids, "attention_mask": mask, "sentence_lengths": lengths}

    def forward(self, features: Features) -> Features:
        """Add ``token_embeddings``."""
        features["token_embeddings"] = self.emb_layer(features["input_ids"])
        return features

    def get_config_dict(self) -> dict[str, Any]:
        """What ``wordembedding_config.json`` holds."""
        cls = type(self.tokenizer)
        ours = cls.__module__ == word_tokenizers.__name__
        package = "sentence_transformers.models.tokenizer" if ours else cls.__module__
        return {
            "tokenizer_class": f"{package}.{cls.__name__}",
            "update_embeddings": self.update_embeddings,
            "max_seq_length": self._max_seq_length,
        }

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write vectors, tokenizer and configuration."""
        super().save(output_path)
        self.tokenizer.save(output_path)

    @classmethod
    def load(cls, folder: str, **kwargs: Any) -> WordEmbeddings:
        """Read a module back from its folder."""
        from vicinal.nn.modules.base import find_state

        settings = cls.load_config(folder)
        name = str(settings.pop("tokenizer_class", "")).rpartition(".")[2]
        known = getattr(word_tokenizers, name, None)
        known_kinds = (WhitespaceTokenizer, PhraseTokenizer, TransformersTokenizerWrapper)
        if known not in known_kinds:
            raise UnsupportedModelError(
                f"{folder}: its tokenizer {name!r} is none of Vicinal's word tokenizers (WhitespaceTokenizer, "
                "PhraseTokenizer, TransformersTokenizerWrapper)"
            )
        state = find_state(Path(folder))
        if state is None or "emb_layer.weight" not in state:
            raise ModelFormatError(f"{folder}: the vectors of the words are missing (model.safetensors)")
        module = cls(known.load(folder), state["emb_layer.weight"], **settings)
        read_state(module, Path(folder))
        return module

    @classmethod
    def from_text_file(
        cls,
        embeddings_file_path: str | os.PathLike[str],
        update_embeddings: bool = False,
        item_separator: str = " ",
        tokenizer: WordTokenizer | None = None,
        max_vocab_size: int | None = None,
    ) -> WordEmbeddings:
        """Read word vectors from a file as GloVe and word2vec write them: a word and its numbers a line.

        Args:
            embeddings_file_path: text, or text packed by gzip (``.gz``).
            update_embeddings: whether training changes the vectors.
            item_separator: what stands between word and numbers.
            tokenizer: gets the words; default ``WhitespaceTokenizer()``.
            max_vocab_size: words to read at most.

        Raises:
            ModelFormatError: a line is not a word with as many numbers as the first line has.
        """
        check_positive(max_vocab_size, "max_vocab_size")
        path = Path(embeddings_file_path)
        words = [_PADDING]
        rows: list[NDArray[np.float32]] = []
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8") as file
        ):
            for number, line in enumerate(file):
                word, *values = line.rstrip().split(item_separator)
                if number == 0 and len(values) == 1:  # word2vec's header: how many words, how many numbers
                    continue
                try:
                    row = np.array(values, dtype=np.float32)
                except ValueError as error:
                    raise ModelFormatError(
                        f"{path}, line {number + 1}: not a word and its numbers"
                    ) from error
                if rows and len(row) != len(rows[0]):
                    raise ModelFormatError(
                        f"{path}, line {number + 1}: {len(row)} numbers, the first word has {len(rows[0])}"
                    )
                words.append(word)
                rows.append(row)
                if max_vocab_size is not None and len(rows) >= max_vocab_size:
                    break
        if not rows:
            raise ModelFormatError(f"{path}: holds no word vectors")
        tokenizer = tokenizer or WhitespaceTokenizer()
        tokenizer.set_vocab(words)
        return cls(tokenizer, np.vstack([np.zeros_like(rows[0]), *rows]), update_embeddings)

    def __repr__(self) -> str:
        return f"WordEmbeddings({self.emb_layer.num_embeddings} x {self.get_embedding_dimension()})"
