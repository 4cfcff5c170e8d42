"""Static int8 quantisation of a model's graph, through NNCF."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vicinal.core.inputs import as_texts
from vicinal.core.openvino import load_openvino, without_telemetry
from vicinal.engine import batching
from vicinal.engine.graphs.ready import INT8_FILE
from vicinal.engine.graphs.source import SentenceGraph
from vicinal.errors import InputError, missing_extra
from vicinal.models.base import Model
from vicinal.tokens.text import TextTokenizer


class Quantizable(Model):
    """Base of models that have an int8 version."""

    def quantize(
        self, calibration_texts: Iterable[str], path: str | os.PathLike[str], *, samples: int = 300
    ) -> Path:
        """Write an int8 version of this model: about a quarter of the size, faster, and a little less exact.

        Weights and activations of the matrix products become 8-bit integers, with ranges that are measured
        on the texts (static post-training quantisation by NNCF, which the extra ``quantize`` brings).

        Args:
            calibration_texts: texts like those that the model will see, 100 or more.
            path: the new folder; ``SentenceTransformer(path)`` loads it.
            samples: how many of the texts to use.

        Returns:
            The folder.

        Raises:
            MissingExtraError: nncf is not installed.
            InputError: there are no texts, or the model is quantised already.
        """
        texts, _ = as_texts(calibration_texts, "calibration_texts")
        if not isinstance(self._graph, SentenceGraph):
            reason = "runs on torch" if self._graph is None else "is a static model, an average of rows"
            raise InputError(f"{self._spec.folder} {reason}: there is no graph to quantise")
        if self._graph.quantized:
            raise InputError(f"{self._spec.folder} is quantised already; start from the float model")
        quantized = quantize_graph(self._graph, texts, self._texts, samples)
        self.save(path)
        replace_weights(Path(path), quantized)
        return Path(path)


def quantize_graph(graph: SentenceGraph, texts: list[str], tokenizer: TextTokenizer, samples: int) -> Any:
    """An int8 version of a graph, up to its hidden states; see :meth:`Quantizable.quantize`.

    Args:
        graph: the float graph.
        texts: what the ranges of activations are measured on.
        tokenizer: of the graph's model.
        samples: how many of the texts to use.

    Returns:
        An ``openvino.Model``.

    Raises:
        InputError: no texts.
        MissingExtraError: nncf is not installed.
    """
    if not texts:
        raise InputError("calibration_texts is empty: give 100 or more texts like those that will be encoded")
    try:
        with without_telemetry():
            import nncf
    except ImportError as error:
        raise missing_extra("nncf", "quantize()", "quantize") from error
    body = SentenceGraph(graph.spec, graph.file)("body")
    # Spread over the whole list, so that a sorted file gives all lengths.
    step = max(len(texts) // samples, 1)
    feeds = list(_feeds(body, texts[::step][:samples], tokenizer))
    with _quiet("nncf"), without_telemetry():
        quantized = nncf.quantize(
            body,
            nncf.Dataset(feeds),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(feeds),
        )
    quantized.outputs[0].get_tensor().set_names({"last_hidden_state"})
    return quantized


def replace_weights(folder: Path, quantized: Any) -> None:
    """Put an int8 graph in the place of a saved model's float weights.

    Pooling and what follows is attached in float when the folder is loaded, as with any ready graph.
    """
    for pattern in ("*.safetensors", "*.safetensors.index.json", "pytorch_model*"):
        for file in folder.glob(pattern):
            file.unlink()
    target = folder / INT8_FILE
    target.parent.mkdir(exist_ok=True)
    load_openvino().save_model(quantized, str(target), compress_to_fp16=False)


def _feeds(body: Any, texts: list[str], tokenizer: TextTokenizer) -> Iterator[dict[str, Any]]:
    """One unpadded text a step, so that padding does not widen the measured ranges."""
    ragged = tokenizer(texts)
    names = {port.get_any_name(): port.get_element_type().to_dtype() for port in body.inputs}
    for row in range(len(ragged)):
        batch = batching.pad(ragged, np.array([row]), tokenizer.pad_id)
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
