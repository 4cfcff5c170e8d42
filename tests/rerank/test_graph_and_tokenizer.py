"""Folders of a ready graph and a tokenizer, without config.json: what they cannot say is an argument, and said."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "encode"))

from tinyfolder import VOCAB, make_plain
from tinyonnx import gather_model, scoring_model

from vicinal import CrossEncoder, SentenceTransformer, models
from vicinal.errors import InputError, ModelFormatError

TEXTS = ["the cat sat", "hello world, the dog"]
PAIRS = [("the cat", "sat on the mat"), ("hello world", "dog")]


def bare(folder: Path, content: bytes) -> Path:
    make_plain(folder)
    for name in ("model.safetensors", "config.json"):
        (folder / name).unlink()
    (folder / "model.onnx").write_bytes(content)
    return folder


@pytest.fixture
def table() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(0).standard_normal((len(VOCAB), 8)).astype(np.float32)


def test_vectors(tmp_path: Path, table: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    folder = bare(tmp_path / "model", gather_model(table))
    from tokenizers import Tokenizer

    ids = [each.ids for each in Tokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(TEXTS)]
    with caplog.at_level(logging.WARNING):
        model = SentenceTransformer(folder, dtype="float32", device="cpu")
    assert "pooling_mode='cls'" in caplog.text
    assert model.get_sentence_embedding_dimension() == 8
    np.testing.assert_allclose(model.encode(TEXTS), [table[each].mean(0) for each in ids], atol=1e-6)
    caplog.clear()
    first = SentenceTransformer(folder, dtype="float32", device="cpu", pooling_mode="cls")
    assert not caplog.text
    np.testing.assert_allclose(first.encode(TEXTS), [table[each[0]] for each in ids], atol=1e-6)
    first.save(tmp_path / "saved")
    again = SentenceTransformer(tmp_path / "saved", dtype="float32", device="cpu")
    np.testing.assert_array_equal(again.encode(TEXTS), first.encode(TEXTS))
    assert not caplog.text  # a saved one says it


def test_scores(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    parts = [
        (rng.standard_normal(shape) * 0.4).astype(np.float32) for shape in [(len(VOCAB), 8), (2, 8), (8, 1)]
    ]
    folder = bare(tmp_path / "model", scoring_model(*parts))
    for backend in ("auto", "onnx"):
        caplog.clear()
        model = CrossEncoder(folder, dtype="float32", device="cpu", backend=backend)
        assert "a sigmoid is taken. Pass activation_fn" in caplog.text
        assert (model.num_labels, model.head_is_new, model.max_length) == (1, False, 64)
    caplog.clear()
    raw = CrossEncoder(folder, dtype="float32", device="cpu", activation_fn="Identity")
    assert not caplog.text
    np.testing.assert_allclose(model.predict(PAIRS), 1 / (1 + np.exp(-raw.predict(PAIRS))), atol=1e-6)
    raw.save(tmp_path / "saved")
    again = CrossEncoder(tmp_path / "saved", dtype="float32", device="cpu")
    np.testing.assert_array_equal(again.predict(PAIRS), raw.predict(PAIRS))
    assert not caplog.text
    caplog.clear()
    with pytest.raises(ModelFormatError, match=r"is a cross-encoder.*CrossEncoder\(\.\.\.\)"):
        SentenceTransformer(folder, device="cpu")
    assert not caplog.text


def test_a_limit_that_nobody_says(tmp_path: Path, table: np.ndarray) -> None:
    folder = bare(tmp_path / "model", gather_model(table))
    (folder / "tokenizer_config.json").unlink(missing_ok=True)
    with pytest.raises(
        ModelFormatError, match=r"how many tokens.*processor_kwargs=\{'model_max_length': 512\}"
    ):
        SentenceTransformer(folder, device="cpu", pooling_mode="mean")
    limit = {"model_max_length": 3}
    model = SentenceTransformer(folder, device="cpu", pooling_mode="mean", processor_kwargs=limit)
    assert model.max_seq_length == 3


def test_what_is_refused(tmp_path: Path, table: np.ndarray) -> None:
    folder = bare(tmp_path / "model", gather_model(table))
    with pytest.raises(InputError, match="holds ready graphs and no weights"):
        SentenceTransformer(folder, backend="torch", pooling_mode="cls")
    with pytest.raises(InputError, match="pooling_mode='middle'"):
        SentenceTransformer(folder, pooling_mode="middle")
    (folder / "model.onnx").write_bytes(b"rubbish")
    with pytest.raises(ModelFormatError, match=r"model\.onnx: cannot be read as a graph"):
        SentenceTransformer(folder, pooling_mode="cls")


def test_pooling_that_the_folder_says(tmp_path: Path) -> None:
    model = SentenceTransformer(make_plain(tmp_path / "model"), device="cpu", pooling_mode="max")
    model.save(tmp_path / "saved")
    with pytest.raises(InputError, match=r"says itself how.*modules\.json"):
        SentenceTransformer(tmp_path / "saved", pooling_mode="cls")
    pytest.importorskip("torch")
    parts = [models.Transformer(str(tmp_path / "model")), models.Pooling(32)]
    with pytest.raises(InputError, match="has no effect on modules"):
        SentenceTransformer(modules=parts, pooling_mode="cls")
