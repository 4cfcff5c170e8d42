"""Reads a model folder in every version of the format that is in use.

Nothing outside this package knows file names or JSON keys of the folder: :func:`read_model_spec` turns it into
the dataclasses of :mod:`vicinal.folder.specs`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vicinal.errors import ModelFormatError, ModelNotFoundError
from vicinal.folder.json_files import count_in, flag_in, read_json, read_optional, read_value, text_in
from vicinal.folder.kinds import read_module, read_transformer
from vicinal.folder.paths import inside
from vicinal.folder.source_files import SourceFiles
from vicinal.folder.specs import (
    ModelSpec,
    ModuleSpec,
    NormalizeSpec,
    PoolingSpec,
    StaticEmbeddingSpec,
    has_only_graphs,
)


def read_model_spec(folder: Path, config_overrides: Mapping[str, Any] | None = None) -> ModelSpec:
    """Read a model folder, whatever library and year wrote it.

    Args:
        folder: a folder with ``modules.json``, or a plain transformers folder, or one of a ready graph and its
            tokenizer (then mean pooling is added, which is this field's convention for a folder that does not say).
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
    extra = read_optional(folder / "config_sentence_transformers.json")
    for key in ("similarity_fn_name", "model_type", "activation_fn"):
        text_in(extra, key, folder / "config_sentence_transformers.json")
    modules: tuple[ModuleSpec, ...]
    assumed = False
    if (folder / "modules.json").is_file():
        modules = _read_modules(folder, config_overrides)
    elif _is_model2vec(folder):
        modules = _read_model2vec(folder)
    elif (folder / "config.json").is_file() or has_only_graphs(folder):
        assumed = True
        modules = (read_transformer(folder, config_overrides), PoolingSpec(modes=("mean",)))
    else:
        raise ModelFormatError(
            f"{folder}: not a model folder, it has neither modules.json nor config.json, and no ready graph "
            f"(it holds: {_listing(folder)})"
        )
    return ModelSpec(
        folder=folder,
        modules=modules,
        prompts=_prompts(extra, folder),
        default_prompt_name=_default_prompt(extra, folder),
        similarity_fn_name=extra.get("similarity_fn_name"),
        truncate_dim=count_in(extra, "truncate_dim", folder / "config_sentence_transformers.json"),
        model_type=extra.get("model_type"),
        activation_fn=extra.get("activation_fn"),
        pooling_assumed=assumed,
    )


def _listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


def _prompts(extra: Mapping[str, Any], folder: Path) -> dict[str, str]:
    prompts = extra.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise ModelFormatError(
            f"{folder}/config_sentence_transformers.json: 'prompts' must map names to texts, "
            f"found {reprlib.repr(prompts)}"
        )
    return dict(prompts)


def _default_prompt(extra: Mapping[str, Any], folder: Path) -> str | None:
    name = extra.get("default_prompt_name")
    if name is None:
        return None
    if not isinstance(name, str) or name not in (extra.get("prompts") or {}):
        raise ModelFormatError(
            f"{folder}/config_sentence_transformers.json: default_prompt_name {reprlib.repr(name)} "
            "is none of its prompts"
        )
    return name


def _read_modules(folder: Path, config_overrides: Mapping[str, Any] | None) -> tuple[ModuleSpec, ...]:
    entries = read_value(folder / "modules.json")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ModelFormatError(f"{folder}/modules.json: expected a list of modules")
    for place, entry in enumerate(entries):
        for key in ("type", "path"):
            text_in(entry, key, f"{folder}/modules.json: module {place}")
    if all(type(entry.get("idx")) is int for entry in entries):
        entries = sorted(entries, key=lambda entry: int(entry["idx"]))
    modules: list[ModuleSpec] = []
    for entry in entries:
        type_name = str(entry.get("type", ""))
        path = inside(folder, entry.get("path") or "", "modules.json")
        modules.append(read_module(type_name, path, config_overrides))
    return tuple(modules)


def _is_model2vec(folder: Path) -> bool:
    path = folder / "config.json"
    return path.is_file() and str(read_json(path).get("model_type", "")).lower() == "model2vec"


def _read_model2vec(folder: Path) -> tuple[ModuleSpec, ...]:
    """A folder of model2vec without ``modules.json`` (with one, the folder says itself what to do)."""
    config = read_json(folder / "config.json")
    length = count_in(config, "max_length", folder / "config.json")
    static = StaticEmbeddingSpec(
        folder,
        drop_unknown=True,
        max_seq_length=length,
        files=SourceFiles(folder),
    )
    normalize = flag_in(config, "normalize", False, folder / "config.json")
    return (static, NormalizeSpec()) if normalize else (static,)
