"""Cross-encoders whose folder brings a ready graph: openvino/*.xml and onnx/*.onnx."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "encode"))

from tinyfolder import BERT, VOCAB, make_plain, write_json
from tinyonnx import model_of, node, scoring_model

from vicinal import CrossEncoder
from vicinal.core.openvino import load_openvino
from vicinal.errors import InputError, ModelFormatError

PAIRS = [("the cat", "sat on the mat"), ("hello world", "dog"), ("", "query"), ("a", "search the passage")]
ONE = {"id2label": {"0": "LABEL_0"}}


def raw(folder: Path, **options: Any) -> NDArray[np.float32]:
    """Scores before any activation."""
    options = {"dtype": "float32", "activation_fn": "Identity", "device": "cpu", **options}
    return np.asarray(CrossEncoder(folder, **options).predict(PAIRS))


def arrays(labels: int = 1, seed: int = 0) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    shapes = [(len(VOCAB), 8), (2, 8), (8, labels)]
    return [(rng.standard_normal(shape) * 0.4).astype(np.float32) for shape in shapes]


def expected(folder: Path, words: Any, types: Any, head: Any) -> NDArray[np.float64]:
    """What ``scoring_model`` computes, in float64, on the ids that the folder's tokenizer gives."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rows = []
    for pair in PAIRS:
        found = tokenizer.encode(*pair)
        total = (words[found.ids].astype(float) + types[found.type_ids].astype(float)).sum(0)
        rows.append(np.tanh(total) @ head.astype(float))
    return np.array(rows)


@pytest.fixture
def graph_only(tmp_path: Path) -> Callable[..., Path]:
    """A folder without weights, of an architecture that nobody knows, with an ONNX graph."""

    def make(content: bytes, name: str = "onnx/model.onnx", **config: Any) -> Path:
        folder = Path(make_plain(tmp_path / "model", model_type="newest", **{**ONE, **config}))
        (folder / "model.safetensors").unlink()
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        return folder

    return make


@pytest.mark.parametrize("options", [{}, {"backend": "onnx"}, {"model_kwargs": {"file_name": "model.onnx"}}])
def test_onnx_graph(options: dict[str, Any], graph_only: Callable[..., Path]) -> None:
    parts = arrays()
    folder = graph_only(scoring_model(*parts))
    np.testing.assert_allclose(raw(folder, **options), expected(folder, *parts)[:, 0], atol=1e-4)
    scorer = CrossEncoder(folder, dtype="float32", device="cpu", **options)
    assert scorer.num_labels == 1 and not scorer.head_is_new
    logits = expected(folder, *parts)[:, 0]
    np.testing.assert_allclose(scorer.predict(PAIRS), 1 / (1 + np.exp(-logits)), atol=1e-4)  # one label
    ranked = scorer.rank("the cat", [second for _, second in PAIRS])
    assert len(ranked) == len(PAIRS)


def test_several_labels_and_other_names(graph_only: Callable[..., Path]) -> None:
    parts = arrays(3)
    labels = {"id2label": {str(place): f"L{place}" for place in range(3)}}
    folder = graph_only(scoring_model(*parts, output="out"), **labels)
    np.testing.assert_allclose(raw(folder), expected(folder, *parts), atol=1e-4)
    for config in ({"id2label": None}, {"id2label": None, "num_labels": 3}):
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
        assert CrossEncoder(folder, device="cpu").num_labels == 3  # as the graph says
    with pytest.raises(InputError, match=r"num_labels=2: .* scores 3 labels; leave num_labels out$"):
        CrossEncoder(folder, num_labels=2, device="cpu")


def test_labels_that_contradict_the_graph(graph_only: Callable[..., Path]) -> None:
    folder = graph_only(scoring_model(*arrays(3)))
    with pytest.raises(ModelFormatError, match=r"scores 3 labels, and .*config\.json says 1 \(id2label\)"):
        CrossEncoder(folder, device="cpu").predict(PAIRS)


def test_which_file_is_run(graph_only: Callable[..., Path]) -> None:
    plain, small = arrays(), arrays(seed=1)
    folder = graph_only(scoring_model(*plain))
    (folder / "onnx/model_qint8_avx512.onnx").write_bytes(scoring_model(*small))
    (folder / "onnx/model_O3.onnx").write_bytes(scoring_model(*small))
    np.testing.assert_allclose(raw(folder), expected(folder, *plain)[:, 0], atol=1e-4)
    other = expected(folder, *small)[:, 0]
    for options in (
        {"dtype": "int8"},
        {"model_kwargs": {"file_name": "onnx/model_qint8_avx512.onnx"}},
        {"model_kwargs": {"file_name": "model_O3.onnx"}, "backend": "onnx"},
    ):
        np.testing.assert_allclose(raw(folder, **options), other, atol=0.02)
    assert CrossEncoder(folder, dtype="int8", device="cpu").dtype == "int8"
    with pytest.raises(InputError, match=r"no graph file 'x\.onnx'; it holds \['model\.onnx', 'model_O3"):
        CrossEncoder(folder, model_kwargs={"file_name": "x.onnx"}, device="cpu")


def test_only_a_quantised_graph(graph_only: Callable[..., Path]) -> None:
    parts = arrays()
    folder = graph_only(scoring_model(*parts), "onnx/model_quint8_avx2.onnx")
    np.testing.assert_allclose(raw(folder, dtype="auto"), expected(folder, *parts)[:, 0], atol=0.02)
    with pytest.raises(InputError, match="only the quantised graph"):
        CrossEncoder(folder, dtype="float32", device="cpu")


def test_saved_pickled_and_many(graph_only: Callable[..., Path], tmp_path: Path) -> None:
    folder = graph_only(scoring_model(*arrays()))
    model = CrossEncoder(folder, dtype="float32", device="cpu", activation_fn="Identity")
    scores = model.predict(PAIRS)
    model.save(tmp_path / "saved")
    again = CrossEncoder(tmp_path / "saved", dtype="float32", device="cpu")
    np.testing.assert_array_equal(again.predict(PAIRS), scores)
    copied = pickle.loads(pickle.dumps(model))
    many = PAIRS * 50
    np.testing.assert_allclose(copied.predict(many, batch_size=7), np.tile(scores, 50), atol=1e-6)


@pytest.mark.parametrize("name", ["onnx/model.onnx", "openvino/openvino_model.xml", "model.onnx"])
@pytest.mark.parametrize("content", [b"", b"rubbish", b"<?xml version='1.0'?><net/>"])
def test_a_damaged_graph(name: str, content: bytes, graph_only: Callable[..., Path]) -> None:
    folder = graph_only(content, name)
    with pytest.raises(ModelFormatError, match=name):
        CrossEncoder(folder, device="cpu").predict(PAIRS)


def test_a_graph_of_something_else(graph_only: Callable[..., Path]) -> None:
    sums = [node("Cast", ["input_ids"], "ids", to=1), node("Cast", ["attention_mask"], "mask", to=1)]
    both = ["input_ids", "attention_mask"]
    for output, message in (
        ("sentence_embedding", "not? graph|no graph"),
        ("last_hidden_state", "scores of pairs"),
    ):
        dims: list[int | str] = ["b", "l"] if output == "sentence_embedding" else ["b", "l", 1]
        parts = [*sums, node("Mul", ["ids", "mask"], output)]
        folder = graph_only(model_of(parts, both, {output: dims}))
        with pytest.raises(ModelFormatError, match=message):
            CrossEncoder(folder, device="cpu").predict(PAIRS)
    folder = graph_only(model_of([*sums[:1]], ["input_ids"], {"ids": ["b", "l"]}))
    with pytest.raises(ModelFormatError, match="not those of a text encoder"):
        CrossEncoder(folder, device="cpu").predict(PAIRS)


def test_a_graph_of_one_fixed_shape(graph_only: Callable[..., Path]) -> None:
    folder = graph_only(scoring_model(*arrays()))
    openvino = load_openvino()
    model = openvino.Core().read_model(folder / "onnx/model.onnx")
    model.reshape({port.get_any_name(): [1, 16] for port in model.inputs})
    (folder / "openvino").mkdir()
    openvino.save_model(model, folder / "openvino/openvino_model.xml")
    with pytest.raises(ModelFormatError, match=r"fixed shape \[1, 16\]; export the graph with dynamic axes"):
        CrossEncoder(folder, device="cpu").predict(PAIRS)


def test_a_squeezed_score(graph_only: Callable[..., Path]) -> None:
    parts = arrays()
    content = scoring_model(*parts, output="wide")
    folder = graph_only(content)
    openvino = load_openvino()
    model = openvino.Core().read_model(folder / "onnx/model.onnx")
    ops = openvino.opset15
    flat = ops.squeeze(model.outputs[0].get_node().input_value(0), ops.constant(np.array([1])))
    flat.output(0).set_names({"logits"})
    (folder / "openvino").mkdir()
    openvino.save_model(
        openvino.Model([flat], model.get_parameters()), folder / "openvino/openvino_model.xml", False
    )
    np.testing.assert_allclose(raw(folder), expected(folder, *parts)[:, 0], atol=1e-4)


# beside torch


@pytest.mark.torch
def test_openvino_graph_of_a_known_family(tmp_path: Path) -> None:
    """Exported from a network of transformers: the same scores without its weights."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from vicinal.engine.graphs.classifier_source import ClassifierGraph
    from vicinal.folder.json_files import read_json
    from vicinal.folder.specs import TransformerSpec

    folder = Path(make_plain(tmp_path / "model"))
    torch.manual_seed(0)
    config = transformers.BertConfig(**{**BERT, "num_labels": 2})
    network = transformers.BertForSequenceClassification(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape))
    network.save_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(*(list(side) for side in zip(*PAIRS, strict=True)), padding=True, return_tensors="pt")
    with torch.no_grad():
        theirs = network(**inputs).logits.numpy()
    graph = ClassifierGraph(TransformerSpec(folder, read_json(folder / "config.json")))("sentence")
    (folder / "openvino").mkdir()
    load_openvino().save_model(graph, folder / "openvino/openvino_model.xml", compress_to_fp16=False)
    (folder / "model.safetensors").unlink()
    for options in ({}, {"backend": "openvino"}, {"backend": "onnx"}):
        np.testing.assert_allclose(raw(folder, **options), theirs, rtol=0, atol=1e-4)
    model = CrossEncoder(folder, device="cpu")
    with pytest.raises(ModelFormatError, match="transformers cannot load this model"):
        _ = model.module


def test_both_weights_and_graph(tmp_path: Path) -> None:
    """The weights, if they can be built; the graph where it is asked for."""
    from safetensors.numpy import load_file, save_file

    folder = Path(make_plain(tmp_path / "model", **ONE))
    weights = {f"bert.{name}": each for name, each in load_file(folder / "model.safetensors").items()}
    rng = np.random.default_rng(2)
    for name, shape in (("bert.pooler.dense", (16, 16)), ("classifier", (1, 16))):
        weights[f"{name}.weight"] = rng.standard_normal(shape).astype(np.float32)
        weights[f"{name}.bias"] = rng.standard_normal(shape[0]).astype(np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    built = raw(folder)
    parts = arrays()
    (folder / "onnx").mkdir()
    (folder / "onnx/model.onnx").write_bytes(scoring_model(*parts))
    np.testing.assert_array_equal(raw(folder), built)
    np.testing.assert_array_equal(raw(folder, backend="openvino"), built)
    for options in ({"backend": "onnx"}, {"model_kwargs": {"file_name": "model.onnx"}}):
        np.testing.assert_allclose(raw(folder, **options), expected(folder, *parts)[:, 0], atol=1e-4)
    write_json(folder / "config.json", {**BERT, **ONE, "hidden_act": "prelu"})  # no graph for the weights
    np.testing.assert_allclose(raw(folder), expected(folder, *parts)[:, 0], atol=1e-4)
