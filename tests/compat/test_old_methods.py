"""Methods of old code's models: old_fit trains, clear_placement_cache does nothing, merge gives a torch model."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.fixture
def models(minilm_path: Any) -> list[Any]:
    there = importlib.import_module("vicinal.compat.models")
    return [there.SentenceTransformer(str(minilm_path), device="cpu") for _ in range(2)]


def test_merge_takes_the_mean(models: list[Any]) -> None:
    first, second = models
    bias = "0.auto_model.encoder.layer.5.output.LayerNorm.bias"
    name = next(each for each in second.state_dict() if each.endswith(bias.partition("encoder.")[2]))
    before = second.encode(["a cat"])
    with torch.no_grad():
        second.state_dict()[name].add_(0.2)
    result = type(first).merge([first, second], dtype=torch.float32)
    assert isinstance(result, type(first)) and isinstance(result, torch.nn.Sequential)
    with torch.no_grad():
        second.state_dict()[name].sub_(0.1)
    merged, between = result.encode(["a cat"]), second.encode(["a cat"])
    assert np.allclose(merged, between, atol=2e-3)
    assert not np.allclose(merged, before, atol=5e-3)


def test_old_fit_is_fit(models: list[Any]) -> None:
    first = models[0]
    first.clear_placement_cache()
    calls: list[Any] = []
    first.fit = lambda *args, **options: calls.append((args, options))
    first.old_fit(["objectives"], epochs=3)
    assert calls == [((["objectives"],), {"epochs": 3})]
