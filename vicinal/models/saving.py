"""A loaded model becomes a folder again, and a folder gets a name by its content."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from vicinal.core.version import __version__
from vicinal.engine.static import StaticTable
from vicinal.folder.card_records import ModelFacts
from vicinal.folder.json_files import read_json, read_optional
from vicinal.folder.kinds import weights_folder
from vicinal.folder.specs import (
    UNLIMITED,
    ModelSpec,
    PoolingSpec,
    StaticEmbeddingSpec,
    hidden_size,
)
from vicinal.folder.static import tokenizer_of, write_static
from vicinal.folder.write import module_folders, write_configs, write_json, write_settings
from vicinal.models.activations import Activation, folder_activation

_SETTINGS = "config_sentence_transformers.json"
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model.bin.index.json")
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "*.model",
)
_CROSS_ENCODER = (
    "config.json",
    _SETTINGS,
    "sentence_bert_config.json",
    "modules.json",
)
_GRAPHS = ("openvino/*", "onnx/*", "openvino_model*", "model*.onnx*")


def folder_settings(
    kind: str, prompts: Mapping[str, str], default_prompt_name: str | None, **more: Any
) -> dict[str, Any]:
    """The content of ``config_sentence_transformers.json``.

    Args:
        kind: ``model_type``, the class that loads the folder.
        more: further keys; those that are None are left out.
    """
    return {
        "__version__": {"vicinal": __version__},
        "model_type": kind,
        "prompts": dict(prompts),
        "default_prompt_name": default_prompt_name,
        **{key: value for key, value in more.items() if value is not None},
    }


def save_folder(
    spec: ModelSpec,
    target: Path,
    settings: Mapping[str, Any],
    *,
    max_seq_length: int,
    tokenizer_settings: Mapping[str, Any],
) -> None:
    """Write ``spec`` and the settings to ``target``, a folder that other libraries load too.

    Raises:
        ModelFormatError: the files of ``spec`` are no longer those that the model was loaded from.
    """
    spec.check_files(whole=True)
    target.mkdir(parents=True, exist_ok=True)
    source = spec.source.folder
    if isinstance(spec.source, StaticEmbeddingSpec):
        rows, tokenizer = StaticTable(spec).rows(), tokenizer_of(source)
        write_static(target, rows, tokenizer, max_seq_length=max_seq_length)
    elif source.resolve() != target.resolve():
        _copy(source, target, (*_WEIGHTS, *_TOKENIZER, *_GRAPHS))
    write_tokenizer_settings(target, tokenizer_settings)
    for module, path in module_folders(spec):
        home = weights_folder(module)
        if home is not None and home.resolve() != (target / path).resolve():
            _copy(home, target / path, _WEIGHTS)
    write_configs(_with_pooling_width(spec), target, dict(settings), max_seq_length)


def save_modules(
    module: Any, target: Path, settings: Mapping[str, Any], *, tokenizer_settings: Mapping[str, str]
) -> None:
    """Write torch modules as they are now, and the settings, to ``target``."""
    from vicinal.nn.build import write_modules

    write_modules(module, target)
    if tokenizer_settings:
        write_tokenizer_settings(target, tokenizer_settings)
    write_json(target / _SETTINGS, settings)


def module_facts(module: Any, name: str, *, max_length: int, **facts: Any) -> ModelFacts:
    """What a card says of a model that no folder holds; see ``ModelFacts``."""
    from vicinal.nn.build import dimension_of

    names = [type(each).__name__ for each in module]
    config = getattr(module[0], "config", None)
    return ModelFacts(
        name=name,
        architecture=str(getattr(config, "model_type", names[0])),
        modules=tuple(names),
        max_length=None if max_length >= UNLIMITED else max_length,
        dimension=dimension_of(module),
        **facts,
    )


def save_cross_encoder(spec: ModelSpec, target: Path, *, max_length: int, graphs: bool = False) -> None:
    """Write a cross-encoder's folder: weights, tokenizer and configuration as they were loaded.

    Raises:
        ModelFormatError: the files of ``spec`` are no longer those that the model was loaded from.
    """
    spec.check_files(whole=True)
    source = spec.transformer.folder
    if source.resolve() != target.resolve():
        _copy(source, target, (*_WEIGHTS, *_TOKENIZER, *_CROSS_ENCODER, *(_GRAPHS if graphs else ())))
    path = target / "tokenizer_config.json"
    before = read_json(path) if path.is_file() else {}
    if before.get("model_max_length") != max_length:
        write_json(path, {**before, "model_max_length": max_length})


def saved_activation(target: Path, labels: int) -> Activation:
    """The activation that a cross-encoder's folder names, or means by naming none."""
    path = target / _SETTINGS
    known = read_json(path) if path.is_file() else {}
    return folder_activation(
        known.get("activation_fn"), read_optional(target / "config.json"), labels, str(target)
    )


def write_activation(target: Path, name: str | None) -> None:
    """Make a saved cross-encoder's folder name this activation; its other settings stay."""
    path = target / _SETTINGS
    write_settings(
        target, read_json(path) if path.is_file() else folder_settings("CrossEncoder", {}, None), name
    )


def write_prompts(target: Path, prompts: Mapping[str, str], default_prompt_name: str | None) -> None:
    """Make the prompts of a cross-encoder's folder these; one that says the same stays as it is."""
    path = target / _SETTINGS
    before = read_json(path) if path.is_file() else {}
    if (before.get("prompts") or {}, before.get("default_prompt_name")) == (prompts, default_prompt_name):
        return
    known = before or folder_settings("CrossEncoder", {}, None)
    write_json(path, {**known, "prompts": dict(prompts), "default_prompt_name": default_prompt_name})


def _with_pooling_width(spec: ModelSpec) -> ModelSpec:
    """A plain transformers folder does not write down its pooling; a saved one does."""
    if isinstance(spec.source, StaticEmbeddingSpec):
        return spec
    width = hidden_size(spec.transformer.config, spec.transformer.folder)
    modules = tuple(
        replace(module, dimension=module.dimension or width) if isinstance(module, PoolingSpec) else module
        for module in spec.modules
    )
    return replace(spec, modules=modules)


def write_tokenizer_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Set what was changed at loading or since; a folder that says the same, by default or not, stays as it is.

    Args:
        folder: the saved model.
        settings: keys of ``tokenizer_config.json``; the limit, which has other places, aside.
    """
    path = folder / "tokenizer_config.json"
    before = read_json(path) if path.is_file() else {}
    defaults = {"truncation_side": "right", "padding_side": "right"}
    changed = {
        key: _as_json(value)
        for key, value in settings.items()
        if key != "model_max_length" and before.get(key, defaults.get(key)) != value
    }
    if changed:
        write_json(path, {**before, **changed})


def _as_json(value: Any) -> Any:
    """Tokens as the file spells them."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(each) for each in value]
    if hasattr(value, "content") and hasattr(value, "lstrip"):
        names = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
        return {"__type": "AddedToken", **{name: getattr(value, name) for name in names}}
    return value


def _copy(source: Path, target: Path, patterns: tuple[str, ...]) -> None:
    """Make the files of ``patterns`` in ``target`` those of ``source``.

    What another model left there goes away first: its ``model.safetensors`` would be read in place of the
    shards that are copied now.
    """
    target.mkdir(parents=True, exist_ok=True)
    for pattern in patterns:
        for file in target.glob(pattern):
            foreign = file.suffix == ".safetensors" and not file.name.startswith("model")  # adapters, ...
            if file.is_file() and not foreign and not (source / file.relative_to(target)).is_file():
                file.unlink()
    for pattern in patterns:
        for file in source.glob(pattern):
            if not file.is_file():
                continue
            to = target / file.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            scratch = to.with_name(to.name + ".tmp")
            shutil.copyfile(file, scratch)  # follows the links of a hub cache
            scratch.replace(to)


def _files_of_graph(graph: Path) -> list[Path]:
    """A ready graph, and the files of its tensors, which ONNX names after it."""
    beside = sorted(each for each in graph.parent.iterdir() if each.name.startswith(graph.name))
    return [*beside, graph.with_suffix(".bin")]


def fingerprint(
    spec: ModelSpec, graph_file: Path | None, tokenizer_settings: Mapping[str, Any] | None = None
) -> str:
    """SHA-256 over everything that decides a vector: weights, tokenizer, modules, prompts and lengths.

    Args:
        graph_file: the ready graph that runs; None where the weights of the folder do.
        tokenizer_settings: what replaces keys of ``tokenizer_config.json``; the limit aside.

    Two folders with the same bytes have the same fingerprint wherever they lie.

    Raises:
        ModelFormatError: the files of ``spec`` are no longer those that the model was loaded from.
    """
    spec.check_files(whole=True)
    digest = hashlib.sha256()
    described: list[Any] = []
    for module in spec.modules:
        facts = {
            each.name: getattr(module, each.name)
            for each in fields(module)
            if each.name not in ("folder", "files")
        }
        described.append([type(module).__name__, facts])
    described.append([dict(spec.prompts), spec.default_prompt_name, spec.truncate_dim])
    changes = {key: value for key, value in (tokenizer_settings or {}).items() if key != "model_max_length"}
    if changes:
        described.append(_as_json(changes))
    digest.update(json.dumps(described, sort_keys=True, default=str).encode())
    folder = spec.source.folder
    files = [] if graph_file is None else _files_of_graph(graph_file)
    if not files:
        files = [file for pattern in _WEIGHTS for file in sorted(folder.glob(pattern))]
    files += [folder / name for name in ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt")]
    for module in spec.modules:
        home = weights_folder(module)
        if home is not None:
            files += [file for pattern in _WEIGHTS for file in sorted(home.glob(pattern))]
    for file in files:
        if file.is_file():
            with file.open("rb") as stream:
                while block := stream.read(1 << 22):
                    digest.update(block)
    return digest.hexdigest()
