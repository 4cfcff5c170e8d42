"""RoBERTa (Liu et al. 2019), XLM-RoBERTa (Conneau et al. 2020) and CamemBERT (Martin et al. 2020).

BERT's layers; positions are counted differently, and there is one token type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vicinal.engine.graphs import bert
from vicinal.engine.graphs.blocks import Blocks, Body, Node

PROBE = bert.PROBE
uncovered, left_out = bert.uncovered, bert.left_out
PREFIXES = ("roberta.", "xlm_roberta.", "camembert.", "model.")


def build(blocks: Blocks, config: Mapping[str, Any], token_types: bool) -> Body:
    """The graph of a RoBERTa encoder."""
    inputs = blocks.inputs(token_types)
    padding = config.get("pad_token_id")
    places = counted_places(blocks, inputs["input_ids"], 1 if padding is None else int(padding))
    x = bert.embed(blocks, inputs, bert.Shape.of(config), places)
    return bert.encode(blocks, config, x, inputs)


def counted_places(blocks: Blocks, ids: Node, padding: int) -> Node:
    """``(B, L)`` rows of the position table: the row behind ``padding`` is the first token's.

    Only tokens other than ``padding`` are counted, and each ``padding`` has the row of that number; so a
    text that holds the padding token literally is numbered as in training.
    """
    ops = blocks.ops
    pad = ops.constant(np.int32(padding))
    counts = ops.convert(ops.not_equal(ids, pad), "i32")
    ranks = ops.cum_sum(counts, ops.constant(np.int64(1)))
    return ops.add(ops.multiply(ranks, counts), pad)
