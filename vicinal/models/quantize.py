"""Static int8 quantisation of a model's graph, through NNCF."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from vicinal.core.files import check_folder
from vicinal.core.inputs import as_count, as_texts, caller_level, shown
from vicinal.core.openvino import load_openvino, without_telemetry
from vicinal.engine import batching
from vicinal.engine.graphs.ready import INT8_FILE
from vicinal.engine.graphs.source import SentenceGraph
from vicinal.errors import InputError, InputTypeError, missing_extra
from vicinal.models.base import Model
from vicinal.tokens.text import TextTokenizer

#: How many layers keep a product in float: none, the first third, or all.
Accuracy: TypeAlias = Literal["fast", "balanced", "high"]

_SMOOTHING = 0.75
_FEW = 20  # texts: below, ranges are those of these texts alone
# What a product's input passes on its way from an activation: factors of gates, halves, scales.
_ACTIVATIONS = {"Gelu", "Swish", "Relu", "Tanh", "Erf", "Sigmoid", "HSwish", "Elu", "Mish", "SoftPlus"}
_ON_THE_WAY = {"Multiply", "Add", "Divide", "Convert", "Reshape"}


class Quantizable(Model):
    """Base of models that have an int8 version."""

    def quantize(
        self,
        calibration_texts: Iterable[str],
        path: str | os.PathLike[str],
        *,
        samples: int = 300,
        accuracy: Accuracy = "balanced",
    ) -> Path:
        """Write an int8 version of this model: about a quarter of the size, faster, and a little less exact.

        Weights and activations of the matrix products become 8-bit integers, with ranges that are measured
        on the texts (static post-training quantisation by NNCF, which the extra ``quantize`` brings).

        Args:
            calibration_texts: texts like those that the model will see, 100 or more.
            path: a new folder, an empty one, or an earlier int8 version, which is replaced;
                ``SentenceTransformer(path)`` loads it.
            samples: how many of the texts to use.
            accuracy: two thirds of the error come from the second product of each feed-forward layer, whose input
                has a few numbers that are far larger than all others. ``"balanced"`` leaves that of the first third
                of the layers in float, ``"high"`` those of all layers, ``"fast"`` none. docs/encode.md has figures.

        Returns:
            The folder.

        Raises:
            MissingExtraError: nncf is not installed.
            InputError: there are no texts, the model is quantised already, there is no such accuracy, ``samples`` is
                below 1, or ``path`` holds something else, as this model itself.
            InputTypeError: the texts are one string, or no texts.
        """
        if accuracy not in get_args(Accuracy):
            raise InputError(f"accuracy is {shown(accuracy)}; there are {', '.join(get_args(Accuracy))}")
        samples = as_count(samples, "samples")
        texts, single = as_texts(calibration_texts, "calibration_texts")
        if single:
            raise InputTypeError("calibration_texts is one string: give a list of 100 or more texts")
        if not isinstance(self._graph, SentenceGraph):
            reason = "runs on torch" if self._graph is None else "is a static model, an average of rows"
            raise InputError(f"{self._spec.folder} {reason}: there is no graph to quantise")
        if self._graph.quantized:
            raise InputError(f"{self._spec.folder} is quantised already; start from the float model")
        check_folder(path, "path")
        _check_place(Path(path))
        quantized = quantize_graph(self._graph, texts, self._texts, samples, accuracy)
        self.save(path)
        replace_weights(Path(path), quantized)
        return Path(path)


def _check_place(folder: Path) -> None:
    """Refuse a folder whose files would be lost or mixed with those of the new model."""
    if not folder.exists() or ((folder / INT8_FILE).is_file() and not any(folder.glob("*.safetensors"))):
        return
    if any(folder.iterdir()):
        raise InputError(
            f"path {os.fspath(folder)!r} is a folder that holds something else than an int8 model: give a new one"
        )


def _spread(texts: list[str], count: int) -> list[str]:
    """At most so many of the texts, from the whole list: a sorted file gives all lengths."""
    if len(texts) <= count:
        return texts
    return [texts[place * len(texts) // count] for place in range(count)]


def quantize_graph(
    graph: SentenceGraph,
    texts: list[str],
    tokenizer: TextTokenizer,
    samples: int,
    accuracy: Accuracy = "balanced",
) -> Any:
    """An int8 version of a graph, up to its hidden states; see :meth:`Quantizable.quantize`.

    Args:
        graph: the float graph.
        texts: what the ranges of activations are measured on.
        tokenizer: of the graph's model.
        samples: how many of the texts to use.
        accuracy: see :meth:`Quantizable.quantize`.

    Returns:
        An ``openvino.Model``.

    Raises:
        InputError: no texts.
        MissingExtraError: nncf is not installed.
    """
    if not any(map(str.strip, texts)):
        raise InputError(
            "calibration_texts holds no text: give 100 or more texts like those that will be encoded"
        )
    used = _spread(texts, samples)
    different = len({text for text in used if text.strip()})
    if different < _FEW:
        what = f"samples={samples} leaves" if len(used) < len(texts) else "calibration_texts holds"
        warnings.warn(
            f"{what} {different} text{'s' * (different != 1)}: ranges of activations measured on so few (copies and "
            "blank ones aside) are too narrow for other texts, whose vectors become inexact. Give 100 or more",
            UserWarning,
            stacklevel=caller_level(),
        )
    try:
        with without_telemetry():
            import nncf
            from nncf.quantization.range_estimator import RangeEstimatorParametersSet
    except ImportError as error:
        raise missing_extra("nncf", "quantize()", "quantize") from error
    body = SentenceGraph(graph.spec, graph.file)("body")
    products = products_behind_activations(body)
    kept = products[: {"fast": 0, "balanced": -(-len(products) // 3), "high": len(products)}[accuracy]]
    feeds = list(_feeds(body, used, tokenizer))
    with _quiet("nncf"), without_telemetry():
        quantized = nncf.quantize(
            body,
            nncf.Dataset(feeds),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(feeds),
            ignored_scope=nncf.IgnoredScope(names=kept) if kept else None,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                # SmoothQuant (Xiao et al. 2023): how much of the spread of activations goes over to the weights. At
                # nncf's 0.95 the weights become hard to round.
                smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=_SMOOTHING),
                # A mean of the texts' ranges would clip the largest activations, and those count most.
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            ),
        )
    quantized.outputs[0].get_tensor().set_names({"last_hidden_state"})
    return quantized


def products_behind_activations(model: Any) -> list[str]:
    """Names of the matrix products whose input comes from an activation: the second ones of feed-forward layers.

    A few of their inputs are far larger than all others, which one range for all fits worst: of the error of an int8
    MiniLM they make two thirds.
    """
    return [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() == "MatMul" and _comes_from_activation(node.input_value(0).get_node())
    ]


def _comes_from_activation(node: Any, steps: int = 6) -> bool:
    if node.get_type_name() in _ACTIVATIONS:
        return True
    if steps == 0 or node.get_type_name() not in _ON_THE_WAY:
        return False
    return any(
        _comes_from_activation(port.get_source_output().get_node(), steps - 1) for port in node.inputs()
    )


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
