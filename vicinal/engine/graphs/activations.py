"""Activations under the names that ``config.json`` and dense layers have for them."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

# (opset, x) -> the activated node
Activation = Callable[[Any, Any], Any]


def _scalar(ops: Any, value: float) -> Any:
    return ops.constant(np.float32(value))


def _gelu(ops: Any, x: Any) -> Any:
    return ops.gelu(x, "erf")


def _gelu_tanh(ops: Any, x: Any) -> Any:
    return ops.gelu(x, "tanh")


def _gelu_10(ops: Any, x: Any) -> Any:
    return ops.clamp(_gelu(ops, x), -10.0, 10.0)


def _quick_gelu(ops: Any, x: Any) -> Any:
    return ops.multiply(x, ops.sigmoid(ops.multiply(x, _scalar(ops, 1.702))))


def _relu(ops: Any, x: Any) -> Any:
    return ops.relu(x)


def _relu2(ops: Any, x: Any) -> Any:
    positive = ops.relu(x)
    return ops.multiply(positive, positive)


def _relu6(ops: Any, x: Any) -> Any:
    return ops.clamp(x, 0.0, 6.0)


def _leaky_relu(ops: Any, x: Any) -> Any:
    return ops.prelu(x, _scalar(ops, 0.01))


def _laplace(ops: Any, x: Any) -> Any:
    """The normal distribution's integral, with the constants of Ma et al. 2022 (MEGA)."""
    mean, deviation = 0.707107, 0.282095
    erf = ops.erf(ops.divide(ops.subtract(x, _scalar(ops, mean)), _scalar(ops, deviation * sqrt(2.0))))
    return ops.multiply(_scalar(ops, 0.5), ops.add(_scalar(ops, 1.0), erf))


def _silu(ops: Any, x: Any) -> Any:
    return ops.swish(x)


def _tanh(ops: Any, x: Any) -> Any:
    return ops.tanh(x)


def _sigmoid(ops: Any, x: Any) -> Any:
    return ops.sigmoid(x)


def _same(ops: Any, x: Any) -> Any:
    return x


#: By the names of transformers; ``prelu`` and ``xielu`` have weights of their own and run on torch, as
#: does ``sqrtsoftplus``, which OpenVINO computes too coarsely.
BY_NAME: dict[str, Activation] = {
    "gelu": _gelu,
    "gelu_10": _gelu_10,
    "gelu_accurate": _gelu_tanh,
    "gelu_fast": _gelu_tanh,
    "gelu_new": _gelu_tanh,
    "gelu_python": _gelu,
    "gelu_python_tanh": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "hardswish": lambda ops, x: ops.hswish(x),
    "laplace": _laplace,
    "leaky_relu": _leaky_relu,
    "linear": _same,
    "mish": lambda ops, x: ops.mish(x),
    "quick_gelu": _quick_gelu,
    "relu": _relu,
    "relu2": _relu2,
    "relu6": _relu6,
    "sigmoid": _sigmoid,
    "silu": _silu,
    "swish": _silu,
    "tanh": _tanh,
}

#: By their classes in ``torch.nn``, as dense layers name them.
BY_CLASS: dict[str, Activation] = {
    "GELU": _gelu,
    "Identity": _same,
    "ReLU": _relu,
    "SiLU": _silu,
    "Sigmoid": _sigmoid,
    "Softmax": lambda ops, x: ops.softmax(x, -1),
    "Tanh": _tanh,
}
