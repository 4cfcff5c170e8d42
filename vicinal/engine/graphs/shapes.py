"""Whether config.json and the weights of a transformer belong together, seen from the headers of the files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vicinal.engine.weights import Weights
from vicinal.errors import ModelFormatError
from vicinal.folder.config_values import completed
from vicinal.folder.specs import TransformerSpec

_ROTARY = ("modernbert", "nomic_bert", "qwen3")
# Angles of more places than this would fill memory before anything is computed.
_MOST_PLACES = 1 << 21

# Names of tensors (of each layer, where they hold a place for its number) -> names of their axes.
_EMBEDDINGS = {
    "embeddings.word_embeddings.weight": ("vocab_size", "embedding_size"),
    "embeddings.position_embeddings.weight": ("max_position_embeddings", "embedding_size"),
    "embeddings.token_type_embeddings.weight": ("type_vocab_size", "embedding_size"),
    "embeddings.LayerNorm.weight": ("embedding_size",),
}


def _layers(start: str, square: str, inner: str, outer: str) -> dict[str, tuple[str, ...]]:
    """A layer's matrices: those from width to width by name, and the two of its feed-forward half."""
    found: dict[str, tuple[str, ...]] = {
        f"{start}.{name}.weight": ("hidden_size", "hidden_size") for name in square.split()
    }
    found[f"{start}.{inner}.weight"] = ("intermediate_size", "hidden_size")
    found[f"{start}.{outer}.weight"] = ("hidden_size", "intermediate_size")
    return found


_BERT = {
    **_EMBEDDINGS,
    **_layers(
        "encoder.layer.{}",
        "attention.self.query attention.self.key attention.self.value attention.output.dense",
        "intermediate.dense",
        "output.dense",
    ),
}
_TENSORS: dict[str, dict[str, tuple[str, ...]]] = {
    "albert": _EMBEDDINGS,
    "bert": _BERT,
    "camembert": _BERT,
    "distilbert": {
        **_EMBEDDINGS,
        **_layers(
            "transformer.layer.{}",
            "attention.q_lin attention.k_lin attention.v_lin attention.out_lin",
            "ffn.lin1",
            "ffn.lin2",
        ),
    },
    "electra": _BERT,
    "modernbert": {
        "embeddings.tok_embeddings.weight": ("vocab_size", "hidden_size"),
        "layers.{}.attn.Wqkv.weight": ("3 hidden_size", "hidden_size"),
        "layers.{}.mlp.Wi.weight": ("2 intermediate_size", "hidden_size"),
    },
    "mpnet": {
        **_EMBEDDINGS,
        **_layers(
            "encoder.layer.{}",
            "attention.attn.q attention.attn.k attention.attn.v attention.attn.o",
            "intermediate.dense",
            "output.dense",
        ),
        "encoder.relative_attention_bias.weight": ("buckets", "num_attention_heads"),
    },
    "nomic_bert": {
        "embeddings.word_embeddings.weight": ("vocab_size", "hidden_size"),
        "embeddings.token_type_embeddings.weight": ("type_vocab_size", "hidden_size"),
    },
    "qwen3": {
        "embed_tokens.weight": ("vocab_size", "hidden_size"),
        "layers.{}.self_attn.q_proj.weight": ("query_size", "hidden_size"),
        "layers.{}.self_attn.k_proj.weight": ("key_size", "hidden_size"),
        "layers.{}.mlp.up_proj.weight": ("intermediate_size", "hidden_size"),
    },
    "roberta": _BERT,
    "xlm-roberta": _BERT,
}
# Names of the same number in other formats.
_SAME = {
    "dim": "hidden_size",
    "n_embd": "hidden_size",
    "n_heads": "num_attention_heads",
    "n_head": "num_attention_heads",
    "n_layers": "num_hidden_layers",
    "n_layer": "num_hidden_layers",
    "hidden_dim": "intermediate_size",
    "n_positions": "max_position_embeddings",
}


def checked_config(spec: TransformerSpec, weights: Weights) -> dict[str, Any]:
    """``config.json`` with its architecture's defaults, once it is known to fit the weights.

    Args:
        spec: the folder.
        weights: its tensors, without prefix.

    Raises:
        ModelFormatError: they do not belong together; key, value and tensor are named.
    """
    config, path = completed(spec.config), spec.folder / "config.json"
    names, sizes = _sizes(config, narrow=spec.model_type in ("albert", "electra"))
    heads, width = sizes["num_attention_heads"], sizes["hidden_size"]
    if not config.get("head_dim") and width % heads:
        raise ModelFormatError(
            f"{path}: {names['hidden_size']!r} is {width}, which {heads} heads ({names['num_attention_heads']!r}) "
            "cannot share evenly; correct it, or download the model again"
        )
    size = int(config.get("head_dim") or width // heads)
    if spec.model_type in _ROTARY and size % 2:
        raise ModelFormatError(
            f"{path}: heads of {size} dimensions ('head_dim', or {width} among {heads} heads) cannot be turned in "
            "pairs, as rotary positions need; correct it, or download the model again"
        )
    if config.get("num_key_value_heads") and heads % int(config["num_key_value_heads"]):
        raise ModelFormatError(
            f"{path}: 'num_key_value_heads' is {config['num_key_value_heads']}, which does not divide {heads} "
            "('num_attention_heads'); correct it, or download the model again"
        )
    if sizes.get("max_position_embeddings", 0) > _MOST_PLACES:
        raise ModelFormatError(
            f"{path}: {names['max_position_embeddings']!r} is {sizes['max_position_embeddings']}, more than the "
            f"{_MOST_PLACES} places that a graph may have; correct it"
        )
    kinds = config.get("layer_types")
    if kinds and len(kinds) < sizes["num_hidden_layers"]:
        raise ModelFormatError(
            f"{path}: 'layer_types' has {len(kinds)} entries for {sizes['num_hidden_layers']} layers; correct it"
        )
    for pattern, axes in _TENSORS.get(spec.model_type, {}).items():
        layers = range(sizes["num_hidden_layers"]) if "{}" in pattern else range(1)
        for layer in layers:
            name = pattern.format(layer)
            if name not in weights:
                if "{}" in pattern:
                    raise _layer_missing(path, names["num_hidden_layers"], len(layers), name)
                continue
            _compare(path, names, sizes, weights.shape(name), axes, name)
    return config


def _sizes(config: Mapping[str, Any], narrow: bool) -> tuple[dict[str, str], dict[str, int]]:
    """What the file calls each size, and the sizes; ``narrow``: embeddings have a width of their own."""
    names: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for key, value in config.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            names[_SAME.get(key, key)] = key
            if value == value and abs(value) < 1e18:
                sizes[_SAME.get(key, key)] = int(value)
    if not narrow:
        names["embedding_size"], sizes["embedding_size"] = names["hidden_size"], sizes["hidden_size"]
    heads = sizes["num_attention_heads"]
    size = sizes.get("head_dim") or sizes["hidden_size"] // heads
    sizes["query_size"] = heads * size
    sizes["key_size"] = (sizes.get("num_key_value_heads") or heads) * size
    names["query_size"] = names["key_size"] = "head_dim"
    return names, sizes


def _compare(
    path: Path,
    names: Mapping[str, str],
    sizes: Mapping[str, int],
    shape: tuple[int, ...],
    axes: tuple[str, ...],
    tensor: str,
) -> None:
    if len(shape) != len(axes):
        raise ModelFormatError(
            f"{path.parent}: the tensor {tensor!r} has the shape {shape} instead of {len(axes)} axes; the weights do "
            "not belong to config.json"
        )
    for length, axis in zip(shape, axes, strict=True):
        factor, _, key = axis.rpartition(" ")
        if key not in sizes:
            continue
        if length != sizes[key] * int(factor or 1):
            raise ModelFormatError(
                f"{path}: {names[key]!r} is {sizes[key]}, but the tensor {tensor!r} has the shape {shape}; correct it, "
                "or download the model again"
            )


def _layer_missing(path: Path, key: str, layers: int, tensor: str) -> ModelFormatError:
    return ModelFormatError(
        f"{path}: {key!r} is {layers}, but the tensor {tensor!r} is missing; correct it, or download the model again"
    )
