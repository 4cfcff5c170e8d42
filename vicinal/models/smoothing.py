"""Inputs of products evened out, so that one int8 range fits all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vicinal.core.openvino import load_openvino
from vicinal.models.products import Floats, name_of, weight_of

#: How much of the spread of inputs goes over to the weights: at 0.95 the weights become hard to round.
SMOOTHING = 0.75


def even_out(products: Sequence[Any], largest: Mapping[str, Floats], smoothing: float = SMOOTHING) -> None:
    """Divide each input of products by a factor, and multiply the weights by it.

    The graph then gives the same, but for rounding. Products with the same input share the factors.

    Args:
        products: matrix products with weights that no other product has.
        largest: ``(inputs,)`` the largest absolute value of each input, by the names of the products.
        smoothing: from 0, which leaves the weights evenly spread, to 1, which leaves the inputs so.

    Source:
        SmoothQuant (Xiao et al. 2023), equation 4.
    """
    op = load_openvino().opset15
    together: dict[tuple[str, int], list[Any]] = defaultdict(list)
    for product in products:
        source = product.input_value(0)
        together[source.get_node().get_friendly_name(), source.get_index()].append(product)
    for group in together.values():
        weights = [weight for product in group if (weight := weight_of(product)) is not None]
        heaviest = np.max([np.abs(weight).max(axis=0) for weight in weights], axis=0)
        factors = largest[name_of(group[0])] ** smoothing / np.maximum(heaviest, 1e-5) ** (1 - smoothing)
        # An input that was always 0 keeps its weights.
        factors = np.where(factors > 1e-4, factors, 1).astype(np.float32)
        even = op.multiply(group[0].input_value(0), op.constant(1 / factors))
        for product, weight in zip(group, weights, strict=True):
            product.input(0).replace_source_output(even.output(0))
            product.input(1).replace_source_output(op.constant(weight * factors).output(0))
