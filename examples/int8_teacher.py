"""A BERT teacher out of its int8 ONNX graph: a folder with float weights, which the fast bfloat16 engine runs.

Such a graph rounds activations in every layer, which takes four to six times the time of the same weights in bfloat16
where the CPU multiplies that. Only a teacher is made here: the folder is for training and is not shipped.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

# In the order of the graph.
_DENSE = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
# Of a cross-encoder: its layers' names begin with "bert.", and these are its head's.
_HEAD = ("bert.pooler.dense.weight", "classifier.weight")


def float_folder(source: Path, target: Path) -> Path:
    """Write the weights of ``source/model.onnx`` (BERT, int8) to ``target`` in float32.

    Args:
        source: with ``model.onnx`` and a tokenizer: an encoder, or a cross-encoder with its head. A folder of float
            weights stays as it is.
        target: the folder to write; one that is there already is taken.

    Returns:
        The folder with float weights.
    """
    if not (source / "model.onnx").is_file() or (source / "model.safetensors").is_file():
        return source
    if (target / "model.safetensors").is_file():
        return target
    from openvino import Core
    from safetensors.numpy import save_file

    constants: dict[str, Any] = {}
    for node in Core().read_model(source / "model.onnx").get_ordered_ops():
        if node.get_type_name() == "Constant":
            constants[node.get_friendly_name()] = node.data
    kept = re.compile(r"(?!onnx::).*\.(bias|LayerNorm\.weight)")
    weights = {name: np.array(value, np.float32) for name, value in constants.items() if kept.fullmatch(name)}
    prefix = "bert." if any(name.startswith("bert.") for name in weights) else ""
    for name in ("word", "position", "token_type"):
        key = f"{prefix}embeddings.{name}_embeddings.weight"
        weights[key] = _floats(constants, key)
    # The linear layers have numbers for names, in the order of the graph; they are stored (inputs, outputs).
    numbered = [re.fullmatch(r"(onnx::MatMul_(\d+))_quantized", name) for name in constants]
    in_order = sorted((int(found[2]), found[1]) for found in numbered if found)
    for place, (_, name) in enumerate(in_order):
        layer, part = divmod(place, len(_DENSE))
        weights[f"{prefix}encoder.layer.{layer}.{_DENSE[part]}.weight"] = _floats(constants, name).T.copy()
    for name in _HEAD if prefix else ():
        weights[name] = _floats(constants, name).T.copy()
    target.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    config = _config(weights, prefix, len(in_order) // len(_DENSE))
    if (source / "config.json").is_file():
        config = json.loads((source / "config.json").read_text("utf-8")) | {
            "num_hidden_layers": config["num_hidden_layers"]
        }
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_file(weights, str(target / "model.safetensors"))
    return target


def _config(weights: dict[str, Any], prefix: str, layers: int) -> dict[str, Any]:
    """What the weights say, and of what they do not say what all small MiniLM and BGE models have."""
    words = weights[f"{prefix}embeddings.word_embeddings.weight"]
    return {
        "architectures": ["BertForSequenceClassification" if prefix else "BertModel"],
        "model_type": "bert",
        "hidden_size": words.shape[1],
        "intermediate_size": len(weights[f"{prefix}encoder.layer.0.intermediate.dense.bias"]),
        "num_hidden_layers": layers,
        "num_attention_heads": 12,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "vocab_size": words.shape[0],
        "pad_token_id": 0,
        **({"id2label": {"0": "LABEL_0"}} if prefix else {}),
    }


def _floats(constants: dict[str, Any], name: str) -> Any:
    """A weight from its integers, zero points and scales."""
    zero = np.asarray(constants.get(f"{name}_zero_point", 0), dtype=np.float32)
    scale = np.asarray(constants[f"{name}_scale"], dtype=np.float32)
    return (constants[f"{name}_quantized"].astype(np.float32) - zero) * scale
