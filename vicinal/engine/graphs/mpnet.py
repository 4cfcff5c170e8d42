"""MPNet (Song et al. 2020): BERT's layers, and attention scores that know the distance of two tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.engine.graphs import bert
from vicinal.engine.graphs.blocks import Blocks, Body, Node
from vicinal.engine.graphs.roberta import counted_places
from vicinal.engine.graphs.variants import Uncovered, require, require_activation

PROBE = bert.PROBE
PREFIXES = ("mpnet.", "model.")

PADDING = 1  # of the position table, whatever pad_token_id says
_BUCKETS, _FAR = 32, 128

_NAMES = bert.Names(
    query="attention.attn.q",
    key="attention.attn.k",
    value="attention.attn.v",
    attended="attention.attn.o",
    attention_norm="attention.LayerNorm",
)


def uncovered(config: Mapping[str, Any]) -> Iterator[Uncovered]:
    """Variants that have no graph.

    Not ``relative_attention_num_buckets``: whatever it says, transformers uses the first 32 rows of the table.
    """
    yield from require(config, "pruned_heads", {}, None, in_torch=False)
    yield from require_activation(config, "hidden_act")


def build(blocks: Blocks, config: Mapping[str, Any], token_types: bool) -> Body:
    """The graph of an MPNet encoder."""
    inputs = blocks.inputs(token_types)
    shape = replace(bert.Shape.of(config), positions="absolute")  # whatever config.json says
    places = counted_places(blocks, inputs["input_ids"], PADDING)
    x = bert.embed(blocks, inputs, shape, places, has_types=False)
    longest = int(config["max_position_embeddings"]) - PADDING - 1
    biases = [
        distance_bias(blocks, inputs["input_ids"], longest),
        blocks.padding_bias(inputs["attention_mask"]),
    ]
    for layer in range(int(config["num_hidden_layers"])):
        x = bert.encoder_layer(blocks, shape, x, biases, f"encoder.layer.{layer}", _NAMES)
    return Body(x, inputs, shape.width)


def distance_bias(blocks: Blocks, ids: Node, longest: int) -> Node:
    """``(1, heads, L, L)``, cut from a constant for ``longest`` tokens (12 MiB for 12 heads and 512)."""
    places = np.arange(longest)
    by_bucket = blocks.weights["encoder.relative_attention_bias.weight"]  # (buckets, heads)
    table = by_bucket.T[None, :, bucket(places[None, :] - places[:, None])]
    length = blocks.length_of(ids)
    ends = blocks.ops.concat([length, length], 0)
    start, step, axes = blocks.integers(0, 0), blocks.integers(1, 1), blocks.integers(2, 3)
    return blocks.ops.slice(blocks.constant(table), start, ends, step, axes)


def bucket(distance: NDArray[Any]) -> NDArray[np.int64]:
    """Bucket of ``place of the key - place of the query`` (Raffel et al. 2020, section 2.1).

    Half of the buckets are for keys that follow. In each half, 8 buckets hold one distance each, and 8 more
    grow with its logarithm up to the last, which holds everything from ``_FAR`` on.
    """
    half = _BUCKETS // 2
    exact = half // 2
    steps = np.abs(distance)
    growth = np.log(np.maximum(steps, exact) / exact) / np.log(_FAR / exact)
    far = np.minimum(exact + (growth * (half - exact) + 1e-6).astype(np.int64), half - 1)
    buckets: NDArray[np.int64] = np.where(distance > 0, half, 0) + np.where(steps < exact, steps, far)
    return buckets
