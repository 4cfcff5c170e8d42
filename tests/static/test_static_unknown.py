"""Texts of which a model's vocabulary knows nothing: the vector 0, similarity 0, and one warning."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from static_helpers import NORMALIZE, STATIC, rows, write_folder

from vicinal import SentenceTransformer
from vicinal.errors import UnknownScriptWarning
from vicinal.util import cos_sim

UNKNOWN = ["zebra", "中文字", "😀", "Ünïcode ???zz", "квантовая физика зебры"]
UNKNOWN = [text.replace("?", "%") for text in UNKNOWN]
DENSE = "sentence_transformers.models.Dense"


def static(folder: Path, **config: object) -> Path:
    if config:
        return write_folder(folder, {"embeddings": rows()}, config={"model_type": "model2vec", **config})
    return write_folder(folder, {"embedding.weight": rows()}, [STATIC, NORMALIZE])


@pytest.mark.parametrize("kind", ["sentence-transformers", "model2vec"])
def test_unknown_texts_have_no_direction(tmp_path: Path, kind: str) -> None:
    folder = static(tmp_path, **({"normalize": True} if kind == "model2vec" else {}))
    model = SentenceTransformer(folder)
    with pytest.warns(UnknownScriptWarning) as caught:
        vectors = model.encode([*UNKNOWN, "the cat", "the zebra"])
    assert len(caught) == 1
    assert not vectors[: len(UNKNOWN)].any()
    assert np.isfinite(vectors).all() and vectors[len(UNKNOWN) :].any(axis=1).all()
    scores = cos_sim(vectors[: len(UNKNOWN)], vectors)
    assert not scores.any()
    assert not np.asarray(model.similarity(vectors[:2], vectors[:2])).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.encode(UNKNOWN)  # once per model


def test_a_known_token_makes_the_others_count_as_before(tmp_path: Path) -> None:
    model = SentenceTransformer(static(tmp_path))
    table = rows()
    mean = (table[4] + table[1]) / 2
    np.testing.assert_allclose(model.encode("the zebra"), mean / np.linalg.norm(mean), atol=1e-6)


def test_modules_behind_the_average_do_not_give_them_a_direction(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"embedding.weight": rows()}, [STATIC, DENSE])
    (folder / "1_x").mkdir()
    (folder / "1_x/config.json").write_text('{"in_features": 8, "out_features": 8, "bias": true}')
    dense = {"linear.weight": np.eye(8, dtype=np.float32), "linear.bias": np.ones(8, dtype=np.float32)}
    save_file(dense, folder / "1_x/model.safetensors")
    model = SentenceTransformer(folder)
    with pytest.warns(
        UnknownScriptWarning, match=r"1 of 3 texts, such as 'zebra', are made of unknown tokens alone"
    ):
        vectors = model.encode(["zebra", "", "cat"])
    assert not vectors[0].any()
    np.testing.assert_allclose(vectors[1], np.tanh(np.ones(8)), atol=1e-6)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.encode(["zebra", "", "cat"]), vectors)


def test_the_module_gives_the_same(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = SentenceTransformer(static(tmp_path))
    texts = ["zebra", "the zebra", "cat"]
    with torch.inference_mode():
        found = model.module(model.module[0].tokenize(texts))["sentence_embedding"].numpy()
    with pytest.warns(UnknownScriptWarning):
        np.testing.assert_allclose(model.encode(texts), found, atol=1e-6)


def test_a_search_finds_nothing_alike(tmp_path: Path) -> None:
    from vicinal.util import semantic_search

    model = SentenceTransformer(static(tmp_path))
    with pytest.warns(UnknownScriptWarning):
        hits = semantic_search(model.encode(["zebra"]), model.encode(["zzz", "the cat"]))
    assert [hit["score"] for hit in hits[0]] == [0.0, 0.0]
