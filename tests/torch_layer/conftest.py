"""A tiny model and its folder, made once a session."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / each) for each in ("encode", "graphs")]


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of width 16 with mean pooling."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tinyfolder import make_folder

    return Path(make_folder(tmp_path_factory.mktemp("tiny-bert")))
