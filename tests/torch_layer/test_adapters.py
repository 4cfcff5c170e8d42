"""Adapters of peft: encode computes with those that are active, on the processor by merged weights."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from vicinal import SentenceTransformer, models  # noqa: E402
from vicinal.errors import InputError, MissingExtraError  # noqa: E402
from vicinal.nn.engine.tokens import TorchEngine  # noqa: E402

pytestmark = pytest.mark.torch
TEXTS = ["the cat sat on the mat", "a dog"]


def lora() -> Any:
    peft = pytest.importorskip("peft")
    return peft.LoraConfig(r=2, lora_alpha=8, target_modules=["query", "value"], init_lora_weights=False)


def by_torch(model: SentenceTransformer) -> Any:
    with torch.no_grad():
        return model.eval()(model.tokenize(TEXTS))["sentence_embedding"].numpy()


def test_encode_follows_the_adapters(tiny_bert: Path) -> None:
    config = lora()
    model = SentenceTransformer(str(tiny_bert), device="cpu", dtype="float32")
    base = model.encode(TEXTS)
    torch.manual_seed(1)
    model.add_adapter(config, "first")
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = model.encode(TEXTS)
    assert not isinstance(model._engine, TorchEngine)
    assert found == pytest.approx(by_torch(model), abs=1e-5) and np.abs(found - base).max() > 1e-3
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    trained = [name for name, each in model.named_parameters() if each.requires_grad]
    assert trained and all("lora_" in name for name in trained)
    model.disable_adapters()
    assert np.array_equal(model.encode(TEXTS), base)
    model.enable_adapters()
    assert np.array_equal(model.encode(TEXTS), found)
    model.add_adapter(lora(), "second")
    model.set_adapter("second")
    assert model.active_adapters() == ["second"]
    assert np.abs(model.encode(TEXTS) - found).max() > 1e-3
    model.set_adapter("first")
    assert np.array_equal(model.encode(TEXTS), found)
    assert len(model.get_adapter_state_dict("first")) == 8
    model.delete_adapter("second")
    model.delete_adapter("first")
    assert np.array_equal(model.encode(TEXTS), base)


def test_a_folder_of_an_adapter(tiny_bert: Path, tmp_path: Path) -> None:
    config = lora()
    model = SentenceTransformer(str(tiny_bert), device="cpu", dtype="float32")
    base = model.encode(TEXTS)
    model.add_adapter(config)
    found = model.encode(TEXTS)
    model.save(str(tmp_path))
    files = {file.name for file in tmp_path.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= files
    assert not {"config.json", "model.safetensors"} & files
    again = SentenceTransformer(str(tmp_path), device="cpu", dtype="float32")
    assert again.encode(TEXTS) == pytest.approx(found, abs=1e-6) and again.active_adapters() == ["default"]
    other = SentenceTransformer(str(tiny_bert), device="cpu", dtype="float32")
    other.load_adapter(tmp_path, "mine")
    assert other.encode(TEXTS) == pytest.approx(found, abs=1e-6)
    other.delete_adapter("mine")
    other.save(str(tmp_path))  # the whole model, without a trace of the adapter
    plain = SentenceTransformer(str(tmp_path), device="cpu", dtype="float32")
    assert np.array_equal(plain.encode(TEXTS), base)
    assert not (tmp_path / "adapter_config.json").exists()


def test_gradient_checkpointing(tiny_bert: Path) -> None:
    gradients = []
    for enabled in (False, True):
        model = SentenceTransformer(str(tiny_bert), device="cpu")
        if enabled:
            model.gradient_checkpointing_enable()
        model(model.tokenize(TEXTS))["sentence_embedding"].square().sum().backward()
        gradients.append(model[0].auto_model.embeddings.word_embeddings.weight.grad)
    assert torch.allclose(*gradients, atol=1e-6)


def test_without_peft(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    model = SentenceTransformer(str(tiny_bert), device="cpu")
    with pytest.raises(MissingExtraError, match=r"add_adapter\(\) needs 'peft'.*vicinal\[peft\]"):
        model.add_adapter(None)


def test_models_without_a_transformer() -> None:
    model = SentenceTransformer(modules=[models.BoW(["a", "b"])], device="cpu")
    with pytest.raises(InputError, match="begins with BoW"):
        model.gradient_checkpointing_enable()
