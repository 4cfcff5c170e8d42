"""Tiny random BERT folders in any spelling, written without torch or transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing

ROOT = Path(__file__).resolve().parents[2]

# Put in front of a script so that torch looks as if it were not installed.
WITHOUT_TORCH = """
import sys
class _NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, _NoTorch())
"""

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'"
WORDS = ["the", "cat", "dog", "sat", "query", "search", "on", "mat", "hello", "world", "passage"]
VOCAB = [*SPECIAL, *LETTERS, *("##" + letter for letter in LETTERS), *WORDS]

WIDTH, LAYERS, POSITIONS = 16, 2, 64

BERT: dict[str, Any] = {
    "model_type": "bert",
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
    "vocab_size": len(VOCAB),
    "pad_token_id": 0,
    "architectures": ["BertModel"],
}

TRANSFORMER = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
NORMALIZE = {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}
MEAN = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True}


def wordpiece(lowercase: bool = True) -> Tokenizer:
    """A BERT tokenizer over letters and some words."""
    tokenizer = Tokenizer(
        models.WordPiece({token: place for place, token in enumerate(VOCAB)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def bert_weights(seed: int = 0, config: dict[str, Any] = BERT) -> dict[str, NDArray[Any]]:
    """Random tensors under the names of transformers' BertModel."""
    rng = np.random.default_rng(seed)
    width, inner = config["hidden_size"], config["intermediate_size"]
    weights: dict[str, NDArray[Any]] = {}

    def matrix(name: str, *shape: int) -> None:
        weights[name] = (rng.standard_normal(shape) * 0.3).astype(np.float32)

    def linear(name: str, given: int, made: int) -> None:
        matrix(f"{name}.weight", made, given)
        matrix(f"{name}.bias", made)

    def norm(name: str) -> None:
        weights[f"{name}.weight"] = (1 + rng.standard_normal(width) * 0.1).astype(np.float32)
        matrix(f"{name}.bias", width)

    matrix("embeddings.word_embeddings.weight", config["vocab_size"], width)
    matrix("embeddings.position_embeddings.weight", config["max_position_embeddings"], width)
    matrix("embeddings.token_type_embeddings.weight", config["type_vocab_size"], width)
    norm("embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            linear(f"{name}.attention.self.{part}", width, width)
        linear(f"{name}.attention.output.dense", width, width)
        norm(f"{name}.attention.output.LayerNorm")
        linear(f"{name}.intermediate.dense", width, inner)
        linear(f"{name}.output.dense", inner, width)
        norm(f"{name}.output.LayerNorm")
    return weights


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def make_plain(folder: Path, *, seed: int = 0, **config: Any) -> Path:
    """A plain transformers folder: config.json, weights, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {**BERT, **config}
    write_json(folder / "config.json", settings)
    save_file(bert_weights(seed, settings), folder / "model.safetensors", metadata={"format": "pt"})
    wordpiece().save(str(folder / "tokenizer.json"))
    tokenizer = {"tokenizer_class": "BertTokenizer", "model_max_length": POSITIONS, "pad_token": "[PAD]"}
    write_json(folder / "tokenizer_config.json", tokenizer)
    return folder


def make_folder(
    folder: Path,
    *,
    modules: list[dict[str, Any]] | None = None,
    pooling: dict[str, Any] | None = None,
    extra: dict[str, Any] | None = None,
    max_seq_length: int | None = POSITIONS,
    seed: int = 0,
    **config: Any,
) -> Path:
    """A usual model folder: Transformer, mean Pooling, Normalize (which has no folder on the disk)."""
    make_plain(folder, seed=seed, **config)
    write_json(folder / "modules.json", [TRANSFORMER, POOLING, NORMALIZE] if modules is None else modules)
    write_json(folder / "1_Pooling/config.json", MEAN if pooling is None else pooling)
    if max_seq_length is not None:
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_seq_length})
    if extra is not None:
        write_json(folder / "config_sentence_transformers.json", extra)
    return folder


def dense(
    folder: Path, made: int, seed: int = 5, activation: str | None = "Tanh", **extra: Any
) -> NDArray[Any]:
    """A Dense module's folder; gives its matrix."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((made, WIDTH)).astype(np.float32)
    settings: dict[str, Any] = {"in_features": WIDTH, "out_features": made, "bias": True, **extra}
    if activation is not None:
        settings["activation_function"] = f"torch.nn.modules.activation.{activation}"
    write_json(folder / "config.json", settings)
    bias = np.linspace(-1, 1, made, dtype=np.float32)
    save_file({"linear.weight": weight, "linear.bias": bias}, folder / "model.safetensors")
    return weight
