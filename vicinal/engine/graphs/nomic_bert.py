"""Nomic-BERT (Nussbaum et al. 2024): BERT's order, rotary positions, gated feed-forward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vicinal.engine.graphs.blocks import Blocks, Body, Node
from vicinal.engine.graphs.rotary import Rope, Rotary, uncovered_angles
from vicinal.engine.graphs.variants import Uncovered, require, require_activation

PROBE = "embeddings.word_embeddings.weight"
PREFIXES = ("nomic_bert.", "bert.", "model.")

_GATES = {"swiglu": "silu", "geglu": "gelu"}

# The hub's checkpoints come with a config.json of their authors' code; transformers 5 writes its own.
_HUB_ONLY: dict[str, tuple[Any, ...]] = {
    "prenorm": (False, None),
    "causal": (False, None),
    "parallel_block": (False, None),
    "use_rms_norm": (False, None),
    "rotary_emb_fraction": (1.0,),
    "rotary_emb_interleaved": (False, None),
    "rotary_emb_scale_base": (None,),
    "rotary_scaling_factor": (None,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False, None),
    "moe_every_n_layers": (0, None),
    "activation_function": tuple(_GATES),
}


@dataclass(frozen=True)
class _Names:
    """Names of a layer's tensors: the hub's, and those of transformers 5 where it keeps its own."""

    layer: str = "encoder.layers"
    embedding_norm: str = "emb_ln"
    attended: str = "attn.out_proj"
    attention_norm: str = "norm1"
    gate: str = "mlp.fc12"
    inner: str = "mlp.fc11"
    outer: str = "mlp.fc2"
    norm: str = "norm2"


_OTHER_NAMES = _Names(
    layer="layers",
    embedding_norm="embeddings.LayerNorm",
    attended="self_attn.o_proj",
    attention_norm="post_attention_layernorm",
    gate="mlp.gate_proj",
    inner="mlp.up_proj",
    outer="mlp.down_proj",
    norm="post_mlp_layernorm",
)


def uncovered(config: Mapping[str, Any]) -> Iterator[Uncovered]:
    """Variants that have no graph."""
    if "n_embd" not in config:
        yield from require_activation({"hidden_act": "silu", **config}, "hidden_act")
        yield from uncovered_angles(config)
        return
    for key, covered in _HUB_ONLY.items():
        yield from require(config, key, *covered, in_torch=False)  # the authors' code computes it


def build(blocks: Blocks, config: Mapping[str, Any], token_types: bool) -> Body:
    """The graph of a Nomic-BERT encoder."""
    ops = blocks.ops
    has_types = bool(config.get("type_vocab_size", 2))
    if "n_embd" in config:
        config = translated(config)
    inputs = blocks.inputs(token_types)
    ids = inputs["input_ids"]
    width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    size = int(config.get("head_dim") or width // heads)
    epsilon, gating = float(config.get("layer_norm_eps", 1e-12)), str(config.get("hidden_act", "silu"))
    names = _Names() if "emb_ln.weight" in blocks.weights else _OTHER_NAMES
    _leave_out_biases(blocks, names)
    rotary = Rotary.of(blocks, ids, size, Rope.of(config, 1000.0), int(config["max_position_embeddings"]))
    biases = [blocks.padding_bias(inputs["attention_mask"])]

    x = embed(blocks, inputs, has_types)
    x = blocks.layer_norm(x, names.embedding_norm, epsilon)
    for layer in range(int(config["num_hidden_layers"])):
        name = f"{names.layer}.{layer}"
        query, key, value = (blocks.split_heads(part, heads, size) for part in _projections(blocks, x, name))
        context = blocks.attention(rotary.turn(query), rotary.turn(key), value, biases, size)
        attended = blocks.linear(blocks.join_heads(context, heads * size), f"{name}.{names.attended}")
        x = blocks.layer_norm(ops.add(x, attended), f"{name}.{names.attention_norm}", epsilon)
        gate = blocks.activation(blocks.linear(x, f"{name}.{names.gate}"), gating)
        gated = ops.multiply(blocks.linear(x, f"{name}.{names.inner}"), gate)
        x = ops.add(x, blocks.linear(gated, f"{name}.{names.outer}"))
        x = blocks.layer_norm(x, f"{name}.{names.norm}", epsilon)
    return Body(x, inputs, width)


def _leave_out_biases(blocks: Blocks, names: _Names) -> None:
    """The hub's code has biases in some kinds of layers, by keys that few files write; transformers 5 has none."""
    parts = (
        names.attended,
        names.gate,
        names.inner,
        names.outer,
        "attn.Wqkv",
        *(f"self_attn.{part}_proj" for part in "qkv"),
    )
    held = [name.removesuffix(".bias") for name in blocks.weights.names() if name.endswith(".bias")]
    blocks.leave_out_biases(*(part for part in parts if not any(name.endswith(part) for name in held)))


def embed(blocks: Blocks, inputs: Mapping[str, Node], has_types: bool) -> Node:
    """Sum of word and type vectors; without the input ``token_type_ids`` every token has type 0."""
    x = blocks.embedding(inputs["input_ids"], "embeddings.word_embeddings")
    types = "embeddings.token_type_embeddings"
    if "token_type_ids" in inputs:
        return blocks.ops.add(x, blocks.embedding(inputs["token_type_ids"], types))
    if has_types:
        return blocks.ops.add(x, blocks.constant(blocks.weights[f"{types}.weight"][0]))
    return x


def _projections(blocks: Blocks, x: Node, name: str) -> list[Node]:
    if f"{name}.attn.Wqkv.weight" in blocks.weights:
        return blocks.linears(x, f"{name}.attn.Wqkv", 3)
    return [blocks.linear(x, f"{name}.self_attn.{part}_proj") for part in "qkv"]


def translated(config: Mapping[str, Any]) -> dict[str, Any]:
    """The hub's keys in the format of transformers 5."""
    return {
        "model_type": config.get("model_type"),
        "hidden_size": config["n_embd"],
        "intermediate_size": config.get("n_inner") or 4 * config["n_embd"],
        "num_attention_heads": config["n_head"],
        "head_dim": config["n_embd"] // config["n_head"],
        "num_hidden_layers": config["n_layer"],
        "layer_norm_eps": config.get("layer_norm_epsilon", 1e-5),
        "hidden_act": _GATES[config.get("activation_function", "swiglu")],
        "max_position_embeddings": config["n_positions"],
        "rope_parameters": {"rope_type": "default", "rope_theta": config.get("rotary_emb_base", 10_000.0)},
    }
