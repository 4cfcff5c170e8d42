"""Folders and models of every family, made once a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], tuple[Path, Any]]:
    """``(family, "Model" or "ForSequenceClassification" or ...)`` -> its folder and the torch model."""
    from tinytransformers import TINIES, save

    @cache
    def make(family: str, kind: str = "Model") -> tuple[Path, Any]:
        model = TINIES[family].model(kind)
        return save(model, tmp_path_factory.mktemp(f"{family}-{kind}")), model

    return make
