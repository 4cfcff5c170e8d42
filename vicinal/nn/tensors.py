"""Arrays become torch tensors."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from vicinal.errors import missing_extra


def require_torch(purpose: str) -> ModuleType:
    """Import torch.

    Args:
        purpose: what needs it, for the error.

    Raises:
        MissingExtraError: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise missing_extra("torch", purpose, "train") from error
    module: ModuleType = torch
    return module


def as_tensor(array: NDArray[Any]) -> Any:
    """A tensor that shares the array's memory."""
    return require_torch("convert_to_tensor=True").from_numpy(array)
