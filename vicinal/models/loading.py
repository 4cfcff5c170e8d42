"""From a name to something that computes: folder, tokenizer and engine, for both kinds of model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vicinal.config import ModelSpec, TransformerSpec, read_model_spec
from vicinal.engine.graphs import FAMILIES
from vicinal.engine.graphs.source import DTYPES, choose_graph
from vicinal.errors import InputError, InputTypeError, ModelFormatError
from vicinal.hub import resolve_model
from vicinal.inputs import check_choice
from vicinal.tokens import TextTokenizer, load_tokenizer

_BACKENDS = ("auto", "openvino", "onnx")
_MODEL_KEYS = ("dtype", "torch_dtype", "file_name", "attn_implementation")


@dataclass(frozen=True)
class Options:
    """How a model is run, apart from what it is.

    Attributes:
        dtype: one of ``DTYPES``.
        backend: ``"auto"``, ``"openvino"`` or ``"onnx"``.
        file_name: a graph file of the folder to run, None to choose.
    """

    dtype: str
    backend: str
    file_name: str | None = None


def read_options(*, device: Any, dtype: Any, backend: str, model_kwargs: Mapping[str, Any] | None) -> Options:
    """Check what the caller asked for.

    Raises:
        InputError: an unknown dtype, backend or device, or an unknown key in ``model_kwargs``.
    """
    model_kwargs = model_kwargs or {}
    unknown = sorted(set(model_kwargs) - set(_MODEL_KEYS))
    if unknown:
        raise InputError(f"model_kwargs: {unknown[0]!r} has no meaning here; known: {', '.join(_MODEL_KEYS)}")
    inner = model_kwargs.get("dtype", model_kwargs.get("torch_dtype"))
    if dtype == "auto" and inner is not None:
        dtype = inner
    dtype = str(dtype).removeprefix("torch.")
    dtype = {
        "half": "float16",
        "fp16": "float16",
        "bf16": "bfloat16",
        "float": "float32",
        "fp32": "float32",
    }.get(dtype, dtype)
    check_choice(dtype, DTYPES, "dtype")
    check_choice(backend, _BACKENDS, "backend")
    check_device(device)
    return Options(dtype, backend, model_kwargs.get("file_name"))


def check_device(device: Any) -> None:
    """Accept what means the processor.

    Raises:
        InputError: any other device.
    """
    if device is None or str(device) in ("cpu", "cpu:0"):
        return
    raise InputError(f"device={str(device)!r}: the OpenVINO engine runs on the processor; use device='cpu'")


def read_spec(
    name_or_path: str | os.PathLike[str],
    *,
    cache_folder: str | os.PathLike[str] | None,
    revision: str | None,
    local_files_only: bool,
    token: bool | str | None,
    config_kwargs: Mapping[str, Any] | None,
) -> ModelSpec:
    """Find the folder, downloading it if need be, and read it."""
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise InputTypeError(
            f"model_name_or_path is {type(name_or_path).__name__}; give a model folder or a hub name"
        )
    folder = resolve_model(
        name_or_path,
        cache_folder=None if cache_folder is None else str(cache_folder),
        revision=revision,
        local_files_only=local_files_only,
        token=token,
    )
    return read_model_spec(folder, config_kwargs)


def refuse_cross_encoder(spec: ModelSpec) -> None:
    """A cross-encoder's folder gives no vectors, though its transformer could be pooled.

    Raises:
        ModelFormatError: ``spec`` is one, by its own word or by its classification head.
    """
    architectures = spec.transformer.config.get("architectures") or [""]
    plain = not (spec.folder / "modules.json").is_file()
    if spec.model_type == "CrossEncoder" or (
        plain and str(architectures[0]).endswith("ForSequenceClassification")
    ):
        raise ModelFormatError(
            f"{spec.folder} is a cross-encoder: it scores pairs and gives no vectors. Load it with "
            "CrossEncoder(...) and use predict() or rank()"
        )


def read_tokenizer(spec: TransformerSpec, settings: Mapping[str, Any] | None) -> TextTokenizer:
    """The tokenizer of a folder, limited to the positions that its architecture has."""
    return load_tokenizer(spec, position_limit=position_limit(spec), settings=dict(settings or {}))


def position_limit(spec: TransformerSpec) -> int | None:
    """Tokens that the architecture has positions for; None if it sets no limit."""
    positions = spec.config.get("max_position_embeddings", spec.config.get("n_positions"))
    if not positions:
        return None
    family = FAMILIES.get(spec.model_type)
    return int(positions) - (family.position_offset if family else 0)


__all__ = [
    "Options",
    "check_device",
    "choose_graph",
    "position_limit",
    "read_options",
    "read_spec",
    "read_tokenizer",
]
