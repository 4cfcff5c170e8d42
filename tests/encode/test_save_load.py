"""What is saved gives the same vectors, here and in sentence-transformers, and the other way round."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tinyfolder import (
    NORMALIZE,
    POOLING,
    ROOT,
    TRANSFORMER,
    WIDTH,
    bert_weights,
    dense,
    make_folder,
    make_plain,
    write_json,
)

from vicinal import SentenceTransformer
from vicinal.errors import InputError
from vicinal.folder.read import read_model_spec

TEXTS = ["the cat sat", "hello world, the dog", "", "the " * 100]
PEER = ROOT / ".bench/st/bin/python"
DENSE = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}


def vectors(model: SentenceTransformer | Path) -> NDArray[np.float32]:
    if isinstance(model, Path):
        model = SentenceTransformer(model, dtype="float32")
    return np.asarray(model.encode(TEXTS, on_truncate="ignore"))


def with_dense(folder: Path) -> Path:
    make_folder(folder, modules=[TRANSFORMER, POOLING, DENSE, {**NORMALIZE, "idx": 3, "path": "3_Normalize"}])
    dense(folder / "2_Dense", 6)
    return folder


def concatenated(folder: Path) -> Path:
    return make_folder(folder, pooling={"embedding_dimension": WIDTH, "pooling_mode": ["mean", "cls", "max"]})


def cls_and_length(folder: Path) -> Path:
    return make_folder(folder, pooling={"pooling_mode_cls_token": True}, max_seq_length=7)


FOLDERS = {
    "usual": make_folder,
    "plain": make_plain,
    "dense": with_dense,
    "concatenated": concatenated,
    "cls": cls_and_length,
}


@pytest.mark.parametrize("kind", FOLDERS)
@pytest.mark.parametrize("method", ["save", "save_pretrained"])
def test_round_trip(tmp_path: Path, kind: str, method: str) -> None:
    model = SentenceTransformer(FOLDERS[kind](tmp_path / "a"), dtype="float32")
    getattr(model, method)(tmp_path / "b")
    again = SentenceTransformer(tmp_path / "b", dtype="float32")
    np.testing.assert_array_equal(vectors(again), vectors(model))
    assert again.max_seq_length == model.max_seq_length
    assert not list((tmp_path / "b").rglob("*.tmp"))
    assert (tmp_path / "b/README.md").is_file()
    again.save(tmp_path / "c")
    for file in (tmp_path / "b").rglob("*.json"):
        assert file.read_text() == (tmp_path / "c" / file.relative_to(tmp_path / "b")).read_text()
    assert SentenceTransformer(tmp_path / "c").fingerprint == again.fingerprint


def test_settings_are_saved(tmp_path: Path) -> None:
    model = SentenceTransformer(
        make_folder(tmp_path / "a"),
        prompts={"query": "query: "},
        default_prompt_name="query",
        similarity_fn_name="dot",
        truncate_dim=5,
        tokenizer_kwargs={"truncation_side": "left", "padding_side": "left"},
        dtype="float32",
    )
    model.max_seq_length = 11
    model.set_pooling_include_prompt(False)
    model.save(str(tmp_path / "b"), model_name="My model")
    again = SentenceTransformer(tmp_path / "b", dtype="float32")
    assert again.prompts == {"query": "query: "}
    assert (again.default_prompt_name, again.similarity_fn_name, again.truncate_dim) == ("query", "dot", 5)
    assert again.max_seq_length == 11
    np.testing.assert_array_equal(vectors(again), vectors(model))
    assert again.tokenize(["a", "the cat"])["attention_mask"].tolist()[0] == [0, 1, 1, 1]
    assert "# My model" in (tmp_path / "b/README.md").read_text()


@pytest.mark.parametrize("kind", FOLDERS)
def test_onto_itself(tmp_path: Path, kind: str) -> None:
    folder = FOLDERS[kind](tmp_path)
    model = SentenceTransformer(folder, dtype="float32")
    before = vectors(model)
    model.save(folder)
    np.testing.assert_array_equal(vectors(model), before)  # its mapped weights are whole
    np.testing.assert_array_equal(vectors(folder), before)


def test_onto_another_model(tmp_path: Path) -> None:
    """Nothing of what lay there before may be read afterwards."""
    shards = make_folder(tmp_path / "shards", seed=3)
    save_file(bert_weights(3), shards / "model-00001-of-00001.safetensors")
    (shards / "model.safetensors").unlink()
    names = dict.fromkeys(bert_weights(), "model-00001-of-00001.safetensors")
    write_json(shards / "model.safetensors.index.json", {"weight_map": names})
    target = with_dense(tmp_path / "target")
    (target / "openvino").mkdir()
    (target / "openvino/openvino_model_int8.xml").write_text("old")
    (target / "notes.txt").write_text("mine")
    model = SentenceTransformer(shards, dtype="float32")
    model.save(target)
    np.testing.assert_array_equal(vectors(target), vectors(model))
    assert not (target / "openvino/openvino_model_int8.xml").exists()
    assert (target / "notes.txt").read_text() == "mine"


def test_where_nothing_can_be_saved(tmp_path: Path) -> None:
    model = SentenceTransformer(make_folder(tmp_path / "a"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file; save takes a folder"):
        model.save(tmp_path / "file")


def test_deep_folders_are_made(tmp_path: Path) -> None:
    SentenceTransformer(make_folder(tmp_path / "a")).save(tmp_path / "x/y/z")
    assert read_model_spec(tmp_path / "x/y/z").modules


# the peer


ENCODE = """
import json, sys
import numpy as np
from sentence_transformers import SentenceTransformer
for source, vectors, texts, target in json.load(open(sys.argv[1])):
    model = SentenceTransformer(source, device="cpu")
    np.save(vectors, model.encode(texts))
    model.save(target)
"""


@pytest.mark.slow
def test_with_sentence_transformers(tmp_path: Path, minilm_path: Path) -> None:
    """One process of the peer loads what we saved, encodes, and saves it for us."""
    if not PEER.is_file():
        pytest.skip(f"no {PEER}: sentence-transformers lives in an environment of its own (make bench)")
    models = {
        kind: SentenceTransformer(make(tmp_path / "ours" / kind), dtype="float32")
        for kind, make in FOLDERS.items()
    }
    models["minilm"] = SentenceTransformer(
        minilm_path, dtype="float32", prompts={"query": "query: "}, truncate_dim=100
    )
    texts = [*TEXTS, "A man is eating.", "word " * 400, "Привет, мир"]
    jobs = []
    for kind, model in models.items():
        model.save(tmp_path / "saved" / kind)
        places = [tmp_path / "saved" / kind, tmp_path / f"{kind}.npy", tmp_path / "theirs" / kind]
        source, array, target = map(str, places)
        jobs.append([source, array, texts, target])
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    command = [str(PEER), "-c", ENCODE, str(tmp_path / "jobs.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    for kind, model in models.items():
        theirs = np.load(tmp_path / f"{kind}.npy")
        found = model.encode(texts, on_truncate="ignore")
        np.testing.assert_allclose(found, theirs, atol=1e-5, err_msg=kind)
        again = SentenceTransformer(tmp_path / "theirs" / kind, dtype="float32")
        np.testing.assert_allclose(again.encode(texts, on_truncate="ignore"), theirs, atol=1e-5, err_msg=kind)
        assert again.max_seq_length == model.max_seq_length
    assert again.prompts["query"] == "query: "


def test_pickles_are_not_written_and_asking_for_them_stops_nothing(tmp_path: Path) -> None:
    model = SentenceTransformer(make_folder(tmp_path / "a"), dtype="float32")
    with pytest.warns(UserWarning, match="safe_serialization=False has no effect"):
        model.save(tmp_path / "b", safe_serialization=False)
    assert (tmp_path / "b/model.safetensors").is_file()
    np.testing.assert_array_equal(vectors(tmp_path / "b"), vectors(model))


@pytest.mark.torch
def test_saved_weights_are_as_readable_as_the_rest(tiny_path: Path, tmp_path: Path) -> None:
    """safetensors writes them for their owner alone."""
    pytest.importorskip("torch")
    model = SentenceTransformer(tiny_path, device="cpu")
    assert model[0].auto_model is not None  # saved by its module now
    model.save(tmp_path / "saved")
    modes = {file.stat().st_mode for file in (tmp_path / "saved").rglob("*") if file.is_file()}
    assert len(modes) == 1
