"""Folders that bring a ready graph: openvino/*.xml and onnx/*.onnx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tinyfolder import VOCAB, WIDTH, make_folder
from tinyonnx import gather_model

from vicinal import SentenceTransformer
from vicinal.core.openvino import load_openvino
from vicinal.errors import InputError, ModelFormatError, UnsupportedModelError

TEXTS = ["the cat sat", "hello world, the dog", "", "query"]


def vectors(folder: Path, **options: Any) -> NDArray[np.float32]:
    return np.asarray(SentenceTransformer(folder, dtype="float32", **options).encode(TEXTS))


def write_graph(folder: Path, name: str = "openvino_model.xml") -> None:
    graph = SentenceTransformer(folder)._graph("body")  # type: ignore[operator]
    (folder / "openvino").mkdir(exist_ok=True)
    load_openvino().save_model(graph, folder / "openvino" / name, compress_to_fp16=False)


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """An architecture that has no graph here, with an OpenVINO file of it."""
    folder = make_folder(tmp_path / "model")
    write_graph(folder)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"model_type": "bert"', '"model_type": "newest"'))
    (folder / "model.safetensors").unlink()
    return folder


def test_openvino_file(unknown: Path, tiny_path: Path) -> None:
    np.testing.assert_allclose(vectors(unknown), vectors(tiny_path), atol=1e-6)
    model = SentenceTransformer(unknown, dtype="float32")
    tokens = model.encode(TEXTS, output_value="token_embeddings")
    assert [each.shape for each in tokens] == [(count, WIDTH) for count in model.count_tokens(TEXTS)]


def test_it_is_saved(unknown: Path, tmp_path: Path) -> None:
    SentenceTransformer(unknown).save(tmp_path / "saved")
    np.testing.assert_array_equal(vectors(tmp_path / "saved"), vectors(unknown))


def test_many_texts_and_copies(unknown: Path) -> None:
    import pickle

    model = SentenceTransformer(unknown, dtype="float32")
    texts = [f"the cat {number}" for number in range(500)]
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(model.encode(texts), other.encode(texts, batch_size=7), atol=1e-6)


def test_onnx_file(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, model_type="newest")
    table = np.random.default_rng(0).standard_normal((len(VOCAB), WIDTH)).astype(np.float32)
    (folder / "onnx").mkdir()
    (folder / "onnx/model.onnx").write_bytes(gather_model(table))
    model = SentenceTransformer(folder, dtype="float32")
    for text in TEXTS:
        mean = table[model.tokenizer.encode(text).ids].mean(0)
        np.testing.assert_allclose(model.encode(text), mean / np.linalg.norm(mean), atol=1e-5)
    named = SentenceTransformer(folder, dtype="float32", model_kwargs={"file_name": "onnx/model.onnx"})
    np.testing.assert_array_equal(named.encode(TEXTS), model.encode(TEXTS))


@pytest.mark.parametrize("linked", [False, True])
def test_tensors_in_a_file_of_their_own(linked: bool, tmp_path: Path) -> None:
    """Beside the graph, and as in a hub cache, where both are links to a folder of blobs."""
    folder = make_folder(tmp_path / "snapshot", model_type="newest")
    (folder / "model.safetensors").unlink()
    table = np.random.default_rng(0).standard_normal((len(VOCAB), WIDTH)).astype(np.float32)
    home, blobs = folder / "onnx", tmp_path / "blobs"
    files = {"model.onnx": gather_model(table, "model.onnx_data"), "model.onnx_data": table.tobytes()}
    for each in (home, blobs):
        each.mkdir()
    for name, content in files.items():
        if linked:
            (blobs / f"{name}-blob").write_bytes(content)
            (home / name).symlink_to(blobs / f"{name}-blob")
        else:
            (home / name).write_bytes(content)
    model = SentenceTransformer(folder, dtype="float32")
    for text in TEXTS:
        mean = table[model.tokenizer.encode(text).ids].mean(0)
        np.testing.assert_allclose(model.encode(text), mean / np.linalg.norm(mean), atol=1e-5)
    before = model.fingerprint
    model.save(tmp_path / "saved")
    again = SentenceTransformer(tmp_path / "saved", dtype="float32")
    np.testing.assert_array_equal(again.encode(TEXTS), model.encode(TEXTS))
    (home / "model.onnx_data").write_bytes((2 * table).tobytes())
    assert SentenceTransformer(folder).fingerprint != before


@pytest.mark.parametrize("how", ["../secret", "link", "absolute"])
def test_tensors_outside_the_folder(how: str, tmp_path: Path) -> None:
    """A graph reads no other files of the machine."""
    folder = make_folder(tmp_path / "model", model_type="newest")
    (folder / "model.safetensors").unlink()
    table = np.ones((len(VOCAB), WIDTH), dtype=np.float32)
    (folder / "secret").write_bytes(table.tobytes())
    (folder / "onnx").mkdir()
    name = {"../secret": "../secret", "link": "here", "absolute": str(folder / "secret")}[how]
    if how == "link":
        (folder / "onnx/here").symlink_to(folder / "secret")
        (folder / "graph").write_bytes(gather_model(table, name))
        (folder / "blob").mkdir()
        (folder / "graph").rename(folder / "blob/graph")
        (folder / "onnx/model.onnx").symlink_to(folder / "blob/graph")
    else:
        (folder / "onnx/model.onnx").write_bytes(gather_model(table, name))
    with pytest.raises(ModelFormatError, match=r"model\.onnx: cannot be read as a graph"):
        SentenceTransformer(folder).encode("a")


def test_which_one_is_used(tmp_path: Path, tiny_path: Path) -> None:
    folder = make_folder(tmp_path)
    table = np.zeros((len(VOCAB), WIDTH), dtype=np.float32)
    table[:, 0] = 1
    (folder / "onnx").mkdir()
    (folder / "onnx/model.onnx").write_bytes(gather_model(table))
    np.testing.assert_array_equal(vectors(folder), vectors(tiny_path))  # the weights, if they can be built
    np.testing.assert_array_equal(vectors(folder, backend="openvino"), vectors(tiny_path))
    for options in ({"backend": "onnx"}, {"model_kwargs": {"file_name": "model.onnx"}}):
        np.testing.assert_allclose(vectors(folder, **options), np.eye(1, WIDTH).repeat(4, 0), atol=1e-6)
    with pytest.raises(InputError, match=r"no graph file 'x\.onnx'; it holds \['model\.onnx'\]"):
        SentenceTransformer(folder, model_kwargs={"file_name": "x.onnx"})


@pytest.mark.parametrize("content", ["", "rubbish", "<?xml version='1.0'?><net/>"])
@pytest.mark.parametrize("name", ["openvino/openvino_model.xml", "onnx/model.onnx"])
def test_damaged_graph(tmp_path: Path, name: str, content: str) -> None:
    folder = make_folder(tmp_path, model_type="newest")
    (folder / name).parent.mkdir()
    (folder / name).write_text(content)
    with pytest.raises(ModelFormatError, match=name):
        SentenceTransformer(folder).encode("a")


def test_a_graph_without_its_weights(unknown: Path) -> None:
    (unknown / "openvino/openvino_model.bin").unlink()
    with pytest.raises(ModelFormatError, match=r"openvino_model\.xml"):
        SentenceTransformer(unknown).encode("a")


def test_a_graph_of_something_else(tmp_path: Path) -> None:
    openvino = load_openvino()
    ops = openvino.opset15
    folder = make_folder(tmp_path, model_type="newest")
    (folder / "openvino").mkdir()
    pixels = ops.parameter([-1, 3, WIDTH], np.float32, name="pixels")
    pixels.output(0).get_tensor().set_names({"pixels"})
    for result, message in (
        (ops.relu(pixels), "not those of a text encoder"),
        (ops.reduce_sum(pixels, ops.constant(np.array([1])), False), "token vectors"),
    ):
        openvino.save_model(openvino.Model([result], [pixels]), folder / "openvino/openvino_model.xml")
        with pytest.raises(ModelFormatError, match=message):
            SentenceTransformer(folder).encode("a")


def test_no_graph_and_no_family(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="'newest'"):
        SentenceTransformer(make_folder(tmp_path, model_type="newest"))
