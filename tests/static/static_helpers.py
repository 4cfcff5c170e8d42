"""What the tests put in the place of real folders."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from vicinal.engine.static import StaticTable
from vicinal.folder.specs import ModelSpec, StaticEmbeddingSpec
from vicinal.tokens.text import Ragged

WORDS = ["the", "a", "cat", "dog", "sat", "ran", "mat", "home", "red", "blue", "big", "old", "new", "year"]
PIECES = ["##s", "##ing", "##er", "x", "##x", "y", "##y", "1", "##1", ".", ",", "!", "?", "'", "-", "_"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *PIECES]


def tokenizer() -> Tokenizer:
    """A BERT tokenizer of 34 tokens."""
    built = Tokenizer(WordPiece({word: place for place, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    built.normalizer = BertNormalizer(lowercase=True)
    built.pre_tokenizer = BertPreTokenizer()
    built.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    built.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return built


def rows(width: int = 8, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal((len(VOCABULARY), width)).astype(np.float32)


def write_folder(
    folder: Path,
    tensors: dict[str, Any],
    modules: list[str] | None = None,
    config: dict[str, Any] | None = None,
) -> Path:
    """A folder with a tokenizer, tensors, and either modules or a config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer().save(str(folder / "tokenizer.json"))
    save_file(tensors, folder / "model.safetensors")
    if modules is not None:
        entries = [
            {"idx": place, "name": str(place), "path": "" if not place else f"{place}_x", "type": kind}
            for place, kind in enumerate(modules)
        ]
        (folder / "modules.json").write_text(json.dumps(entries))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


STATIC = "sentence_transformers.models.StaticEmbedding"
NORMALIZE = "sentence_transformers.models.Normalize"


@dataclass(frozen=True, init=False)
class Bare(StaticTable):
    """A table without a folder."""

    table: Any = field(repr=False)

    def __init__(self, table: Any) -> None:
        object.__setattr__(self, "spec", ModelSpec(Path("nowhere"), (StaticEmbeddingSpec(Path("nowhere")),)))
        object.__setattr__(self, "table", table)

    @property
    def width(self) -> int:
        return int(self.table.shape[1])

    def rows(self) -> Any:
        return self.table


def ragged_of(lists: list[list[int]]) -> Ragged:
    """Token ids as the tokenizer would give them."""
    lengths = np.array([len(ids) for ids in lists], dtype=np.int32)
    starts = np.zeros(len(lists) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return Ragged(np.array([token for ids in lists for token in ids], dtype=np.int32), starts, lengths)
