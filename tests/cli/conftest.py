"""The command in a process of its own, with a clean environment and a cache of its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from cli_notes import fill_folder, numbers
from cli_shell import Shell, module_from


@pytest.fixture
def vicinal(tmp_path: Path) -> Shell:
    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    return Shell(folder, tmp_path / "cache")


@pytest.fixture
def put(vicinal: Shell) -> Callable[[str, str | bytes], str]:
    """Write a file into the folder of the command; gives its name."""

    def write(name: str, content: str | bytes) -> str:
        raw = content if isinstance(content, bytes) else content.encode("utf-8")
        (vicinal.folder / name).write_bytes(raw)
        return name

    return write


@pytest.fixture(scope="session")
def cross_encoder(shared_dir: Path) -> str:
    return str(shared_dir / "models" / "cross-encoder-stsb")


@pytest.fixture(scope="session")
def hub_helpers() -> tuple[ModuleType, ModuleType]:
    """The fake hub and the small model that it serves."""
    return module_from("fakehub"), module_from("tinymodel")


@pytest.fixture(scope="session")
def one_layer(minilm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real model cut to its first layer, which is quick to build and to quantise."""
    folder = tmp_path_factory.mktemp("one layer")
    shutil.copytree(minilm_path, folder, copy_function=os.symlink, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    return folder


@pytest.fixture(scope="session")
def filled(one_layer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small index; tests take copies."""
    folder = tmp_path_factory.mktemp("filled")
    fill_folder(folder / "notes")
    shell = Shell(folder, folder / "cache")
    assert numbers(shell.quick("index", "notes.db", "notes", "-m", one_layer)) == [8, 0, 0]
    assert sorted(os.listdir(folder)) == ["notes", "notes.db"]
    return folder / "notes.db"


@pytest.fixture
def notes(vicinal: Shell, filled: Path) -> str:
    shutil.copy(filled, vicinal.folder / "notes.db")
    return "notes.db"
