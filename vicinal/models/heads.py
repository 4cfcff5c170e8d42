"""The classification head of a cross-encoder's folder: whether there is one, and how many labels it scores."""

from __future__ import annotations

from pathlib import Path

from vicinal.core.torch import torch_installed
from vicinal.engine.graphs.classifier_source import ClassifierGraph, written_labels
from vicinal.engine.graphs.classifiers import HEADS, has_head
from vicinal.engine.graphs.ready import has_weights
from vicinal.errors import InputError, ModelFormatError
from vicinal.folder.specs import ModelSpec

_NEW_HEAD = ", or pass model_kwargs={'ignore_mismatched_sizes': True} for a new head, to be trained"


def read_head(
    spec: ModelSpec, asked: int | None, may_differ: bool, file: Path | None = None
) -> tuple[int, bool]:
    """How many labels there are, and whether their head is still to be made.

    Args:
        spec: the folder.
        asked: labels that the caller wants; None leaves it to the folder.
        may_differ: make a new head where the folder's has another number of labels.
        file: a ready graph that scores the pairs, whatever weights there are.

    Raises:
        InputError: the folder's head has another number of labels than was asked for.
        ModelFormatError, UnsupportedModelError: there is no head, and no torch to make one.
    """
    transformer = spec.transformer
    graph = ClassifierGraph(transformer, file)
    if file is not None:
        may_differ = may_differ and has_weights(transformer.folder)
        labels = graph.labels
    elif has_head(transformer):
        labels = graph.labels
    elif not torch_installed():
        try:
            labels = graph.labels
        except ModelFormatError as error:
            raise ModelFormatError(f"{error}: pip install 'vicinal[train]'") from None
    elif transformer.model_type in HEADS or not _says_head(spec):
        return asked or 1, True
    else:  # only torch knows the architecture
        labels = written_labels(transformer) or 2  # transformers' own default
    if asked in (None, labels):
        return labels, False
    if not may_differ:
        new = "" if file is not None and not has_weights(transformer.folder) else _NEW_HEAD
        raise InputError(
            f"num_labels={asked}: {spec.folder} scores {labels} labels; leave num_labels out{new}"
        )
    return int(asked or 1), True


def _says_head(spec: ModelSpec) -> bool:
    """Whether a folder says of itself that it has a classification head."""
    names = spec.transformer.config.get("architectures") or [""]
    return spec.model_type == "CrossEncoder" or str(names[0]).endswith("ForSequenceClassification")
