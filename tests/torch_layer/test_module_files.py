"""Custom modules that find and read their own files, as those written for sentence-transformers do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from vicinal import SentenceTransformer, models  # noqa: E402
from vicinal.errors import ModelFormatError  # noqa: E402

pytestmark = pytest.mark.torch


class Scale(models.Module):
    """With ``load`` and ``save`` written out."""

    config_keys = ("width",)
    config_key_renames = {"size": "width"}  # noqa: RUF012

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.factor = torch.nn.Parameter(torch.ones(width))

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        features["sentence_embedding"] = features["sentence_embedding"] * self.factor
        return features

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=safe_serialization)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", token: Any = None, **kwargs: Any) -> Any:
        hub = {"subfolder": subfolder, "token": token}
        config = cls.load_config(model_name_or_path=model_name_or_path, **hub)
        return cls.load_torch_weights(model_name_or_path, model=cls(**config), **hub)


def test_a_module_with_its_own_load(tiny_bert: Path, tmp_path: Path) -> None:
    parts = list(SentenceTransformer(tiny_bert, dtype="float32").module)
    scale = Scale(16)
    with torch.no_grad():
        scale.factor[:] = torch.arange(16.0)
    model = SentenceTransformer(modules=[*parts, scale], dtype="float32")
    vectors = model.encode(["the cat"])
    np.testing.assert_allclose(
        vectors,
        SentenceTransformer(modules=parts, dtype="float32").encode(["the cat"]) * np.arange(16.0),
        atol=1e-5,
    )
    model.save(tmp_path / "m")
    again = SentenceTransformer(tmp_path / "m", module_classes=[Scale], dtype="float32")
    np.testing.assert_allclose(again.encode(["the cat"]), vectors, atol=1e-6)


def test_files_are_found_in_subfolders(tmp_path: Path) -> None:
    folder = tmp_path / "2_Scale"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"size": 3}))
    where = {"model_name_or_path": str(tmp_path), "subfolder": "2_Scale"}
    assert Scale.load_dir_path(**where) == str(folder)
    assert Scale.load_file_path(**where, filename="config.json") == str(folder / "config.json")
    assert Scale.load_file_path(**where, filename="other.json") is None
    assert Scale.load_config(**where) == {"width": 3}
    assert Scale.load_config(str(tmp_path)) == {}
    with pytest.raises(ModelFormatError, match="there are no weights"):
        Scale.load_torch_weights(**where)
    Scale(3).save_torch_weights(str(folder))
    assert Scale.load_torch_weights(**where)["factor"].tolist() == [1.0, 1.0, 1.0]


def test_facts_of_modules(tiny_bert: Path, tmp_path: Path) -> None:
    first: Any = SentenceTransformer(tiny_bert).module[0]
    assert list(first.modalities) == ["text"] and not first.forward_kwargs
    first.save_tokenizer(str(tmp_path))
    assert (tmp_path / "tokenizer.json").is_file()
    for mode in models.Pooling.POOLING_MODES:
        assert models.Pooling(4, mode).get_embedding_dimension() == 4
