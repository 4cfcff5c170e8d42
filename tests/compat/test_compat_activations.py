"""Under the name of sentence_transformers activations are torch modules, and functions of one's own get tensors."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tinyscorer import write_scorer  # noqa: E402

PAIRS = [("a b", "c"), ("d", "e f"), ("g", "a"), ("b c", "d")]


def twice(scores: Any) -> Any:
    """A function of tensors only."""
    return scores.clamp(min=-10).mul(2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cross-encoders of one label and of three."""
    place = tmp_path_factory.mktemp("scorers")
    for labels in (1, 3):
        write_scorer(place / str(labels), labels)
    return place


@pytest.fixture
def model(installed: None, folder: Path) -> Any:
    from sentence_transformers import CrossEncoder

    return CrossEncoder(str(folder / "1"), model_kwargs={"torch_dtype": "float32"}, device="cpu")


@pytest.fixture
def raw(model: Any) -> Any:
    return model.predict(PAIRS, activation_fn=torch.nn.Identity())


def test_the_activation_is_a_module_of_torch(model: Any) -> None:
    assert type(model.activation_fn) is torch.nn.Sigmoid
    assert type(model.default_activation_function) is torch.nn.Sigmoid
    assert type(model.get_default_activation_fn()) is torch.nn.Sigmoid
    model.activation_fn = torch.nn.Identity()
    assert type(model.activation_fn) is torch.nn.Identity
    assert list(dict(model.named_children())) == ["0"]  # no layer of the model


def test_what_was_set_is_what_is_got(model: Any) -> None:
    for given in (torch.nn.Softplus(beta=2), torch.nn.Tanh(), twice):
        model.activation_fn = given
        assert model.activation_fn is given


@pytest.mark.parametrize("function", [lambda x: torch.sigmoid(x), torch.sigmoid, twice])
def test_functions_get_tensors(model: Any, raw: Any, function: Any) -> None:
    expected = np.asarray(function(torch.from_numpy(raw)))
    np.testing.assert_allclose(model.predict(PAIRS, activation_fn=function), expected, atol=1e-6)
    model.activation_fn = function
    np.testing.assert_allclose(model.predict(PAIRS), expected, atol=1e-6)


@pytest.mark.parametrize("given", [torch.nn.Softplus(), twice, torch.nn.Identity()])
def test_a_model_with_an_activation_of_its_own_is_pickled(model: Any, given: Any) -> None:
    model.activation_fn = given
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(again.predict(PAIRS), model.predict(PAIRS), atol=1e-6)


def test_softmax_over_the_pairs_is_not_over_the_labels(installed: None, folder: Path) -> None:
    from sentence_transformers import CrossEncoder

    three = CrossEncoder(str(folder / "3"), model_kwargs={"torch_dtype": "float32"}, device="cpu")
    assert type(three.activation_fn) is torch.nn.Identity
    scores = torch.from_numpy(three.predict(PAIRS))
    for dim in (0, 1, -1):
        found = three.predict(PAIRS, activation_fn=torch.nn.Softmax(dim=dim))
        np.testing.assert_allclose(found, scores.softmax(dim).numpy(), atol=1e-6)


def test_predicting_and_encoding_switch_dropout_off(model: Any) -> None:
    model.train()
    model.predict(PAIRS)
    assert not model.training
    assert not model.model.training


def test_the_network_goes_by_its_newer_name(model: Any) -> None:
    assert model[0].model is model[0].auto_model
    model[0].model = replaced = torch.nn.Sequential()
    assert model[0].auto_model is replaced
    assert not any(name.startswith("0.model") for name, _ in model.named_modules())


def test_a_search_gives_tensors_to_a_score_function_of_ones_own(installed: None) -> None:
    from sentence_transformers import util

    rows = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    distances = np.linalg.norm(rows[:, None] - rows[None], axis=2)

    def score(a: Any, b: Any) -> Any:
        return -torch.cdist(a, b)

    for given in (rows, list(rows), rows.tolist(), torch.from_numpy(rows)):
        hits = util.semantic_search(given, given, top_k=2, score_function=score)
        for i, found in enumerate(hits):
            assert [hit["corpus_id"] for hit in found] == distances[i].argsort()[:2].tolist()
    mined = util.paraphrase_mining_embeddings(rows, score_function=score)
    i, j = np.unravel_index((distances + np.eye(9) * 99).argmin(), distances.shape)
    assert mined[0][1:] == [min(i, j), max(i, j)]


@pytest.mark.parametrize("asked", ["float64", torch.float64])
@pytest.mark.parametrize("name", ["torch_dtype", "dtype"])
def test_models_compute_in_float64_where_asked(installed: None, folder: Path, asked: Any, name: str) -> None:
    from sentence_transformers import CrossEncoder

    wide = CrossEncoder(str(folder / "1"), model_kwargs={name: asked}, device="cpu")
    narrow = CrossEncoder(str(folder / "1"), model_kwargs={name: "float32"}, device="cpu")
    assert wide.dtype == torch.float64
    assert next(wide.parameters()).dtype == torch.float64
    np.testing.assert_allclose(wide.predict(PAIRS), narrow.predict(PAIRS), atol=1e-5)
