"""Pooling, dense layers and normalisation beside numpy in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from vicinal.engine.graphs.blocks import Blocks, Body
from vicinal.engine.graphs.heads import sentence_vector, token_vectors
from vicinal.engine.weights import Weights
from vicinal.errors import ModelFormatError
from vicinal.folder.specs import (
    ACTIVATIONS,
    POOLING_FLAGS,
    DenseSpec,
    DropoutSpec,
    LayerNormSpec,
    NormalizeSpec,
    PoolingSpec,
)

WIDTH = 7
LENGTHS = (5, 1, 9, 3)
RNG = np.random.default_rng(11)
HIDDEN = RNG.standard_normal((len(LENGTHS), max(LENGTHS), WIDTH)).astype(np.float32)
MASK = (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]).astype(np.int32)


def bare_body() -> tuple[Blocks, Body]:
    """A body whose hidden states are an input, so that only the head computes."""
    blocks = Blocks(Weights({}, Path("head")))
    hidden = blocks.ops.parameter([-1, -1, WIDTH], np.float32, name="hidden")
    hidden.output(0).set_names({"hidden"})
    return blocks, Body(hidden, {"hidden": hidden, "attention_mask": blocks.input("attention_mask")}, WIDTH)


def run(modules: Sequence[Any], hint: str = "f32", tokens: bool = False, **arrays: Any) -> Any:
    """The head on ``HIDDEN``."""
    blocks, body = bare_body()
    if tokens:
        node = token_vectors(blocks, body, modules)
    else:
        node, width = sentence_vector(blocks, body, modules)
    model = blocks.openvino.Model([node], list(body.inputs.values()), "head")
    request = blocks.openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})
    result = request({"hidden": HIDDEN, "attention_mask": MASK, **arrays})[0].copy()
    assert tokens or result.shape == (len(LENGTHS), width)
    return result


def pool(mode: str, hidden: Any = HIDDEN, prompt: int = 0) -> Any:
    """The definition of each mode, one text after the other."""
    rows = []
    for vectors, length in zip(hidden.astype(np.float64), LENGTHS, strict=True):
        tokens, ranks = vectors[prompt:length], np.arange(prompt, length)[:, None] + 1.0
        if mode == "mean":
            row = tokens.mean(0)
        elif mode == "mean_sqrt_len":
            row = tokens.sum(0) / np.sqrt(len(tokens))
        elif mode == "weightedmean":
            row = (tokens * ranks).sum(0) / ranks.sum()
        elif mode == "max":
            row = tokens.max(0)
        else:
            row = tokens[0 if mode == "cls" else -1]
        rows.append(row)
    return np.stack(rows)


def close(ours: Any, theirs: Any) -> None:
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)


@pytest.fixture
def dense_of(tmp_path: Path) -> Callable[..., DenseSpec]:
    """Writes a Dense folder and gives its spec; the weights are ``dense_of.weights``."""

    def make(rows: int = 4, columns: int = WIDTH, bias: bool = True, **fields: Any) -> DenseSpec:
        arrays = {"linear.weight": RNG.standard_normal((rows, columns)).astype(np.float32)}
        if bias:
            arrays["linear.bias"] = RNG.standard_normal(rows).astype(np.float32)
        save_file(arrays, tmp_path / "model.safetensors")
        return DenseSpec(tmp_path, columns, rows, bias=bias, **fields)

    return make


def dense(x: Any, spec: DenseSpec) -> Any:
    weights = Weights.open(spec.folder)
    y = x @ weights["linear.weight"].astype(np.float64).T
    return y + weights["linear.bias"] if spec.bias else y


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "Identity": lambda x: x,
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
    "GELU": lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2))),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "SiLU": lambda x: x / (1 + np.exp(-x)),
    "Softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
}


@pytest.mark.parametrize("mode", POOLING_FLAGS)
def test_pooling(mode: str) -> None:
    close(run([PoolingSpec((mode,))]), pool(mode))


@pytest.mark.parametrize(
    "modes", [("cls", "max"), ("mean", "weightedmean", "mean_sqrt_len"), tuple(POOLING_FLAGS)]
)
def test_concatenated_modes(modes: tuple[str, ...]) -> None:
    close(run([PoolingSpec(modes)]), np.concatenate([pool(mode) for mode in modes], axis=1))


@pytest.mark.parametrize("mode", POOLING_FLAGS)
def test_prompts_left_out_of_pooling(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = (5, 4, 9, 3)
    mask = (np.arange(9) < np.array(lengths)[:, None]).astype(np.int32)
    monkeypatch.setitem(globals(), "LENGTHS", lengths)
    for prompt in (0, 2):
        ours = run(
            [PoolingSpec((mode,), include_prompt=False)], attention_mask=mask, prompt_length=np.int32(prompt)
        )
        close(ours, pool(mode, prompt=prompt))


@pytest.mark.parametrize("mode", ["mean", "cls", "mean_sqrt_len", "weightedmean", "lasttoken"])
def test_a_text_without_tokens_is_the_zero_vector(mode: str) -> None:
    ours = run([PoolingSpec((mode,))], attention_mask=np.zeros_like(MASK))
    np.testing.assert_array_equal(ours, np.zeros_like(ours))


def test_padding_is_never_seen() -> None:
    modules = [PoolingSpec(tuple(POOLING_FLAGS))]
    loud = np.where(MASK[:, :, None] > 0, HIDDEN, np.float32(1e6))
    np.testing.assert_array_equal(run(modules, hidden=loud), run(modules))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dense(activation: str, dense_of: Callable[..., DenseSpec]) -> None:
    spec = dense_of(activation=activation)
    close(run([PoolingSpec(("mean",)), spec]), _FUNCTIONS[activation](dense(pool("mean"), spec)))


def test_dense_without_bias_and_residual(dense_of: Callable[..., DenseSpec]) -> None:
    spec = dense_of(rows=WIDTH, bias=False, activation="Tanh", residual=True)
    x = pool("cls")
    close(run([PoolingSpec(("cls",)), spec]), x + np.tanh(dense(x, spec)))


def test_dense_on_tokens(dense_of: Callable[..., DenseSpec]) -> None:
    spec = dense_of(activation="Tanh", on_tokens=True)
    projected = np.tanh(dense(HIDDEN.astype(np.float64), spec))
    modules = [spec, PoolingSpec(("max", "mean"))]
    close(run(modules), np.concatenate([pool("max", projected), pool("mean", projected)], axis=1))
    close(run(modules, tokens=True), projected)


def test_dense_of_concatenated_modes(dense_of: Callable[..., DenseSpec]) -> None:
    spec = dense_of(columns=2 * WIDTH, activation="Identity")
    x = np.concatenate([pool("cls"), pool("mean")], axis=1)
    close(run([PoolingSpec(("cls", "mean")), spec]), dense(x, spec))


def test_normalize() -> None:
    x = pool("mean")
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    close(run([PoolingSpec(("mean",)), DropoutSpec(), NormalizeSpec()]), unit)
    tokens = HIDDEN / np.linalg.norm(HIDDEN, axis=2, keepdims=True)
    close(run([NormalizeSpec(on_tokens=True), PoolingSpec(("mean",))]), pool("mean", tokens))


def test_layer_norm(tmp_path: Path) -> None:
    scale, shift = RNG.standard_normal((2, WIDTH)).astype(np.float32)
    save_file({"norm.weight": scale, "norm.bias": shift}, tmp_path / "model.safetensors")
    x = pool("mean")
    normal = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    close(run([PoolingSpec(("mean",)), LayerNormSpec(tmp_path, WIDTH)]), normal * scale + shift)


def test_bfloat16_counts_places_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbouring places beyond 256 are told apart, and the vectors leave the graph unrounded."""
    lengths = (700, 513, 258, 257)
    hidden = RNG.standard_normal((4, 700, WIDTH)).astype(np.float32)
    mask = (np.arange(700) < np.array(lengths)[:, None]).astype(np.int32)
    monkeypatch.setitem(globals(), "LENGTHS", lengths)
    modes = ("lasttoken", "cls", "mean", "weightedmean")
    ours = run([PoolingSpec(modes)], "bf16", hidden=hidden, attention_mask=mask)
    close(ours, np.concatenate([pool(mode, hidden) for mode in modes], axis=1))


@pytest.mark.parametrize(
    ("modules", "named"),
    [
        ([], "0 pooling modules"),
        ([PoolingSpec(("mean",)), PoolingSpec(("cls",))], "2 pooling modules"),
        ([NormalizeSpec(), PoolingSpec(("mean",))], "Normalize stands before the pooling"),
        ([PoolingSpec(("mean",)), NormalizeSpec(on_tokens=True)], "Normalize stands"),
    ],
)
def test_misplaced_modules(modules: list[Any], named: str) -> None:
    with pytest.raises(ModelFormatError, match=named):
        run(modules)


def test_dense_that_does_not_fit(dense_of: Callable[..., DenseSpec]) -> None:
    spec = dense_of(columns=WIDTH + 1)
    with pytest.raises(ModelFormatError, match=f"do not fit vectors of {WIDTH}"):
        run([PoolingSpec(("mean",)), spec])


def test_definitions_cover_everything() -> None:
    assert set(_FUNCTIONS) == set(ACTIVATIONS)
