"""Mistakes of use: arrays for tensors, labels, kinds of models and of texts, names of devices."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicinal import CrossEncoder, SentenceTransformer, util
from vicinal.errors import InputError, InputTypeError, MissingExtraError, ModelFormatError

ROWS = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def model(plain_path: Path) -> SentenceTransformer:
    return SentenceTransformer(str(plain_path), dtype="float32")


# numpy where tensors were wanted


@pytest.mark.torch
@pytest.mark.parametrize(
    "function",
    [
        util.cos_sim,
        util.pytorch_cos_sim,
        util.dot_score,
        util.euclidean_sim,
        util.manhattan_sim,
        util.pairwise_cos_sim,
        util.pairwise_dot_score,
        util.pairwise_euclidean_sim,
        util.pairwise_manhattan_sim,
        util.pairwise_angle_sim,
    ],
)
def test_similarities_take_both(function: Any) -> None:
    torch = pytest.importorskip("torch")
    tensor, lists = torch.from_numpy(ROWS), ROWS.tolist()
    expected = function(tensor, tensor).numpy()
    for a, b in ((ROWS, ROWS), (lists, ROWS), (lists, lists)):
        given = function(a, b)
        assert isinstance(given, np.ndarray)
        np.testing.assert_allclose(given, expected, atol=2e-5)
    mixed = function(tensor, ROWS)
    assert isinstance(mixed, torch.Tensor)
    np.testing.assert_allclose(mixed.numpy(), expected, atol=2e-5)


@pytest.mark.torch
def test_searches_take_both() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(ROWS)
    for function in (
        lambda rows: util.semantic_search(rows[:2], rows, top_k=3),
        lambda rows: util.community_detection(rows, threshold=-1, min_community_size=1),
        lambda rows: util.paraphrase_mining_embeddings(rows),
        lambda rows: util.normalize_embeddings(rows).tolist(),
        lambda rows: util.truncate_embeddings(rows, 2).tolist(),
        lambda rows: util.quantize_embeddings(rows, "ubinary").tolist(),
    ):
        by_array, by_tensor = function(ROWS), function(tensor)
        assert str(by_array) == str(by_tensor) or np.allclose(
            np.array(by_array, dtype=float), np.array(by_tensor, dtype=float), atol=1e-5
        )


@pytest.mark.torch
def test_a_model_takes_arrays(model: SentenceTransformer) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    tokens = model.tokenize(["the cat", "hello world"])
    features = {name: np.asarray(value) for name, value in tokens.items()}
    vectors = model(features)["sentence_embedding"]
    assert isinstance(vectors, torch.Tensor) and vectors.requires_grad
    np.testing.assert_allclose(vectors.detach().numpy(), model.encode(["the cat", "hello world"]), atol=1e-5)
    with pytest.raises(
        InputTypeError, match=r"features is list, not a dictionary; tokenize\(texts\) makes one"
    ):
        model(["the cat"])


@pytest.mark.torch
def test_a_loss_takes_arrays(model: SentenceTransformer) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from vicinal import losses

    tokens = model.tokenize(["the cat", "hello world"])
    loss = losses.CosineSimilarityLoss(model)
    values = []
    for labels in (np.array([0.5, 1.0]), [0.5, 1.0], torch.tensor([0.5, 1.0])):
        features = [{name: np.asarray(value) for name, value in tokens.items()} for _ in range(2)]
        values.append(loss(features, labels))
    assert values[0].requires_grad
    assert values[0].item() == values[1].item() == values[2].item() == pytest.approx(0.125, abs=1e-6)
    rows = torch.from_numpy(ROWS)
    given = loss.compute_loss_from_embeddings([ROWS, ROWS], np.ones(6))
    assert given.item() == loss.compute_loss_from_embeddings([rows, rows], torch.ones(6)).item()


# labels


@pytest.mark.torch
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.2, 4.5, 3.0], r"labels\[1\] is 4\.5, .*a similarity from 0 to 1; divide by 5\?"),
        ([0.2, 88.0], r"labels\[1\] is 88, .*; divide by 100\?"),
        ([0.2, -0.5], r"labels\[1\] is -0\.5, .*\(label \+ 1\) / 2"),
        ([0.2, float("nan")], r"labels\[1\] is nan, .*; drop the row"),
    ],
)
def test_labels_out_of_range(model: SentenceTransformer, labels: list[float], message: str) -> None:
    pytest.importorskip("torch")
    from vicinal import losses

    with pytest.raises(InputError, match=message):
        losses.CosineSimilarityLoss(model).check_labels(labels)


@pytest.mark.torch
def test_fit_refuses_labels_before_the_first_step(model: SentenceTransformer) -> None:
    pytest.importorskip("transformers")
    data = pytest.importorskip("torch.utils.data")
    from vicinal import InputExample, losses

    examples = [InputExample(texts=["the cat", "the dog"], label=label) for label in (0.0, 1.0, 4.2, 5.0)]
    before = model.encode("the cat")
    objective = (data.DataLoader(examples, shuffle=True, batch_size=2), losses.CosineSimilarityLoss(model))
    with pytest.raises(InputError, match=r"labels\[2\] is 4\.2.*divide by 5\?"):
        model.fit([objective], show_progress_bar=False)
    np.testing.assert_array_equal(model.encode("the cat"), before)


# the two kinds of models


def test_a_cross_encoder_handed_to_encode(shared_dir: Path) -> None:
    folder = shared_dir / "models" / "cross-encoder-stsb"
    with pytest.raises(ModelFormatError, match=r"is a cross-encoder.*CrossEncoder\(\.\.\.\) and use predict"):
        SentenceTransformer(str(folder))
    scorer = CrossEncoder(str(folder))
    with pytest.raises(InputTypeError, match=r"sentences\[0\] is a single text.*SentenceTransformer encodes"):
        scorer.predict(["one", "two", "three"])
    with pytest.raises(InputTypeError, match="predict takes pairs of texts"):
        scorer.predict("one")


def test_encode_of_a_cross_encoder_names_the_right_class(shared_dir: Path) -> None:
    scorer = CrossEncoder(str(shared_dir / "models" / "cross-encoder-stsb"))
    with pytest.raises(
        AttributeError, match=r"'CrossEncoder'.*'encode': it scores pairs.*SentenceTransformer\("
    ):
        scorer.encode(["one"])
    assert not hasattr(scorer, "encode")


def test_predict_of_a_sentence_transformer_names_the_right_class(model: SentenceTransformer) -> None:
    with pytest.raises(AttributeError, match=r"'predict': it gives vectors; CrossEncoder\(\.\.\.\) scores"):
        model.predict([("one", "two")])
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
        model.nonsense  # noqa: B018


def test_pairs_handed_to_encode(model: SentenceTransformer) -> None:
    with pytest.raises(
        InputTypeError, match=r"sentences\[0\] is tuple .*: pairs of texts go to CrossEncoder"
    ):
        model.encode([("one", "two")])


# devices


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", r"device='gpu': no such device; did you mean 'cuda'\? Known are cpu, cuda"),
        ("CUDA", "did you mean 'cuda'"),
        ("cdua:0", "did you mean 'cuda'"),
        ("metal", "did you mean 'mps'"),
        ("cuda:x", "device='cuda:x': no such device"),
        ("cuda:-1", "device='cuda:-1': no such device"),
        ("toaster", r"device='toaster': no such device; known are cpu"),
    ],
)
def test_names_that_are_no_device(
    model: SentenceTransformer, plain_path: Path, name: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        SentenceTransformer(str(plain_path), device=name)
    with pytest.raises(InputError, match=message):
        model.encode("the cat", device=name)
    with pytest.raises(InputError, match=message):
        model.to(name)


@pytest.mark.torch
def test_a_device_that_is_not_there(model: SentenceTransformer) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        with pytest.raises(InputError, match=r"torch sees \d+ GPUs, numbered from 0"):
            model.to("cuda:99")
    else:
        with pytest.raises(
            InputError, match=r"device='cuda': torch .* sees no such device here; use device='cpu'"
        ):
            model.to("cuda")


def test_a_device_without_torch(model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        MissingExtraError, match=r"device='cuda' needs 'torch'.*pip install 'vicinal\[train\]'"
    ):
        model.to("cuda")
