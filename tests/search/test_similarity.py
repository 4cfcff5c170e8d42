"""The similarity functions equal their definitions, for every type and container."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_strategies import CONTAINERS, brute, contained, holds_tensor, matrices, meaning, unit

from vicinal import util
from vicinal.errors import InputError, InputTypeError
from vicinal.vectors import similarity
from vicinal.vectors.rows import scale_to_unit

torch = pytest.importorskip("torch")

NAMES = ["cos_sim", "dot_score", "euclidean_sim", "manhattan_sim"]


def as_numpy(answer: Any) -> np.ndarray:
    return answer.numpy() if isinstance(answer, torch.Tensor) else answer


@settings(max_examples=150, deadline=None)
@given(
    a=matrices(width=5),
    b=matrices(width=5),
    kind_a=st.sampled_from(CONTAINERS),
    kind_b=st.sampled_from(CONTAINERS),
    name=st.sampled_from(NAMES),
)
def test_all_pairs_equal_their_definition(
    a: np.ndarray, b: np.ndarray, kind_a: str, kind_b: str, name: str
) -> None:
    answer = getattr(util, name)(contained(a, kind_a), contained(b, kind_b))
    tensor = holds_tensor(kind_a, len(a)) or holds_tensor(kind_b, len(b))
    assert isinstance(answer, torch.Tensor if tensor else np.ndarray)
    expected = brute(name, meaning(a, kind_a), meaning(b, kind_b))
    assert answer.shape == expected.shape
    np.testing.assert_allclose(as_numpy(answer), expected, rtol=3e-5, atol=3e-5)


@settings(max_examples=100, deadline=None)
@given(
    a=matrices(rows=st.just(6), width=4),
    b=matrices(rows=st.just(6), width=4),
    kind_a=st.sampled_from(CONTAINERS),
    kind_b=st.sampled_from(CONTAINERS),
    name=st.sampled_from(NAMES),
)
def test_pairwise_is_the_diagonal(a: np.ndarray, b: np.ndarray, kind_a: str, kind_b: str, name: str) -> None:
    function = getattr(util, "pairwise_" + name)
    answer = function(contained(a, kind_a), contained(b, kind_b))
    tensor = holds_tensor(kind_a, 6) or holds_tensor(kind_b, 6)
    assert isinstance(answer, torch.Tensor if tensor else np.ndarray)
    expected = np.diagonal(brute(name, meaning(a, kind_a), meaning(b, kind_b)))
    np.testing.assert_allclose(as_numpy(answer), expected, rtol=3e-5, atol=3e-5)


@settings(max_examples=60, deadline=None)
@given(
    a=matrices(rows=st.just(5), width=6),
    b=matrices(rows=st.just(5), width=6),
    kind=st.sampled_from(CONTAINERS),
)
def test_angle_is_complex_arithmetic(a: np.ndarray, b: np.ndarray, kind: str) -> None:
    answer = as_numpy(util.pairwise_angle_sim(contained(a, kind), contained(b, kind)))
    x, y = unit(meaning(a, kind)), unit(meaning(b, kind))
    product = (x[:, :3] + 1j * x[:, 3:]) * np.conj(y[:, :3] + 1j * y[:, 3:])
    np.testing.assert_allclose(answer, np.abs((product.real + product.imag).sum(axis=1)), atol=3e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("container", ["numpy", "torch"])
def test_float64_is_computed_in_float64(name: str, container: str) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20, 30)), rng.standard_normal((25, 30))
    b[:20] = a + 1e-9  # nearly equal rows keep their digits
    answer = getattr(util, name)(contained(a, container), contained(b, container))
    assert "float64" in str(answer.dtype)
    np.testing.assert_allclose(
        as_numpy(answer), brute(name, a, b), rtol=1e-7 if "eucl" in name else 1e-12, atol=1e-15
    )


@pytest.mark.parametrize("name", NAMES)
def test_near_equal_float32_rows_keep_their_distance(name: str) -> None:
    a = np.random.default_rng(0).standard_normal((4, 384)).astype(np.float32)
    b = a * np.float32(1 + 1e-6)
    expected = brute(name, a.astype(float), b.astype(float))
    np.testing.assert_allclose(getattr(util, name)(a, b), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_do_not_show(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((70, 6)), rng.standard_normal((90, 6))
    monkeypatch.setattr(similarity, "_BLOCK_ELEMENTS", 512)
    np.testing.assert_allclose(getattr(util, name)(a, b), brute(name, a, b), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_tensors_answer_in_float32(dtype: str) -> None:
    a = torch.randn(3, 8).to(getattr(torch, dtype))
    answer = util.cos_sim(a, a)
    assert answer.dtype == torch.float32
    torch.testing.assert_close(answer.diagonal(), torch.ones(3))


def test_one_vector_is_one_row() -> None:
    a = np.arange(1.0, 4.0)
    assert util.cos_sim(a, np.eye(3)).shape == (1, 3)
    assert util.cos_sim([1, 2, 3], [4, 5, 6]).shape == (1, 1)
    assert util.pairwise_dot_score(a, np.eye(3)).tolist() == [1.0, 2.0, 3.0]
    assert util.cos_sim(torch.ones(3), np.eye(3)).shape == (1, 3)


@pytest.mark.parametrize("name", NAMES)
def test_empty_inputs(name: str) -> None:
    function = getattr(util, name)
    assert function(np.empty((0, 4)), np.ones((3, 4))).shape == (0, 3)
    assert function(np.ones((3, 4)), []).shape == (3, 0)
    assert function([], np.ones((3, 4), np.float32)).shape == (0, 3)
    assert tuple(function(torch.ones(3, 4), torch.empty(0, 4)).shape) == (3, 0)


def test_zero_rows_have_cosine_zero() -> None:
    a = np.array([[0, 0], [1, 1]], dtype=np.float32)
    np.testing.assert_allclose(util.cos_sim(a, a), [[0, 0], [0, 1]], atol=1e-6)
    np.testing.assert_allclose(util.pairwise_cos_sim(torch.tensor(a), a), [0, 1], atol=1e-6)
    assert util.pairwise_angle_sim(a, a).tolist()[0] == 0


@pytest.mark.parametrize("scale", [1e-37, 1e-30, 1e-20, 1e-14, 1e-13, 1e-11, 1e25, 1e37])
@pytest.mark.parametrize("container", ["numpy", "torch"])
def test_extreme_lengths_have_a_cosine(scale: float, container: str) -> None:
    a = np.array([[3, 4], [1, 0], [0, 0]], dtype=np.float32)
    scaled = contained(a * np.float32(scale), container)
    np.testing.assert_allclose(util.cos_sim(scaled, a), util.cos_sim(a, a), rtol=1e-5)
    np.testing.assert_allclose(util.pairwise_cos_sim(scaled, a), [1, 1, 0], rtol=1e-5)
    np.testing.assert_allclose(util.normalize_embeddings(scaled), util.normalize_embeddings(a), rtol=1e-5)
    wide = contained(a.astype(np.float64) * scale, container)
    np.testing.assert_allclose(util.normalize_embeddings(wide), util.normalize_embeddings(a), rtol=1e-5)
    unit = a * np.float32(scale)
    scale_to_unit(unit)
    np.testing.assert_allclose(unit, util.normalize_embeddings(a), rtol=1e-5)


@pytest.mark.parametrize("container", ["numpy", "torch"])
@pytest.mark.parametrize("scale", [1e25, 1e-25])
def test_distances_whose_squares_leave_the_type(container: str, scale: float) -> None:
    a, b = (contained(np.array(row, np.float32), container) for row in ([[3 * scale, 4 * scale]], [[0, 0]]))
    for function in (util.euclidean_sim, util.pairwise_euclidean_sim):
        np.testing.assert_allclose(np.ravel(function(a, b)), [-5 * scale], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("container", ["numpy", "torch", "list"])
@pytest.mark.parametrize("name", [*NAMES, *("pairwise_" + n for n in NAMES), "pairwise_angle_sim"])
def test_rows_that_are_not_finite_are_named(name: str, container: str, bad: float) -> None:
    a = np.ones((5, 4), dtype=np.float32)
    b = a.copy()
    b[3, 1] = bad
    with pytest.raises(InputError, match="row 3 contains"):
        getattr(util, name)(a, contained(b, container))
    with pytest.raises(InputError, match="row 3 contains"):
        getattr(util, name)(contained(b, container), a)


@pytest.mark.parametrize("name", [*NAMES, "pairwise_cos_sim", "pairwise_angle_sim"])
@pytest.mark.parametrize("container", ["numpy", "torch"])
def test_other_bad_inputs(name: str, container: str) -> None:
    function = getattr(util, name)
    good = contained(np.ones((2, 4), np.float32), container)
    with pytest.raises(InputError, match="4 dimensions"):
        function(good, np.ones((2, 6), np.float32))
    with pytest.raises(InputError, match="shape"):
        function(good, contained(np.ones((2, 2, 4), np.float32), "numpy"))
    with pytest.raises(InputTypeError, match="not real numbers"):
        function(["a", "b"], ["c", "d"])
    with pytest.raises(InputTypeError, match="dict"):
        function({}, {})
    with pytest.raises(InputError, match=r"lengths|shapes"):
        function([np.ones(3), np.ones(4)], np.ones((2, 3)))
    with pytest.raises(InputError, match=r"lengths|shapes"):
        function([[1.0, 2.0], [1.0]], [[1.0, 2.0]])


def test_pairs_must_be_pairs() -> None:
    with pytest.raises(InputError, match="3 rows and b has 2"):
        util.pairwise_cos_sim(np.ones((3, 2)), np.ones((2, 2)))
    with pytest.raises(InputError, match="odd"):
        util.pairwise_angle_sim(np.ones((3, 3)), np.ones((3, 3)))


@pytest.mark.parametrize("name", [*NAMES, *("pairwise_" + n for n in NAMES), "pairwise_angle_sim"])
def test_gradients_flow(name: str) -> None:
    a = torch.randn(3, 4, requires_grad=True)
    b = torch.randn(3, 4).double().numpy()
    getattr(util, name)(a, b).sum().backward()
    assert a.grad is not None and bool(torch.isfinite(a.grad).all())
    rows = [torch.randn(4, requires_grad=True) for _ in range(3)]
    getattr(util, name)(rows, b).sum().backward()
    assert all(row.grad is not None for row in rows)


def test_similarity_function_enum() -> None:
    kind = util.SimilarityFunction
    assert kind.possible_values() == ["cosine", "dot", "euclidean", "manhattan"]
    assert kind.DOT is kind.DOT_PRODUCT and kind("dot") is kind.DOT_PRODUCT
    for member, name in zip(kind, NAMES, strict=True):
        assert kind.to_similarity_fn(member) is getattr(util, name)
        assert kind.to_similarity_fn(member.value) is getattr(util, name)
        assert kind.to_similarity_pairwise_fn(member.value) is getattr(util, "pairwise_" + name)
    with pytest.raises(InputError, match="'jaccard'"):
        kind.to_similarity_fn("jaccard")


@settings(max_examples=60, deadline=None)
@given(a=matrices(), kind=st.sampled_from(CONTAINERS))
def test_normalised_rows_have_length_one_or_zero(a: np.ndarray, kind: str) -> None:
    given_rows = contained(a, kind)
    answer = util.normalize_embeddings(given_rows)
    assert isinstance(answer, torch.Tensor if holds_tensor(kind, len(a)) else np.ndarray)
    half = "bfloat16" in str(answer.dtype) or "float16" in str(answer.dtype)
    values = answer.float().numpy() if isinstance(answer, torch.Tensor) else answer.astype(np.float64)
    np.testing.assert_allclose(values, unit(meaning(a, kind)), atol=1e-2 if half else 1e-6)


def test_normalise_and_truncate_keep_the_shape() -> None:
    np.testing.assert_allclose(util.normalize_embeddings(np.array([3.0, 4.0])), [0.6, 0.8])
    assert util.normalize_embeddings(torch.tensor([3.0, 4.0])).shape == (2,)
    rows = np.arange(12.0).reshape(3, 4)
    assert util.truncate_embeddings(rows, 2).tolist() == rows[:, :2].tolist()
    assert util.truncate_embeddings(rows, None) is rows or util.truncate_embeddings(rows, None).shape == (
        3,
        4,
    )
    assert util.truncate_embeddings(torch.tensor(rows), 3).shape == (3, 3)
    assert util.truncate_embeddings(rows.tolist(), 9).shape == (3, 4)
    with pytest.raises(InputError, match="truncate_dim is 0"):
        util.truncate_embeddings(rows, 0)


def test_batch_to_device() -> None:
    batch = {"ids": torch.ones(2), "text": "a"}
    assert util.batch_to_device(batch, "meta") is batch
    assert batch["ids"].device.type == "meta" and batch["text"] == "a"
