"""The kinds of modules that a folder may name: one row each, with how it is read and written.

A new kind is a dataclass in :mod:`vicinal.folder.specs`, a row here, and a row in each engine that computes it:
``LAYERS`` of :mod:`vicinal.engine.graphs.heads` (OpenVINO), ``HEADS`` of :mod:`vicinal.engine.static_heads`
(numpy) and ``BUILDERS`` of :mod:`vicinal.nn.build` (torch). What has no row here becomes a
:class:`~vicinal.folder.specs.CustomSpec`, which only torch runs.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from vicinal.errors import ModelFormatError, UnsupportedModelError
from vicinal.folder.config_values import check_values
from vicinal.folder.json_files import count_in, flag_in, needed_count, read_json, read_optional, text_in
from vicinal.folder.source_files import SourceFiles
from vicinal.folder.specs import (
    ACTIVATIONS,
    POOLING_FLAGS,
    CustomSpec,
    DenseSpec,
    DropoutSpec,
    LayerNormSpec,
    ModelSpec,
    ModuleSpec,
    NormalizeSpec,
    PoolingSpec,
    StaticEmbeddingSpec,
    TransformerSpec,
    has_only_graphs,
    hidden_size,
    is_adapter,
)

Overrides: TypeAlias = Mapping[str, Any] | None
Files: TypeAlias = dict[str, dict[str, Any]]

# The packages whose classes have rows here; a class of another package is a custom one, whatever its name.
_PACKAGES = ("sentence_transformers", "vicinal")


def _no_files(spec: Any, max_seq_length: int) -> Files:
    return {}


def _same_width(spec: Any, width: int) -> int:
    return width


@dataclass(frozen=True)
class Kind:
    """One kind of module.

    Attributes:
        name: the last part of its class in ``modules.json``.
        spec: its dataclass.
        read: (the module's folder, keys that replace those of ``config.json``) -> the spec; None where the
            folder asks for what only torch runs.
        files: (spec, tokens of a text that count) -> the JSON files to write, by name.
        width: (spec, length of the vectors that come) -> length of those that leave.
        has_weights: whether its folder holds weights of its own behind the first module.
    """

    name: str
    spec: type[Any]
    read: Callable[[Path, Overrides], ModuleSpec | None]
    files: Callable[[Any, int], Files] = _no_files
    width: Callable[[Any, int], int] = _same_width
    has_weights: bool = False


def read_module(type_name: str, folder: Path, overrides: Overrides = None) -> ModuleSpec:
    """The module of a folder.

    Args:
        type_name: its class, as ``modules.json`` names it.
        folder: where its files lie.
        overrides: keys that replace those of a transformer's ``config.json``.

    Raises:
        ModelFormatError: a file is missing or damaged.
        UnsupportedModelError: an activation that is not known.
    """
    package, _, name = type_name.rpartition(".")
    kind = _BY_NAME.get(name) if package.split(".")[0] in _PACKAGES else None
    found = kind.read(folder, overrides) if kind is not None else None
    return CustomSpec(folder, type_name) if found is None else found


def kind_of(module: ModuleSpec) -> Kind:
    """The row of a module; that of custom ones where it has none."""
    return _BY_SPEC.get(type(module), _CUSTOM)


def weights_folder(module: ModuleSpec) -> Path | None:
    """Where the weights of a module behind the first one lie; None where it has none."""
    folder: Path | None = getattr(module, "folder", None)
    return folder if kind_of(module).has_weights else None


def width_after(modules: Sequence[ModuleSpec], width: int) -> int:
    """Length of the vectors that ``modules`` make of vectors of ``width``."""
    for module in modules:
        width = kind_of(module).width(module, width)
    return width


def embedding_dimension(spec: ModelSpec) -> int:
    """Length of the sentence vectors that the modules of ``spec`` give, before any truncation."""
    return width_after(spec.modules[1:], hidden_size(spec.transformer.config, spec.transformer.folder))


# Transformer

# One per family of the years when the file was named after the architecture.
_TRANSFORMER_CONFIGS = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)


def read_transformer(folder: Path, overrides: Overrides = None) -> TransformerSpec:
    """The transformer of a folder, which may be a plain one of transformers.

    Raises:
        ModelFormatError: a file is missing or damaged.
    """
    found = next((folder / name for name in _TRANSFORMER_CONFIGS if (folder / name).is_file()), None)
    settings = {} if found is None else read_json(found)
    # An adapter's folder leaves this file to its base model, and a ready graph runs without it.
    spare = is_adapter(folder) or has_only_graphs(folder)
    config = {} if spare else read_json(folder / "config.json")
    if overrides:
        config = {**config, **overrides}
    check_values(config, folder / "config.json")
    return TransformerSpec(
        folder=folder,
        config=config,
        max_seq_length=count_in(settings, "max_seq_length", found or folder),
        do_lower_case=flag_in(settings, "do_lower_case", False, found or folder),
        files=SourceFiles(folder),
    )


def _transformer_files(spec: TransformerSpec, max_seq_length: int) -> Files:
    return {
        "config.json": dict(spec.config),
        "sentence_bert_config.json": {
            "max_seq_length": max_seq_length,
            "do_lower_case": spec.do_lower_case,
        },
    }


# StaticEmbedding


def _read_static(folder: Path, overrides: Overrides) -> StaticEmbeddingSpec:
    path = folder / "config.json"
    drop = flag_in(read_optional(path), "drop_unknown", False, path)
    return StaticEmbeddingSpec(folder, drop_unknown=drop, files=SourceFiles(folder))


def _static_files(spec: StaticEmbeddingSpec, max_seq_length: int) -> Files:
    return {"config.json": {"drop_unknown": True}} if spec.drop_unknown else {}


# Pooling

# Names that newer folders write, where ours differ.
_POOLING_NAMES = {"mean_sqrt_len_tokens": "mean_sqrt_len"}
# Each makes the vectors longer by the width of the transformer.
_MOST_MODES = 2 * len(POOLING_FLAGS)


def _read_pooling(folder: Path, overrides: Overrides) -> PoolingSpec:
    path = folder / "config.json"
    settings = read_json(path)
    if settings.get("pooling_mode"):
        named = settings["pooling_mode"]
        found = [str(name) for name in (named if isinstance(named, list) else [named])]
        found = [_POOLING_NAMES.get(name, name) for name in found]
        if len(found) > _MOST_MODES:
            raise ModelFormatError(
                f"{path}: 'pooling_mode' has {len(found)} entries, and there are {len(POOLING_FLAGS)} modes; correct it"
            )
    else:
        found = [mode for mode, flag in POOLING_FLAGS.items() if flag_in(settings, flag, False, path)]
    unknown = [mode for mode in found if mode not in POOLING_FLAGS]
    if unknown:
        raise ModelFormatError(
            f"{path}: unknown pooling mode {reprlib.repr(unknown[0])}; known: {', '.join(POOLING_FLAGS)}"
        )
    if not found:
        raise ModelFormatError(
            f"{path}: no pooling mode is switched on; set one of {', '.join(POOLING_FLAGS)}"
        )
    key = "embedding_dimension" if "embedding_dimension" in settings else "word_embedding_dimension"
    return PoolingSpec(
        modes=tuple(found),
        dimension=count_in(settings, key, path),
        include_prompt=flag_in(settings, "include_prompt", True, path),
    )


def _pooling_files(spec: PoolingSpec, max_seq_length: int) -> Files:
    if tuple(mode for mode in POOLING_FLAGS if mode in spec.modes) == spec.modes:
        settings: dict[str, Any] = {
            "word_embedding_dimension": spec.dimension,
            **{flag: mode in spec.modes for mode, flag in POOLING_FLAGS.items()},
        }
    else:  # flags cannot say this order; only new readers can
        names = {ours: theirs for theirs, ours in _POOLING_NAMES.items()}
        settings = {
            "embedding_dimension": spec.dimension,
            "pooling_mode": [names.get(mode, mode) for mode in spec.modes],
        }
    return {"config.json": {**settings, "include_prompt": spec.include_prompt}}


# Modules on sentence or token vectors

_ON_TOKENS = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}


def _is_plain(settings: Mapping[str, Any], path: Path) -> bool:
    """Whether a module replaces sentence or token vectors in place, as the graphs do."""
    for key in ("module_input_name", "module_output_name"):
        text_in(settings, key, path)
    source = settings.get("module_input_name") or "sentence_embedding"
    target = settings.get("module_output_name") or source
    return source == target and source in ("sentence_embedding", "token_embeddings")


def _on_tokens(settings: Mapping[str, Any]) -> bool:
    return settings.get("module_input_name") == "token_embeddings"


def _read_dense(folder: Path, overrides: Overrides) -> DenseSpec | None:
    path = folder / "config.json"
    if not _is_plain(read_optional(path), path):
        return None
    settings = read_json(path)
    text_in(settings, "activation_function", path)
    # Without the key, the layer's own default; null has always meant none.
    package, _, activation = str(settings.get("activation_function", "Tanh") or "Identity").rpartition(".")
    if activation not in ACTIVATIONS or package.split(".")[0] not in ("", "torch"):
        raise UnsupportedModelError(
            f"{path}: unknown activation_function {settings.get('activation_function')!r}; "
            f"known: {', '.join(ACTIVATIONS)}"
        )
    return DenseSpec(
        folder=folder,
        in_features=needed_count(settings, "in_features", path),
        out_features=needed_count(settings, "out_features", path),
        bias=flag_in(settings, "bias", True, path),
        activation=activation,
        residual=flag_in(settings, "use_residual", False, path),
        on_tokens=_on_tokens(settings),
        files=SourceFiles(folder),
    )


def _dense_files(spec: DenseSpec, max_seq_length: int) -> Files:
    package = "linear" if spec.activation == "Identity" else "activation"
    settings: dict[str, Any] = {
        "in_features": spec.in_features,
        "out_features": spec.out_features,
        "bias": spec.bias,
        "activation_function": f"torch.nn.modules.{package}.{spec.activation}",
    }
    # Older readers do not know these keys and refuse them; most modules do not need them.
    if spec.residual:
        settings["use_residual"] = True
    return {"config.json": {**settings, **(_ON_TOKENS if spec.on_tokens else {})}}


def _read_normalize(folder: Path, overrides: Overrides) -> NormalizeSpec | None:
    path = folder / "config.json"
    settings = read_optional(path)
    return NormalizeSpec(on_tokens=_on_tokens(settings)) if _is_plain(settings, path) else None


def _normalize_files(spec: NormalizeSpec, max_seq_length: int) -> Files:
    return {"config.json": dict(_ON_TOKENS)} if spec.on_tokens else {}


def _read_layer_norm(folder: Path, overrides: Overrides) -> LayerNormSpec:
    path = folder / "config.json"
    dimension = needed_count(read_json(path), "dimension", path)
    return LayerNormSpec(folder=folder, dimension=dimension, files=SourceFiles(folder))


def _layer_norm_files(spec: LayerNormSpec, max_seq_length: int) -> Files:
    return {"config.json": {"dimension": spec.dimension}}


def _read_dropout(folder: Path, overrides: Overrides) -> DropoutSpec:
    path = folder / "config.json"
    rate = read_optional(path).get("dropout", 0.2)
    if not isinstance(rate, (int, float)) or isinstance(rate, bool) or not 0 <= rate <= 1:
        raise ModelFormatError(
            f"{path}: 'dropout' must be a number from 0 to 1, found {reprlib.repr(rate)}; correct it"
        )
    return DropoutSpec(rate=float(rate))


def _dropout_files(spec: DropoutSpec, max_seq_length: int) -> Files:
    return {"config.json": {"dropout": spec.rate}}


KINDS = (
    Kind("Transformer", TransformerSpec, read_transformer, _transformer_files),
    Kind("StaticEmbedding", StaticEmbeddingSpec, _read_static, _static_files),
    Kind(
        "Pooling",
        PoolingSpec,
        _read_pooling,
        _pooling_files,
        width=lambda spec, width: width * len(spec.modes),
    ),
    Kind(
        "Dense",
        DenseSpec,
        _read_dense,
        _dense_files,
        width=lambda spec, width: int(spec.out_features),
        has_weights=True,
    ),
    Kind("Normalize", NormalizeSpec, _read_normalize, _normalize_files),
    Kind("LayerNorm", LayerNormSpec, _read_layer_norm, _layer_norm_files, has_weights=True),
    Kind("Dropout", DropoutSpec, _read_dropout, _dropout_files),
)

_CUSTOM = Kind("Custom", CustomSpec, lambda folder, overrides: None)

_BY_NAME = {kind.name: kind for kind in KINDS}
_BY_SPEC = {kind.spec: kind for kind in KINDS}
