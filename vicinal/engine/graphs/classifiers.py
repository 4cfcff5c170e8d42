"""Cross-encoders: a transformer's hidden states become one score per label, by the head of its family."""

from __future__ import annotations

from vicinal.engine.graphs import FAMILIES, check_variant, torch_runs_it
from vicinal.engine.graphs.blocks import Blocks, Body, Node
from vicinal.engine.graphs.classifier_heads import Head
from vicinal.engine.graphs.shapes import checked_config
from vicinal.engine.weights import Weights
from vicinal.errors import ModelFormatError, UnsupportedModelError
from vicinal.folder.specs import TransformerSpec

#: Each architecture's head, as its row says.
HEADS: dict[str, Head] = {name: family.head for name, family in FAMILIES.items() if family.head is not None}


def logits(blocks: Blocks, body: Body, spec: TransformerSpec) -> tuple[Node, int]:
    """``(B, labels)`` scores before any activation, and the number of labels.

    Raises:
        UnsupportedModelError: there is no such head for this architecture here.
        ModelFormatError: the checkpoint holds no head.
    """
    check_variant(spec, head=True)
    head = _head(spec, blocks.weights)
    labels = int(blocks.weights[f"{head.last}.weight"].shape[0])
    return blocks.linear(head.features(blocks, body, spec), head.last), labels


def head_labels(spec: TransformerSpec) -> int:
    """How many labels the head of a folder scores, read without building a graph.

    Raises:
        UnsupportedModelError, ModelFormatError: as :func:`logits`.
    """
    weights = Weights.open(spec.folder)
    labels = weights.shape(f"{_head(spec, weights).last}.weight")[0]
    family = FAMILIES[spec.model_type]
    checked_config(spec, weights.without_prefix(family.probe, family.prefixes))
    return labels


def has_head(spec: TransformerSpec) -> bool:
    """Whether the weights of a folder hold a head; False, too, where none of the architecture is known."""
    head = HEADS.get(spec.model_type)
    return head is not None and f"{head.last}.weight" in Weights.open(spec.folder)


def _head(spec: TransformerSpec, weights: Weights) -> Head:
    head = HEADS.get(spec.model_type)
    if head is None:
        raise UnsupportedModelError(
            f"{spec.folder}: no cross-encoder head of the architecture {spec.model_type!r} is known "
            f"(there are: {', '.join(sorted(HEADS))}); {torch_runs_it()}"
        )
    if f"{head.last}.weight" not in weights:
        raise ModelFormatError(
            f"{spec.folder}: not a cross-encoder, its weights hold no classification head "
            f"({head.last}.weight); load it as a SentenceTransformer, or fine-tune it on pairs first"
        )
    return head
