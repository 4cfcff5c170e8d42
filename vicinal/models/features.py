"""Texts become the features that a model's modules read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.inputs import as_texts, listed
from vicinal.core.media import refuse_media
from vicinal.engine import batching
from vicinal.errors import InputTypeError
from vicinal.folder.specs import StaticEmbeddingSpec, TransformerSpec


def tokenize(model: Any, texts: str | Iterable[Any], task: str | None = None) -> dict[str, Any]:
    """See ``SentenceTransformer.tokenize``."""
    given = [texts] if isinstance(texts, str) else listed(texts, "texts")
    for place, each in enumerate(given):
        if isinstance(each, Mapping):
            refuse_media(each, f"texts[{place}]")
    source = model._spec.source
    if task is None and model._module is None and isinstance(source, StaticEmbeddingSpec):
        found = model._texts(
            as_texts(given, "texts")[0]
        ).without_unknown()  # all texts in one row, and where each begins
        return _given({"input_ids": found.ids, "offsets": found.starts[:-1]})
    own = task is not None or model._module is not None or not isinstance(source, TransformerSpec)
    own = own or model._tokenizes_by_module
    if own and ("torch" in sys.modules or not hasattr(model._texts, "pairs")):
        return _by_module(model.module[0], given, task)
    given = [_text_of(each, place) if isinstance(each, Mapping) else each for place, each in enumerate(given)]
    if given and all(isinstance(each, (list, tuple)) and len(each) == 2 for each in given):
        firsts, _ = as_texts([pair[0] for pair in given], "texts")
        seconds, _ = as_texts([pair[1] for pair in given], "texts")
        ragged = model._texts.pairs(firsts, seconds)
    else:
        ragged = model._texts(as_texts(given, "texts")[0])
    batch = batching.pad(ragged, np.arange(len(given)), model._texts.pad_id)
    features = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if batch.token_type_ids is not None:
        features["token_type_ids"] = batch.token_type_ids
    if model._texts.padding_side == "left":
        width = batch.input_ids.shape[1]
        places = (np.arange(width)[None, :] - (width - batch.lengths)[:, None]) % width
        features = {name: np.take_along_axis(each, places, 1) for name, each in features.items()}
    return _given(features)


def preprocess(
    model: Any, inputs: str | Iterable[Any], prompt: str | None, task: str | None
) -> dict[str, Any]:
    """See ``SentenceTransformer.preprocess``."""
    given = [inputs] if isinstance(inputs, str) else listed(inputs, "inputs")
    if not prompt:
        return dict(model.tokenize(given, task=task) if task is not None else model.tokenize(given))
    given = [_prompted(each, prompt) for each in given]
    features = dict(model.tokenize(given, task=task) if task is not None else model.tokenize(given))
    if hasattr(model._texts, "prompt_length"):
        features["prompt_length"] = model._texts.prompt_length(prompt)
    return features


def _prompted(each: Any, prompt: str) -> Any:
    """A prompt before a text, the first text of a pair, or the text of a dictionary."""
    if isinstance(each, str):
        return prompt + each
    if isinstance(each, Mapping):
        return {name: prompt + text if isinstance(text, str) else text for name, text in each.items()}
    if isinstance(each, (list, tuple)) and each and isinstance(each[0], str):
        return [prompt + each[0], *each[1:]]
    return each


def _text_of(named: Mapping[Any, Any], place: int) -> Any:
    """The text of a dictionary of one text."""
    if len(named) != 1:
        raise InputTypeError(f"texts[{place}] is a dictionary of {len(named)} values; give one of one text")
    return next(iter(named.values()))


def _given(features: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Whole numbers, as tensors where the caller has imported torch."""
    arrays = {name: each.astype(np.int64) for name, each in features.items()}
    if "torch" not in sys.modules:
        return arrays
    from vicinal.core.torch import as_tensor

    return {name: as_tensor(each) for name, each in arrays.items()}


def _by_module(first: Any, texts: list[Any], task: str | None) -> dict[str, Any]:
    for place, text in enumerate(texts):
        if not isinstance(text, (str, Mapping, list, tuple)):
            raise InputTypeError(f"texts[{place}] is {type(text).__name__}, not a text: {text!r}")
    features: dict[str, Any]
    takes_task = task is not None and hasattr(first, "route_of")
    features = first.tokenize(texts, task=task) if takes_task else first.tokenize(texts)
    if task is not None:
        features["task"] = task
    return features
