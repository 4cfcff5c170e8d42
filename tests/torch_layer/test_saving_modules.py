"""What is saved comes back: modules as they are now, classes of one's own, and the folder they came from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from vicinal import SentenceTransformer, models  # noqa: E402
from vicinal.errors import InputError, ModelFormatError, UnsupportedModelError  # noqa: E402

pytestmark = pytest.mark.torch
TEXTS = ["the cat sat on the mat", "a dog"]

OWN = '''
import torch

class Shift(torch.nn.Module):
    """Knows nothing of Vicinal."""
    def __init__(self):
        super().__init__()
        self.by = torch.nn.Parameter(torch.zeros(16))

    def forward(self, features):
        features["sentence_embedding"] = features["sentence_embedding"] + self.by
        return features
'''


class Scale(models.Module):  # type: ignore[misc, name-defined]
    """A module by the rules of the base class."""

    config_keys = ("factor",)

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        features["sentence_embedding"] = features["sentence_embedding"] * self.factor
        return features


class Wanting(torch.nn.Module):
    """Cannot be made without an argument, and says nowhere which."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(width, width)

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        features["sentence_embedding"] = self.layer(features["sentence_embedding"])
        return features


def with_module(folder: Path, module: Any) -> SentenceTransformer:
    return SentenceTransformer(modules=[models.Transformer(folder), models.Pooling(16), module], device="cpu")


def test_a_class_of_ones_own(tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_shift_module.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    import my_shift_module  # type: ignore[import-not-found]

    shift = my_shift_module.Shift()
    shift.by.data.fill_(3.0)
    model = with_module(tiny_bert, shift)
    expected = model.encode(TEXTS)
    folder = str(tmp_path / "saved")
    model.save(folder)
    for _ in range(2):  # that the user's program has imported it does not count
        with pytest.raises(UnsupportedModelError, match=r"my_shift_module\.Shift.*module_classes=\[Shift\]"):
            SentenceTransformer(folder, device="cpu")
        sys.modules.pop("my_shift_module", None)
    given = SentenceTransformer(folder, device="cpu", module_classes=[my_shift_module.Shift])
    assert np.array_equal(given.encode(TEXTS), expected)
    trusted = SentenceTransformer(folder, device="cpu", trust_remote_code=True)
    assert np.array_equal(trusted.encode(TEXTS), expected)
    sys.modules.pop("my_shift_module", None)


def test_a_subclass_of_the_base(tiny_bert: Path, tmp_path: Path) -> None:
    model = with_module(tiny_bert, Scale(2.5))
    model.save(str(tmp_path))
    again = SentenceTransformer(str(tmp_path), device="cpu", module_classes=[Scale])
    assert type(again[2]) is Scale and again[2].factor == 2.5
    assert np.array_equal(again.encode(TEXTS), model.encode(TEXTS))


def test_a_module_makes_the_folder_that_it_is_saved_to(tiny_bert: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(tiny_bert))
    expected = model.encode(TEXTS)
    for place, module in enumerate(model.module):
        module.save(str(tmp_path / "new" / str(place)))
    first = models.Transformer(str(tmp_path / "new" / "0"))
    again = SentenceTransformer(modules=[first, *list(model.module)[1:]])
    np.testing.assert_allclose(again.encode(TEXTS), expected, atol=1e-5)


def test_a_class_that_cannot_be_made_again(tiny_bert: Path, tmp_path: Path) -> None:
    with_module(tiny_bert, Wanting(16)).save(str(tmp_path))
    with pytest.raises(UnsupportedModelError, match=r"Wanting\(width, \.\.\.\).*config_keys"):
        SentenceTransformer(str(tmp_path), device="cpu", module_classes=[Wanting])


def test_over_the_folder_it_came_from_twice(tiny_bert: Path, tmp_path: Path) -> None:
    """The engine has mapped the weights that are replaced."""
    folder = str(tmp_path)
    SentenceTransformer(str(tiny_bert), device="cpu").save(folder)
    model = SentenceTransformer(folder, device="cpu", dtype="float32")
    for factor in (1.5, 0.5):
        mapped = model.encode(TEXTS)
        model.save(folder)
        assert np.array_equal(model.encode(TEXTS), mapped)
        model[0].auto_model.embeddings.word_embeddings.weight.data.mul_(factor)
        expected = model.encode(TEXTS)
        model.save(folder)
        assert np.array_equal(model.encode(TEXTS), expected)
        again = SentenceTransformer(folder, device="cpu", dtype="float32")
        assert again.encode(TEXTS) == pytest.approx(expected, abs=1e-6)
    assert not list(tmp_path.glob(".saving-*")) and not list(tmp_path.glob("*.tmp"))


def test_settings_travel(tiny_bert: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(
        str(tiny_bert), device="cpu", prompts={"query": "q: "}, similarity_fn_name="dot", truncate_dim=7
    )
    _ = model.module
    model.max_seq_length = 9
    model.save(str(tmp_path))
    again = SentenceTransformer(str(tmp_path), device="cpu")
    assert again.prompts["query"] == "q: " and again.similarity_fn_name == "dot"
    assert again.get_embedding_dimension() == 7 and again.max_seq_length == 9
    assert again[0].max_seq_length == 9
    assert "from vicinal import SentenceTransformer" in (tmp_path / "README.md").read_text()
    with pytest.raises(InputError, match="is a file"):
        model.save(str(tmp_path / "README.md"))


def test_quiet(tiny_bert: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    settings = logging.is_progress_bar_enabled(), logging.get_verbosity()
    model = SentenceTransformer(str(tiny_bert), device="cpu")
    _ = model.module
    model.save(str(tmp_path))
    assert capfd.readouterr().err == ""
    assert (logging.is_progress_bar_enabled(), logging.get_verbosity()) == settings


def test_a_folder_that_lacks_weights(tiny_bert: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    SentenceTransformer(str(tiny_bert), device="cpu").save(str(tmp_path))
    weights = load_file(tmp_path / "model.safetensors")
    name = next(name for name in weights if name.endswith("encoder.layer.1.output.dense.bias"))
    del weights[name]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ModelFormatError, match=r"1 weights are missing, such as 'encoder\.layer\.1"):
        models.Transformer(tmp_path)


def test_no_pooler_of_random_numbers(tiny_bert: Path) -> None:
    first, second = models.Transformer(tiny_bert), models.Transformer(tiny_bert)
    assert first.state_dict().keys() == second.state_dict().keys()
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])
