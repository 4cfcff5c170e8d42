"""The small model that the fake hub serves, and what of it is needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save

NAME = "acme/tiny-encoder"


def weights(seed: int = 0, rows: int = 40) -> bytes:
    """A valid safetensors file."""
    values = np.random.default_rng(seed).standard_normal((rows, 8)).astype(np.float32)
    return save({"embeddings.word_embeddings.weight": values})


def model_files(seed: int = 0) -> dict[str, bytes]:
    """What lies in the repository of a usual model: the needed files and the others."""
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    return {
        "config.json": json.dumps({"model_type": "bert", "hidden_size": 8, "seed": seed}).encode(),
        "modules.json": json.dumps(modules).encode(),
        "sentence_bert_config.json": b'{"max_seq_length": 16}',
        "config_sentence_transformers.json": b'{"prompts": {}}',
        "tokenizer.json": b'{"version": "1.0", "model": {"type": "WordLevel", "vocab": {}}}',
        "tokenizer_config.json": b"{}",
        "vocab.txt": b"[PAD]\n[UNK]\n",
        "1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}',
        "model.safetensors": weights(seed),
        ".gitattributes": b"*.bin filter=lfs\n",
        "README.md": b"# A model\n",
        "pytorch_model.bin": b"not needed",
        "tf_model.h5": b"not needed",
        "rust_model.ot": b"not needed",
        "flax_model.msgpack": b"not needed",
        "onnx/model.onnx": b"not needed",
        "openvino/openvino_model.xml": b"not needed",
        "openvino/openvino_model.bin": b"not needed",
        "assets/picture.png": b"not needed",
        "train_script.py": b"not needed",
        "data_config.json": b"{}",
    }


NEEDED = {
    "config.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "1_Pooling/config.json",
    "model.safetensors",
}


def files_in(snapshot: Path) -> set[str]:
    """The files of a snapshot, as the hub names them."""
    return {f.relative_to(snapshot).as_posix() for f in snapshot.rglob("*") if f.is_file()}
