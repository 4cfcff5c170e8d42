"""Files of a loaded model that are cut off, overwritten or removed: the same vectors or an error, never death."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tinyfolder import WIDTH, make_folder, make_plain
from tinyonnx import gather_model

from vicinal import SentenceTransformer
from vicinal.core.file_state import FileState
from vicinal.core.openvino import load_openvino
from vicinal.errors import ModelFormatError

# Loads a copy of a folder again and again, damages the file in one way more each time, and goes on using the model.
USE = """
import json, os, shutil, sys
from pathlib import Path
import numpy as np
import vicinal
from vicinal.errors import ModelFormatError

source, scratch, kind, name, options, *ways = sys.argv[1:]
options = json.loads(options)
TEXTS = ["the cat sat on the mat", "hello world"]

def numbers(model, texts):
    if kind == "CrossEncoder":
        return np.asarray(model.predict([(text, "the dog") for text in texts]))
    return np.asarray(model.encode(texts))

def damage(file, how):
    size = file.stat().st_size
    if how == "cut":
        os.truncate(file, 0)
    elif how == "overwritten":
        with open(file, "r+b") as stream:
            stream.write(os.urandom(size))
    elif how == "another":  # the same header and sizes, other numbers, as training into the folder writes
        content = bytearray(file.read_bytes())
        content[-8 * 64:] = np.ones(64).tobytes()
        file.write_bytes(content)
    elif how == "replaced":
        (file.parent / "new").write_bytes(os.urandom(size))
        os.replace(file.parent / "new", file)
    else:
        file.unlink()

def tried(do, expected):
    try:
        found = do()
    except ModelFormatError as error:
        assert str(folder) in str(error), error
        return
    if expected is not None:
        np.testing.assert_allclose(found, expected, atol=1e-5)

for how in ways:
    for used in (True, False):
        folder = Path(scratch) / f"{how}-{used}"
        shutil.copytree(source, folder)
        model = getattr(vicinal, kind)(folder, dtype="float32", **options)
        expected = numbers(getattr(vicinal, kind)(source, dtype="float32", **options), TEXTS * 40)
        if used:
            numbers(model, TEXTS[:1])
        damage(folder / name, how)
        tried(lambda: numbers(model, TEXTS), expected[:2])
        tried(lambda: numbers(model, TEXTS * 40), expected)
        if kind == "SentenceTransformer":
            tried(lambda: model.encode(TEXTS, output_value="token_embeddings")[0], None)
        if used:
            np.testing.assert_allclose(numbers(model, TEXTS), expected[:2], atol=1e-5)
print("alive")
"""

WAYS = ("cut", "another", "overwritten", "replaced", "removed")


def graph_folder(folder: Path) -> Path:
    make_folder(folder)
    graph = SentenceTransformer(folder)._graph("body")  # type: ignore[operator]
    (folder / "openvino").mkdir()
    load_openvino().save_model(graph, folder / "openvino" / "openvino_model.xml", compress_to_fp16=False)
    (folder / "model.safetensors").unlink()
    return folder


def onnx_folder(folder: Path) -> Path:
    make_folder(folder)
    table = np.random.default_rng(0).standard_normal((200, WIDTH)).astype(np.float32)
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(gather_model(table))
    (folder / "model.safetensors").unlink()
    return folder


def static_folder(folder: Path) -> Path:
    make_folder(
        folder, modules=[{"idx": 0, "name": "0", "path": "", "type": "vicinal.models.StaticEmbedding"}]
    )
    table = np.random.default_rng(0).standard_normal((200, WIDTH)).astype(np.float32)
    save_file({"embedding.weight": table}, folder / "model.safetensors")
    return folder


def pairs_folder(folder: Path) -> Path:
    make_plain(folder, architectures=["BertForSequenceClassification"], num_labels=1)
    rng = np.random.default_rng(0)
    head = {
        "bert.pooler.dense.weight": rng.standard_normal((WIDTH, WIDTH)).astype(np.float32),
        "bert.pooler.dense.bias": np.zeros(WIDTH, np.float32),
        "classifier.weight": rng.standard_normal((1, WIDTH)).astype(np.float32),
        "classifier.bias": np.zeros(1, np.float32),
    }
    body = {f"bert.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file({**head, **body}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("make", "kind", "name", "options"),
    [
        (make_folder, "SentenceTransformer", "model.safetensors", {}),
        (graph_folder, "SentenceTransformer", "openvino/openvino_model.bin", {}),
        (onnx_folder, "SentenceTransformer", "onnx/model.onnx", {}),
        (static_folder, "SentenceTransformer", "model.safetensors", {}),
        (pairs_folder, "CrossEncoder", "model.safetensors", {}),
        pytest.param(
            make_folder, "SentenceTransformer", "model.safetensors", {"backend": "torch"}, id="torch"
        ),
    ],
)
def test_it_lives(
    make: Callable[[Path], Path],
    kind: str,
    name: str,
    options: dict[str, Any],
    tmp_path: Path,
    run_script: Callable[..., str],
) -> None:
    if options:
        pytest.importorskip("transformers")
    folder = make(tmp_path / "source")
    ways = WAYS[:2] if options else WAYS
    assert "alive" in run_script(USE, folder, tmp_path, kind, name, json.dumps(options), *ways)


def another(folder: Path) -> None:
    """The same shapes, other numbers."""
    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, folder / "model.safetensors")


@pytest.mark.parametrize(
    "use",
    [
        lambda model, folder: model.fingerprint,
        lambda model, folder: model.save(folder.parent / "other"),
        lambda model, folder: pickle.loads(pickle.dumps(model)).encode("the cat"),
        lambda model, folder: model.module,
        lambda model, folder: model.encode("the cat", output_value="token_embeddings"),
    ],
    ids=["fingerprint", "save", "pickle", "module", "tokens"],
)
def test_two_models_are_not_mixed(use: Callable[[Any, Path], Any], tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model")
    model = SentenceTransformer(folder)
    model.encode("the cat")
    another(folder)
    with pytest.raises(
        ModelFormatError, match=r"model\.safetensors was replaced, changed.*load the model again"
    ):
        use(model, folder)
    use(SentenceTransformer(folder), folder)


def test_a_pickled_model_finds_a_copy_of_its_folder(tmp_path: Path) -> None:
    """As on another machine, where the same files have other times and inodes."""
    folder = make_folder(tmp_path / "model")
    model = SentenceTransformer(folder, dtype="float32")
    expected, pickled = model.encode("the cat"), pickle.dumps(model)
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(folder)
    (tmp_path / "copy").rename(folder)
    np.testing.assert_array_equal(pickle.loads(pickled).encode("the cat"), expected)


def test_a_model_may_be_saved_into_its_own_folder(tmp_path: Path) -> None:
    for make in (make_folder, static_folder):
        folder = make(tmp_path / make.__name__)
        model = SentenceTransformer(folder, dtype="float32")
        expected = model.encode("the cat")
        model.save(folder)
        model.save(folder)
        np.testing.assert_allclose(model.encode(["the cat"] * 80)[-1], expected, atol=1e-6)
        model.encode("the cat", output_value="token_embeddings")
        assert model.fingerprint


def test_a_trained_model_may_be_saved_into_the_folder_that_it_came_from(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    folder = make_folder(tmp_path / "model")
    model = SentenceTransformer(folder, dtype="float32")
    model.encode("the cat")
    assert model.module is not None
    model.save(folder)
    before = model.encode(["the cat"] * 80, output_value="token_embeddings")
    np.testing.assert_allclose(
        SentenceTransformer(folder, dtype="float32").encode("the cat", output_value="token_embeddings"),
        before[0],
        atol=1e-6,
    )


def test_models_of_one_folder_share_memory(tmp_path: Path) -> None:
    from vicinal.engine.weights import Weights

    folder = make_folder(tmp_path / "model")
    name = "embeddings.word_embeddings.weight"
    first, second = Weights.open(folder), Weights.open(folder)
    held = first[name]
    assert second[name] is held
    another(folder)
    assert Weights.open(folder)[name] is not held
    with pytest.raises(ModelFormatError, match="changed while it was read"):
        first["embeddings.LayerNorm.weight"]


def test_states_of_files(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(100_000))
    state = FileState.of(file)
    there = pickle.loads(pickle.dumps(state))
    assert state.holds() and there.holds()
    file.write_bytes(b"\1" * 100_000)
    assert not state.holds() and not there.holds()
    assert not pickle.loads(pickle.dumps(state)).holds()
    file.unlink()
    assert not state.holds() and not there.holds()
