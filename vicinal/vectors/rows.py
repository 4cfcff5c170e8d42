"""Vectors made ready: lengths, normalising, truncating, and two inputs brought to one type and width."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from vicinal.core.arrays import (
    Embeddings,
    Matrix,
    as_array,
    as_floats,
    as_tensor_like,
    check_finite,
    check_same_width,
    compute_type,
    first_tensor,
    is_tensor,
    loaded_torch,
)
from vicinal.core.inputs import as_count, shown
from vicinal.errors import InputError

#: Lengths, from and to, whose products with each other and whose squares a type holds.
SAFE = {"float32": (1e-15, 1e15), "float64": (1e-120, 1e120)}


def normalize_embeddings(embeddings: Embeddings) -> Any:
    """Vectors scaled to length 1, in the type and shape of the input; rows of zeros stay zeros.

    Args:
        embeddings: (n, dim), or one vector (dim,). Integers become floats, as unit vectors are fractions.

    Raises:
        InputError: a NaN or infinity (the row is named).
        InputTypeError: not numbers.
    """
    tensor = first_tensor(embeddings)
    if tensor is not None:
        given = as_tensor_like(embeddings, tensor, "embeddings")
        x = float_tensor(given)
        unit = unit_tensor(x)
        rows = x.reshape(-1, x.shape[-1]) if x.ndim else x.reshape(1, 1)
        return checked(unit.to(given.dtype if given.is_floating_point() else unit.dtype), rows, None)
    array = as_array(embeddings)
    rows = as_floats(array)
    scaled, inverse = scaled_rows(rows, "embeddings")
    kind = array.dtype if array.dtype.kind == "f" else rows.dtype
    return (scaled * inverse[:, np.newaxis]).astype(kind, copy=False).reshape(array.shape)


def truncate_embeddings(embeddings: Embeddings, truncate_dim: int | None) -> Any:
    """The first ``truncate_dim`` dimensions of each vector (for models trained to allow it: Matryoshka).

    Args:
        embeddings: (..., dim).
        truncate_dim: how many dimensions to keep; None, or more than there are, keeps all. The lengths
            of the vectors change: normalise afterwards where length 1 is expected.

    Returns:
        A view of the input where the input is an array or a tensor.

    Raises:
        InputError: ``truncate_dim`` is less than 1.
    """
    if truncate_dim is not None:
        truncate_dim = as_count(truncate_dim, "truncate_dim")
    if not is_tensor(embeddings):
        tensor = first_tensor(embeddings)
        embeddings = (
            as_array(embeddings) if tensor is None else as_tensor_like(embeddings, tensor, "embeddings")
        )
    if not embeddings.ndim:
        raise InputError(f"embeddings is one number, {shown(embeddings)}: give a vector (dim,) or a matrix")
    return embeddings[..., :truncate_dim]


def row_lengths(rows: Matrix) -> Matrix:
    """Euclidean length of each row, right also where the squares overflow or vanish.

    A row with a NaN or an infinity has a length that is not finite; no other row has, unless its length
    itself exceeds the type.
    """
    info = np.finfo(rows.dtype)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        squares = dot_rows(rows, rows)
        lengths: Matrix = np.sqrt(squares)
        # Below tiny / eps the squares of the smaller elements were lost.
        doubtful = np.flatnonzero(~((squares > info.tiny / info.eps) & (squares < info.max)))
        for at in range(0, len(doubtful), 4096):
            index = doubtful[at : at + 4096]
            largest = np.abs(rows[index]).max(axis=1, initial=0)
            usable = (largest > 0) & np.isfinite(largest)
            lengths[index] = largest  # zero, infinity or NaN
            index, largest = index[usable], largest[usable]
            scaled = rows[index] / largest[:, np.newaxis]
            lengths[index] = largest * np.sqrt(dot_rows(scaled, scaled))
    return lengths


def longest(rows: Matrix) -> float:
    """The largest of :func:`row_lengths`, in less time; 0 without a row, NaN if a row holds one."""
    info = np.finfo(rows.dtype)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        square = float(dot_rows(rows, rows).max(initial=0))
    # What squares lose in other rows is less than this.
    if info.tiny / info.eps < square < info.max:
        return math.sqrt(square)
    return float(row_lengths(rows).max(initial=0))


def scale_to_unit(rows: Matrix) -> None:
    """Rows made unit vectors, in place; a row of zeros stays, one with a NaN or an infinity becomes NaN."""
    lengths = row_lengths(rows)
    with np.errstate(invalid="ignore"):
        _shrink(rows, lengths, extreme(lengths, lengths.dtype.name))
        rows /= np.where(lengths == 0, 1, lengths)[:, np.newaxis]


def extreme(lengths: Matrix, kind: str) -> Matrix:
    """Which of the lengths are such that products may leave a type (``"float32"``, ...), or are not finite."""
    low, high = SAFE[kind]
    found: Matrix = (lengths != 0) & ~((lengths > low) & (lengths < high))
    return found


def _shrink(rows: Matrix, lengths: Matrix, some: Matrix) -> None:
    """Divide some rows by their largest number, in place, and measure them again."""
    if some.any():
        rows[some] /= np.abs(rows[some]).max(axis=1, keepdims=True)
        lengths[some] = row_lengths(rows[some])


def scaled_rows(rows: Matrix, name: str) -> tuple[Matrix, Matrix]:
    """Rows whose products cannot overflow, and the factors that make those rows unit vectors.

    Args:
        rows: (n, dim) floats; returned as they are unless some row is extremely long or short.
        name: what the caller called them, for the error.

    Returns:
        (n, dim) rows and (n,) factors; the factor of a row of zeros is 0.

    Raises:
        InputError: a NaN or infinity (the row is named).
    """
    lengths = row_lengths(rows)
    some = extreme(lengths, lengths.dtype.name)
    if some.any():
        check_finite(rows, name)
        rows = rows.copy()
        _shrink(rows, lengths, some)
    inverse = np.zeros_like(lengths)
    np.divide(1, lengths, out=inverse, where=lengths > 0)
    return rows, inverse


def dot_rows(a: Matrix, b: Matrix) -> Matrix:
    """(n,) dot products of the rows; vecdot (numpy 2) hands each row to BLAS, einsum is the fallback."""
    vecdot = getattr(np, "vecdot", None)
    answer: Matrix = np.einsum("ij,ij->i", a, b) if vecdot is None else vecdot(a, b)
    return answer


def two_matrices(a: Embeddings, b: Embeddings, name_a: str = "a", name_b: str = "b") -> tuple[Matrix, Matrix]:
    """Both inputs as float matrices of one type and width."""
    p, q = as_floats(a, name_a), as_floats(b, name_b)
    check_same_width(p, q, name_a, name_b)
    kind = compute_type(p.dtype, q.dtype)
    if p.shape[1] != q.shape[1]:  # one is empty and of no width
        width = max(p.shape[1], q.shape[1])
        p, q = (x if len(x) else x.reshape(0, width) if not x.shape[1] else x[:, :width] for x in (p, q))
        if p.shape[1] != q.shape[1]:
            p = p if len(p) else np.empty((0, q.shape[1]), p.dtype)
            q = q if len(q) else np.empty((0, p.shape[1]), q.dtype)
    return p.astype(kind, copy=False), q.astype(kind, copy=False)


def float_tensor(tensor: Any) -> Any:
    """A tensor in the type to compute in."""
    torch: Any = loaded_torch()
    wide = tensor.dtype in (torch.float64, torch.int32, torch.int64)
    # Some accelerators (Apple's) have no float64.
    if wide and tensor.device.type != "mps":
        return tensor.to(torch.float64)
    return tensor.to(torch.float32)


def two_tensors(
    a: Embeddings, b: Embeddings, reference: Any, name_a: str = "a", name_b: str = "b"
) -> tuple[Any, Any]:
    """Both inputs as 2-D float tensors of one type and width on one device."""
    torch: Any = loaded_torch()
    pair = []
    for values, name in ((a, name_a), (b, name_b)):
        x = float_tensor(as_tensor_like(values, reference, name))
        if x.ndim == 1:
            x = x.unsqueeze(0)
        if x.ndim != 2:
            raise InputError(
                f"{name} has shape {tuple(x.shape)}: give one vector (dim,) or a matrix (rows, dim)"
            )
        pair.append(x)
    x, y = pair
    if x.shape[1] != y.shape[1]:
        raise InputError(
            f"{name_a} has {x.shape[1]} dimensions and {name_b} has {y.shape[1]}: "
            "they come from different models or truncations"
        )
    kind = torch.promote_types(x.dtype, y.dtype)
    return x.to(kind), y.to(kind)


def unit_tensor(tensor: Any) -> Any:
    """Rows of length 1; a row of zeros stays. Where gradients are recorded, as training code knows it."""
    torch: Any = loaded_torch()
    if tensor.requires_grad or torch.compiler.is_compiling():
        # 1e-12 keeps a row of zeros at zero and its gradient finite.
        return torch.nn.functional.normalize(tensor, p=2.0, dim=-1, eps=1e-12)
    rows, _, lengths = measured(tensor)
    return rows / torch.where(lengths > 0, lengths, 1.0)


def measured(tensor: Any) -> tuple[Any, Any, Any]:
    """Rows whose squares neither overflow nor vanish.

    Returns:
        The rows; what they were divided by for that, ``(..., 1)`` or 1; their lengths then, ``(..., 1)``: 0 for rows
        of zeros alone, and not finite for rows that hold a NaN or an infinity.
    """
    torch: Any = loaded_torch()
    lengths = torch.linalg.vector_norm(tensor, dim=-1, keepdim=True)
    low, high = SAFE[_name(tensor)]
    usual = (lengths > low) & (lengths < high)
    if bool(usual.all()):
        return tensor, 1.0, lengths
    largest = tensor.abs().amax(dim=-1, keepdim=True)
    factors = torch.where(~usual & (largest > 0) & torch.isfinite(largest), largest, 1.0)
    rows = tensor / factors
    return rows, factors, torch.linalg.vector_norm(rows, dim=-1, keepdim=True)


def _name(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def in_reach(distance: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
    """``distance(x, y)``, in float64 where squares overflow float32 or vanish; not where gradients are recorded."""
    torch: Any = loaded_torch()
    found = distance(x, y)
    narrow = found.dtype == torch.float32 and found.device.type != "mps"
    if found.requires_grad or torch.compiler.is_compiling() or not narrow or not found.numel():
        return found
    largest = float(torch.maximum(x.abs().amax(), y.abs().amax())) if x.numel() and y.numel() else 1.0
    low, high = SAFE["float32"]
    if low < largest < high:
        return found
    return distance(x.to(torch.float64), y.to(torch.float64)).to(torch.float32)


def out_of_reach() -> InputError:
    """The error for vectors whose dot products are no numbers that could be compared."""
    return InputError(
        "query_embeddings and corpus_embeddings are so long, or so short, that dot products of them leave the range of "
        "their type: scale them with util.normalize_embeddings, or give score_function=util.cos_sim"
    )


def check_products(scores: Matrix, queries: Matrix, rows: Matrix) -> None:
    """Refuse dot products that overflowed, or all vanished.

    Args:
        scores: those of queries and rows, in any order.
        queries: (q, dim).
        rows: (n, dim), finite.

    Raises:
        InputError: they did.
    """
    if not np.isfinite(scores).all():
        raise out_of_reach()
    if not scores.any():  # nothing is alike, or the products vanish
        check_reach(longest(queries), longest(rows), scores.dtype)


def check_reach(length: float, other: float, kind: np.dtype[Any]) -> None:
    """Refuse vectors whose dot products overflow, or vanish.

    Args:
        length: of the longest vector of one side.
        other: of the longest of the other side.
        kind: type of the products.

    Raises:
        InputError: they do.
    """
    info = np.finfo(kind)
    product = length * other
    if not product < float(info.max) or (length > 0 and other > 0 and product < float(info.tiny)):
        raise out_of_reach()


def checked(scores: Any, x: Any, y: Any | None, name_x: str = "a", name_y: str = "b") -> Any:
    """The scores, after a look for rows that are not finite.

    Not while gradients are recorded or a graph is traced: training has its own answer to overflow (a
    gradient scaler must see it), and the look would make an accelerator wait.
    """
    torch: Any = loaded_torch()
    if scores.requires_grad or torch.compiler.is_compiling():
        return scores
    if not bool(torch.isfinite(scores).all()):
        names = (("embeddings", x),) if y is None else ((name_x, x), (name_y, y))
        for name, rows in names:
            check_finite(rows.detach().cpu().numpy(), name)
    return scores
