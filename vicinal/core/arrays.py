"""Numpy arrays, torch tensors and lists become one canonical matrix; answers go back in the caller's type.

Everything behind this file computes on 2-D numpy arrays of float32 or float64. Torch is never imported
here: somebody who holds a tensor has imported it, so it is found in ``sys.modules``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vicinal.core.native_calls import native_call
from vicinal.errors import InputError, InputTypeError

Matrix: TypeAlias = npt.NDArray[Any]
"""A numpy array of floats, 2-D unless a docstring says otherwise."""

Embeddings: TypeAlias = Any
"""What callers may hand over: a numpy array, a torch tensor, a (nested) list of numbers, or a list that
mixes arrays and tensors. One vector (1-D) counts as one row. ``Any``, because naming the tensor type
would import torch."""


def loaded_torch() -> ModuleType | None:
    """The torch module if this process has imported it, else None."""
    return sys.modules.get("torch")


def is_tensor(value: object) -> bool:
    """True for a torch tensor; False for everything else, without importing torch."""
    torch = loaded_torch()
    # A half-imported torch (another thread is importing it) has no Tensor yet, and so nobody holds one.
    kind = getattr(torch, "Tensor", None)
    return kind is not None and isinstance(value, kind)


def first_tensor(*values: object) -> Any | None:
    """The first tensor among the values or directly inside the lists among them; None if there is none."""
    for value in values:
        if is_tensor(value):
            return value
        if isinstance(value, list | tuple):
            for item in value:
                if is_tensor(item):
                    return item
                if isinstance(item, int | float):
                    break  # a list of numbers, perhaps a long one, holds no tensor
    return None


def on_accelerator(*values: object) -> bool:
    """True if one of the values is (or a list's first tensor is) a tensor outside the CPU's memory."""
    return any(tensor is not None and tensor.device.type != "cpu" for tensor in map(first_tensor, values))


def first_on_accelerator(*values: object) -> Any:
    """The first tensor outside the CPU's memory, of values that hold one; else the first tensor."""
    tensors = [tensor for tensor in map(first_tensor, values) if tensor is not None]
    return next((tensor for tensor in tensors if tensor.device.type != "cpu"), tensors[0])


def tensor_to_numpy(tensor: Any) -> Matrix:
    """A tensor as a numpy array: detached, dense, on the CPU; bfloat16 widened, as numpy has none.

    A dense CPU tensor of a type that numpy knows is not copied.
    """
    tensor = tensor.detach()
    if str(tensor.layout) != "torch.strided":
        tensor = tensor.to_dense()
    if tensor.is_floating_point() and tensor.element_size() < 4 and str(tensor.dtype) != "torch.float16":
        tensor = tensor.float()  # bfloat16 and the 8-bit floats
    array: Matrix = tensor.cpu().resolve_neg().resolve_conj().numpy()
    return array


def as_array(values: Embeddings, name: str = "embeddings") -> Matrix:
    """Any accepted input as a numpy array of its own type and shape, without a copy where that is possible.

    Lists of Python numbers become float32: a Python float carries no wish for double precision, and a
    float64 query would otherwise widen every corpus it meets.

    Raises:
        InputTypeError: the values are not numbers.
        InputError: a list holds vectors of different lengths.
    """
    if is_tensor(values):
        return tensor_to_numpy(values)
    if isinstance(values, np.ndarray):
        if isinstance(values, np.ma.MaskedArray) and values.mask.any():
            raise InputError(f"{name} is an array with masked values: fill them, or leave those rows out")
        array = np.asarray(values)  # np.matrix multiplies as matrices where arrays go element by element
    elif isinstance(values, list | tuple):
        array = _stack(values, name)
    elif hasattr(values, "__array__") or isinstance(values, Sequence | np.generic):
        array = np.asarray(values)
    else:
        raise InputTypeError(
            f"{name} is a {type(values).__name__}: give a numpy array, a torch tensor or a list of vectors"
        )
    if array.dtype.kind not in "fiub":
        raise InputTypeError(
            f"{name} holds values of type {array.dtype}, not real numbers: encode texts first"
        )
    return array


def _stack(values: list[Any] | tuple[Any, ...], name: str) -> Matrix:
    """One array from a list of numbers, lists, arrays and tensors."""
    if any(isinstance(item, np.ndarray) or is_tensor(item) for item in values):
        rows = [as_array(item, f"{name}[{i}]") for i, item in enumerate(values)]
        shapes = {row.shape: i for i, row in reversed(list(enumerate(rows)))}
        if len(shapes) > 1:
            (one, i), (other, j) = list(shapes.items())[:2]
            raise InputError(
                f"{name} mixes shapes: row {i} is {one}, row {j} is {other}: all vectors need one length"
            )
        return np.stack(rows)
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{name} is a list with vectors of different lengths: all need one length"
        ) from error
    if array.dtype.kind not in "fiub":
        return array
    with np.errstate(over="ignore"):
        narrow: Matrix = array.astype(np.float32)
    # What float32 cannot hold stays as it is.
    return narrow if np.isfinite(narrow).all() or not np.isfinite(array).all() else array


def compute_type(*types: np.dtype[Any]) -> np.dtype[Any]:
    """The type to compute in: float64 for float64 and for 32- and 64-bit integers, else float32.

    Half precision and small integers are exact in float32; wider integers are exact in float64 (up to
    2**53). With several types, the widest wins.
    """
    wide = any(t.itemsize > 4 or (t.kind in "iu" and t.itemsize > 2) for t in types)
    return np.dtype(np.float64 if wide else np.float32)


def as_rows(values: Embeddings, name: str = "embeddings") -> Matrix:
    """Any accepted input as a 2-D array (rows, dimensions) of its own type; one vector becomes one row.

    Raises:
        InputError: more than two axes, or rows of no dimensions.
        InputTypeError: the values are not numbers.
    """
    array = as_array(values, name)
    if array.ndim == 1 and array.size:
        array = array[np.newaxis, :]
    elif array.ndim == 1:
        array = array.reshape(0, 0)  # an empty list: no rows, of a length nobody has said
    if array.ndim != 2:
        raise InputError(f"{name} has shape {array.shape}: give one vector (dim,) or a matrix (rows, dim)")
    if array.shape[0] and not array.shape[1]:
        raise InputError(f"{name} has shape {array.shape}: its vectors have no dimensions")
    return array


def as_floats(values: Embeddings, name: str = "embeddings") -> Matrix:
    """Like :func:`as_rows`, in the type to compute in. float32 and float64 arrays are not copied."""
    array = as_rows(values, name)
    return array.astype(compute_type(array.dtype), copy=False)


def check_same_width(a: Matrix, b: Matrix, name_a: str, name_b: str) -> None:
    """Raise InputError unless both matrices have vectors of one length (or one has no rows)."""
    if a.shape[0] and b.shape[0] and a.shape[1] != b.shape[1]:
        raise InputError(
            f"{name_a} has {a.shape[1]} dimensions and {name_b} has {b.shape[1]}: "
            "they come from different models or truncations"
        )


def check_finite(rows: Matrix, name: str, first: int = 0) -> None:
    """Raise InputError naming the first row with a NaN or an infinity.

    Args:
        rows: the matrix to look at.
        name: what the caller called it.
        first: the row number of ``rows[0]`` in the caller's matrix.
    """
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        row = int(bad[0])
        what = "NaN" if np.isnan(rows[row]).any() else "infinity"
        raise InputError(
            f"{name}: row {first + row} contains {what}: remove the row or encode its text again"
            + (" (the model overflowed in half precision?)" if what == "infinity" else "")
        )


def product(a: Matrix, b: Matrix) -> Matrix:
    """``a @ b``; no other thread forks the process meanwhile, whose child would wait for BLAS for ever."""
    with native_call():
        found: Matrix = a @ b
    return found


def like_inputs(answer: Matrix, *inputs: object) -> Any:
    """The answer as a tensor on the device of the first tensor among the inputs, else as it is."""
    tensor = first_tensor(*inputs)
    torch = loaded_torch()
    if tensor is None or torch is None:
        return answer
    return torch.from_numpy(np.ascontiguousarray(answer)).to(tensor.device)


def as_tensor_like(values: Embeddings, reference: Any, name: str) -> Any:
    """Any accepted input as a tensor beside the reference tensor, keeping gradients.

    Lists of tensors are stacked by torch itself, so that gradients flow through; whatever is not a tensor
    goes through :func:`as_array` first.
    """
    torch = loaded_torch()
    assert torch is not None  # the reference is a tensor
    if is_tensor(values):
        tensor = values if str(values.layout) == "torch.strided" else values.to_dense()
    elif isinstance(values, list | tuple) and any(is_tensor(item) for item in values):
        items = [as_tensor_like(item, reference, f"{name}[{i}]") for i, item in enumerate(values)]
        if len({tuple(item.shape) for item in items}) > 1:
            raise InputError(f"{name} is a list with vectors of different lengths: all need one length")
        kind = items[0].dtype
        for item in items[1:]:
            kind = torch.promote_types(kind, item.dtype)
        tensor = torch.stack([item.to(kind) for item in items])
    else:
        array = as_array(values, name)
        tensor = (
            torch.from_numpy(np.array(array)) if array.dtype != np.uint16 else torch.tensor(array.tolist())
        )
    if tensor.is_complex():
        raise InputTypeError(f"{name} holds values of type {tensor.dtype}, not real numbers")
    return tensor.to(reference.device)
