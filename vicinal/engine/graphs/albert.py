"""ALBERT (Lan et al. 2020): narrow embeddings, and few layers that are passed through many times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vicinal.engine.graphs import bert
from vicinal.engine.graphs.blocks import Blocks, Body
from vicinal.engine.graphs.variants import Uncovered

PROBE = bert.PROBE
PREFIXES = ("albert.", "model.")

_NAMES = bert.Names(
    query="attention.query",
    key="attention.key",
    value="attention.value",
    attended="attention.dense",
    attention_norm="attention.LayerNorm",
    inner="ffn",
    outer="ffn_output",
    norm="full_layer_layer_norm",
    distance="attention.distance_embedding",
)


def uncovered(config: Mapping[str, Any]) -> Iterator[Uncovered]:
    """Variants that have no graph."""
    yield from bert.uncovered({"hidden_act": "gelu_new", **config})


def build(blocks: Blocks, config: Mapping[str, Any], token_types: bool) -> Body:
    """The graph of an ALBERT encoder; each group of layers serves an equal run of the depth."""
    inputs = blocks.inputs(token_types)
    shape = bert.Shape.of(config, activation="gelu_new")
    depth, groups = int(config["num_hidden_layers"]), int(config.get("num_hidden_groups", 1))
    x = bert.embed(blocks, inputs, shape)
    x = blocks.linear(x, "encoder.embedding_hidden_mapping_in")
    biases = [blocks.padding_bias(inputs["attention_mask"])]
    for layer in range(depth):
        group = f"encoder.albert_layer_groups.{layer * groups // depth}"
        for inner in range(int(config.get("inner_group_num", 1))):
            x = bert.encoder_layer(blocks, shape, x, biases, f"{group}.albert_layers.{inner}", _NAMES)
    return Body(x, inputs, shape.width)
