"""Model folders are written here, in the format that the oldest and the newest readers share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vicinal.folder.json_files import read_optional
from vicinal.folder.kinds import kind_of
from vicinal.folder.specs import ModelSpec, ModuleSpec

_TYPES = "sentence_transformers.models"


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a reader, or a mapped weight, never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".tmp")
    scratch.write_bytes(content)
    scratch.replace(path)


def module_folders(spec: ModelSpec) -> list[tuple[ModuleSpec, str]]:
    """Each module with the folder that it gets: the first the root, the others ``1_Pooling``, ..."""
    return [
        (module, "" if place == 0 else f"{place}_{kind_of(module).name}")
        for place, module in enumerate(spec.modules)
    ]


def write_configs(spec: ModelSpec, folder: Path, extra: Mapping[str, Any], max_seq_length: int) -> None:
    """Write every JSON file of the folder but the tokenizer's.

    Args:
        spec: what to write.
        folder: where to.
        extra: the content of ``config_sentence_transformers.json``.
        max_seq_length: tokens of a text that count.
    """
    entries = []
    for place, (module, path) in enumerate(module_folders(spec)):
        kind = kind_of(module)
        entries.append({"idx": place, "name": str(place), "path": path, "type": f"{_TYPES}.{kind.name}"})
        (folder / path).mkdir(parents=True, exist_ok=True)
        for name, content in kind.files(module, max_seq_length).items():
            write_json(folder / path / name, content)
    write_json(folder / "modules.json", entries)
    write_json(folder / "config_sentence_transformers.json", dict(extra))


def write_settings(folder: Path, settings: Mapping[str, Any], activation: str | None) -> None:
    """Write a cross-encoder's settings, with its activation in every place where a release looks for it.

    Args:
        folder: its ``config.json`` is changed, if it has one.
        settings: the content of ``config_sentence_transformers.json``; an activation in it is replaced.
        activation: its class, as ``torch.nn`` calls it; None leaves it open.
    """
    known = {key: value for key, value in settings.items() if key != "activation_fn"}
    config = read_optional(folder / "config.json")
    config.pop("sbert_ce_default_activation_function", None)
    config.pop("sentence_transformers", None)
    if activation is not None:
        known["activation_fn"] = activation
        config["sentence_transformers"] = {"activation_fn": activation}  # where releases 4 and 5 look for it
    if (folder / "config.json").is_file():  # that of a ready graph would be the only thing in it
        write_json(folder / "config.json", config)
    write_json(folder / "config_sentence_transformers.json", known)
