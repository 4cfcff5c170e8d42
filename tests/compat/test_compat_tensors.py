"""Under the name of sentence_transformers results are tensors where they are there, under Vicinal's own arrays."""

from __future__ import annotations

import functools
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vicinal

torch = pytest.importorskip("torch")

from tinyscorer import write_scorer  # noqa: E402

ALL_PAIRS = ["cos_sim", "pytorch_cos_sim", "dot_score", "euclidean_sim", "manhattan_sim"]
PAIRWISE = [
    "pairwise_cos_sim",
    "pairwise_dot_score",
    "pairwise_euclidean_sim",
    "pairwise_manhattan_sim",
    "pairwise_angle_sim",
]
TEXTS = ["one text", "another one here", "three"]


@pytest.fixture
def rows() -> Any:
    return np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)


@pytest.fixture
def there(installed: None) -> Any:
    """sentence_transformers.util, which is Vicinal."""
    import sentence_transformers.util

    return sentence_transformers.util


FORMS: dict[str, Any] = {
    "array": lambda rows: rows,
    "float64": lambda rows: rows.astype(np.float64),
    "lists": lambda rows: rows.tolist(),
    "list of arrays": list,
    "tensor": torch.tensor,
    "list of tensors": lambda rows: [torch.tensor(row) for row in rows],
}


@pytest.mark.parametrize("name", [*ALL_PAIRS, *PAIRWISE])
@pytest.mark.parametrize("form", FORMS)
def test_similarities_are_tensors_of_the_same_numbers(there: Any, rows: Any, name: str, form: str) -> None:
    found = getattr(there, name)(FORMS[form](rows), FORMS[form](rows[::-1].copy()))
    assert type(found) is torch.Tensor
    assert found.dtype == (torch.float64 if form == "float64" else torch.float32)
    plain = getattr(vicinal.util, name)(rows, rows[::-1])
    assert type(plain) is np.ndarray
    np.testing.assert_allclose(found.numpy(), plain, atol=2e-6)


def test_what_programs_do_with_similarities(there: Any, rows: Any) -> None:
    assert float(there.cos_sim(rows[0], rows[0])) == pytest.approx(1, abs=1e-6)
    scores = there.cos_sim(rows, rows.tolist())
    assert scores.max(dim=1).indices.tolist() == list(range(5))
    assert torch.topk(scores[0], 2).indices[0] == 0
    assert (scores > 0.999).nonzero().tolist() == [[each, each] for each in range(5)]
    assert there.pairwise_cos_sim(rows[0], rows[1]).shape == ()
    assert there.pairwise_dot_score(rows[0].tolist(), rows[1].tolist()).shape == ()
    assert there.pairwise_dot_score(rows[:1], rows[:1]).shape == (1,)


def test_gradients_flow(there: Any) -> None:
    a, b = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    there.cos_sim(a, b).sum().backward()
    assert a.grad is not None


def test_functions_by_name_and_back(installed: None, rows: Any) -> None:
    from sentence_transformers import SimilarityFunction

    assert SimilarityFunction is vicinal.SimilarityFunction
    for name in SimilarityFunction.possible_values():
        assert type(SimilarityFunction.to_similarity_fn(name)(rows, rows)) is torch.Tensor
        assert type(SimilarityFunction.to_similarity_pairwise_fn(name)(rows, rows)) is torch.Tensor
    vicinal.compat.uninstall()
    assert type(SimilarityFunction.to_similarity_fn("dot")(rows, rows)) is np.ndarray
    assert type(SimilarityFunction.to_similarity_pairwise_fn("dot")(rows, rows)) is np.ndarray
    vicinal.install_as_sentence_transformers(replace=True)


@pytest.mark.parametrize("name", ["cos_sim", "dot_score"])
def test_search_by_such_a_function_is_search_by_the_plain_one(there: Any, rows: Any, name: str) -> None:
    for own in (getattr(there, name), getattr(vicinal.util, name)):
        found = there.semantic_search(rows, rows, top_k=3, score_function=own)
        wanted = vicinal.util.semantic_search(rows, rows, top_k=3, score_function=getattr(vicinal.util, name))
        assert found == wanted
        assert type(found[0][0]["score"]) is float
    pairs = there.paraphrase_mining_embeddings(rows, score_function=getattr(there, name))
    assert pairs == vicinal.util.paraphrase_mining_embeddings(
        rows, score_function=getattr(vicinal.util, name)
    )


def test_a_function_of_the_users_that_wraps_one_is_called(there: Any, rows: Any) -> None:
    @functools.wraps(there.cos_sim)
    def opposite(a: Any, b: Any) -> Any:
        return -there.cos_sim(a, b)

    (hits,) = there.semantic_search(rows[0], rows, top_k=5, score_function=opposite)
    assert hits[-1] == {"corpus_id": 0, "score": pytest.approx(-1, abs=1e-6)}


def test_functions_are_pickled(there: Any) -> None:
    assert pickle.loads(pickle.dumps(there.cos_sim)) is there.cos_sim


def test_results_of_encode(installed: None, minilm_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(minilm_path), device="cpu", model_kwargs={"torch_dtype": "float32"})
    plain = model.encode(TEXTS)
    assert type(plain) is np.ndarray
    several = model.encode(TEXTS, convert_to_numpy=False)
    assert [type(each) for each in several] == [torch.Tensor] * 3
    np.testing.assert_allclose(torch.stack(several).numpy(), plain, atol=1e-6)
    assert type(model.encode(TEXTS[0], convert_to_numpy=False)) is torch.Tensor
    tokens = model.encode(TEXTS, output_value="token_embeddings")
    assert [tuple(each.shape) for each in tokens] == [(4, 384), (5, 384), (3, 384)]
    assert all(type(each) is torch.Tensor for each in tokens)
    assert type(model.encode(TEXTS[0], output_value="token_embeddings")) is torch.Tensor
    assert type(model.encode(TEXTS[0], output_value=None)["token_embeddings"]) is torch.Tensor
    assert type(model.encode_document(TEXTS, convert_to_numpy=False)[0]) is torch.Tensor
    assert type(model.similarity(plain, plain)) is torch.Tensor
    assert type(model.similarity_pairwise(plain, plain)) is torch.Tensor
    assert model.device == torch.device("cpu")
    assert model._target_device == torch.device("cpu")
    assert model.dtype == torch.float32
    halves = model.half().encode(TEXTS)
    assert halves.dtype == np.float16
    assert model.encode(TEXTS, convert_to_tensor=True).dtype == torch.float16
    np.testing.assert_allclose(halves, plain, atol=2e-3)
    model = SentenceTransformer(str(minilm_path), device="cpu")
    assert model.double().dtype == torch.float64
    assert model.encode(TEXTS).dtype == np.float64
    np.testing.assert_allclose(model.encode(TEXTS), plain, atol=1e-5)
    assert "transformers" in sys.modules  # only since the weights were touched


def test_results_of_predict(installed: None, tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    for labels in (1, 3):
        model = CrossEncoder(str(write_scorer(tmp_path / str(labels), labels)), device="cpu")
        pairs = [("a b", "c d"), ("e", "f g")]
        shape = () if labels == 1 else (3,)
        scores = model.predict(pairs)
        assert type(scores) is np.ndarray
        listed = model.predict(pairs, convert_to_numpy=False)
        assert [(type(each), tuple(each.shape)) for each in listed] == [(torch.Tensor, shape)] * 2
        np.testing.assert_allclose(torch.stack(listed).numpy(), scores, atol=1e-6)
        assert type(model.predict(pairs, None, None, 8, False, None, False, False)[0]) is torch.Tensor
        assert tuple(model.predict(pairs[0], convert_to_numpy=False).shape) == shape
        assert model.device == torch.device("cpu")


def test_evaluators_take_such_functions(there: Any, minilm_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.evaluation import InformationRetrievalEvaluator

    model = SentenceTransformer(str(minilm_path))
    corpus = {"a": "a cat sat on the mat", "b": "stocks fell on Monday"}
    figures = InformationRetrievalEvaluator(
        {"q": "a cat on a mat"}, corpus, {"q": {"a"}}, score_functions={"cosine": there.cos_sim}
    )(model)
    assert figures["cosine_accuracy@1"] == 1


def test_the_plain_classes_give_arrays_meanwhile(installed: None, minilm_path: Path) -> None:
    import sentence_transformers

    _ = sentence_transformers.SimilarityFunction
    model = vicinal.SentenceTransformer(str(minilm_path))
    vectors = model.encode(TEXTS)
    assert type(model.similarity(vectors, vectors)) is np.ndarray
    assert type(model.encode(TEXTS, convert_to_numpy=False)[0]) is np.ndarray
    assert model.device == "cpu"
