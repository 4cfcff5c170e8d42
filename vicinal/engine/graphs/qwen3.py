"""Qwen3 (Yang et al. 2025), a decoder that also serves as an embedding model (Zhang et al. 2025)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vicinal.engine.graphs.blocks import Blocks, Body, Node
from vicinal.engine.graphs.rotary import Rotary, rope_theta

PROBE = "embed_tokens.weight"
PREFIXES = ("model.",)


def build(blocks: Blocks, config: Mapping[str, Any], token_types: bool) -> Body:
    """The graph of a Qwen3 decoder.

    Angles between tokens depend on their distance alone, so a folder whose tokenizer pads on the left gets
    the same vectors here, where batches are padded on the right.
    """
    ops = blocks.ops
    inputs = blocks.inputs(token_types)
    ids = inputs["input_ids"]
    _refuse_windows(blocks, config)
    width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    size = int(config.get("head_dim") or width // heads)
    epsilon = float(config.get("rms_norm_eps", 1e-6))
    theta = rope_theta(blocks, config, 10_000.0)
    rotary = Rotary.of(blocks, ids, size, theta, int(config["max_position_embeddings"]))
    biases = [blocks.padding_bias(inputs["attention_mask"])]
    if config.get("is_causal", True):
        biases.insert(0, causal_bias(blocks, ids))

    x = blocks.embedding(ids, "embed_tokens")
    for layer in range(int(config["num_hidden_layers"])):
        name = f"layers.{layer}"
        near = blocks.rms_norm(x, f"{name}.input_layernorm", epsilon)
        x = ops.add(x, attend(blocks, config, near, biases, rotary, f"{name}.self_attn", size))
        near = blocks.rms_norm(x, f"{name}.post_attention_layernorm", epsilon)
        gate = blocks.activation(
            blocks.linear(near, f"{name}.mlp.gate_proj"), str(config.get("hidden_act", "silu"))
        )
        gated = ops.multiply(gate, blocks.linear(near, f"{name}.mlp.up_proj"))
        x = ops.add(x, blocks.linear(gated, f"{name}.mlp.down_proj"))
    return Body(blocks.rms_norm(x, "norm", epsilon), inputs, width)


def attend(
    blocks: Blocks,
    config: Mapping[str, Any],
    x: Node,
    biases: Sequence[Node],
    rotary: Rotary,
    name: str,
    size: int,
) -> Node:
    """Attention in which several query heads share a key and value head (Ainslie et al. 2023)."""
    heads = int(config["num_attention_heads"])
    groups = int(config.get("num_key_value_heads") or heads)
    epsilon = float(config.get("rms_norm_eps", 1e-6))
    swap = blocks.integers(0, 2, 1, 3)

    def normal(part: str, count: int) -> Node:
        grouped = blocks.group_heads(blocks.linear(x, f"{name}.{part}_proj"), count, size)
        return rotary.turn(
            blocks.ops.transpose(blocks.rms_norm(grouped, f"{name}.{part}_norm", epsilon), swap)
        )

    query, key = normal("q", heads), normal("k", groups)
    value = blocks.split_heads(blocks.linear(x, f"{name}.v_proj"), groups, size)
    if groups != heads:
        key, value = (repeat_heads(blocks, each, groups, heads, size) for each in (key, value))
    context = blocks.attention(query, key, value, biases, size)
    return blocks.linear(blocks.join_heads(context, heads * size), f"{name}.o_proj")


def repeat_heads(blocks: Blocks, x: Node, groups: int, heads: int, size: int) -> Node:
    """``(B, groups, L, size)`` to ``(B, heads, L, size)``: each head stands beside its own copies."""
    ops = blocks.ops
    shape = blocks.integers(1, 1, heads // groups, 1, 1)
    copies = ops.broadcast(ops.unsqueeze(x, blocks.integers(2)), shape, broadcast_spec="BIDIRECTIONAL")
    return ops.reshape(copies, blocks.integers(0, heads, -1, size), True)


def causal_bias(blocks: Blocks, ids: Node) -> Node:
    """``(1, 1, L, L)``: a token sees itself and those before it."""
    ops = blocks.ops
    places = blocks.places(ids)
    queries, keys = (ops.unsqueeze(places, blocks.integers(axis)) for axis in (1, 0))
    return blocks.bias_of(ops.less_equal(keys, queries))


def _refuse_windows(blocks: Blocks, config: Mapping[str, Any]) -> None:
    """Refuse layers that see the last few thousand tokens only; the switch alone may be without effect."""
    depth = int(config["num_hidden_layers"])
    kinds = config.get("layer_types")
    if kinds:
        if any(kind != "full_attention" for kind in kinds[:depth]):
            raise blocks.unsupported(config, f"layer_types = {sorted(set(kinds))!r}", "'full_attention'")
        return
    windowed = depth > int(config.get("max_window_layers", 28))
    if config.get("use_sliding_window") and config.get("sliding_window", 4096) is not None and windowed:
        raise blocks.unsupported(config, "use_sliding_window = True", "False")
