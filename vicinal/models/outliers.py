"""Hidden units whose activations are far larger than all others, computed apart in float.

One int8 range has to fit all inputs of a product. Behind the activation of a feed-forward layer a unit or two reach
five times what the others do, so that these are left with a fifth of the steps; of the error of an int8 MiniLM that
makes two thirds. The units are few and always the same ones, so a small product in float takes them out of the large
one, which has a range that fits then: LLM.int8() (Dettmers et al. 2022) does so at every run, here it is decided once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.openvino import load_openvino
from vicinal.models.products import Floats, constant_of, name_of, weight_of

#: Units that are computed apart, of a layer's thousands: more of them gain little.
UNITS = 16

# What works on each unit alone.
_ALONE = {
    *("Add", "Subtract", "Multiply", "Divide", "PRelu", "Gelu", "Swish", "Relu", "Tanh", "Erf", "Sigmoid"),
    *("HSwish", "Elu", "Mish", "SoftPlus", "Clamp"),
}


def set_apart(product: Any, largest: Floats, units: int = UNITS) -> list[str]:
    """Compute the units with the largest activations apart from the others.

    The product's graph then gives the same, but for rounding.

    Args:
        product: the second product of a feed-forward layer.
        largest: ``(inputs,)`` the largest absolute value of each of its inputs.
        units: how many, at most an eighth of all.

    Returns:
        The names of the products that are to stay in float; none where the layer is built in a way that can't be
        taken apart, and is left as it is.
    """
    weight = weight_of(product)
    units = min(units, len(largest) // 8)
    if weight is None or not units:
        return []
    chosen = np.sort(np.argsort(-largest, kind="stable")[:units])
    apart = _Apart(product, chosen, len(largest))
    part = apart.of(product.input_value(0))
    if part is None or not apart.is_closed():
        return []
    op = load_openvino().opset15
    second = op.matmul(part, op.constant(weight[:, chosen]), False, True)
    second.set_friendly_name(f"{name_of(product)}/apart")
    users = list(product.output(0).get_target_inputs())
    both = op.add(product.output(0), second)
    for user in users:
        user.replace_source_output(both.output(0))
    apart.leave_out()
    rest = weight.copy()
    rest[:, chosen] = 0
    product.input(1).replace_source_output(op.constant(rest).output(0))
    return [*apart.names, name_of(second)]


class _Apart:
    """The way from a layer's input to some of its hidden units, made a second time for those alone.

    Args:
        product: takes the units.
        chosen: their numbers.
        width: how many there are.

    Attributes:
        names: of the products that were made.
    """

    def __init__(self, product: Any, chosen: NDArray[np.intp], width: int) -> None:
        self._product, self._chosen, self._width = product, chosen, width
        self._made: dict[str, Any] = {}
        self._passed: list[Any] = []
        self._edits: list[Callable[[], None]] = []
        self.names: list[str] = []

    def of(self, value: Any) -> Any | None:
        """The chosen units of a value; None where it can't be told which they are."""
        node = value.get_node()
        name = name_of(node)
        if name not in self._made:
            kind = node.get_type_name()
            if kind == "MatMul":
                self._made[name] = self._first(node)
            else:
                self._made[name] = self._alone(node, kind) if kind in _ALONE else None
            self._passed.append(node)
        return self._made[name]

    def _first(self, node: Any) -> Any | None:
        weight = weight_of(node)
        if weight is None or len(weight) != self._width:
            return None
        op = load_openvino().opset15
        part = op.matmul(node.input_value(0), op.constant(weight[self._chosen]), False, True)
        part.set_friendly_name(f"{name_of(node)}/apart")
        self.names.append(name_of(part))
        self._zero(node, 1, weight, self._chosen)
        return part.output(0)

    def _alone(self, node: Any, kind: str) -> Any | None:
        openvino = load_openvino()
        inputs = []
        for place, value in enumerate(node.input_values()):
            numbers = constant_of(value)
            if numbers is None:
                part = self.of(value)
                if part is None:
                    return None
                inputs.append(part)
            elif numbers.ndim and numbers.shape[-1] == self._width:
                inputs.append(openvino.opset15.constant(numbers[..., self._chosen]).output(0))
                if kind == "Add":
                    self._zero(node, place, numbers, (..., self._chosen))
            else:
                inputs.append(value)
        factory = openvino.utils.node_factory.NodeFactory("opset15")
        return factory.create(kind, inputs, node.get_attributes()).output(0)

    def _zero(self, node: Any, place: int, numbers: Floats, where: Any) -> None:
        """Have the chosen units of a constant be 0 in the large product."""

        def edit() -> None:
            left = numbers.copy()
            left[where] = 0
            constant = load_openvino().opset15.constant(left)
            node.input(place).replace_source_output(constant.output(0))

        self._edits.append(edit)

    def is_closed(self) -> bool:
        """Whether nothing but the product takes what was passed: it changes."""
        inside = {name_of(node) for node in (*self._passed, self._product)}
        made = {name_of(part.get_node()) for part in self._made.values()}
        takers = {
            name_of(port.get_node()) for node in self._passed for port in node.output(0).get_target_inputs()
        }
        return takers <= inside | made

    def leave_out(self) -> None:
        """Leave the chosen units out of the way there was: they are 0 there, but for what an activation makes of 0."""
        for edit in self._edits:
            edit()
