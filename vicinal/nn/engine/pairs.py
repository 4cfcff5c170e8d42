"""What computes a cross-encoder's scores: torch itself, or OpenVINO from the module's present weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from vicinal.engine.base import Engine
from vicinal.engine.graphs.classifier_source import ClassifierGraph
from vicinal.engine.openvino import OpenVINOEngine
from vicinal.folder.read import read_model_spec
from vicinal.nn.engine.live import (
    Renewed,
    ScratchFolder,
    follows_config,
    mark_of,
    precision_of,
    texts_of_module,
)
from vicinal.nn.engine.tokens import TorchEngine
from vicinal.nn.modules.classifier import Classifier, save_classifier


class TorchScorer(TorchEngine):
    """Runs a :class:`Classifier`; in half precision, on a copy of the weights, on an accelerator."""

    keys: ClassVar[Mapping[str, str]] = {"sentence": "scores"}


def renewed(module: nn.Sequential, dtype: str, device: str, on_torch: bool) -> Renewed:
    """Make engine and tokenizer from what a module holds now.

    Args:
        module: a ``Sequential`` of a :class:`Classifier`.
        dtype: what to compute in.
        device: where the module lies.
        on_torch: whether torch computes.
    """
    first: Any = module[0]
    assert isinstance(first, Classifier)
    on_torch = on_torch or not follows_config(first)
    scratch = ScratchFolder()
    # The mark comes first: what another thread changes from here on shows at the next predict.
    mark = mark_of(module, live=on_torch and TorchScorer.is_live_on(module, device, dtype))
    if on_torch:
        first.save_settings(str(scratch.path))
    else:
        save_classifier(first, scratch.path, None)
    spec = read_model_spec(scratch.path)
    texts = texts_of_module(first, spec)
    graph = None if on_torch else ClassifierGraph(spec.transformer)
    engine: Engine
    if graph is None:
        engine = TorchScorer(module, first.num_labels, device, dtype)
    else:
        engine = OpenVINOEngine(graph, graph.labels, precision_of(module, dtype))
    scratch.goes_with(engine)
    return Renewed(spec, graph, texts, engine, mark)
