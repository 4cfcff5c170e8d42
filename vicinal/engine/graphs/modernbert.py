"""ModernBERT (Warner et al. 2024): rotary positions, gated feed-forward, most layers look near by only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vicinal.engine.graphs.blocks import Blocks, Body, Node
from vicinal.engine.graphs.rotary import Rope, Rotary, uncovered_angles
from vicinal.engine.graphs.variants import Uncovered, require_activation, require_kinds

PROBE = "embeddings.tok_embeddings.weight"
PREFIXES = ("model.",)

# Which layers have a bias where the key is true; without the key none has.
_BIASES = {
    "attention_bias": ("attn.Wqkv", "attn.Wo"),
    "mlp_bias": ("mlp.Wi", "mlp.Wo"),
    "norm_bias": ("norm",),
    "classifier_bias": ("head.dense",),
}

_FULL, _LOCAL = "full_attention", "sliding_attention"


def uncovered(config: Mapping[str, Any]) -> Iterator[Uncovered]:
    """Variants that have no graph."""
    yield from require_activation(config, "hidden_activation")
    yield from require_kinds(config, config.get("num_hidden_layers", 22), _FULL, _LOCAL)
    for kind in (_FULL, _LOCAL):
        yield from uncovered_angles(config, kind)


def build(blocks: Blocks, config: Mapping[str, Any], token_types: bool) -> Body:
    """The graph of a ModernBERT encoder; normalisation stands before each half of a layer (pre-norm)."""
    ops = blocks.ops
    _leave_out_biases(blocks, config)
    inputs = blocks.inputs(token_types)
    ids = inputs["input_ids"]
    width, epsilon = int(config["hidden_size"]), float(config.get("norm_eps", 1e-5))
    size = width // int(config["num_attention_heads"])
    longest = int(config["max_position_embeddings"])
    kinds = layer_kinds(config)
    rope = {_FULL: Rope.of(config, 160_000.0, "global_rope_theta", _FULL)}
    rope[_LOCAL] = Rope.of(config, _local_default(config, rope[_FULL].theta), "local_rope_theta", _LOCAL)
    rotary = {kind: Rotary.of(blocks, ids, size, rope[kind], longest) for kind in sorted(set(kinds))}
    padding = blocks.padding_bias(inputs["attention_mask"])
    biases = {_FULL: [padding]}
    if _LOCAL in kinds:
        biases[_LOCAL] = [blocks.window_bias(ids, int(config.get("local_attention", 128)) // 2), padding]

    x = blocks.embedding(ids, "embeddings.tok_embeddings")
    x = blocks.layer_norm(x, "embeddings.norm", epsilon)
    for layer, kind in enumerate(kinds):
        name = f"layers.{layer}"
        # the first layer's input has just been normalised
        near = blocks.layer_norm(x, f"{name}.attn_norm", epsilon) if layer else x
        x = ops.add(x, attend(blocks, near, biases[kind], rotary[kind], f"{name}.attn", width, size))
        inner, gate = blocks.linears(blocks.layer_norm(x, f"{name}.mlp_norm", epsilon), f"{name}.mlp.Wi", 2)
        gated = ops.multiply(blocks.activation(inner, str(config.get("hidden_activation", "gelu"))), gate)
        x = ops.add(x, blocks.linear(gated, f"{name}.mlp.Wo"))
    return Body(blocks.layer_norm(x, "final_norm", epsilon), inputs, width)


def _leave_out_biases(blocks: Blocks, config: Mapping[str, Any]) -> None:
    for key, endings in _BIASES.items():
        if not config.get(key, False):
            blocks.leave_out_biases(*endings)


def attend(
    blocks: Blocks, x: Node, biases: Sequence[Node], rotary: Rotary, name: str, width: int, size: int
) -> Node:
    """Self-attention with rotary positions."""
    query, key, value = (
        blocks.split_heads(part, width // size, size) for part in blocks.linears(x, f"{name}.Wqkv", 3)
    )
    context = blocks.attention(rotary.turn(query), rotary.turn(key), value, biases, size)
    return blocks.linear(blocks.join_heads(context, width), f"{name}.Wo")


def layer_kinds(config: Mapping[str, Any]) -> list[str]:
    """Full or local attention for each layer; every third is full where ``config.json`` says nothing."""
    if config.get("layer_types"):
        return [str(kind) for kind in config["layer_types"]]
    every = int(config.get("global_attn_every_n_layers", 3))
    return [_LOCAL if layer % every else _FULL for layer in range(int(config["num_hidden_layers"]))]


def _local_default(config: Mapping[str, Any], full: float) -> float:
    """An explicit null means the theta of the full layers; an absent key means the paper's."""
    return full if "local_rope_theta" in config else 10_000.0
