"""First modules of people's own: with ``tokenize``, with ``preprocess``, or with a class of ours that they change."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from tinybert import write_tiny  # noqa: E402

from vicinal import models  # noqa: E402
from vicinal.torch import SentenceTransformer  # noqa: E402


class ByPreprocess(models.InputModule):
    """The vector of a text is its length, five times; as the newest code writes it."""

    def preprocess(self, inputs: Any, prompt: str | None = None, **options: Any) -> dict[str, Any]:
        return {"length": torch.tensor([[len(text)] for text in inputs], dtype=torch.float)}

    def forward(self, features: dict[str, Any], **options: Any) -> dict[str, Any]:
        features["sentence_embedding"] = features["length"].repeat(1, 5)
        return features

    def get_embedding_dimension(self) -> int:
        return 5


class ByTokenize(ByPreprocess):
    """The same, as older code writes it."""

    def tokenize(self, texts: Any) -> dict[str, Any]:
        return {"length": torch.tensor([[len(text)] for text in texts], dtype=torch.float)}


@pytest.mark.parametrize("kind", [ByPreprocess, ByTokenize])
def test_either_method_is_enough(kind: Any) -> None:
    model = SentenceTransformer(modules=[kind()])
    assert model.encode(["abc", "de"]).tolist() == [[3.0] * 5, [2.0] * 5]
    assert model.encode("abc", prompt="12").tolist() == [5.0] * 5
    assert kind().tokenize(["abc"])["length"].tolist() == [[3.0]]
    assert kind().preprocess(["abc"])["length"].tolist() == [[3.0]]


def test_neither_says_what_is_missing() -> None:
    class Neither(models.InputModule):
        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            return features

    with pytest.raises(NotImplementedError, match="Neither has no tokenize"):
        Neither().tokenize(["a"])


@pytest.mark.parametrize("name", ["tokenize", "preprocess"])
def test_a_changed_transformer_reads_what_it_is_told(name: str, tmp_path: Path) -> None:
    folder = str(write_tiny(tmp_path))

    def change(self: Any, texts: Any, **options: Any) -> Any:
        return getattr(super(changed, self), name)([f"dog {text}" for text in texts], **options)

    changed = type("Changed", (models.Transformer,), {name: change})
    first = changed(folder)
    plain = SentenceTransformer(folder, dtype="float32")
    model = SentenceTransformer(modules=[first, plain[1]], dtype="float32")
    assert np.allclose(model.encode(["cat", "red"]), plain.encode(["dog cat", "dog red"]), atol=1e-5)
    for method in (first.tokenize, first.preprocess):
        assert method(["cat"])["input_ids"].tolist() == plain[0].tokenize(["dog cat"])["input_ids"].tolist()


def test_a_prompt_is_put_before_texts_and_counted(tmp_path: Path) -> None:
    first = SentenceTransformer(str(write_tiny(tmp_path)))[0]
    found = first.preprocess(["cat"], prompt="the dog ")
    assert found["input_ids"].tolist() == first.tokenize(["the dog cat"])["input_ids"].tolist()
    assert found["prompt_length"] == 3  # [CLS] the dog
    assert "prompt_length" not in first.preprocess(["cat"])


def test_dense_leaves_out_what_it_does_not_know(tmp_path: Path) -> None:
    module = models.Dense(4, 3, activation_function=torch.nn.Tanh())
    module.save(str(tmp_path))
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "of_a_newer_version": 1}))
    found = models.Dense.load(str(tmp_path))
    assert torch.equal(found.linear.weight, module.linear.weight)
    assert type(found.activation_function) is torch.nn.Tanh
