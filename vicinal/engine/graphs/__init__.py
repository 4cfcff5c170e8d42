"""Transformer families as OpenVINO graphs: one small file each, and one row in the table here.

The row says all that the rest of the package has to know of an architecture, cross-encoders included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vicinal.engine.graphs import (
    albert,
    bert,
    classifier_heads,
    distilbert,
    modernbert,
    mpnet,
    nomic_bert,
    qwen3,
    roberta,
)
from vicinal.engine.graphs.blocks import Blocks, Body
from vicinal.engine.graphs.classifier_heads import Head
from vicinal.engine.graphs.shapes import checked_config
from vicinal.engine.weights import Weights
from vicinal.errors import ModelFormatError, UnsupportedModelError
from vicinal.folder.specs import TransformerSpec

# (blocks, config.json, whether to add the input token_type_ids) -> the graph up to the hidden states
Builder = Callable[[Blocks, Mapping[str, Any], bool], Body]


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        build: makes its graph.
        probe: a tensor that each of its checkpoints has, used to find the prefix of the names.
        prefixes: what a task head's checkpoint may put before the names.
        position_offset: how many rows at the start of its position table stand for no position.
        token_types: whether it reads ``token_type_ids`` (for pairs of texts).
        head: what makes it a cross-encoder; None where no head of it is known.
    """

    build: Builder
    probe: str
    prefixes: tuple[str, ...]
    position_offset: int = 0
    token_types: bool = False
    head: Head | None = None


_ROBERTA = Family(
    roberta.build, roberta.PROBE, roberta.PREFIXES, position_offset=2, head=classifier_heads.ROBERTA
)

FAMILIES: dict[str, Family] = {
    "albert": Family(
        albert.build,
        albert.PROBE,
        albert.PREFIXES,
        token_types=True,
        head=classifier_heads.dense("classifier", "pooler", "tanh"),
    ),
    "bert": Family(bert.build, bert.PROBE, bert.PREFIXES, token_types=True, head=classifier_heads.BERT),
    "camembert": _ROBERTA,
    "distilbert": Family(
        distilbert.build,
        distilbert.PROBE,
        distilbert.PREFIXES,
        head=classifier_heads.dense("classifier", "pre_classifier", "relu"),
    ),
    "electra": Family(
        bert.build,
        bert.PROBE,
        bert.PREFIXES,
        token_types=True,
        head=classifier_heads.dense("classifier.out_proj", "classifier.dense", "gelu"),
    ),
    "modernbert": Family(
        modernbert.build, modernbert.PROBE, modernbert.PREFIXES, head=classifier_heads.MODERNBERT
    ),
    "mpnet": Family(
        mpnet.build, mpnet.PROBE, mpnet.PREFIXES, position_offset=2, head=classifier_heads.ROBERTA
    ),
    "nomic_bert": Family(
        nomic_bert.build, nomic_bert.PROBE, nomic_bert.PREFIXES, token_types=True, head=classifier_heads.BERT
    ),
    "qwen3": Family(qwen3.build, qwen3.PROBE, qwen3.PREFIXES, head=classifier_heads.LAST_TOKEN),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}


def family_of(spec: TransformerSpec) -> Family:
    """The family of a folder.

    Raises:
        UnsupportedModelError: there is no graph for it here.
    """
    family = FAMILIES.get(spec.model_type)
    if family is None:
        raise UnsupportedModelError(
            f"{spec.folder}: the architecture {spec.model_type or 'without model_type'!r} has no graph in "
            f"Vicinal (there are: {', '.join(sorted(FAMILIES))}), and the folder holds no openvino/*.xml or "
            "onnx/*.onnx; PyTorch runs it: pip install 'vicinal[train]'"
        )
    return family


def check_weights(spec: TransformerSpec) -> None:
    """Find at loading, not at the first text, that the weights are absent, damaged or another family's.

    Only the headers of the files are read.

    Raises:
        UnsupportedModelError: unknown architecture.
        ModelFormatError: no weights, damaged ones, or such as do not belong to config.json.
        MissingExtraError: they need torch.
    """
    family = family_of(spec)
    if Weights.needs_torch(spec.folder):
        from vicinal.core.torch import require_torch

        require_torch(f"pytorch_model.bin, the only weights of {spec.folder},")
    else:
        checked_config(spec, Weights.open(spec.folder).without_prefix(family.probe, family.prefixes))


def build_body(spec: TransformerSpec, token_types: bool = False) -> tuple[Blocks, Body]:
    """Read the weights of ``spec.folder`` and build the transformer's graph.

    Raises:
        UnsupportedModelError: unknown architecture, or a variant of it that has no graph.
        ModelFormatError: config.json and weights do not belong together.
    """
    family = family_of(spec)
    weights = Weights.open(spec.folder).without_prefix(family.probe, family.prefixes)
    blocks = Blocks(weights)
    try:
        body = family.build(blocks, checked_config(spec, weights), token_types and family.token_types)
    except KeyError as error:
        raise ModelFormatError(f"{spec.folder}/config.json: the key {error} is missing") from error
    return blocks, body
