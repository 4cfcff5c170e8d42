"""bge-small-en-v1.5 out of its int8 ONNX graph: a folder with float weights, which the fast bfloat16 engine runs.

The graph rounds activations in every layer, which costs six times the time of the same weights in bfloat16 where the
processor has that. Only a teacher is made here: the folder is for training and is not shipped.
"""

from __future__ import annotations

import json
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


def float_folder(source: Path, target: Path) -> Path:
    """Write the weights of ``source/model.onnx`` (BERT, int8 by channel) to ``target`` in float32."""
    if (target / "model.safetensors").is_file():
        return target
    from openvino import Core
    from safetensors.numpy import save_file

    constants: dict[str, Any] = {}
    for node in Core().read_model(source / "model.onnx").get_ordered_ops():
        if node.get_type_name() == "Constant":
            constants[node.get_friendly_name()] = node.data
    weights = {
        name: np.array(value, dtype=np.float32)
        for name, value in constants.items()
        if name.endswith((".bias", "LayerNorm.weight"))
    }
    for name in ("word", "position", "token_type"):
        weights[f"embeddings.{name}_embeddings.weight"] = _float(
            constants, f"embeddings.{name}_embeddings.weight"
        )
    dense = [
        name.removesuffix("_quantized")
        for name in constants
        if name.startswith("onnx::MatMul") and name.endswith("_quantized")
    ]
    layers = len(dense) // len(_DENSE)
    for place, name in enumerate(sorted(dense, key=lambda each: int(each.rpartition("_")[2]))):
        layer, part = divmod(place, len(_DENSE))
        weights[f"encoder.layer.{layer}.{_DENSE[part]}.weight"] = _float(constants, name).T.copy()
    target.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config["num_hidden_layers"] = layers
    (target / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(weights, str(target / "model.safetensors"))
    return target


def _float(constants: dict[str, Any], name: str) -> Any:
    """A weight from its integers, zero points and scales."""
    zero = constants.get(f"{name}_zero_point", np.float32(0))
    scale = np.asarray(constants[f"{name}_scale"], dtype=np.float32)
    return (constants[f"{name}_quantized"].astype(np.float32) - np.asarray(zero, dtype=np.float32)) * scale
