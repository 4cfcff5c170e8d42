"""Heads of cross-encoders: what stands between a transformer's hidden states and its scores.

Each family's checkpoints were trained with a head of its own; the names are those of their files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vicinal.engine.graphs.blocks import Blocks, Body, Node
from vicinal.engine.graphs.heads import pooling
from vicinal.engine.graphs.variants import Uncovered, nothing, require, require_activation
from vicinal.folder.specs import PoolingSpec, TransformerSpec

# (blocks, body, spec) -> what the last linear layer reads, (B, width)
Features = Callable[[Blocks, Body, TransformerSpec], Node]


@dataclass(frozen=True)
class Head:
    """One family's head.

    Attributes:
        last: name of the linear layer that gives the scores.
        features: what stands before it.
        uncovered: variants of it that have no graph, see ``variants.py``.
    """

    last: str
    features: Features
    uncovered: Callable[[Mapping[str, Any]], Iterator[Uncovered]] = nothing


def _first(blocks: Blocks, body: Body) -> Node:
    """``(B, H)``: the first token, which batches padded on the right have at place 0."""
    return blocks.ops.gather(body.hidden, blocks.ops.constant(np.int64(0)), blocks.integers(1))


def dense(last: str, name: str, activation: str) -> Head:
    """A dense layer on the first token, then the linear layer ``last``."""

    def features(blocks: Blocks, body: Body, spec: TransformerSpec) -> Node:
        return blocks.activation(blocks.linear(_first(blocks, body), name), activation)

    return Head(last, features)


def _modernbert(blocks: Blocks, body: Body, spec: TransformerSpec) -> Node:
    """The prediction head, on the first token or the mean of all."""
    config = spec.config
    mean = config.get("classifier_pooling") == "mean"
    x = pooling(blocks, body, PoolingSpec(("mean",))) if mean else _first(blocks, body)
    x = blocks.activation(blocks.linear(x, "head.dense"), str(config.get("classifier_activation", "gelu")))
    return blocks.layer_norm(x, "head.norm", float(config.get("norm_eps", 1e-5)))


def _modernbert_uncovered(config: Mapping[str, Any]) -> Iterator[Uncovered]:
    yield from require(config, "classifier_pooling", "cls", "mean")
    yield from require_activation(config, "classifier_activation")


def _last_token(blocks: Blocks, body: Body, spec: TransformerSpec) -> Node:
    """A decoder's last token that is not the padding token, even where a text itself ends in it."""
    ops = blocks.ops
    mask = body.inputs["attention_mask"]
    padding = spec.config.get("pad_token_id")
    if padding is not None:
        others = ops.not_equal(body.inputs["input_ids"], ops.constant(np.int32(padding)))
        mask = ops.multiply(mask, ops.convert(others, "i32"))
    shortened = Body(body.hidden, {**body.inputs, "attention_mask": mask}, body.hidden_size)
    return pooling(blocks, shortened, PoolingSpec(("lasttoken",)))


BERT = dense("classifier", "pooler.dense", "tanh")
ROBERTA = dense("classifier.out_proj", "classifier.dense", "tanh")
MODERNBERT = Head("classifier", _modernbert, _modernbert_uncovered)
LAST_TOKEN = Head("score", _last_token)
