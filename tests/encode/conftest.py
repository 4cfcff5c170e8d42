"""Fixtures of the encode tests: small folders made on the spot, and the real model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tinyfolder import ROOT, make_folder

from vicinal import SentenceTransformer


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small folder that no test may change."""
    prompts = {"query": "query: ", "passage": "passage: ", "empty": ""}
    return make_folder(
        tmp_path_factory.mktemp("models") / "tiny",
        extra={"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )


@pytest.fixture
def tiny(tiny_path: Path) -> SentenceTransformer:
    return SentenceTransformer(str(tiny_path), dtype="float32")


@pytest.fixture(scope="session")
def minilm(minilm_path: Path) -> SentenceTransformer:
    return SentenceTransformer(str(minilm_path), dtype="float32")


Script = Callable[..., str]


@pytest.fixture(scope="session")
def run_script() -> Script:
    """Runs Python source in a fresh interpreter with a time limit; gives its standard output."""

    def run(source: str, *arguments: object, timeout: float = 60, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", source, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
