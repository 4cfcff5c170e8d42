"""Matrix products of a graph: which there are, their weights, and what their inputs reach on some texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vicinal.core.openvino import load_openvino

Floats: TypeAlias = NDArray[np.float32]

# What a product's input passes on its way from an activation: factors of gates, halves, scales.
_ACTIVATIONS = {
    *(
        "Gelu",
        "Swish",
        "Relu",
        "Tanh",
        "Erf",
        "Sigmoid",
        "HSwish",
        "Elu",
        "Mish",
        "SoftPlus",
        "Clamp",
        "PRelu",
    ),
}
_ON_THE_WAY = {"Multiply", "Add", "Divide", "Convert", "Reshape"}


def constant_of(value: Any) -> Floats | None:
    """The numbers of a constant, as they are used; None of anything else."""
    node = value.get_node()
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant":
        return None
    found: Floats = node.get_data(dtype=np.float32)
    return found


def weight_of(product: Any) -> Floats | None:
    """``(outputs, inputs)`` weights of a matrix product; None of one of two activations, or one laid out otherwise."""
    attributes = product.get_attributes()
    if attributes["transpose_a"] or not attributes["transpose_b"]:
        return None
    weight = constant_of(product.input_value(1))
    return weight if weight is not None and weight.ndim == 2 else None


def weighted_products(model: Any) -> list[Any]:
    """The matrix products that have weights, in the order in which they are computed."""
    products = [node for node in model.get_ordered_ops() if node.get_type_name() == "MatMul"]
    return [node for node in products if weight_of(node) is not None]


def share_weights(products: Sequence[Any]) -> bool:
    """Whether any of the products have the same weights, as the layers of an ALBERT do."""
    return any(len(product.input_value(1).get_target_inputs()) > 1 for product in products)


def products_behind_activations(model: Any) -> list[Any]:
    """The matrix products whose input comes from an activation: the second ones of feed-forward layers."""
    return [
        node
        for node in model.get_ordered_ops()
        if node.get_type_name() == "MatMul" and _comes_from_activation(node.input_value(0).get_node())
    ]


def _comes_from_activation(node: Any, steps: int = 6) -> bool:
    if node.get_type_name() in _ACTIVATIONS:
        return True
    if steps == 0 or node.get_type_name() not in _ON_THE_WAY:
        return False
    return any(
        _comes_from_activation(port.get_source_output().get_node(), steps - 1) for port in node.inputs()
    )


def name_of(product: Any) -> str:
    """A product's name in its graph."""
    name: str = product.get_friendly_name()
    return name


def largest_inputs(
    model: Any, products: Sequence[Any], feeds: Iterable[Mapping[str, Any]]
) -> dict[str, Floats]:
    """``(inputs,)`` the largest absolute value of each input of each product, in float32.

    Args:
        model: the graph.
        products: some of its matrix products.
        feeds: inputs of the graph, a batch each.

    Returns:
        One array for each product's name.
    """
    openvino = load_openvino()
    op = openvino.opset15
    found: dict[str, Floats] = {}
    measured = []
    for product in products:
        source = product.input_value(0)
        axes = np.arange(source.get_partial_shape().rank.get_length() - 1)
        measured.append(op.reduce_max(op.abs(source), axes).output(0))
    probe = openvino.Model(measured, model.get_parameters(), "largest inputs")
    request = openvino.Core().compile_model(probe, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for feed in feeds:
        for product, port in zip(products, list(request(feed).values()), strict=True):
            name = name_of(product)
            found[name] = np.maximum(port, found.get(name, np.float32(0)))
    return found
