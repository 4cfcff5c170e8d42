"""What is done to a graph before it is rounded to int8: its results stay, and its ranges become narrower."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vicinal.engine.graphs.activations import BY_NAME
from vicinal.models.outliers import set_apart
from vicinal.models.products import (
    largest_inputs,
    name_of,
    products_behind_activations,
    share_weights,
    weight_of,
    weighted_products,
)
from vicinal.models.smoothing import even_out

openvino = pytest.importorskip("openvino")
op = openvino.opset15

WIDTH, HIDDEN = 8, 64
CHANCE = np.random.default_rng(0)
INPUTS = CHANCE.standard_normal((2, 5, WIDTH)).astype(np.float32)
FEEDS = [{"x": INPUTS}]


def numbers(*shape: int) -> Any:
    return op.constant(np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32))


def inner(x: Any, bias: bool = True) -> Any:
    """A first product, one of whose units is far larger than all others."""
    weight = np.random.default_rng(1).standard_normal((HIDDEN, WIDTH)).astype(np.float32)
    weight[7] *= 10
    made = op.matmul(x, op.constant(weight), False, True)
    return op.add(made, numbers(1, 1, HIDDEN)) if bias else made


def layer(activate: Callable[[Any], Any], bias: bool = True) -> Any:
    """A feed-forward layer with what it is added to."""
    x = op.parameter([-1, -1, WIDTH], openvino.Type.f32, name="x")
    x.output(0).set_names({"x"})
    outer = op.matmul(activate(inner(x, bias)), numbers(WIDTH, HIDDEN), False, True)
    return openvino.Model([op.add(op.add(outer, numbers(1, 1, WIDTH)), x).output(0)], [x], "layer")


def results(model: Any) -> Any:
    request = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return next(iter(request({"x": INPUTS}).values()))


def outer_of(model: Any) -> Any:
    (product,) = products_behind_activations(model)
    return product


KNOWN = sorted(set(BY_NAME) - {"linear", "identity"})


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", KNOWN)
def test_units_that_are_set_apart_leave_the_results(name: str, bias: bool) -> None:
    model = layer(lambda x: BY_NAME[name](op, x), bias)
    before = results(model)
    (outer,) = products_behind_activations(model)
    largest = largest_inputs(model, [outer], FEEDS)[name_of(outer)]
    names = set_apart(outer, largest, 4)
    np.testing.assert_allclose(results(model), before, rtol=1e-4, atol=1e-4 * np.abs(before).max())
    if names:
        left = largest_inputs(model, [outer], FEEDS)[name_of(outer)]
        chosen = np.argsort(-largest, kind="stable")[:4]
        assert left.max() <= np.delete(largest, chosen).max() + 1.0, "what an activation makes of 0 is small"
        weight = weight_of(outer)
        assert weight is not None and not weight[:, chosen].any() and weight.any()
        assert len(names) == 2 and {name_of(each) for each in weighted_products(model)} >= set(names)


@pytest.mark.parametrize("name", ["gelu", "gelu_new", "relu", "silu", "quick_gelu", "relu2"])
def test_the_usual_layers_can_be_taken_apart(name: str) -> None:
    model = layer(lambda x: BY_NAME[name](op, x))
    outer = outer_of(model)
    largest = largest_inputs(model, [outer], FEEDS)[name_of(outer)]
    assert largest.argmax() == 7 and set_apart(outer, largest, 1)
    left = largest_inputs(model, [outer], FEEDS)[name_of(outer)]
    assert left.max() < largest.max() / 2 and np.delete(left, 7).tolist() == np.delete(largest, 7).tolist()


def test_gated_layers_can_be_taken_apart() -> None:
    x = op.parameter([-1, -1, WIDTH], openvino.Type.f32, name="x")
    x.output(0).set_names({"x"})
    gated = op.multiply(op.swish(inner(x, bias=False)), inner(x))
    model = openvino.Model([op.matmul(gated, numbers(WIDTH, HIDDEN), False, True).output(0)], [x], "gated")
    before, outer = results(model), outer_of(model)
    largest = largest_inputs(model, [outer], FEEDS)[name_of(outer)]
    assert len(set_apart(outer, largest, 4)) == 3
    np.testing.assert_allclose(results(model), before, rtol=1e-4, atol=1e-3 * np.abs(before).max())
    assert largest_inputs(model, [outer], FEEDS)[name_of(outer)].max() < largest.max() / 2


def test_layers_of_another_kind_are_left_alone() -> None:
    """One whose first product is halved, one whose hidden units are asked for elsewhere, too narrow a one."""

    def halved(x: Any) -> Any:
        part = op.split(x, op.constant(np.int64(2)), 2)
        return op.concat([op.gelu(part.output(0), "erf"), op.gelu(part.output(1), "erf")], 2)

    x = op.parameter([-1, -1, WIDTH], openvino.Type.f32, name="x")
    x.output(0).set_names({"x"})
    hidden = op.gelu(inner(x), "erf")
    outer = op.matmul(hidden, numbers(WIDTH, HIDDEN), False, True)
    asked = openvino.Model([outer.output(0), op.relu(hidden).output(0)], [x], "asked for")
    model = layer(lambda x: op.gelu(halved(x), "erf"))
    for graph, units in ((model, 4), (asked, 4), (layer(lambda x: op.gelu(x, "erf")), 0)):
        before = results(graph)
        (product,) = products_behind_activations(graph)
        count = len(graph.get_ops())
        weight = weight_of(product)
        assert set_apart(product, np.arange(HIDDEN, dtype=np.float32), units) == []
        np.testing.assert_array_equal(weight_of(product), weight)
        np.testing.assert_array_equal(results(graph), before)
        assert len(graph.get_ops()) == count


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 0.75, 1.0])
def test_evened_out_inputs_leave_the_results(smoothing: float) -> None:
    model = layer(lambda x: op.gelu(x, "erf"))
    before = results(model)
    products = weighted_products(model)
    largest = largest_inputs(model, products, FEEDS)
    np.testing.assert_array_equal(largest[name_of(products[0])], np.abs(INPUTS).max(axis=(0, 1)))
    even_out(products, largest, smoothing)
    np.testing.assert_allclose(results(model), before, rtol=1e-4, atol=1e-4)
    spread, even = (
        found[name_of(products[1])] for found in (largest, largest_inputs(model, products, FEEDS))
    )
    if smoothing == 1:
        np.testing.assert_allclose(even[spread > 1e-3], even.max(), rtol=1e-3)
    if smoothing == 0.75:
        assert even.max() / np.median(even) < spread.max() / np.median(spread)


def test_products_with_one_input_share_their_factors() -> None:
    x = op.parameter([-1, -1, WIDTH], openvino.Type.f32, name="x")
    x.output(0).set_names({"x"})
    parts = [op.matmul(x, numbers(WIDTH + place, WIDTH), False, True) for place in range(3)]
    model = openvino.Model([op.concat(parts, 2).output(0)], [x], "query, key, value")
    before, products = results(model), weighted_products(model)
    even_out(products, largest_inputs(model, products, FEEDS))
    np.testing.assert_allclose(results(model), before, rtol=1e-4, atol=1e-4)
    assert [each.get_type_name() for each in model.get_ordered_ops()].count("Multiply") == 1


def test_shared_weights_are_noticed() -> None:
    x = op.parameter([-1, -1, WIDTH], openvino.Type.f32, name="x")
    weight = numbers(WIDTH, WIDTH)
    first = op.matmul(x, weight, False, True)
    once = openvino.Model([first.output(0)], [x], "once")
    assert not share_weights(weighted_products(once))
    twice = openvino.Model([op.matmul(first, weight, False, True).output(0)], [x], "twice")
    assert share_weights(weighted_products(twice))
