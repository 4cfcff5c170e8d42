"""From a name to something that computes: folder, tokenizer and engine, for both kinds of model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vicinal.core.inputs import check_choice
from vicinal.core.media import refuse_media_model
from vicinal.core.torch import torch_installed
from vicinal.engine.base import Engine
from vicinal.engine.graphs import FAMILIES, has_graph, uncovered
from vicinal.engine.graphs.heads import LAYERS
from vicinal.engine.graphs.ready import has_weights, is_quantised, said_by_graph
from vicinal.engine.graphs.source import DTYPES, SentenceGraph, choose_graph
from vicinal.engine.model_kwargs import check_model_kwargs, device_of
from vicinal.engine.module_shapes import check_modules
from vicinal.engine.static import StaticEngine, StaticTable
from vicinal.engine.static_heads import HEADS
from vicinal.errors import InputError, InputTypeError, ModelFormatError
from vicinal.folder.config_values import completed
from vicinal.folder.graph_files import graph_files
from vicinal.folder.read import read_model_spec
from vicinal.folder.specs import (
    CustomSpec,
    ModelSpec,
    PoolingSpec,
    StaticEmbeddingSpec,
    TransformerSpec,
    hidden_size,
)
from vicinal.hub.resolve import resolve_model
from vicinal.tokens.folder import load_tokenizer
from vicinal.tokens.static import load_static_tokenizer
from vicinal.tokens.text import TextTokenizer

_BACKENDS = ("auto", "openvino", "onnx", "torch")


@dataclass(frozen=True)
class Options:
    """How a model is run, apart from what it is.

    Attributes:
        dtype: one of ``DTYPES``.
        backend: ``"auto"``, ``"openvino"``, ``"onnx"`` or ``"torch"``.
        file_name: a graph file of the folder to run, None to choose.
        torch_options: what ``AutoModel.from_pretrained`` gets.
        device: what a ``device_map`` asks for, None for nothing.
    """

    dtype: str
    backend: str
    file_name: str | None = None
    torch_options: Mapping[str, Any] = field(default_factory=dict)
    device: Any = None


def read_options(*, dtype: Any, backend: str, model_kwargs: Mapping[str, Any] | None) -> Options:
    """Check what the caller asked for.

    Raises:
        InputError: an unknown dtype or backend, or an unknown key in ``model_kwargs``.
    """
    model_kwargs = model_kwargs or {}
    check_model_kwargs(model_kwargs)
    inner = model_kwargs.get("dtype", model_kwargs.get("torch_dtype"))
    dtype, inner = _dtype_name(dtype), None if inner is None else _dtype_name(inner)
    if dtype == "auto" and inner is not None:
        dtype = inner
    elif inner not in (None, "auto", dtype):
        raise InputError(
            f"dtype={dtype!r} and {inner!r} in model_kwargs contradict each other: give one of them"
        )
    check_choice(dtype, DTYPES, "dtype")
    check_choice(backend, _BACKENDS, "backend")
    torch_options = {key: model_kwargs[key] for key in ("attn_implementation",) if model_kwargs.get(key)}
    device = device_of(model_kwargs.get("device_map"))
    return Options(dtype, backend, model_kwargs.get("file_name"), torch_options, device)


def _dtype_name(dtype: Any) -> str:
    """Its usual name: ``float16`` for ``torch.half`` and the like."""
    name = str(dtype).removeprefix("torch.")
    short = {"half": "float16", "fp16": "float16", "bf16": "bfloat16", "float": "float32", "fp32": "float32"}
    return short.get(name, name)


def needs_torch(spec: ModelSpec, options: Options, device: str, *, trust_remote_code: bool = False) -> bool:
    """Whether torch runs the model, and not OpenVINO or numpy.

    Args:
        trust_remote_code: whether code that the folder brings may run.

    Raises:
        InputError: ``backend`` and the model, or ``backend`` and the device, contradict each other.
    """
    if spec.needs_torch or _lacks_a_row(spec):
        if options.backend not in ("auto", "torch"):
            raise InputError(
                f"backend={options.backend!r}: {spec.folder} has modules that only torch runs; use backend='auto'"
            )
        _refuse_graph(options, "has modules that only torch runs", spec.folder)
        return True
    if isinstance(spec.source, StaticEmbeddingSpec):
        return options.backend == "torch"  # numpy averages rows faster than any device fetches them
    return transformer_needs_torch(spec.transformer, options, device, trust_remote_code=trust_remote_code)


def transformer_needs_torch(
    spec: TransformerSpec, options: Options, device: str, *, trust_remote_code: bool, head: bool = False
) -> bool:
    """Whether torch runs a transformer; as :func:`needs_torch`, for its folder alone.

    Args:
        head: ask for the architecture's head of a cross-encoder too.
    """
    if options.backend == "torch":
        _refuse_graph(options, "runs on torch by backend='torch'", spec.folder)
        return True
    if device != "cpu":
        if options.backend != "auto":
            raise InputError(
                f"backend={options.backend!r} runs on the CPU; with device={str(device)!r} leave it out"
            )
        _refuse_graph(options, f"runs on torch by device={str(device)!r}", spec.folder)
        return True
    asks_for_graph = options.backend != "auto" or options.file_name is not None or options.dtype == "int8"
    return not asks_for_graph and only_torch_runs(spec, trust_remote_code, head)


def _refuse_graph(options: Options, reason: str, folder: Path) -> None:
    """Refuse what asks for a graph where torch runs the model.

    Raises:
        InputError: ``options`` name a graph file, or int8, or the folder holds nothing but graphs.
    """
    if graph_files(folder) and not has_weights(folder):
        raise InputError(
            f"{folder} holds ready graphs and no weights, and {reason}; OpenVINO runs graphs on the CPU: leave that out"
        )
    if options.file_name is not None or options.dtype == "int8":
        asked = f"file_name={options.file_name!r}" if options.file_name is not None else "dtype='int8'"
        raise InputError(
            f"{asked} asks for a graph file on the CPU, and {folder} {reason}; leave one of the two out"
        )


def only_torch_runs(spec: TransformerSpec, trust_remote_code: bool, head: bool = False) -> bool:
    """Whether torch, and it alone, computes a folder's transformer.

    Args:
        trust_remote_code: whether code that the folder brings may run, which a graph would leave out.
        head: ask for the architecture's head of a cross-encoder too.
    """
    if trust_remote_code and _brings_code(spec):
        return True
    files = graph_files(spec.folder)
    ready = any(not is_quantised(file) for file in files) or (files and not has_weights(spec.folder))
    if has_graph(spec, head) or ready:
        return False
    found = uncovered(spec, head) if spec.model_type in FAMILIES else None
    return torch_installed() and (found is None or found.in_torch)


def holds_only_graphs(spec: ModelSpec) -> bool:
    """Whether a folder holds ready graphs, which run on the CPU alone, and no weights."""
    source = spec.source
    return (
        isinstance(source, TransformerSpec)
        and bool(graph_files(source.folder))
        and not has_weights(source.folder)
    )


def _brings_code(spec: TransformerSpec) -> bool:
    """Whether the folder computes by code of its own; Nomic's is what the graph was made after."""
    code = spec.config.get("auto_map")
    models = ("AutoModel", "AutoModelForSequenceClassification")
    return (
        isinstance(code, Mapping) and any(each in code for each in models) and spec.model_type != "nomic_bert"
    )


def _lacks_a_row(spec: ModelSpec) -> bool:
    """Whether a module is of a kind that the engine of the model's first module does not compute."""
    computed = HEADS if isinstance(spec.source, StaticEmbeddingSpec) else LAYERS
    # These never stand where a row would compute them; a folder that misplaces one is told so when it is opened.
    elsewhere = (TransformerSpec, StaticEmbeddingSpec, PoolingSpec, CustomSpec)
    return any(type(module) not in computed and not isinstance(module, elsewhere) for module in spec.modules)


def check_device(device: Any) -> None:
    """Accept what means the CPU.

    Raises:
        InputError: any other device.
    """
    if device is None or str(device) in ("cpu", "cpu:0"):
        return
    raise InputError(f"device={str(device)!r}: the OpenVINO engine runs on the CPU; use device='cpu'")


def read_spec(
    name_or_path: str | os.PathLike[str],
    *,
    cache_folder: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
    token: bool | str | None = None,
    config_kwargs: Mapping[str, Any] | None = None,
    organisation: str = "sentence-transformers",
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
        organisation=organisation,
    )
    spec = read_model_spec(folder, config_kwargs)
    source = spec.source
    if isinstance(source, TransformerSpec) and source.has_only_graphs:
        config = {**said_by_graph(graph_files(source.folder)[0]), **source.config}
        source = replace(source, config=config)
        spec = replace(spec, modules=(source, *spec.modules[1:]))
    kind = source.model_type if isinstance(source, TransformerSpec) else getattr(source, "type_name", "")
    refuse_media_model(folder, kind.rpartition(".")[2])
    return spec


def refuse_cross_encoder(spec: ModelSpec) -> None:
    """A cross-encoder's folder gives no vectors, though its transformer could be pooled.

    Raises:
        ModelFormatError: ``spec`` is one, by its own word or by its classification head.
    """
    if not isinstance(spec.source, TransformerSpec):
        return
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


def read_texts(spec: ModelSpec, settings: Mapping[str, Any] | None) -> TextTokenizer:
    """The tokenizer of a sentence model, whatever its first module is."""
    source = spec.source
    if isinstance(source, StaticEmbeddingSpec):
        if settings and settings.get("model_max_length"):
            source = replace(source, max_seq_length=int(settings["model_max_length"]))
        return load_static_tokenizer(source)
    return read_tokenizer(spec.transformer, settings)


def choose_source(spec: ModelSpec, options: Options) -> SentenceGraph | StaticTable:
    """What computes the vectors: a graph, or a table of a static model.

    Raises:
        InputError: the folder does not hold what was asked for.
    """
    if not isinstance(spec.source, StaticEmbeddingSpec):
        graph = choose_graph(spec, options.dtype, options.file_name, prefer_file=options.backend == "onnx")
        check_modules(spec.modules[1:], hidden_size(spec.transformer.config, spec.transformer.folder))
        return graph
    if options.file_name is not None or options.backend == "onnx" or options.dtype == "int8":
        asked = f"file_name={options.file_name!r}" if options.file_name else f"backend={options.backend!r}"
        asked = "dtype='int8'" if options.dtype == "int8" else asked
        raise InputError(
            f"{spec.folder}: {asked} is for transformers; a static model is a table of numbers, averaged in "
            "float32: leave it out"
        )
    table = StaticTable(spec)
    check_modules(table.modules, table.width)
    return table


def open_engine(source: SentenceGraph | StaticTable, dtype: str) -> Engine:
    """The engine for a graph or a table. A static one computes in float32, whatever ``dtype`` is."""
    if isinstance(source, StaticTable):
        return StaticEngine(source)
    from vicinal.engine.openvino import OpenVINOEngine

    return OpenVINOEngine(source, source.dimension, "auto" if dtype == "int8" else dtype)


def position_limit(spec: TransformerSpec | StaticEmbeddingSpec | CustomSpec) -> int | None:
    """Tokens that the architecture has positions for; None if it sets no limit."""
    if not isinstance(spec, TransformerSpec):
        return None
    config = completed(spec.config)
    positions = config.get("max_position_embeddings", config.get("n_positions"))
    if not positions:
        return None
    family = FAMILIES.get(spec.model_type)
    offset = family.position_offset if family else 0
    if offset and spec.model_type != "mpnet":  # whose table always begins behind row 1
        padding = config.get("pad_token_id")
        offset = 2 if padding is None else max(int(padding), 0) + 1
    return max(int(positions) - offset, 0)


__all__ = [
    "Options",
    "check_device",
    "choose_graph",
    "choose_source",
    "needs_torch",
    "open_engine",
    "position_limit",
    "read_options",
    "read_spec",
    "read_texts",
    "read_tokenizer",
]
