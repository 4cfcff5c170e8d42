"""The pieces that the transformer families share, as OpenVINO graph nodes.

A :class:`Blocks` holds the opset and the weights, so that a family's file reads like its paper. ``B`` is
the batch, ``L`` the padded length, ``H`` the hidden size in the comments on shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vicinal.core.openvino import load_openvino
from vicinal.engine.graphs.activations import BY_CLASS, BY_NAME
from vicinal.engine.weights import Weights

Node: TypeAlias = Any  # openvino.Node or openvino.Output; the bindings carry no types

# Added to the score of a padding token: exp() of it is 0 in every float type. Finite in float16 too, even
# when two masks add up, so that a row of padding alone gives no NaN.
MASKED = -3e4


@dataclass
class Body:
    """A transformer's graph up to its last hidden states.

    Attributes:
        hidden: ``(B, L, H)``.
        inputs: the parameters by name: ``input_ids``, ``attention_mask`` and, where the architecture
            reads them, ``token_type_ids``; each ``(B, L)``.
        hidden_size: H.
    """

    hidden: Node
    inputs: dict[str, Node]
    hidden_size: int


class Blocks:
    """Builds graph nodes from named weights."""

    def __init__(self, weights: Weights) -> None:
        self.openvino = load_openvino()
        self.ops = self.openvino.opset15
        self.weights = weights
        self._named: dict[str, Node] = {}
        self._without_bias: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the weights come from, for error messages."""
        return self.weights.folder

    # constants and inputs

    def constant(self, array: NDArray[Any]) -> Node:
        """A constant that shares the array's memory."""
        return self.ops.constant(np.ascontiguousarray(array), shared_memory=True)

    def weight(self, name: str) -> Node:
        """The named tensor; one constant however often it is used, as ALBERT's layers share theirs."""
        if name not in self._named:
            self._named[name] = self.constant(self.weights[name])
        return self._named[name]

    def leave_out_biases(self, *endings: str) -> None:
        """Do without the biases of layers whose names end like this, even where the file holds some.

        For what the architecture does not have, or ``config.json`` switches off: transformers then leaves them in the
        file. All other layers have a bias, and a file without it is damaged.
        """
        self._without_bias += endings

    def has_bias(self, name: str) -> bool:
        """Whether a layer adds a bias."""
        return not name.endswith(self._without_bias)

    def integers(self, *values: int) -> Node:
        """A vector of int64: axes, shapes, bounds."""
        return self.ops.constant(np.array(values, dtype=np.int64))

    def scalar(self, value: float) -> Node:
        """A float32 scalar."""
        return self.ops.constant(np.float32(value))

    def input(self, name: str, shape: Sequence[int] = (-1, -1)) -> Node:
        """An int32 input."""
        node = self.ops.parameter(list(shape), np.int32, name=name)
        node.output(0).set_names({name})
        return node

    def inputs(self, token_types: bool = False) -> dict[str, Node]:
        """The usual inputs."""
        names = ["input_ids", "attention_mask"] + (["token_type_ids"] if token_types else [])
        return {name: self.input(name) for name in names}

    # layers

    def linear(self, x: Node, name: str) -> Node:
        """``x W^T + b`` with ``name.weight`` and, unless it is left out, ``name.bias``."""
        product = self.ops.matmul(x, self.weight(f"{name}.weight"), False, True)
        return self.ops.add(product, self.weight(f"{name}.bias")) if self.has_bias(name) else product

    def linear_of(self, x: Node, weight: NDArray[Any], bias: NDArray[Any] | None) -> Node:
        """``x W^T + b`` for arrays; W is ``(out, in)``."""
        product = self.ops.matmul(x, self.constant(weight), False, True)
        return product if bias is None else self.ops.add(product, self.constant(bias))

    def linears(self, x: Node, name: str, parts: int) -> list[Node]:
        """A matrix that stacks ``parts`` layers on x, as that many products: no copy to split the result."""
        weights = np.split(self.weights[f"{name}.weight"], parts)
        if not self.has_bias(name):
            return [self.linear_of(x, weight, None) for weight in weights]
        biases = np.split(self.weights[f"{name}.bias"], parts)
        return [self.linear_of(x, weight, bias) for weight, bias in zip(weights, biases, strict=True)]

    def layer_norm(self, x: Node, name: str, epsilon: float) -> Node:
        """Layer normalisation over the last axis (Ba et al. 2016)."""
        normal = self.ops.mvn(x, self.integers(-1), True, epsilon, "inside_sqrt")
        scaled = self.ops.multiply(normal, self.weight(f"{name}.weight"))
        if not self.has_bias(name):
            return scaled
        return self.ops.add(scaled, self.weight(f"{name}.bias"))

    def rms_norm(self, x: Node, name: str, epsilon: float) -> Node:
        """Root-mean-square normalisation over the last axis (Zhang and Sennrich 2019)."""
        mean = self.ops.reduce_mean(self.ops.multiply(x, x), self.integers(-1), True)
        root = self.ops.sqrt(self.ops.add(mean, self.scalar(epsilon)))
        return self.ops.multiply(self.ops.divide(x, root), self.weight(f"{name}.weight"))

    def embedding(self, ids: Node, name: str) -> Node:
        """Rows of ``name.weight``: ``(B, L)`` ids to ``(B, L, H)``."""
        return self.rows(self.weight(f"{name}.weight"), ids)

    def rows(self, table: Node, ids: Node) -> Node:
        """Rows of ``(n, H)``: ``(B, L)`` ids to ``(B, L, H)``."""
        return self.ops.gather(table, ids, self.integers(0))

    def activation(self, x: Node, kind: str) -> Node:
        """The activation that ``config.json`` names, or a dense layer by its class."""
        function = BY_NAME[kind] if kind in BY_NAME else BY_CLASS[kind]
        return function(self.ops, x)

    # shapes and positions

    def length_of(self, x: Node, axis: int = 1) -> Node:
        """``(1,)`` int64: the padded length L of ``(B, L)``, or the length along another axis."""
        return self.ops.gather(self.ops.shape_of(x, "i64"), self.integers(axis), self.integers(0))

    def first_rows(self, table: NDArray[Any], ids: Node, axis: int = 0) -> Node:
        """The first L entries of ``table`` along ``axis``, for a graph whose L is known only at run time."""
        return self.ops.slice(
            self.constant(table), self.integers(0), self.length_of(ids), self.integers(1), self.integers(axis)
        )

    def places(self, x: Node, axis: int = 1) -> Node:
        """``(L,)`` int32: 0, 1, 2, ... for ``(B, L)``; integers, as bfloat16 has none between 256 and 258."""
        length = self.ops.squeeze(self.length_of(x, axis), self.integers(0))
        zero, one = (self.ops.constant(np.int64(value)) for value in (0, 1))
        return self.ops.range(zero, length, one, "i32")

    def split_heads(self, x: Node, heads: int, size: int) -> Node:
        """``(B, L, heads * size)`` to ``(B, heads, L, size)``."""
        return self.ops.transpose(self.group_heads(x, heads, size), self.integers(0, 2, 1, 3))

    def group_heads(self, x: Node, heads: int, size: int) -> Node:
        """``(B, L, heads * size)`` to ``(B, L, heads, size)``."""
        return self.ops.reshape(x, self.integers(0, 0, heads, size), True)

    def join_heads(self, x: Node, width: int) -> Node:
        """``(B, heads, L, size)`` to ``(B, L, width)``."""
        return self.ops.reshape(
            self.ops.transpose(x, self.integers(0, 2, 1, 3)), self.integers(0, 0, width), True
        )

    def padding_bias(self, mask: Node) -> Node:
        """``(B, 1, 1, L)``: 0 on tokens, ``MASKED`` on padding, to be added to attention scores."""
        off = self.ops.subtract(self.scalar(1.0), self.ops.convert(mask, "f32"))
        return self.ops.unsqueeze(self.ops.multiply(off, self.scalar(MASKED)), self.integers(1, 2))

    def bias_of(self, seen: Node) -> Node:
        """``(1, 1, L, L)``: 0 where ``(L, L)`` query and key may meet, ``MASKED`` elsewhere."""
        bias = self.ops.select(seen, self.scalar(0.0), self.scalar(MASKED))
        return self.ops.unsqueeze(bias, self.integers(0, 1))

    def causal_bias(self, ids: Node, reach: int | None = None) -> Node:
        """``(1, 1, L, L)``: a token sees itself and those before it, ``reach`` of them in all."""
        queries, keys = self.pairs_of_places(ids)
        seen = self.ops.less_equal(keys, queries)
        if reach is not None:
            near = self.ops.greater(keys, self.ops.subtract(queries, self.ops.constant(np.int32(reach))))
            seen = self.ops.logical_and(seen, near)
        return self.bias_of(seen)

    def window_bias(self, ids: Node, reach: int) -> Node:
        """``(1, 1, L, L)``: a token sees those at most ``reach`` places away."""
        queries, keys = self.pairs_of_places(ids)
        away = self.ops.abs(self.ops.subtract(queries, keys))
        return self.bias_of(self.ops.less_equal(away, self.ops.constant(np.int32(reach))))

    def pairs_of_places(self, x: Node, axis: int = 1) -> tuple[Node, Node]:
        """Places of the queries ``(L, 1)`` and of the keys ``(1, L)``; L is the length of ``x`` along ``axis``."""
        places = self.places(x, axis)
        return self.ops.unsqueeze(places, self.integers(1)), self.ops.unsqueeze(places, self.integers(0))

    def attention(self, query: Node, key: Node, value: Node, biases: Sequence[Node], size: int) -> Node:
        """``softmax(q k^T / sqrt(size) + biases) v`` a head (Vaswani et al. 2017).

        Two biases of different broadcast shapes, say ``(1, heads, L, L)`` and ``(B, 1, 1, L)``, are added to
        the scores one by one: written out like this the engine fuses the whole into one kernel, and their
        sum over ``(B, heads, L, L)`` never exists.
        """
        ops = self.ops
        if len(biases) == 1:
            return ops.scaled_dot_product_attention(query, key, value, biases[0])
        scores = ops.multiply(ops.matmul(query, key, False, True), self.scalar(size**-0.5))
        for bias in biases:
            scores = ops.add(scores, bias)
        return ops.matmul(ops.softmax(scores, -1), value, False, False)
