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
from vicinal.models.outliers import set_apart
from vicinal.models.products import (
    largest_inputs,
    name_of,
    products_behind_activations,
    share_weights,
    weighted_products,
)
from vicinal.models.smoothing import SMOOTHING, even_out
from vicinal.tokens.text import TextTokenizer

#: What stays in float of the second product of each feed-forward layer: nothing, its largest inputs, or all of it.
Accuracy: TypeAlias = Literal["fast", "balanced", "high"]

_FEW = 20  # texts: below, ranges are those of these texts alone


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
                has a few numbers that are far larger than all others. ``"balanced"`` computes those few in float,
                ``"high"`` the whole product, ``"fast"`` nothing of it. docs/encode.md has figures.

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
        # Before it is looked at: "new/../model" is no folder as long as "new" is none, and this model's own afterwards.
        folder = Path(os.path.realpath(path))
        _check_place(folder)
        quantized = quantize_graph(self._graph, texts, self._texts, samples, accuracy)
        self.save(folder)
        replace_weights(folder, quantized)
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
    feeds = list(_feeds(body, used, tokenizer))
    kept, smoothing = prepare(body, feeds, accuracy)
    with _quiet("nncf"), without_telemetry():
        quantized = nncf.quantize(
            body,
            nncf.Dataset(feeds),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(feeds),
            ignored_scope=nncf.IgnoredScope(names=kept) if kept else None,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=smoothing),
                # A mean of the texts' ranges would clip the largest activations, and those count most.
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            ),
        )
    quantized.outputs[0].get_tensor().set_names({"last_hidden_state"})
    return quantized


def prepare(body: Any, feeds: list[dict[str, Any]], accuracy: Accuracy) -> tuple[list[str], float]:
    """Make a graph fit for int8, as far as its results stay what they are.

    Args:
        body: the graph, which is changed.
        feeds: inputs to measure activations on.
        accuracy: see :meth:`Quantizable.quantize`.

    Returns:
        The names of the products that are to stay in float, and what the quantiser is to smooth by itself: -1 for
        nothing.
    """
    products, behind = weighted_products(body), products_behind_activations(body)
    if share_weights(products):
        return [name_of(product) for product in behind] if accuracy == "high" else [], SMOOTHING
    largest = largest_inputs(body, products, feeds)
    kept: list[str] = []
    apart: set[str] = set()
    for product in behind:
        if accuracy == "high":
            names = [name_of(product)]
        else:
            names = set_apart(product, largest[name_of(product)]) if accuracy == "balanced" else []
        kept += names
        if names:
            apart.add(name_of(product))
    # Where the largest units are apart, factors would clip the others on texts that differ from these.
    even_out([product for product in products if name_of(product) not in apart], largest)
    body.validate_nodes_and_infer_types()
    return kept, -1


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
