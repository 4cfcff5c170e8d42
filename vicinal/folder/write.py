"""Model folders are written here, in the spelling that the oldest and the newest readers share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vicinal.folder.specs import (
    POOLING_FLAGS,
    DenseSpec,
    DropoutSpec,
    LayerNormSpec,
    ModelSpec,
    ModuleSpec,
    NormalizeSpec,
    PoolingSpec,
    StaticEmbeddingSpec,
    TransformerSpec,
)

_TYPES = "sentence_transformers.models"


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a reader, or a mapped weight, never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".tmp")
    scratch.write_bytes(content)
    scratch.replace(path)


def module_folders(spec: ModelSpec) -> list[tuple[ModuleSpec, str]]:
    """Each module with the folder that it gets: the first the root, the others ``1_Pooling``, ..."""
    named: list[tuple[ModuleSpec, str]] = []
    for place, module in enumerate(spec.modules):
        kind = type(module).__name__.removesuffix("Spec")
        named.append((module, "" if place == 0 else f"{place}_{kind}"))
    return named


def write_configs(spec: ModelSpec, folder: Path, extra: Mapping[str, Any], max_seq_length: int) -> None:
    """Write every JSON file of the folder but the tokenizer's.

    Args:
        spec: what to write.
        folder: where to.
        extra: the content of ``config_sentence_transformers.json``.
        max_seq_length: tokens of a text that count.
    """
    entries = []
    for place, (module, path) in enumerate(module_folders(spec)):
        kind = type(module).__name__.removesuffix("Spec")
        entries.append({"idx": place, "name": str(place), "path": path, "type": f"{_TYPES}.{kind}"})
        settings = _settings(module)
        if isinstance(module, TransformerSpec):
            write_json(folder / "config.json", dict(module.config))
            write_json(
                folder / "sentence_bert_config.json",
                {"max_seq_length": max_seq_length, "do_lower_case": module.do_lower_case},
            )
        elif settings is not None:
            write_json(folder / path / "config.json", settings)
        else:
            (folder / path).mkdir(parents=True, exist_ok=True)
    write_json(folder / "modules.json", entries)
    write_json(folder / "config_sentence_transformers.json", dict(extra))


def _settings(module: ModuleSpec) -> dict[str, Any] | None:
    if isinstance(module, PoolingSpec):
        return _pooling(module)
    if isinstance(module, DenseSpec):
        known: dict[str, Any] = {
            "in_features": module.in_features,
            "out_features": module.out_features,
            "bias": module.bias,
            "activation_function": _activation(module.activation),
        }
        # Older readers do not know these keys and refuse them; most modules do not need them.
        if module.residual:
            known["use_residual"] = True
        if module.on_tokens:
            known |= {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
        return known
    if isinstance(module, LayerNormSpec):
        return {"dimension": module.dimension}
    if isinstance(module, DropoutSpec):
        return {"dropout": module.rate}
    if isinstance(module, StaticEmbeddingSpec) and module.drop_unknown:
        return {"drop_unknown": True}
    if isinstance(module, NormalizeSpec) and module.on_tokens:
        return {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
    return None


def _activation(name: str) -> str:
    package = "torch.nn.modules.linear" if name == "Identity" else "torch.nn.modules.activation"
    return f"{package}.{name}"


def _pooling(spec: PoolingSpec) -> dict[str, Any]:
    flags = [mode for mode in POOLING_FLAGS if mode in spec.modes]
    if tuple(flags) != spec.modes:  # flags cannot say this order; only new readers can
        names = {"mean_sqrt_len": "mean_sqrt_len_tokens"}
        return {
            "embedding_dimension": spec.dimension,
            "pooling_mode": [names.get(mode, mode) for mode in spec.modes],
            "include_prompt": spec.include_prompt,
        }
    return {
        "word_embedding_dimension": spec.dimension,
        **{flag: mode in spec.modes for mode, flag in POOLING_FLAGS.items()},
        "include_prompt": spec.include_prompt,
    }
