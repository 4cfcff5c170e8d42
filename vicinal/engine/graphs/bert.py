"""BERT (Devlin et al. 2018), and ELECTRA (Clark et al. 2020), which differs in its embedding width alone.

The pieces here serve every family that normalises behind each residual: only the tensors' names differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vicinal.engine.graphs.blocks import Blocks, Body, Node

PROBE = "embeddings.word_embeddings.weight"
PREFIXES = ("bert.", "electra.", "model.")


@dataclass(frozen=True)
class Names:
    """What a family calls the tensors of a layer."""

    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attended: str = "attention.output.dense"
    attention_norm: str = "attention.output.LayerNorm"
    inner: str = "intermediate.dense"
    outer: str = "output.dense"
    norm: str = "output.LayerNorm"


@dataclass(frozen=True)
class Shape:
    """The numbers of a layer."""

    width: int
    heads: int
    activation: str
    epsilon: float

    @classmethod
    def of(cls, config: Mapping[str, Any], activation: str = "gelu") -> Shape:
        """As ``config.json`` gives them; ``activation`` is the family's own."""
        return cls(
            width=int(config["hidden_size"]),
            heads=int(config["num_attention_heads"]),
            activation=str(config.get("hidden_act", activation)),
            epsilon=float(config.get("layer_norm_eps", 1e-12)),
        )


def build(blocks: Blocks, config: Mapping[str, Any], token_types: bool) -> Body:
    """The graph of a BERT encoder.

    Args:
        token_types: add the input ``token_type_ids``; without it every token has type 0, whose vector is
            folded into the position table.
    """
    check(blocks, config)
    inputs = blocks.inputs(token_types)
    x = embed(blocks, inputs, Shape.of(config).epsilon)
    if "embeddings_project.weight" in blocks.weights:  # ELECTRA's narrower embeddings
        x = blocks.linear(x, "embeddings_project")
    return encode(blocks, config, x, inputs)


def check(blocks: Blocks, config: Mapping[str, Any]) -> None:
    """Refuse the variants that transformers' BERT-like families have had over the years."""
    blocks.require(config, "position_embedding_type", "absolute", None)
    blocks.require(config, "is_decoder", False, None)
    blocks.require(config, "pruned_heads", {}, None)


def embed(blocks: Blocks, inputs: Mapping[str, Node], epsilon: float, places: Node | None = None) -> Node:
    """Sum of word, position and type vectors, normalised: ``(B, L, embedding_size)``.

    Args:
        places: ``(B, L)`` rows of the position table; without it they are 0, 1, 2, ... in each text.
    """
    ops, weights = blocks.ops, blocks.weights
    ids = inputs["input_ids"]
    positions = weights["embeddings.position_embeddings.weight"]
    x = blocks.embedding(ids, "embeddings.word_embeddings")
    if "token_type_ids" in inputs:
        x = ops.add(x, blocks.embedding(inputs["token_type_ids"], "embeddings.token_type_embeddings"))
    elif "embeddings.token_type_embeddings.weight" in weights:
        positions = positions + weights["embeddings.token_type_embeddings.weight"][0]
    if places is None:
        x = ops.add(x, blocks.first_rows(positions, ids))
    else:
        x = ops.add(x, blocks.rows(blocks.constant(positions), places))
    return blocks.layer_norm(x, "embeddings.LayerNorm", epsilon)


def encode(blocks: Blocks, config: Mapping[str, Any], x: Node, inputs: dict[str, Node]) -> Body:
    """All layers, under BERT's names and keys."""
    shape = Shape.of(config)
    biases = [blocks.padding_bias(inputs["attention_mask"])]
    for layer in range(int(config["num_hidden_layers"])):
        x = encoder_layer(blocks, shape, x, biases, f"encoder.layer.{layer}")
    return Body(x, inputs, shape.width)


def encoder_layer(
    blocks: Blocks, shape: Shape, x: Node, biases: Sequence[Node], name: str, names: Names = Names()
) -> Node:
    """Self-attention and feed-forward, each followed by residual and normalisation (post-norm)."""
    ops = blocks.ops
    size = shape.width // shape.heads
    query, key, value = (
        blocks.split_heads(blocks.linear(x, f"{name}.{part}"), shape.heads, size)
        for part in (names.query, names.key, names.value)
    )
    context = blocks.join_heads(blocks.attention(query, key, value, biases, size), shape.width)
    attended = blocks.linear(context, f"{name}.{names.attended}")
    x = blocks.layer_norm(ops.add(x, attended), f"{name}.{names.attention_norm}", shape.epsilon)
    inner = blocks.activation(blocks.linear(x, f"{name}.{names.inner}"), shape.activation)
    outer = blocks.linear(inner, f"{name}.{names.outer}")
    return blocks.layer_norm(ops.add(x, outer), f"{name}.{names.norm}", shape.epsilon)
