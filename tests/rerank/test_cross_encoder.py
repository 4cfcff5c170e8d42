"""CrossEncoder: reference scores, orders and shapes, activations of every year, bad input."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from vicinal import CrossEncoder, SentenceTransformer
from vicinal.errors import (
    InputError,
    InputTypeError,
    ModelFormatError,
    TruncationError,
    TruncationWarning,
    UnsupportedModelError,
)


@pytest.fixture(scope="module")
def folder(shared_dir: Path) -> Path:
    return shared_dir / "models" / "cross-encoder-stsb"


@pytest.fixture(scope="module")
def model(folder: Path) -> CrossEncoder:
    return CrossEncoder(folder, dtype="float32")


@pytest.fixture(scope="module")
def reference(shared_dir: Path) -> tuple[list[list[str]], np.ndarray]:
    items = json.loads((shared_dir / "reference" / "cross_encoder_stsb_scores.json").read_text("utf-8"))
    return [item["pair"] for item in items], np.array([item["score"] for item in items])


def variant(folder: Path, target: Path, **changes: object) -> Path:
    """A copy of the model folder with other keys in config.json, and without today's place for the activation."""
    shutil.copytree(folder, target)
    (target / "config_sentence_transformers.json").unlink()
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**config, **changes}))
    return target


def test_scores_equal_the_reference(
    model: CrossEncoder, reference: tuple[list[list[str]], np.ndarray]
) -> None:
    pairs, expected = reference
    scores = model.predict(pairs, on_truncate="ignore")
    assert scores.shape == (len(pairs),) and scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_scores_do_not_depend_on_order_or_batch(
    model: CrossEncoder, reference: tuple[list[list[str]], np.ndarray]
) -> None:
    pairs, expected = reference
    order = np.random.default_rng(0).permutation(len(pairs))
    for batch_size in (1, 7, 64):
        scores = model.predict([pairs[place] for place in order], batch_size, on_truncate="ignore")
        np.testing.assert_allclose(scores, expected[order], atol=1e-4)


def test_default_dtype_stays_close(folder: Path, reference: tuple[list[list[str]], np.ndarray]) -> None:
    pairs, expected = reference
    np.testing.assert_allclose(CrossEncoder(folder).predict(pairs, on_truncate="ignore"), expected, atol=0.02)


@pytest.mark.slow
def test_stsb_spearman(folder: Path, shared_dir: Path) -> None:
    """In the default precision; in float32 each score is compared above."""
    rows = [line.split("\t") for line in (shared_dir / "data/stsb/dev.tsv").read_text("utf-8").splitlines()]
    scores = CrossEncoder(folder).predict([row[5:7] for row in rows])
    stats = pytest.importorskip("scipy.stats")
    found = stats.spearmanr([float(row[4]) for row in rows], scores).statistic
    assert found == pytest.approx(0.8662, abs=0.0005)


def test_shapes(model: CrossEncoder) -> None:
    one = model.predict(("a", "b"))
    assert np.ndim(one) == 0
    assert model.predict(["a", "b"]) == one  # a list of two texts is one pair, as the field has it
    assert model.predict([("a", "b")]).shape == (1,)
    assert model.predict([]).shape == (0,)
    assert isinstance(model.predict([("a", "b")] * 2, convert_to_numpy=False), list)
    np.testing.assert_array_equal(model.predict(np.array([["a", "b"], ["c", "d"]])).shape, (2,))


def test_rank(model: CrossEncoder) -> None:
    documents = ["A dog barks.", "A man plays the guitar.", "A man plays a guitar.", "A dog barks."]
    ranked = model.rank("Someone plays the guitar.", documents, return_documents=True)
    assert [item["corpus_id"] for item in ranked][-2:] == [0, 3]  # equal scores in the documents' order
    assert [item["text"] for item in ranked] == [documents[item["corpus_id"]] for item in ranked]
    assert [item["score"] for item in ranked] == sorted((item["score"] for item in ranked), reverse=True)
    assert model.rank("x", documents, top_k=1)[0].keys() == {"corpus_id", "score"}
    assert len(model.rank("x", documents, top_k=99)) == 4
    assert model.rank("x", []) == []
    expected = model.predict([("Someone plays the guitar.", text) for text in documents])
    np.testing.assert_allclose([item["score"] for item in ranked], np.sort(expected)[::-1], atol=1e-6)


def test_a_repeated_query_is_split_once(model: CrossEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    split = model._texts.split
    monkeypatch.setattr(model._texts, "split", lambda texts: seen.extend(texts) or split(texts))
    model.rank("a query", ["one", "two", "one"])
    assert sorted(seen) == ["a query", "one", "two"]


@pytest.mark.parametrize(
    "changes",
    [
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
    ],
)
def test_activation_is_found_where_older_folders_keep_it(
    folder: Path, tmp_path: Path, model: CrossEncoder, changes: dict[str, object]
) -> None:
    raw = CrossEncoder(variant(folder, tmp_path / "m", **changes), dtype="float32").predict(("a", "b"))
    assert 1 / (1 + np.exp(-raw)) == pytest.approx(model.predict(("a", "b")), abs=1e-6)


def test_one_label_defaults_to_sigmoid(folder: Path, tmp_path: Path, model: CrossEncoder) -> None:
    old = CrossEncoder(variant(folder, tmp_path / "m"), dtype="float32")
    assert old.predict(("a", "b")) == pytest.approx(model.predict(("a", "b")), abs=1e-6)


def test_activation_argument(folder: Path, model: CrossEncoder) -> None:
    pair = [("a", "b")]
    raw = model.predict(pair, activation_fn="Identity")
    np.testing.assert_allclose(model.predict(pair, activation_fn=lambda x: x * 2), raw * 2, rtol=1e-6)
    assert CrossEncoder(folder, activation_fn="Identity", dtype="float32").predict(pair) == pytest.approx(raw)
    torch = pytest.importorskip("torch")
    for function in (torch.nn.Identity(), torch.nn.Identity, torch.nn.ReLU()):
        expected = (
            raw if function is not torch.nn.ReLU() and "ReLU" not in repr(function) else np.maximum(raw, 0)
        )
        np.testing.assert_allclose(model.predict(pair, activation_fn=function), expected, rtol=1e-6)
    np.testing.assert_allclose(
        model.predict(pair, activation_fn=torch.sigmoid), model.predict(pair), rtol=1e-5
    )
    tensor = model.predict(pair, convert_to_tensor=True)
    assert torch.is_tensor(tensor) and tensor.shape == (1,)
    with pytest.raises(InputTypeError, match="not a function"):
        model.predict(pair, activation_fn=3)
    with pytest.raises(UnsupportedModelError, match="Mish"):
        model.predict(pair, activation_fn="Mish")
    with pytest.raises(InputError, match="shape must stay"):
        model.predict(pair, activation_fn=lambda x: x.sum())


def test_several_labels(tmp_path: Path, folder: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=30522,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        num_labels=3,
        max_position_embeddings=64,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    network = transformers.BertForSequenceClassification(config).eval()
    network.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, tmp_path / name)
    model = CrossEncoder(tmp_path, dtype="float32")
    pairs = [("a short one", "and another"), ("x", "a much longer text that goes on " * 30)]
    with pytest.warns(TruncationWarning, match="1 of 2 texts were cut to 64 tokens"):
        scores = model.predict(pairs)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    encoded = tokenizer(
        [pair[0] for pair in pairs],
        [pair[1] for pair in pairs],
        padding=True,
        truncation="longest_first",
        max_length=64,
        return_tensors="pt",
    )
    with torch.no_grad():
        expected = network(**encoded).logits.numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    shares = model.predict(pairs, apply_softmax=True, on_truncate="ignore")
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)
    assert model.num_labels == 3
    with pytest.raises(InputError, match="one label"):
        model.rank("a", ["b"])
    with pytest.raises(InputError, match="num_labels=2"):
        CrossEncoder(tmp_path, 2)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["one", "two", "three"], r"sentences\[0\] is a single text"),
        ([("a", "b"), ("a",)], r"sentences\[1\] holds \(str\)"),
        ([("a", "b"), ("a", None)], r"sentences\[1\] holds \(str, NoneType\)"),
        ([("a", "b"), 3], r"sentences\[1\] is int"),
        ("text", "predict takes pairs"),
        (None, "predict takes pairs"),
    ],
)
def test_what_is_not_a_pair_is_named(model: CrossEncoder, pairs: object, message: str) -> None:
    with pytest.raises(InputTypeError, match=message):
        model.predict(pairs)


def test_bad_arguments(model: CrossEncoder, folder: Path) -> None:
    with pytest.raises(TypeError, match="did you mean 'batch_size'"):
        model.predict([("a", "b")], batchsize=3)
    with pytest.raises(InputTypeError, match="documents is a single text"):
        model.rank("a", "b")
    with pytest.raises(InputTypeError, match="query is list"):
        model.rank(["a"], ["b"])
    with pytest.raises(InputError, match="top_k=0"):
        model.rank("a", ["b"], top_k=0)
    with pytest.raises(InputError, match="positions for 512"):
        model.max_length = 513
    with pytest.raises(InputError, match="dtype='int8' needs a quantised graph"):
        CrossEncoder(folder, dtype="int8")
    with pytest.raises(InputError, match=r"no graph file 'model\.onnx'; it holds none"):
        CrossEncoder(folder, model_kwargs={"file_name": "model.onnx"})
    with pytest.raises(ModelFormatError, match="CrossEncoder"):
        SentenceTransformer(folder)


def test_truncation_is_said(model: CrossEncoder) -> None:
    long = ("a query", "word " * 400)
    with pytest.warns(TruncationWarning, match="1 of 2 texts"):
        model.predict([("a", "b"), long])
    with pytest.raises(TruncationError, match=r"sentences\[1\] has 40\d tokens"):
        model.predict([("a", "b"), long], on_truncate="error")
    assert model.predict([long], on_truncate="ignore").shape == (1,)


def test_pickle_copy_threads_and_save(model: CrossEncoder, tmp_path: Path) -> None:
    pairs = [("a man", f"number {place}") for place in range(40)]
    expected = model.predict(pairs)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(other.predict(pairs), expected)
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(model.predict(pairs))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_allclose(result, expected, atol=1e-6)
    assert len(results) == 6
    model.save(tmp_path / "saved")
    again = CrossEncoder(tmp_path / "saved", dtype="float32")
    np.testing.assert_array_equal(again.predict(pairs), expected)
    assert again.max_length == model.max_length


@pytest.mark.parametrize("name", ["Identity", "Tanh", "Sigmoid"])
def test_a_folder_keeps_the_activation_that_was_given(folder: Path, tmp_path: Path, name: str) -> None:
    """Also without torch having been asked for, and onto a folder that named another one."""
    pairs = [("a man eats", "someone has a meal"), ("a man eats", "snow fell")]
    given = CrossEncoder(str(folder), activation_fn=name, dtype="float32")
    given.save(tmp_path / "saved")
    again = CrossEncoder(str(tmp_path / "saved"), dtype="float32")
    np.testing.assert_allclose(again.predict(pairs), given.predict(pairs), atol=1e-6)
    again.activation_fn = "Sigmoid"
    again.save(tmp_path / "saved")
    wanted = CrossEncoder(str(folder), activation_fn="Sigmoid", dtype="float32").predict(pairs)
    third = CrossEncoder(str(tmp_path / "saved"), dtype="float32")
    np.testing.assert_allclose(third.predict(pairs), wanted, atol=1e-6)
    third.activation_fn = lambda scores: scores * 2
    with pytest.warns(UserWarning, match="has no name that a folder could hold"):
        third.save(tmp_path / "custom")


def test_an_unknown_keyword_names_the_class_that_its_user_knows(model: CrossEncoder) -> None:
    with pytest.raises(TypeError, match=r"^CrossEncoder\.rank\(\) has no argument 'convert'"):
        model.rank("a", ["b"], convert=True)
