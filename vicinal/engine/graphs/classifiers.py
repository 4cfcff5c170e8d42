"""Heads of cross-encoders: a transformer's hidden states become one score a label.

Each family's checkpoints were trained with a head of its own; the names are those of their files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vicinal.engine.graphs.blocks import Blocks, Body, Node
from vicinal.engine.graphs.heads import pooling
from vicinal.engine.weights import Weights
from vicinal.errors import ModelFormatError, UnsupportedModelError
from vicinal.folder.specs import PoolingSpec, TransformerSpec

# (blocks, body, spec) -> what the last linear layer reads, (B, width)
Features = Callable[[Blocks, Body, TransformerSpec], Node]


@dataclass(frozen=True)
class Head:
    """One family's head.

    Attributes:
        last: name of the linear layer that gives the scores.
        features: what stands before it.
    """

    last: str
    features: Features


def logits(blocks: Blocks, body: Body, spec: TransformerSpec) -> tuple[Node, int]:
    """``(B, labels)`` scores before any activation, and the number of labels.

    Raises:
        UnsupportedModelError: there is no such head for this architecture here.
        ModelFormatError: the checkpoint holds no head.
    """
    head = _head(spec, blocks.weights)
    labels = int(blocks.weights[f"{head.last}.weight"].shape[0])
    return blocks.linear(head.features(blocks, body, spec), head.last), labels


def head_labels(spec: TransformerSpec) -> int:
    """How many labels the head of a folder scores, read without building a graph.

    Raises:
        UnsupportedModelError, ModelFormatError: as :func:`logits`.
    """
    weights = Weights.open(spec.folder)
    return int(weights[f"{_head(spec, weights).last}.weight"].shape[0])


def has_head(spec: TransformerSpec) -> bool:
    """Whether the weights of a folder hold a head; False, too, where none of the architecture is known."""
    head = HEADS.get(spec.model_type)
    return head is not None and f"{head.last}.weight" in Weights.open(spec.folder)


def _head(spec: TransformerSpec, weights: Weights) -> Head:
    head = HEADS.get(spec.model_type)
    if head is None:
        raise UnsupportedModelError(
            f"{spec.folder}: no cross-encoder head of the architecture {spec.model_type!r} is known "
            f"(there are: {', '.join(sorted(HEADS))}); PyTorch runs it: pip install 'vicinal[train]'"
        )
    if f"{head.last}.weight" not in weights:
        raise ModelFormatError(
            f"{spec.folder}: not a cross-encoder, its weights hold no classification head "
            f"({head.last}.weight); load it as a SentenceTransformer, or fine-tune it on pairs first"
        )
    return head


def _first(blocks: Blocks, body: Body) -> Node:
    """``(B, H)``: the first token, which batches padded on the right have at place 0."""
    return blocks.ops.gather(body.hidden, blocks.ops.constant(np.int64(0)), blocks.integers(1))


def _dense(name: str, activation: str) -> Features:
    """A dense layer on the first token."""

    def features(blocks: Blocks, body: Body, spec: TransformerSpec) -> Node:
        return blocks.activation(blocks.linear(_first(blocks, body), name), activation)

    return features


def _modernbert(blocks: Blocks, body: Body, spec: TransformerSpec) -> Node:
    """The prediction head, on the first token or the mean of all."""
    config = spec.config
    blocks.require(config, "classifier_pooling", "cls", "mean")
    mean = config.get("classifier_pooling") == "mean"
    x = pooling(blocks, body, PoolingSpec(("mean",))) if mean else _first(blocks, body)
    x = blocks.activation(blocks.linear(x, "head.dense"), str(config.get("classifier_activation", "gelu")))
    return blocks.layer_norm(x, "head.norm", float(config.get("norm_eps", 1e-5)))


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


_BERT = Head("classifier", _dense("pooler.dense", "tanh"))
_ROBERTA = Head("classifier.out_proj", _dense("classifier.dense", "tanh"))

HEADS: dict[str, Head] = {
    "albert": Head("classifier", _dense("pooler", "tanh")),
    "bert": _BERT,
    "camembert": _ROBERTA,
    "distilbert": Head("classifier", _dense("pre_classifier", "relu")),
    "electra": Head("classifier.out_proj", _dense("classifier.dense", "gelu")),
    "modernbert": Head("classifier", _modernbert),
    "mpnet": _ROBERTA,
    "nomic_bert": _BERT,
    "qwen3": Head("score", _last_token),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}
