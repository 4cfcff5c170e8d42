"""A tiny random sentence model with words of its own, and rows to train it on."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("datasets")

WORDS = [
    *(
        "the",
        "a",
        "cat",
        "dog",
        "bird",
        "fish",
        "sat",
        "ran",
        "flew",
        "swam",
        "on",
        "under",
        "over",
        "mat",
        "tree",
    ),
    *(
        "pond",
        "fast",
        "slow",
        "big",
        "small",
        "red",
        "blue",
        "green",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
    ),
    *("seven", "eight", "nine", "ten"),
]
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WIDTH = 24


def write_tiny(folder: Path, dropout: float = 0.1, seed: int = 0) -> Path:
    """A model folder: BERT with two layers, mean pooling."""
    vocabulary = {word: number for number, word in enumerate([*_SPECIAL, *WORDS])}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = transformers.BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=40,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
        transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizer(vocab=vocabulary, model_max_length=32).save_pretrained(folder)
    entries = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(entries)
    ]
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True}
    for name, content in (
        ("modules.json", modules),
        ("1_Pooling/config.json", pooling),
        ("sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False}),
    ):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def sentences(count: int, seed: int = 0) -> list[str]:
    """Random sentences of 2 to 8 words."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(2, 8))) for _ in range(count)]


def pairs(count: int, seed: int = 0, **label: Any) -> list[dict[str, Any]]:
    """Rows of two sentences and a label, ``label=`` being made of the row's number."""
    texts = sentences(2 * count, seed)
    name, function = next(iter(label.items())) if label else ("label", lambda i: (i * 7 % 11) / 10)
    return [{"first": texts[2 * i], "second": texts[2 * i + 1], name: function(i)} for i in range(count)]
