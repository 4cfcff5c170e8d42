"""A small static model and a small teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from static_helpers import STATIC, VOCABULARY, rows, write_folder


@pytest.fixture
def static_folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "static", {"embedding.weight": rows()}, [STATIC])


@pytest.fixture
def teacher_folder(tmp_path: Path) -> Path:
    """A BERT with random weights: 2 layers, 16 wide."""
    random = np.random.default_rng(3)

    def some(*shape: int) -> Any:
        return (random.standard_normal(shape) * 0.3).astype(np.float32)

    tensors = {
        "embeddings.word_embeddings.weight": some(len(VOCABULARY), 16),
        "embeddings.position_embeddings.weight": some(32, 16),
        "embeddings.token_type_embeddings.weight": some(2, 16),
        "embeddings.LayerNorm.weight": np.ones(16, dtype=np.float32),
        "embeddings.LayerNorm.bias": np.zeros(16, dtype=np.float32),
    }
    for layer in range(2):
        start = f"encoder.layer.{layer}."
        shapes = {
            "attention.self.query": (16, 16),
            "attention.self.key": (16, 16),
            "attention.self.value": (16, 16),
            "attention.output.dense": (16, 16),
            "intermediate.dense": (32, 16),
            "output.dense": (16, 32),
        }
        for name, shape in shapes.items():
            tensors[f"{start}{name}.weight"] = some(*shape)
            tensors[f"{start}{name}.bias"] = np.zeros(shape[0], dtype=np.float32)
        for name in ("attention.output", "output"):
            tensors[f"{start}{name}.LayerNorm.weight"] = np.ones(16, dtype=np.float32)
            tensors[f"{start}{name}.LayerNorm.bias"] = np.zeros(16, dtype=np.float32)
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": len(VOCABULARY),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 32,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
    }
    return write_folder(tmp_path / "teacher", tensors, config=config)
