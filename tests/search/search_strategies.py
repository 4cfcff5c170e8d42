"""Matrices of every accepted type and container, and what they mean in float64."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from hypothesis import strategies as st

DTYPES = ["float16", "float32", "float64", "int8", "int32", "int64"]
CONTAINERS = [
    "numpy",
    "strided",
    "read-only",
    "list",
    "nested",
    "torch",
    "bfloat16",
    "list of torch",
    "mixed",
]


def torch() -> Any:
    """The torch module, which tests import with importorskip first."""
    return sys.modules.get("torch")


@st.composite
def matrices(draw: Any, rows: Any = None, width: int | None = None) -> np.ndarray:
    """A matrix of moderate numbers in one of the types, sometimes with zero rows and repeated rows."""
    n = draw(rows if rows is not None else st.integers(1, 12))
    d = width or draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    values = rng.integers(-9, 10, (n, d)) if dtype.kind == "i" else rng.standard_normal((n, d))
    values = values.astype(dtype)
    if n > 1 and draw(st.booleans()):
        values[rng.integers(n)] = 0
        values[rng.integers(n)] = values[rng.integers(n)]
    return values


def contained(values: np.ndarray, container: str) -> Any:
    """The values in a container; as torch and bfloat16 if torch is loaded, else as numpy."""
    t = torch()
    if container == "strided":
        wide = np.zeros((values.shape[0] * 2, values.shape[1] * 3), values.dtype)
        wide[::2, ::3] = values
        return wide[::2, ::3]
    if container == "read-only":
        values = values.copy()
        values.flags.writeable = False
        return values
    if container == "list":
        return list(values)
    if container == "nested":
        return values.tolist()
    if t is None or container == "numpy":
        return values
    if container == "torch":
        return t.from_numpy(values.copy())
    if container == "bfloat16":
        return t.from_numpy(values.copy()).bfloat16()
    if container == "list of torch":
        return [t.from_numpy(row.copy()) for row in values]
    return [t.from_numpy(row.copy()) if i % 2 else row for i, row in enumerate(values)]


def holds_tensor(container: str, rows: int) -> bool:
    """Whether the container holds a tensor."""
    if torch() is None or not rows:
        return False
    return container in ("torch", "bfloat16", "list of torch") or (container == "mixed" and rows > 1)


def meaning(values: np.ndarray, container: str) -> np.ndarray:
    """The float64 values that the container holds (bfloat16 and nested lists round)."""
    if container == "bfloat16" and torch() is not None:
        return contained(values, container).double().numpy()
    if container == "nested":
        return values.astype(np.float32).astype(np.float64)
    return values.astype(np.float64)


def unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)


def brute(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The (n, m) scores in float64, by definition."""
    if name == "cos_sim":
        return unit(a) @ unit(b).T
    if name == "dot_score":
        return a @ b.T
    difference = a[:, None, :] - b[None, :, :]
    if name == "euclidean_sim":
        return -np.sqrt((difference**2).sum(axis=2))
    return -np.abs(difference).sum(axis=2)
