"""int8: written by quantize(), loaded like any folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tinyfolder import WIDTH, make_folder, make_plain

from vicinal import SentenceTransformer
from vicinal.engine.graphs.source import SentenceGraph
from vicinal.errors import InputError, InputTypeError, MissingExtraError
from vicinal.models.products import name_of, products_behind_activations
from vicinal.models.quantize import _spread

TEXTS = [f"the cat {number} sat on the mat" + " hello world" * (number % 5) for number in range(40)]


def test_without_nncf(tiny: SentenceTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingExtraError, match=r"quantize\(\) needs 'nncf'.*vicinal\[quantize\]"):
        tiny.quantize(TEXTS, tmp_path / "int8")


def test_what_cannot_be_quantized(tiny: SentenceTransformer, tmp_path: Path) -> None:
    for none in ([], ["", " \n"]):
        with pytest.raises(InputError, match="calibration_texts holds no text"):
            tiny.quantize(none, tmp_path / "int8")
    with pytest.raises(TypeError, match="calibration_texts is one string"):
        tiny.quantize("a text", tmp_path / "int8")
    for samples in (0, -1, "3", 2.5):
        with pytest.raises((ValueError, TypeError), match="samples"):
            tiny.quantize(TEXTS, tmp_path / "int8", samples=samples)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"calibration_texts\[1\] is None"):
        tiny.quantize(["a", None], tmp_path / "int8")  # type: ignore[list-item]
    with pytest.raises(ValueError, match="accuracy is 'best'; there are fast, balanced, high"):
        tiny.quantize(TEXTS, tmp_path / "int8", accuracy="best")  # type: ignore[arg-type]
    assert not (tmp_path / "int8").exists()


def test_few_texts_are_told_of(
    tiny: SentenceTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.warns(UserWarning, match="calibration_texts holds 3 texts: .*Give 100 or more"):
        with pytest.raises(MissingExtraError):
            tiny.quantize([*TEXTS[:3], *TEXTS[:3] * 20, " "], tmp_path / "int8")
    with pytest.warns(UserWarning, match="samples=1 leaves 1 text: .*Give 100 or more"):
        with pytest.raises(MissingExtraError):
            tiny.quantize(TEXTS, tmp_path / "int8", samples=1)


@pytest.mark.parametrize("count", [1, 3, 7, 39, 40, 300])
def test_samples_come_from_the_whole_list(count: int) -> None:
    spread = _spread(TEXTS, count)
    places = [TEXTS.index(text) for text in spread]
    assert len(places) == min(count, 40) == len(set(places))
    assert max(np.diff([*places, 40])) <= -(-40 // len(places))


def test_no_folder_with_something_else_is_written_to(tmp_path: Path) -> None:
    own = make_folder(tmp_path / "own")
    before = {file: file.read_bytes() for file in own.rglob("*") if file.is_file()}
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("mine")
    model = SentenceTransformer(own)
    (tmp_path / "link").symlink_to(own)
    for place in (own, other, own.parent / "new" / ".." / own.name, tmp_path / "link"):
        with pytest.raises(InputError, match="holds something else than an int8 model: give a new one"):
            model.quantize(TEXTS, place)
    for place in (other / "config.json", other / "config.json" / "new"):
        with pytest.raises(InputError, match=r"path=.*config\.json is a file: give a folder"):
            model.quantize(TEXTS, place)
    for place, error in ((None, InputTypeError), (5, InputTypeError), ("", InputError)):
        with pytest.raises(error, match=r"path is .*: give a folder's path"):
            model.quantize(TEXTS, place)
    assert before == {file: file.read_bytes() for file in own.rglob("*") if file.is_file()}
    assert [file.name for file in other.iterdir()] == ["config.json"]


def test_products_behind_activations_are_the_second_of_each_feed_forward(tiny: SentenceTransformer) -> None:
    """Those of a layer are query, key, value, attended, inner, outer: outer."""
    graph = tiny._graph
    assert isinstance(graph, SentenceGraph)
    body = SentenceGraph(graph.spec, graph.file)("body")
    products = [
        node.get_friendly_name() for node in body.get_ordered_ops() if node.get_type_name() == "MatMul"
    ]
    found = [name_of(product) for product in products_behind_activations(body)]
    layers = len(found)
    assert layers >= 2 and len(products) % layers == 0
    assert found == products[len(products) // layers - 1 :: len(products) // layers]


def test_int8_asked_of_a_float_folder(tiny_path: Path) -> None:
    with pytest.raises(InputError, match=r"dtype='int8' needs a quantised graph.*model\.quantize\("):
        SentenceTransformer(tiny_path, dtype="int8")


SCRIPT = """
import sys
from vicinal import SentenceTransformer
model = SentenceTransformer(sys.argv[1], dtype="float32")
texts = [f"the cat {number} sat on the mat" + " hello world" * (number % 5) for number in range(40)]
for accuracy in ("fast", "high"):
    model.quantize(texts, sys.argv[2] + accuracy, samples=30, accuracy=accuracy)
print(model.quantize(texts, sys.argv[2], samples=30))
assert "openvino_telemetry" not in sys.modules
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, run_script: Callable[..., str]) -> tuple[Path, Path]:
    pytest.importorskip("nncf", exc_type=ImportError)
    place = tmp_path_factory.mktemp("int8")
    source = make_folder(place / "float", extra={"prompts": {"query": "query: "}})
    # In a process of its own: nncf brings torch along and warnings of its own.
    assert run_script(SCRIPT, source, place / "int8", timeout=150).strip().endswith(str(place / "int8"))
    return source, place / "int8"


@pytest.mark.slow
def test_quantized_folder(folders: tuple[Path, Path], tmp_path: Path) -> None:
    source, target = folders
    expected = SentenceTransformer(source, dtype="float32").encode(TEXTS)
    assert not list(target.glob("*.safetensors"))
    for dtype in ("auto", "int8"):
        model = SentenceTransformer(target, dtype=dtype)
        assert model.dtype == "int8"
        found = model.encode(TEXTS)
        assert found.shape == (len(TEXTS), WIDTH)
        assert (found * expected).sum(1).min() > 0.9
        assert model.prompts == {"query": "query: "}
    for dtype in ("float32", "bfloat16"):
        with pytest.raises(InputError, match=r"holds only the quantised graph.*dtype='int8' or 'auto'"):
            SentenceTransformer(target, dtype=dtype)
    with pytest.raises(InputError, match="is quantised already; start from the float model"):
        model.quantize(TEXTS, tmp_path / "twice")
    rounded, products = [], []
    for way in ("fast", "", "high"):
        found = SentenceTransformer(f"{target}{way}").encode(TEXTS)
        assert (found * expected).sum(1).min() > 0.9
        graph = next(Path(f"{target}{way}").rglob("*int8.xml")).read_text(encoding="utf-8")
        rounded.append(graph.count('type="FakeQuantize"'))
        products.append(graph.count('type="MatMul"'))
    assert rounded[0] == rounded[1] > rounded[2] > 0
    assert products[1] > products[0] == products[2], "of each layer, units that are computed apart"
    model.save(tmp_path / "saved")
    np.testing.assert_array_equal(SentenceTransformer(tmp_path / "saved").encode(TEXTS), model.encode(TEXTS))
    assert SentenceTransformer(tmp_path / "saved").fingerprint == model.fingerprint
    assert model.fingerprint != SentenceTransformer(source).fingerprint


@pytest.mark.slow
def test_onto_a_folder_with_weights(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """What is loaded afterwards is the int8 model, not the weights that lay there."""
    other = make_plain(tmp_path / "other", seed=9)
    SentenceTransformer(folders[1]).save(other)
    assert SentenceTransformer(other).dtype == "int8"
