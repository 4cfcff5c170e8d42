"""BERT (Devlin et al. 2018), and ELECTRA (Clark et al. 2020), which differs in its embedding width alone.

The pieces here serve every family that normalises behind each residual: only the tensors' names differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.engine.graphs.blocks import Blocks, Body, Node
from vicinal.engine.graphs.variants import Uncovered, require, require_activation

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
    distance: str = "attention.self.distance_embedding"


# How a layer knows the places of two tokens: not at all, as the embeddings hold them (Devlin et al. 2018); by their
# distance, told to the key (Shaw et al. 2018); or to the query too (Huang et al. 2020).
_POSITIONS = ("absolute", "relative_key", "relative_key_query")


@dataclass(frozen=True)
class Shape:
    """The numbers of a layer."""

    width: int
    heads: int
    activation: str
    epsilon: float
    positions: str = "absolute"

    @classmethod
    def of(cls, config: Mapping[str, Any], activation: str = "gelu") -> Shape:
        """As ``config.json`` gives them; ``activation`` is the family's own."""
        return cls(
            width=int(config["hidden_size"]),
            heads=int(config["num_attention_heads"]),
            activation=str(config.get("hidden_act", activation)),
            epsilon=float(config.get("layer_norm_eps", 1e-12)),
            positions=str(config.get("position_embedding_type") or "absolute"),
        )


def build(blocks: Blocks, config: Mapping[str, Any], token_types: bool) -> Body:
    """The graph of a BERT encoder.

    Args:
        token_types: add the input ``token_type_ids``; without it every token has type 0, whose vector is
            folded into the position table.
    """
    inputs = blocks.inputs(token_types)
    x = embed(blocks, inputs, Shape.of(config))
    width = config["hidden_size"]
    if (
        config.get("model_type") == "electra" and config.get("embedding_size", width) != width
    ):  # narrower embeddings
        x = blocks.linear(x, "embeddings_project")
    return encode(blocks, config, x, inputs)


def uncovered(config: Mapping[str, Any]) -> Iterator[Uncovered]:
    """Variants that transformers' BERT-like families have had over the years."""
    # Transformers 5 would leave a type of its own out of account, and not find weights for pruned heads.
    yield from require(config, "position_embedding_type", None, *_POSITIONS, in_torch=False)
    yield from require(config, "pruned_heads", {}, None, in_torch=False)
    yield from require_activation(config, "hidden_act")


def left_out(config: Mapping[str, Any]) -> Iterator[Uncovered]:
    """What the graph computes, and transformers since its version 5 does not."""
    yield from require(config, "position_embedding_type", "absolute", None, in_torch=False)


def embed(
    blocks: Blocks,
    inputs: Mapping[str, Node],
    shape: Shape,
    places: Node | None = None,
    *,
    has_types: bool = True,
) -> Node:
    """Sum of word, position and type vectors, normalised: ``(B, L, embedding_size)``.

    Args:
        places: ``(B, L)`` rows of the position table; without it they are 0, 1, 2, ... in each text.
        has_types: whether the family has vectors of token types.
    """
    ops, weights = blocks.ops, blocks.weights
    ids = inputs["input_ids"]
    positions = weights["embeddings.position_embeddings.weight"]
    x = blocks.embedding(ids, "embeddings.word_embeddings")
    if "token_type_ids" in inputs:
        x = ops.add(x, blocks.embedding(inputs["token_type_ids"], "embeddings.token_type_embeddings"))
    elif has_types and shape.positions != "absolute":
        x = ops.add(x, blocks.constant(weights["embeddings.token_type_embeddings.weight"][0]))
    elif has_types:
        positions = positions + weights["embeddings.token_type_embeddings.weight"][0]
    if shape.positions != "absolute":
        pass  # the layers look at distances
    elif places is None:
        x = ops.add(x, blocks.first_rows(positions, ids))
    else:
        x = ops.add(x, blocks.rows(blocks.constant(positions), places))
    return blocks.layer_norm(x, "embeddings.LayerNorm", shape.epsilon)


def encode(blocks: Blocks, config: Mapping[str, Any], x: Node, inputs: dict[str, Node]) -> Body:
    """All layers, under BERT's names and keys."""
    shape = Shape.of(config)
    biases = [blocks.padding_bias(inputs["attention_mask"])]
    if config.get("is_decoder"):
        biases.insert(0, blocks.causal_bias(inputs["input_ids"]))
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
    if shape.positions != "absolute":
        distance = blocks.weights[f"{name}.{names.distance}.weight"]
        both = shape.positions == "relative_key_query"
        biases = [distance_scores(blocks, query, key if both else None, distance), *biases]
    context = blocks.join_heads(blocks.attention(query, key, value, biases, size), shape.width)
    attended = blocks.linear(context, f"{name}.{names.attended}")
    x = blocks.layer_norm(ops.add(x, attended), f"{name}.{names.attention_norm}", shape.epsilon)
    inner = blocks.activation(blocks.linear(x, f"{name}.{names.inner}"), shape.activation)
    outer = blocks.linear(inner, f"{name}.{names.outer}")
    return blocks.layer_norm(ops.add(x, outer), f"{name}.{names.norm}", shape.epsilon)


def distance_scores(blocks: Blocks, query: Node, key: Node | None, table: NDArray[Any]) -> Node:
    """``(B, heads, L, L)``: what a query, and a key where it is given, make of the distance between them.

    Args:
        table: ``(2 n - 1, size)`` for texts of up to n tokens; row ``place of query - place of key + n - 1``.
    """
    ops = blocks.ops
    queries, keys = blocks.pairs_of_places(query, axis=2)
    rows = ops.add(ops.subtract(queries, keys), ops.constant(np.int32(len(table) // 2)))
    distances = blocks.rows(blocks.constant(table), rows)  # (L, L, size)
    scores = ops.einsum([query, distances], "bhld,lrd->bhlr")
    if key is not None:
        scores = ops.add(scores, ops.einsum([key, distances], "bhrd,lrd->bhlr"))
    return ops.multiply(scores, blocks.scalar(table.shape[1] ** -0.5))
