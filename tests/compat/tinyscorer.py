"""A random BERT of one layer that scores pairs of letters."""

from __future__ import annotations

from pathlib import Path

import pytest

transformers = pytest.importorskip("transformers")


def write_scorer(folder: Path, labels: int) -> Path:
    """The folder of a cross-encoder for the texts of ``"a b c d e f g"``."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefg"]
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        initializer_range=1.0,
        num_labels=labels,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder
