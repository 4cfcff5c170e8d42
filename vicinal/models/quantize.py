"""Static int8 quantisation of a model's graph, through NNCF."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vicinal import batching
from vicinal.engine.graphs.source import INT8_FILE, SentenceGraph
from vicinal.engine.runtime import load_openvino, without_telemetry
from vicinal.errors import InputError, missing_extra

if TYPE_CHECKING:
    from vicinal.models.sentence_transformer import SentenceTransformer


def quantize_model(model: SentenceTransformer, texts: list[str], path: Path, samples: int) -> Path:
    """Write a folder with the int8 graph of ``model``; see ``SentenceTransformer.quantize``.

    The transformer is quantised up to its hidden states; pooling and what follows is attached in float
    when the folder is loaded, as with any ready graph, and the float weights are left out.
    """
    if not texts:
        raise InputError("calibration_texts is empty: give 100 or more texts like those that will be encoded")
    if not isinstance(model._graph, SentenceGraph):
        raise InputError(
            f"{model._spec.folder} is a static model, which has no graph to quantise: it is an average of rows"
        )
    if model._graph.quantized:
        raise InputError(f"{model._spec.folder} is quantised already; start from the float model")
    try:
        with without_telemetry():
            import nncf
    except ImportError as error:
        raise missing_extra("nncf", "quantize()", "quantize") from error

    openvino = load_openvino()
    graph = SentenceGraph(model._spec, model._graph.file)
    body = graph("body")
    # Spread over the whole list, so that a sorted file gives all lengths.
    step = max(len(texts) // samples, 1)
    feeds = list(_feeds(model, body, texts[::step][:samples]))
    with _quiet("nncf"), without_telemetry():
        quantized = nncf.quantize(
            body,
            nncf.Dataset(feeds),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(feeds),
        )
    quantized.outputs[0].get_tensor().set_names({"last_hidden_state"})
    model.save(path)
    for file in (
        *path.glob("*.safetensors"),
        *path.glob("*.safetensors.index.json"),
        *path.glob("pytorch_model.bin"),
    ):
        file.unlink()
    target = path / INT8_FILE
    target.parent.mkdir(exist_ok=True)
    openvino.save_model(quantized, str(target), compress_to_fp16=False)
    return path


def _feeds(model: SentenceTransformer, body: Any, texts: list[str]) -> Iterator[dict[str, Any]]:
    """One unpadded text a step, so that padding does not widen the measured ranges."""
    ragged = model._texts(texts)
    names = {port.get_any_name(): port.get_element_type().to_dtype() for port in body.inputs}
    for row in range(len(ragged)):
        batch = batching.pad(ragged, np.array([row]), model._texts.pad_id)
        values: dict[str, Any] = {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
            "token_type_ids": np.zeros_like(batch.input_ids),
            "position_ids": np.arange(batch.input_ids.shape[1])[None, :],
        }
        yield {name: values[name].astype(dtype) for name, dtype in names.items()}


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a chatty logger to its warnings."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
