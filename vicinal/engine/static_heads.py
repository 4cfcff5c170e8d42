"""What may follow the average of a static model, in numpy: dense layers, layer norm, normalisation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vicinal.core.arrays import product
from vicinal.engine.weights import Weights
from vicinal.errors import ModelFormatError, UnsupportedModelError
from vicinal.folder.kinds import kind_of
from vicinal.folder.specs import DenseSpec, DropoutSpec, LayerNormSpec, ModuleSpec, NormalizeSpec
from vicinal.vectors.rows import scale_to_unit

Rows: TypeAlias = NDArray[np.float32]
Head: TypeAlias = Callable[[Rows], Rows]


def head(module: ModuleSpec) -> Head:
    """The function of a module: ``(n, width)`` float32 to ``(n, width')``.

    Raises:
        UnsupportedModelError: a module that works on token vectors, which are gone by then.
        ModelFormatError: weights that do not fit the module's config.json.
    """
    make = HEADS.get(type(module))
    if make is None or getattr(module, "on_tokens", False):
        raise UnsupportedModelError(
            f"{kind_of(module).name} cannot follow a StaticEmbedding: it works on the vectors of tokens, and "
            "those are averaged already"
        )
    return make(module)


def _same(x: Rows) -> Rows:
    return x


def _normalize(x: Rows) -> Rows:
    """Length 1; a zero row stays zero."""
    scaled: Rows = x.copy()
    scale_to_unit(scaled)
    return scaled


def _dense(spec: DenseSpec) -> Head:
    weights = Weights.open(spec.folder)
    weight = weights["linear.weight"]
    if weight.shape != (spec.out_features, spec.in_features):
        raise ModelFormatError(
            f"{spec.folder}: weights of shape {weight.shape} do not fit config.json "
            f"({spec.in_features} to {spec.out_features})"
        )
    bias = weights["linear.bias"] if spec.bias else np.zeros(spec.out_features, dtype=np.float32)
    activate = _ACTIVATIONS[spec.activation]

    def apply(x: Rows) -> Rows:
        y = activate(product(x, weight.T) + bias)
        return x + y if spec.residual else y

    return apply


def _layer_norm(spec: LayerNormSpec) -> Head:
    weights = Weights.open(spec.folder)
    scale, shift = weights["norm.weight"], weights["norm.bias"]

    def apply(x: Rows) -> Rows:
        centred = x - x.mean(axis=1, keepdims=True)
        variance = np.mean(centred * centred, axis=1, keepdims=True)
        result: Rows = centred / np.sqrt(variance + np.float32(1e-5)) * scale + shift
        return result

    return apply


#: What each kind of module computes: spec -> the function.
HEADS: dict[type[Any], Callable[[Any], Head]] = {
    DenseSpec: _dense,
    DropoutSpec: lambda spec: _same,
    LayerNormSpec: _layer_norm,
    NormalizeSpec: lambda spec: _normalize,
}


def _softmax(x: Rows) -> Rows:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    result: Rows = e / e.sum(axis=1, keepdims=True)
    return result


def _sigmoid(x: Rows) -> Rows:
    # From tanh, which does not overflow.
    result: Rows = np.float32(0.5) * (np.float32(1) + np.tanh(x * np.float32(0.5)))
    return result


def _relu(x: Rows) -> Rows:
    result: Rows = np.maximum(x, np.float32(0))
    return result


def _gelu(x: Rows) -> Rows:
    # numpy has no erf; this is the exact form, as the graphs compute it.
    erf = np.frompyfunc(math.erf, 1, 1)(x * np.float32(math.sqrt(0.5))).astype(np.float32)
    result: Rows = x * np.float32(0.5) * (np.float32(1) + erf)
    return result


_ACTIVATIONS: dict[str, Head] = {
    "Identity": _same,
    "Tanh": np.tanh,
    "ReLU": _relu,
    "GELU": _gelu,
    "Sigmoid": _sigmoid,
    "SiLU": lambda x: x * _sigmoid(x),
    "Softmax": _softmax,
}
