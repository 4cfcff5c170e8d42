"""What old code takes from ``sentence_transformers.util`` for torch tensors: conversion, sparse rows, processes."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from vicinal.core.arrays import is_tensor
from vicinal.core.torch import require_torch
from vicinal.errors import InputError


def _convert_to_tensor(a: Any) -> Any:
    """A tensor of an array, a list of numbers, or a list of tensors."""
    torch = require_torch("a tensor")
    if isinstance(a, list) and a and all(is_tensor(each) for each in a):
        return torch.stack(a)
    return a if is_tensor(a) else torch.as_tensor(np.asarray(a) if _arrays(a) else a)


def _arrays(values: Any) -> bool:
    # One array of many is made by numpy: torch takes them number by number.
    return isinstance(values, list) and bool(values) and isinstance(values[0], np.ndarray)


def _convert_to_batch(a: Any) -> Any:
    """(n, dim): a vector becomes a matrix of one row."""
    return a.unsqueeze(0) if a.dim() == 1 else a


def _convert_to_batch_tensor(a: Any) -> Any:
    return _convert_to_batch(_convert_to_tensor(a))


def _move_tensors_to_cpu(value: Any) -> Any:
    """The same value with all tensors on the CPU, those in dictionaries, lists and tuples too."""
    if is_tensor(value):
        return value.cpu()
    if isinstance(value, dict):
        return {key: _move_tensors_to_cpu(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_move_tensors_to_cpu(each) for each in value])
    return value


def to_scipy_coo(x: Any) -> Any:
    """A sparse COO tensor as scipy's ``coo_matrix``.

    Args:
        x: (n, dim), sparse.
    """
    sparse: Any = importlib.import_module("scipy.sparse")
    x = x.coalesce().cpu()
    places = x.indices().numpy()
    return sparse.coo_matrix((x.values().numpy(), (places[0], places[1])), shape=tuple(x.shape))


def select_max_active_dims(embeddings: Any, max_active_dims: int | None) -> Any:
    """Keep the numbers of the largest absolute value in each row, and put zeros in place of the others.

    Args:
        embeddings: (n, dim) or (dim,), an array or a dense tensor; it stays as it is.
        max_active_dims: how many to keep; None keeps all.

    Raises:
        InputError: fewer than one.
    """
    if max_active_dims is None:
        return embeddings
    if max_active_dims < 1:
        raise InputError(f"max_active_dims={max_active_dims}: it must be 1 or more, or None for all")
    count = min(max_active_dims, embeddings.shape[-1])
    if is_tensor(embeddings):
        torch = require_torch("select_max_active_dims")
        places = embeddings.abs().topk(count, dim=-1).indices
        return torch.zeros_like(embeddings).scatter(-1, places, embeddings.gather(-1, places))
    rows = np.asarray(embeddings)
    places = np.argpartition(-np.abs(rows), count - 1, axis=-1)[..., :count]
    kept = np.zeros_like(rows)
    np.put_along_axis(kept, places, np.take_along_axis(rows, places, -1), -1)
    return kept


def compute_count_vector(embeddings: Any) -> Any:
    """In how many rows each dimension is not zero.

    Args:
        embeddings: (n, dim) or (dim,), a tensor, sparse or dense.

    Returns:
        (dim,) int32.
    """
    torch = require_torch("compute_count_vector")
    rows = embeddings.to_dense() if embeddings.layout != torch.strided else embeddings
    return (_convert_to_batch(rows) != 0).sum(dim=0, dtype=torch.int32)


def is_dist_initialized() -> bool:
    """Whether torch's process group runs."""
    torch = require_torch("torch.distributed")
    return bool(torch.distributed.is_available() and torch.distributed.is_initialized())


def get_rank() -> int:
    """The number of this process in torch's process group, 0 without one."""
    return int(require_torch("torch.distributed").distributed.get_rank()) if is_dist_initialized() else 0


def get_world_size() -> int:
    """How many processes torch's process group has, 1 without one."""
    return (
        int(require_torch("torch.distributed").distributed.get_world_size()) if is_dist_initialized() else 1
    )


def all_gather(tensor: Any, with_grad: bool = False) -> Any:
    """The rows of all processes, in the order of their ranks; gradients flow to this process's rows alone.

    Args:
        tensor: (n, ...), of the same shape in each process.
        with_grad: gradients flow to the rows of every process.

    Returns:
        (processes * n, ...); without a process group the tensor itself.
    """
    if with_grad:
        from vicinal.nn.losses.ranking import gather

        (found,), _ = gather([tensor])
        return found
    if not is_dist_initialized():
        return tensor
    torch = require_torch("all_gather")
    parts = [torch.zeros_like(tensor) for _ in range(get_world_size())]
    torch.distributed.all_gather(parts, tensor)
    parts[get_rank()] = tensor  # this one has its gradient
    return torch.cat(parts)


def all_gather_with_grad(tensor: Any) -> Any:
    """:func:`all_gather` with gradients to every process's rows."""
    return all_gather(tensor, with_grad=True)
