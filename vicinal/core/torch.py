"""The one way to torch from outside ``vicinal.nn``: imported when it is needed, with a remedy where it is absent."""

from __future__ import annotations

import gc
import importlib.util
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from vicinal.errors import ForkError, missing_extra

if TYPE_CHECKING:  # for signatures elsewhere
    from torch import Tensor as Tensor
    from torch import nn as nn

_hooked = threading.Event()
_computed_by: list[int] = []  # the process in which torch first computed


def require_torch(purpose: str) -> ModuleType:
    """Import torch.

    Args:
        purpose: what needs it, for the error.

    Raises:
        MissingExtraError: torch is not installed.
    """
    try:
        with _collector_paused():
            import torch
    except ImportError as error:
        raise missing_extra("torch", purpose, "train") from error
    module: ModuleType = torch
    one_thread_after_forks()
    return module


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Without the search for garbage: the import makes a million objects that stay, an eighth of its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def torch_installed() -> bool:
    """Whether torch is there to be imported; it is not imported."""
    try:
        return importlib.util.find_spec("torch") is not None
    except (ImportError, ValueError):
        return False


def one_thread_after_forks() -> None:
    """Have forked children compute on one thread: those of their parent were not copied, and torch waits for them."""
    import torch

    if not _hooked.is_set() and hasattr(os, "register_at_fork"):
        _hooked.set()
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def note_computing() -> None:
    """To be called before torch computes on the CPU.

    Raises:
        ForkError: a process that this one was forked from did so already, and torch would wait for its threads.
    """
    if not _computed_by:
        _computed_by.append(os.getpid())
    if _computed_by[0] != os.getpid():
        raise ForkError(
            f"this process (id {os.getpid()}) was forked after its parent had run torch on the CPU, whose threads do "
            "not survive a fork. Encode only in the child, start processes with multiprocessing's 'spawn' or "
            "'forkserver', or use backend='auto', which works after a fork"
        )


def as_tensor(array: NDArray[Any]) -> Any:
    """A tensor that shares the array's memory."""
    return require_torch("convert_to_tensor=True").from_numpy(array)


def cuda_is_available() -> bool:
    """Whether torch is installed and can use an NVIDIA GPU."""
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def to_device(features: dict[str, Any], device: str) -> dict[str, Any]:
    """The same dictionary with its arrays as tensors, all of them on ``device``."""
    import numpy as np
    import torch

    for key, value in features.items():
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value)
        if isinstance(value, torch.Tensor):
            features[key] = value.to(device)
    return features
