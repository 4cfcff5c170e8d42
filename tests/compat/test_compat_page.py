"""docs/names.md is what its script would write now."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """tools/compat_names.py as a module."""
    spec = importlib.util.spec_from_file_location("compat_names", ROOT / "tools" / "compat_names.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.torch
def test_the_page_is_true(tool: ModuleType) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    pytest.importorskip("datasets")
    assert tool.PAGE.read_text() == tool.page(), f"run {sys.executable} tools/compat_names.py"


def test_parameters_are_compared(tool: ModuleType) -> None:
    assert tool.parameters(lambda self, one, *rest, two=1, **more: None) == ["one", "*rest", "two", "**more"]
    assert tool._difference(["a", "b", "*c"], ["b", "d"]) == (["a"], ["d"])
    assert tool._difference(["a"], ["**options"]) == ([], [])
    assert tool._difference(None, ["a"]) == ([], [])
