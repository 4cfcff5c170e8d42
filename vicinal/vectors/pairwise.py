"""Similarity row by row: row i of one matrix with row i of another.

Inputs and answers are as in :mod:`vicinal.vectors.similarity`, with one score for each pair of rows. One vector
(dim,) meets every row of the other input.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vicinal.core.arrays import Embeddings, Matrix, check_finite, first_tensor
from vicinal.errors import InputError
from vicinal.vectors.rows import (
    checked,
    dot_rows,
    in_reach,
    row_lengths,
    scaled_rows,
    two_matrices,
    two_tensors,
    unit_tensor,
)


def pairwise_cos_sim(a: Embeddings, b: Embeddings) -> Any:
    """Cosine of row i of ``a`` with row i of ``b``.

    Args:
        a: (n, dim), or one vector (dim,), which then meets every row of the other.
        b: (n, dim), or one vector.

    Returns:
        (n,) scores in -1..1; rows of zeros give 0.

    Raises:
        InputError: different shapes, or a NaN or infinity (the row is named).
        InputTypeError: not numbers.
    """
    tensor = first_tensor(a, b)
    if tensor is not None:
        x, y = _tensor_pairs(a, b, tensor)
        return checked((unit_tensor(x) * unit_tensor(y)).sum(dim=1), x, y)
    p, q = _array_pairs(a, b)
    (p, inverse_p), (q, inverse_q) = scaled_rows(p, "a"), scaled_rows(q, "b")
    return dot_rows(p, q) * inverse_p * inverse_q


def pairwise_dot_score(a: Embeddings, b: Embeddings) -> Any:
    """Dot product of row i of ``a`` with row i of ``b``; see :func:`pairwise_cos_sim`."""
    tensor = first_tensor(a, b)
    if tensor is not None:
        x, y = _tensor_pairs(a, b, tensor)
        return checked((x * y).sum(dim=1), x, y)
    p, q = _array_pairs(a, b)
    check_finite(p, "a")
    check_finite(q, "b")
    with np.errstate(over="ignore", invalid="ignore"):  # a product beyond the type is infinite
        return dot_rows(p, q)


def pairwise_euclidean_sim(a: Embeddings, b: Embeddings) -> Any:
    """Negative Euclidean distance of row i of ``a`` to row i of ``b``; see :func:`pairwise_cos_sim`."""
    tensor = first_tensor(a, b)
    if tensor is not None:
        x, y = _tensor_pairs(a, b, tensor)
        return checked(-in_reach(lambda u, v: (u - v).norm(dim=1), x, y), x, y)
    p, q = _array_pairs(a, b)
    check_finite(p, "a")
    check_finite(q, "b")
    with np.errstate(over="ignore"):  # a distance beyond the type is infinite
        return -row_lengths(p - q)


def pairwise_manhattan_sim(a: Embeddings, b: Embeddings) -> Any:
    """Negative Manhattan distance of row i of ``a`` to row i of ``b``; see :func:`pairwise_cos_sim`."""
    tensor = first_tensor(a, b)
    if tensor is not None:
        x, y = _tensor_pairs(a, b, tensor)
        return checked(-(x - y).abs().sum(dim=1), x, y)
    p, q = _array_pairs(a, b)
    check_finite(p, "a")
    check_finite(q, "b")
    return -np.abs(p - q).sum(axis=1)


def pairwise_angle_sim(x: Embeddings, y: Embeddings) -> Any:
    """Angle similarity of row i of ``x`` with row i of ``y``, from AnglE (Li and Li, 2023, arXiv:2309.12871).

    Each vector is read as dim / 2 complex numbers, its first half the real parts and its second half the
    imaginary ones. The score is the absolute value of the sum of the real and imaginary parts of
    ``x * conj(y)``, divided by both lengths. It is what AnglE's loss compares; unlike the other functions,
    it does not grow with likeness alone (opposite vectors score as equal ones do).

    Args:
        x: (n, dim) with an even dim, or one vector.
        y: (n, dim), or one vector.

    Returns:
        (n,) scores, 0 or more.

    Raises:
        InputError: different shapes, an odd dim, or a NaN or infinity (the row is named).
        InputTypeError: not numbers.
    """
    tensor = first_tensor(x, y)
    if tensor is not None:
        s, t = _tensor_pairs(x, y, tensor, "x", "y")
        half = _half(s.shape[1])
        u, v = unit_tensor(s), unit_tensor(t)
        turned = u[:, half:] * (v[:, :half] + v[:, half:]) + u[:, :half] * (v[:, :half] - v[:, half:])
        return checked(turned.sum(dim=1).abs(), s, t, "x", "y")
    p, q = _array_pairs(x, y, "x", "y")
    half = _half(p.shape[1])
    (p, inverse_p), (q, inverse_q) = scaled_rows(p, "x"), scaled_rows(q, "y")
    real, imaginary = q[:, :half], q[:, half:]
    # real(x conj y) + imag(x conj y) = xr yr + xi yi + xi yr - xr yi = xr (yr - yi) + xi (yr + yi)
    sums = dot_rows(p[:, :half], real - imaginary) + dot_rows(p[:, half:], real + imaginary)
    return np.abs(sums * inverse_p * inverse_q)


def _half(width: int) -> int:
    if width % 2:
        raise InputError(f"pairwise_angle_sim reads vectors as complex numbers: {width} dimensions are odd")
    return width // 2


def _array_pairs(a: Embeddings, b: Embeddings, name_a: str = "a", name_b: str = "b") -> tuple[Matrix, Matrix]:
    p, q = two_matrices(a, b, name_a, name_b)
    _check_pairs(len(p), len(q), name_a, name_b)
    return p, q


def _check_pairs(n: int, m: int, name_a: str, name_b: str) -> None:
    if n != m and 1 not in (n, m):
        raise InputError(f"{name_a} has {n} rows and {name_b} has {m}: pairs need as many of each")


def _tensor_pairs(
    a: Embeddings, b: Embeddings, reference: Any, name_a: str = "a", name_b: str = "b"
) -> tuple[Any, Any]:
    x, y = two_tensors(a, b, reference, name_a, name_b)
    _check_pairs(len(x), len(y), name_a, name_b)
    return x, y
