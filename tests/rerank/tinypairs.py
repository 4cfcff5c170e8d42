"""A tiny random encoder without a classification head, and pairs of texts to train one on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

_TEXT = "a the cat dog bird fish sat ran flew swam on under mat tree pond fast slow big small red blue green"
WORDS = _TEXT.split()
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny products on several threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_base(folder: Path, dropout: float = 0.0) -> Path:
    """A BERT of two layers, as transformers writes it."""
    vocabulary = {word: number for number, word in enumerate([*_SPECIAL, *WORDS])}
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=48,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizer(vocab=vocabulary, model_max_length=40).save_pretrained(folder)
    return folder


def some_pairs(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Random pairs of 1 to 8 words a side."""
    draw = random.Random(seed)

    def text() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(1, 8)))

    return [(text(), text()) for _ in range(count)]


def new_model(folder: Path, **settings: Any) -> Any:
    """A CrossEncoder in float32 with the head that seed 0 gives."""
    from vicinal import CrossEncoder
    from vicinal.errors import NewHeadWarning

    torch.manual_seed(0)
    with pytest.warns(NewHeadWarning, match="train it"):
        return CrossEncoder(folder, dtype="float32", **settings)
