"""DistilBERT (Sanh et al. 2019): BERT's layers under other names, without token types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vicinal.engine.graphs import bert
from vicinal.engine.graphs.blocks import Blocks, Body
from vicinal.engine.graphs.variants import Uncovered, require, require_activation

PROBE = bert.PROBE
PREFIXES = ("distilbert.", "model.")

_NAMES = bert.Names(
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attended="attention.out_lin",
    attention_norm="sa_layer_norm",
    inner="ffn.lin1",
    outer="ffn.lin2",
    norm="output_layer_norm",
)


def uncovered(config: Mapping[str, Any]) -> Iterator[Uncovered]:
    """Variants that have no graph."""
    yield from require(config, "pruned_heads", {}, None, in_torch=False)
    yield from require_activation(config, "activation")


def build(blocks: Blocks, config: Mapping[str, Any], token_types: bool) -> Body:
    """The graph of a DistilBERT encoder; sinusoidal positions lie in the weights like learned ones."""
    inputs = blocks.inputs(token_types)
    shape = bert.Shape(
        int(config["dim"]), int(config["n_heads"]), str(config.get("activation", "gelu")), 1e-12
    )
    x = bert.embed(blocks, inputs, shape, has_types=False)
    biases = [blocks.padding_bias(inputs["attention_mask"])]
    for layer in range(int(config["n_layers"])):
        x = bert.encoder_layer(blocks, shape, x, biases, f"transformer.layer.{layer}", _NAMES)
    return Body(x, inputs, shape.width)
