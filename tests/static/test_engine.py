"""The engine against averages in float64, one text at a time."""

from __future__ import annotations

import dataclasses
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from static_helpers import Bare, ragged_of

from vicinal.engine.base import Batch, is_ragged_engine
from vicinal.engine.ragged_sums import ragged_sums
from vicinal.engine.sinks import DenseRows
from vicinal.engine.static import StaticEngine
from vicinal.engine.static_heads import head
from vicinal.errors import ModelFormatError, UnsupportedModelError
from vicinal.folder.specs import DenseSpec, DropoutSpec, LayerNormSpec, NormalizeSpec, PoolingSpec


def brute(table: Any, lists: list[list[int]]) -> Any:
    wide = table.astype(np.float64)
    return np.array([wide[ids].mean(0) if ids else np.zeros(wide.shape[1]) for ids in lists])


lists_of_ids = st.lists(st.lists(st.integers(0, 19), max_size=40), max_size=30)


@settings(deadline=None)
@given(lists_of_ids, st.integers(1, 9))
def test_averages_equal_those_of_float64(lists: list[list[int]], width: int) -> None:
    table = np.random.default_rng(1).standard_normal((20, width)).astype(np.float32)
    engine = StaticEngine(Bare(table))
    out = np.empty((len(lists), width), dtype=np.float32)
    engine.run_ragged(ragged_of(lists), DenseRows(out))
    np.testing.assert_allclose(out, brute(table, lists).reshape(out.shape), atol=2e-6)


def test_long_lists_and_many_lists() -> None:
    random = np.random.default_rng(2)
    table = random.standard_normal((50, 16)).astype(np.float32)
    lengths = [0, 1, 511, 512, 513, 1024, 5000, *random.integers(0, 30, 1500).tolist()]
    lists = [random.integers(0, 50, length).tolist() for length in lengths]
    out = np.empty((len(lists), 16), dtype=np.float32)
    seen: list[int] = []
    StaticEngine(Bare(table)).run_ragged(ragged_of(lists), DenseRows(out), seen.append)
    np.testing.assert_allclose(out, brute(table, lists), atol=5e-6)
    assert sum(seen) == len(lists)


def test_neighbours_do_not_change_a_bit() -> None:
    random = np.random.default_rng(3)
    table = random.standard_normal((50, 16)).astype(np.float32)
    lists = [random.integers(0, 50, int(length)).tolist() for length in random.integers(0, 700, 80)]
    together = np.empty((80, 16), dtype=np.float32)
    engine = StaticEngine(Bare(table))
    engine.run_ragged(ragged_of(lists), DenseRows(together))
    for place in range(80):
        alone = np.empty((1, 16), dtype=np.float32)
        engine.run_ragged(ragged_of([lists[place]]), DenseRows(alone))
        assert (alone[0] == together[place]).all()


def test_padded_batches_give_the_same() -> None:
    table = np.random.default_rng(4).standard_normal((9, 4)).astype(np.float32)
    engine = StaticEngine(Bare(table))
    assert is_ragged_engine(engine)
    batch = Batch(np.array([[1, 2, 8], [3, 0, 0]], dtype=np.int32), np.array([3, 1], dtype=np.int32))
    np.testing.assert_allclose(engine.run(batch), brute(table, [[1, 2, 8], [3]]), atol=1e-6)
    ((tag, rows),) = engine.run_many([("x", batch)])
    assert tag == "x" and rows.shape == (2, 4)
    assert (engine.run(batch, "tokens")[0] == table[[1, 2, 8]]).all()


def test_fewer_numbers_are_the_first_ones() -> None:
    table = np.random.default_rng(5).standard_normal((9, 6)).astype(np.float32)
    whole, part = np.empty((2, 6), dtype=np.float32), np.empty((2, 3), dtype=np.float32)
    engine = StaticEngine(Bare(table))
    for out in (whole, part):
        engine.run_ragged(ragged_of([[1, 2], [3]]), DenseRows(out))
    assert (whole[:, :3] == part).all()


def test_an_id_without_a_row_is_an_error() -> None:
    engine = StaticEngine(Bare(np.zeros((3, 2), dtype=np.float32)))
    with pytest.raises(ModelFormatError, match=r"the id 3, but there are vectors for 3 tokens"):
        engine.run_ragged(ragged_of([[3]]), DenseRows(np.empty((1, 2), dtype=np.float32)))


def test_pickling_leaves_the_table_behind() -> None:
    engine = StaticEngine(Bare(np.ones((400, 64), dtype=np.float32)))
    engine.run_ragged(ragged_of([[1]]), DenseRows(np.empty((1, 64), dtype=np.float32)))
    assert pickle.loads(pickle.dumps(engine))._ready is None


@pytest.mark.parametrize("length", [0, 1, 2, 9, 100, 512, 513, 1500])
@pytest.mark.parametrize("width", [1, 2, 3, 64])
def test_a_list_alone_has_the_sum_it_has_among_others(length: int, width: int) -> None:
    rng = np.random.default_rng(length)
    table = rng.standard_normal((50, width)).astype(np.float32)
    ids = rng.integers(0, 50, 2 * length + 5).astype(np.int32)
    starts, lengths = np.array([0, length, 2 * length]), np.array([length, length, 5], np.int32)
    alone = ragged_sums(table, ids, starts[:1], lengths[:1])
    np.testing.assert_array_equal(alone[0], ragged_sums(table, ids, starts, lengths)[0])
    np.testing.assert_allclose(alone[0], table[ids[:length]].astype(np.float64).sum(axis=0), atol=2e-3)


def test_ragged_sums_of_nothing() -> None:
    empty = np.zeros(0, dtype=np.int32)
    sums = ragged_sums(np.zeros((3, 2), dtype=np.float32), empty, empty.astype(np.int64), empty)
    assert sums.shape == (0, 2)


# heads


def dense(folder: Path, activation: str, *, residual: bool = False, bias: bool = True) -> Any:
    from safetensors.numpy import save_file

    random = np.random.default_rng(6)
    out = 4 if residual else 3
    tensors = {"linear.weight": random.standard_normal((out, 4)).astype(np.float32)}
    if bias:
        tensors["linear.bias"] = random.standard_normal(out).astype(np.float32)
    save_file(tensors, folder / "model.safetensors")
    return DenseSpec(folder, 4, out, bias, activation, residual), tensors


FUNCTIONS = {
    "Identity": lambda x: x,
    "Tanh": math.tanh,
    "ReLU": lambda x: max(x, 0.0),
    "GELU": lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))),
    "Sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "SiLU": lambda x: x / (1 + math.exp(-x)),
}


@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("residual", [False, True])
def test_dense_layers(tmp_path: Path, activation: str, residual: bool) -> None:
    spec, tensors = dense(tmp_path, activation, residual=residual)
    x = np.random.default_rng(7).standard_normal((5, 4)).astype(np.float32)
    y = x.astype(np.float64) @ tensors["linear.weight"].T.astype(np.float64) + tensors["linear.bias"]
    wanted = np.vectorize(FUNCTIONS[activation])(y) + (x if residual else 0)
    np.testing.assert_allclose(head(spec)(x), wanted, atol=1e-6)


def test_softmax_without_bias(tmp_path: Path) -> None:
    spec, _ = dense(tmp_path, "Softmax", bias=False)
    np.testing.assert_allclose(head(spec)(np.eye(4, dtype=np.float32) * 50).sum(axis=1), 1, atol=1e-6)


def test_dense_of_a_wrong_width(tmp_path: Path) -> None:
    spec, _ = dense(tmp_path, "Tanh")
    with pytest.raises(ModelFormatError, match="do not fit"):
        head(dataclasses.replace(spec, out_features=7))


def test_layer_norm_normalise_dropout(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    scale = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    save_file({"norm.weight": scale, "norm.bias": scale}, tmp_path / "model.safetensors")
    x = np.array([[1.0, 2.0, 6.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    normed = head(LayerNormSpec(tmp_path, 3))(x)
    centred = (x - 3.0)[0] / math.sqrt(np.var(x[0]) + 1e-5)
    np.testing.assert_allclose(normed[0], centred * scale + scale, atol=1e-5)
    unit = head(NormalizeSpec())(x)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), [1, 0], atol=1e-6)
    assert head(DropoutSpec())(x) is x


@pytest.mark.parametrize("module", [PoolingSpec(("mean",)), NormalizeSpec(on_tokens=True)])
def test_modules_that_need_tokens_are_refused(module: Any) -> None:
    with pytest.raises(UnsupportedModelError, match="cannot follow a StaticEmbedding"):
        head(module)
