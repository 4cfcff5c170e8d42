"""Qwen3 (Yang et al. 2025), a decoder that also serves as an embedding model (Zhang et al. 2025)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vicinal.engine.graphs.blocks import Blocks, Body, Node
from vicinal.engine.graphs.rotary import Rope, Rotary, uncovered_angles
from vicinal.engine.graphs.variants import Uncovered, require_activation, require_kinds

PROBE = "embed_tokens.weight"
PREFIXES = ("model.",)


_FULL, _WINDOW = "full_attention", "sliding_attention"


def uncovered(config: Mapping[str, Any]) -> Iterator[Uncovered]:
    """Variants that have no graph."""
    yield from require_activation({"hidden_act": "silu", **config}, "hidden_act")
    kinds = (_FULL,) if _window(config) is None else (_FULL, _WINDOW)
    yield from require_kinds(config, config.get("num_hidden_layers", 32), *kinds)
    yield from uncovered_angles(config)


def build(blocks: Blocks, config: Mapping[str, Any], token_types: bool) -> Body:
    """The graph of a Qwen3 decoder.

    Angles between tokens depend on their distance alone, so a folder whose tokenizer pads on the left gets
    the same vectors here, where batches are padded on the right.
    """
    ops = blocks.ops
    blocks.leave_out_biases("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "score")
    if not config.get("attention_bias", False):
        blocks.leave_out_biases(*(f"self_attn.{part}_proj" for part in "qkvo"))
    inputs = blocks.inputs(token_types)
    ids = inputs["input_ids"]
    width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    size = int(config.get("head_dim", 128) or width // heads)
    epsilon = float(config.get("rms_norm_eps", 1e-6))
    rotary = Rotary.of(blocks, ids, size, Rope.of(config, 10_000.0), int(config["max_position_embeddings"]))
    padding, kinds = blocks.padding_bias(inputs["attention_mask"]), layer_kinds(config)
    biases = {kind: [*attention_bias(blocks, config, kind, ids), padding] for kind in sorted(set(kinds))}

    x = blocks.embedding(ids, "embed_tokens")
    for layer, kind in enumerate(kinds):
        name = f"layers.{layer}"
        near = blocks.rms_norm(x, f"{name}.input_layernorm", epsilon)
        x = ops.add(x, attend(blocks, config, near, biases[kind], rotary, f"{name}.self_attn", size))
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


def layer_kinds(config: Mapping[str, Any]) -> list[str]:
    """Full or windowed attention for each layer."""
    if config.get("layer_types"):
        return [str(kind) for kind in config["layer_types"]]
    first = int(config.get("max_window_layers", 28)) if _window(config) else int(config["num_hidden_layers"])
    return [_WINDOW if layer >= first else _FULL for layer in range(int(config["num_hidden_layers"]))]


def _window(config: Mapping[str, Any]) -> int | None:
    """How many tokens a windowed layer sees; None where the switch is off."""
    return config.get("sliding_window", 4096) if config.get("use_sliding_window") else None


def attention_bias(blocks: Blocks, config: Mapping[str, Any], kind: str, ids: Node) -> list[Node]:
    """Which tokens a layer of this kind sees."""
    causal = config.get("is_causal", True)
    if kind == _FULL:
        return [blocks.causal_bias(ids)] if causal else []
    window = _window(config)
    assert window is not None  # uncovered() has seen to it
    return [blocks.causal_bias(ids, window) if causal else blocks.window_bias(ids, window)]
