"""Reads a model folder in every version of the format that is in use.

Nothing outside this package knows file names or JSON keys of the folder: :func:`read_model_spec` turns it into
the dataclasses of :mod:`vicinal.folder.specs`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vicinal.errors import ModelFormatError, ModelNotFoundError, UnsupportedModelError
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
    is_adapter,
)

_POOLING_SPELLINGS = {"mean_sqrt_len_tokens": "mean_sqrt_len"}

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


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelFormatError: the file is missing, is not JSON, or holds something else than an object.
    """
    value = _read_any(path)
    if not isinstance(value, dict):
        raise ModelFormatError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def _read_any(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ModelFormatError(f"{path}: this file of the model folder is missing") from error
    except OSError as error:
        raise ModelFormatError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(
            f"{path}: cannot be read as JSON ({error}); download the model again"
        ) from error


def read_model_spec(folder: Path, config_overrides: Mapping[str, Any] | None = None) -> ModelSpec:
    """Read a model folder, whatever library and year wrote it.

    Args:
        folder: a folder with ``modules.json``, or a plain transformers folder (then mean pooling is added,
            which is this field's convention for a folder that does not say).
        config_overrides: keys that replace those of the transformer's ``config.json``.

    Raises:
        ModelNotFoundError: no such folder.
        ModelFormatError: a file in it is missing or damaged, or a path in it leaves the folder.
        UnsupportedModelError: a module has an activation that is not known.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelNotFoundError(f"{folder}: no such model folder")
    try:
        return _read_folder(folder, config_overrides)
    except PermissionError as error:
        raise ModelFormatError(
            f"{folder}: cannot be read ({error.strerror}: {error.filename}); check its permissions"
        ) from error


def _read_folder(folder: Path, config_overrides: Mapping[str, Any] | None) -> ModelSpec:
    extra: dict[str, Any] = {}
    if (folder / "config_sentence_transformers.json").is_file():
        extra = read_json(folder / "config_sentence_transformers.json")
    modules: tuple[ModuleSpec, ...]
    if (folder / "modules.json").is_file():
        modules = _read_modules(folder, config_overrides)
    elif _is_model2vec(folder):
        modules = _read_model2vec(folder)
    elif (folder / "config.json").is_file():
        transformer = _read_transformer(folder, config_overrides)
        modules = (transformer, PoolingSpec(modes=("mean",)))
    else:
        raise ModelFormatError(
            f"{folder}: not a model folder, it has neither modules.json nor config.json "
            f"(it holds: {_listing(folder)})"
        )
    return ModelSpec(
        folder=folder,
        modules=modules,
        prompts=_prompts(extra, folder),
        default_prompt_name=_default_prompt(extra, folder),
        similarity_fn_name=extra.get("similarity_fn_name"),
        truncate_dim=_count(extra, "truncate_dim", folder / "config_sentence_transformers.json"),
        model_type=extra.get("model_type"),
        activation_fn=extra.get("activation_fn"),
    )


def _listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


def _prompts(extra: Mapping[str, Any], folder: Path) -> dict[str, str]:
    prompts = extra.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise ModelFormatError(
            f"{folder}/config_sentence_transformers.json: 'prompts' must map names to texts, found {prompts!r}"
        )
    return dict(prompts)


def _default_prompt(extra: Mapping[str, Any], folder: Path) -> str | None:
    name = extra.get("default_prompt_name")
    if name is None:
        return None
    if not isinstance(name, str) or name not in (extra.get("prompts") or {}):
        raise ModelFormatError(
            f"{folder}/config_sentence_transformers.json: default_prompt_name {name!r} is none of its prompts"
        )
    return name


def _count(settings: Mapping[str, Any], key: str, file: Path) -> int | None:
    """A positive whole number, or None where the key is absent, null or 0."""
    value = settings.get(key)
    if not value:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 1 or value != int(value):
        raise ModelFormatError(f"{file}: {key!r} must be a positive whole number, found {value!r}")
    return int(value)


def _needed(settings: Mapping[str, Any], key: str, file: Path) -> int:
    value = _count(settings, key, file)
    if value is None:
        raise ModelFormatError(f"{file}: the key {key!r} is missing")
    return value


def _read_modules(folder: Path, config_overrides: Mapping[str, Any] | None) -> tuple[ModuleSpec, ...]:
    entries = _read_any(folder / "modules.json")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ModelFormatError(f"{folder}/modules.json: expected a list of modules")
    if all(isinstance(entry.get("idx"), int) for entry in entries):
        entries = sorted(entries, key=lambda entry: int(entry["idx"]))
    modules: list[ModuleSpec] = []
    for entry in entries:
        type_name = str(entry.get("type", ""))
        path = _inside(folder, str(entry.get("path") or ""))
        modules.append(_read_module(type_name, path, config_overrides))
    return tuple(modules)


def _inside(folder: Path, relative: str) -> Path:
    """The module's folder, which must not lie outside the model's own.

    Only the spelling is judged: files of a hub cache are links to a blob store outside the folder.
    """
    if (
        relative.startswith(("/", "\\"))
        or ".." in Path(relative.replace("\\", "/")).parts
        or set(":\0") & set(relative)
    ):
        raise ModelFormatError(f"{folder}/modules.json: the path {relative!r} leaves the model folder")
    return folder / relative if relative else folder


def _read_module(type_name: str, folder: Path, config_overrides: Mapping[str, Any] | None) -> ModuleSpec:
    package, _, kind = type_name.rpartition(".")
    if package.split(".")[0] not in ("sentence_transformers", "vicinal"):
        return CustomSpec(folder, type_name)
    if kind == "Transformer":
        return _read_transformer(folder, config_overrides)
    if kind == "StaticEmbedding":
        return StaticEmbeddingSpec(folder, drop_unknown=bool(_optional(folder).get("drop_unknown", False)))
    if kind == "Normalize":
        settings = _optional(folder)
        if not _is_plain(settings):
            return CustomSpec(folder, type_name)
        return NormalizeSpec(on_tokens=_on_tokens(settings))
    if kind == "Dropout":
        rate = _optional(folder).get("dropout", 0.2)
        if not isinstance(rate, (int, float)):
            raise ModelFormatError(f"{folder}/config.json: 'dropout' must be a number, found {rate!r}")
        return DropoutSpec(rate=float(rate))
    if kind == "Pooling":
        return _read_pooling(folder)
    if kind == "Dense":
        return _read_dense(folder) if _is_plain(_optional(folder)) else CustomSpec(folder, type_name)
    if kind == "LayerNorm":
        settings = read_json(folder / "config.json")
        return LayerNormSpec(folder=folder, dimension=_needed(settings, "dimension", folder / "config.json"))
    return CustomSpec(folder, type_name)


def _optional(folder: Path) -> dict[str, Any]:
    return read_json(folder / "config.json") if (folder / "config.json").is_file() else {}


def _is_plain(settings: Mapping[str, Any]) -> bool:
    """Whether a module replaces sentence or token vectors in place, as the graphs do."""
    source = settings.get("module_input_name") or "sentence_embedding"
    target = settings.get("module_output_name") or source
    return source == target and source in ("sentence_embedding", "token_embeddings")


def _on_tokens(settings: Mapping[str, Any]) -> bool:
    return settings.get("module_input_name") == "token_embeddings"


def _read_pooling(folder: Path) -> PoolingSpec:
    settings = read_json(folder / "config.json")
    found: list[str] = []
    if settings.get("pooling_mode"):
        named = settings["pooling_mode"]
        found = [str(name) for name in (named if isinstance(named, list) else [named])]
        found = [_POOLING_SPELLINGS.get(name, name) for name in found]
    else:
        found = [mode for mode, flag in POOLING_FLAGS.items() if settings.get(flag)]
    unknown = [mode for mode in found if mode not in POOLING_FLAGS]
    if unknown:
        raise ModelFormatError(
            f"{folder}/config.json: unknown pooling mode {unknown[0]!r}; known: {', '.join(POOLING_FLAGS)}"
        )
    if not found:
        raise ModelFormatError(
            f"{folder}/config.json: no pooling mode is switched on; set one of {', '.join(POOLING_FLAGS)}"
        )
    key = "embedding_dimension" if "embedding_dimension" in settings else "word_embedding_dimension"
    return PoolingSpec(
        modes=tuple(found),
        dimension=_count(settings, key, folder / "config.json"),
        include_prompt=bool(settings.get("include_prompt", True)),
    )


def _read_dense(folder: Path) -> DenseSpec:
    settings = read_json(folder / "config.json")
    # Without the key, the layer's own default; null has always meant none.
    activation = str(settings.get("activation_function", "Tanh") or "Identity").rpartition(".")[2]
    if activation not in ACTIVATIONS:
        raise UnsupportedModelError(
            f"{folder}/config.json: unknown activation_function {settings.get('activation_function')!r}; "
            f"known: {', '.join(ACTIVATIONS)}"
        )
    return DenseSpec(
        folder=folder,
        in_features=_needed(settings, "in_features", folder / "config.json"),
        out_features=_needed(settings, "out_features", folder / "config.json"),
        bias=bool(settings.get("bias", True)),
        activation=activation,
        residual=bool(settings.get("use_residual", False)),
        on_tokens=_on_tokens(settings),
    )


def _read_transformer(folder: Path, overrides: Mapping[str, Any] | None) -> TransformerSpec:
    settings: dict[str, Any] = {}
    found = next((folder / name for name in _TRANSFORMER_CONFIGS if (folder / name).is_file()), None)
    if found is not None:
        settings = read_json(found)
    # An adapter's folder leaves this file to its base model.
    config = {} if is_adapter(folder) else read_json(folder / "config.json")
    if overrides:
        config = {**config, **overrides}
    return TransformerSpec(
        folder=folder,
        config=config,
        max_seq_length=_count(settings, "max_seq_length", found or folder),
        do_lower_case=bool(settings.get("do_lower_case", False)),
    )


def _is_model2vec(folder: Path) -> bool:
    path = folder / "config.json"
    return path.is_file() and str(read_json(path).get("model_type", "")).lower() == "model2vec"


def _read_model2vec(folder: Path) -> tuple[ModuleSpec, ...]:
    """A folder of model2vec without ``modules.json`` (with one, the folder says itself what to do)."""
    config = read_json(folder / "config.json")
    length = config.get("max_length")
    static = StaticEmbeddingSpec(folder, drop_unknown=True, max_seq_length=int(length) if length else None)
    return (static, NormalizeSpec()) if config.get("normalize") else (static,)
