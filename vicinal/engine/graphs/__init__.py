"""Transformer families as OpenVINO graphs: one small file each, and one row in the table here.

The row says all that the rest of the package has to know of an architecture, cross-encoders included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vicinal.core.torch import torch_installed
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
from vicinal.engine.graphs.variants import Uncovered, nothing
from vicinal.engine.weights import Weights
from vicinal.errors import ModelFormatError, UnsupportedModelError
from vicinal.folder.specs import TransformerSpec

# config.json -> what it asks for and the graph does not compute
Uncovering = Callable[[Mapping[str, Any]], Iterator[Uncovered]]
# (blocks, config.json, whether to add the input token_type_ids) -> the graph up to the hidden states
Builder = Callable[[Blocks, Mapping[str, Any], bool], Body]


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        build: makes its graph.
        uncovered: variants that have no graph, see ``variants.py``.
        probe: a tensor that each of its checkpoints has, used to find the prefix of the names.
        prefixes: what a task head's checkpoint may put before the names.
        position_offset: how many rows at the start of its position table stand for no position.
        token_types: whether it reads ``token_type_ids`` (for pairs of texts).
        head: what makes it a cross-encoder; None where no head of it is known.
        left_out: what the graph computes, and transformers loads as if ``config.json`` did not ask for it.
    """

    build: Builder
    uncovered: Uncovering
    probe: str
    prefixes: tuple[str, ...]
    position_offset: int = 0
    token_types: bool = False
    head: Head | None = None
    left_out: Uncovering = nothing


_ROBERTA = Family(
    roberta.build,
    roberta.uncovered,
    roberta.PROBE,
    roberta.PREFIXES,
    position_offset=2,
    head=classifier_heads.ROBERTA,
    left_out=roberta.left_out,
)

FAMILIES: dict[str, Family] = {
    "albert": Family(
        albert.build,
        albert.uncovered,
        albert.PROBE,
        albert.PREFIXES,
        token_types=True,
        head=classifier_heads.dense("classifier", "pooler", "tanh"),
        left_out=bert.left_out,
    ),
    "bert": Family(
        bert.build,
        bert.uncovered,
        bert.PROBE,
        bert.PREFIXES,
        token_types=True,
        head=classifier_heads.BERT,
        left_out=bert.left_out,
    ),
    "camembert": _ROBERTA,
    "distilbert": Family(
        distilbert.build,
        distilbert.uncovered,
        distilbert.PROBE,
        distilbert.PREFIXES,
        head=classifier_heads.dense("classifier", "pre_classifier", "relu"),
    ),
    "electra": Family(
        bert.build,
        bert.uncovered,
        bert.PROBE,
        bert.PREFIXES,
        token_types=True,
        head=classifier_heads.dense("classifier.out_proj", "classifier.dense", "gelu"),
        left_out=bert.left_out,
    ),
    "modernbert": Family(
        modernbert.build,
        modernbert.uncovered,
        modernbert.PROBE,
        modernbert.PREFIXES,
        head=classifier_heads.MODERNBERT,
    ),
    "mpnet": Family(
        mpnet.build,
        mpnet.uncovered,
        mpnet.PROBE,
        mpnet.PREFIXES,
        position_offset=2,
        head=classifier_heads.ROBERTA,
    ),
    "nomic_bert": Family(
        nomic_bert.build,
        nomic_bert.uncovered,
        nomic_bert.PROBE,
        nomic_bert.PREFIXES,
        token_types=True,
        head=classifier_heads.BERT,
    ),
    "qwen3": Family(
        qwen3.build, qwen3.uncovered, qwen3.PROBE, qwen3.PREFIXES, head=classifier_heads.LAST_TOKEN
    ),
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
            f"onnx/*.onnx; {torch_runs_it()}"
        )
    return family


def uncovered(spec: TransformerSpec, head: bool = False) -> Uncovered | None:
    """What a folder's ``config.json`` asks for and its family's graph does not compute, if anything.

    What torch does not compute either comes first.

    Args:
        spec: a folder of a known family.
        head: look at the head of a cross-encoder too.
    """
    family = family_of(spec)
    found = list(family.uncovered(spec.config))
    if head and family.head is not None:
        found += family.head.uncovered(spec.config)
    return min(found, key=lambda each: each.in_torch, default=None)


def has_graph(spec: TransformerSpec, head: bool = False) -> bool:
    """Whether there is a graph for a folder's architecture, and for the variant of it."""
    return spec.model_type in FAMILIES and uncovered(spec, head) is None


def left_out_by_torch(spec: TransformerSpec) -> Uncovered | None:
    """What a ``config.json`` asks for and transformers would load as if it did not, if anything."""
    family = FAMILIES.get(spec.model_type)
    if family is None:
        return None
    found = [each for each in family.uncovered(spec.config) if not each.in_torch]
    return next(iter([*found, *family.left_out(spec.config)]), None)


def check_variant(spec: TransformerSpec, head: bool = False) -> None:
    """Refuse a folder whose ``config.json`` asks for a variant that the graph would not compute.

    Raises:
        UnsupportedModelError: it does, or its architecture is unknown.
    """
    found = uncovered(spec, head)
    if found is not None:
        raise UnsupportedModelError(
            f"{spec.folder}/config.json: {found.found} is not covered by Vicinal's graph of {spec.model_type} "
            f"(only {found.covered}); {torch_runs_it() if found.in_torch else not_in_torch(spec.config)}"
        )


def torch_runs_it() -> str:
    """The remedy where only torch computes a model: the end of an error's sentence."""
    if torch_installed():
        return "PyTorch runs it: use backend='auto' or 'torch'"
    return "PyTorch runs it: pip install 'vicinal[train]'"


def not_in_torch(config: Mapping[str, Any]) -> str:
    """The remedy where transformers does not compute a model either."""
    if "auto_map" in config:
        return "the code that the folder brings may compute it: backend='torch' with trust_remote_code=True"
    return "transformers 5 does not compute it either; a version of the model without it is needed"


def check_weights(spec: TransformerSpec) -> None:
    """Find at loading, not at the first text, that the weights are absent, damaged or another family's.

    Only the headers of the files are read.

    Raises:
        UnsupportedModelError: unknown architecture.
        ModelFormatError: no weights, damaged ones, or such as do not belong to config.json.
        MissingExtraError: they need torch.
    """
    family = family_of(spec)
    check_variant(spec)
    if Weights.needs_torch(spec.folder):
        from vicinal.core.torch import require_torch

        require_torch(f"pytorch_model.bin, the only weights of {spec.folder},")
    else:
        checked_config(spec, Weights.open(spec.folder).without_prefix(family.probe, family.prefixes))


def check_shapes(spec: TransformerSpec) -> None:
    """Compare ``config.json`` with the weights before torch makes a network of any size that the file names.

    What is not compared: unknown architectures, pickled weights, and quantised ones, whose shapes are others.

    Raises:
        ModelFormatError: they do not belong together.
    """
    family, folder = FAMILIES.get(spec.model_type), spec.folder
    readable = any((folder / f"model.safetensors{end}").is_file() for end in ("", ".index.json"))
    if family is not None and readable and "quantization_config" not in spec.config:
        checked_config(spec, Weights.open(folder).without_prefix(family.probe, family.prefixes))


def build_body(spec: TransformerSpec, token_types: bool = False) -> tuple[Blocks, Body]:
    """Read the weights of ``spec.folder`` and build the transformer's graph.

    Raises:
        UnsupportedModelError: unknown architecture, or a variant of it that has no graph.
        ModelFormatError: config.json and weights do not belong together.
    """
    family = family_of(spec)
    check_variant(spec)
    weights = Weights.open(spec.folder).without_prefix(family.probe, family.prefixes)
    blocks = Blocks(weights)
    try:
        body = family.build(blocks, checked_config(spec, weights), token_types and family.token_types)
    except KeyError as error:
        raise ModelFormatError(f"{spec.folder}/config.json: the key {error} is missing") from error
    return blocks, body
