"""Weights in torch's own file format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vicinal.errors import ModelFormatError
from vicinal.nn.tensors import require_torch


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """Read ``pytorch_model.bin`` as float32 arrays; nothing but tensors is ever unpickled.

    Raises:
        MissingExtraError: torch is not installed.
        ModelFormatError: the file is damaged, or holds more than tensors.
    """
    torch = require_torch(f"{path.name}, the only weights of {path.parent},")
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelFormatError(
            f"{path}: cannot be read as weights ({reason}); download the model again, in safetensors if it is there"
        ) from error
    if not isinstance(tensors, dict) or not all(isinstance(each, torch.Tensor) for each in tensors.values()):
        raise ModelFormatError(f"{path}: holds no tensors by name; a state_dict is expected")
    return {
        name: (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        for name, tensor in tensors.items()
    }
