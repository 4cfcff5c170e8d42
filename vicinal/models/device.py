"""Names of devices, checked without importing torch where the CPU is meant."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from vicinal.core.inputs import shown
from vicinal.errors import InputError, InputTypeError

_KINDS = ("cpu", "cuda", "mps", "xpu", "npu", "hpu")
_MEANT = {"gpu": "cuda", "nvidia": "cuda", "rocm": "cuda", "metal": "mps", "apple": "mps", "processor": "cpu"}


class Device(str):
    """A device's name; like a ``torch.device`` it also has a ``type`` and an ``index``."""

    __slots__ = ()

    @property
    def type(self) -> str:
        """``"cpu"``, ``"cuda"``, ..."""
        return self.partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]
        """The number of the device, None where none was given."""
        number = self.partition(":")[2]
        return int(number) if number else None


def read_device(device: Any) -> Device:
    """Make a device's name canonical; None means an NVIDIA GPU where torch can use one, else the CPU.

    Raises:
        InputError: no such kind of device, or torch does not see one.
        InputTypeError: not a name, a number or a ``torch.device``.
        MissingExtraError: an accelerator is asked for and torch is not installed.
    """
    if device is None:
        return Device("cuda" if _has_cuda() else "cpu")
    if not names_device(device):
        raise InputTypeError(
            f"device={shown(device)} is {type(device).__name__}; give a name such as 'cpu' or 'cuda:0'"
        )
    if isinstance(device, int):
        device = f"cuda:{device}"
    name = str(device)
    kind, _, number = name.partition(":")
    if kind not in _KINDS or (number and not number.isdigit()):
        meant = _MEANT.get(kind.lower()) or next(iter(get_close_matches(kind.lower(), _KINDS, 1)), None)
        raise InputError(
            f"device={name!r}: no such device"
            + (f"; did you mean {meant!r}? Known" if meant else "; known")
            + " are cpu, cuda, cuda:0, mps, xpu, ..."
        )
    if kind == "cpu":
        return Device("cpu")
    from vicinal.core.torch import require_torch

    torch = require_torch(f"device={name!r}")
    backend = torch.backends.mps if kind == "mps" else getattr(torch, kind, None)
    if backend is None or not backend.is_available():
        raise InputError(
            f"device={name!r}: torch {torch.__version__} sees no such device here; use device='cpu', or install "
            "the build of torch that goes with it"
        )
    if kind == "cuda" and number and int(number) >= torch.cuda.device_count():
        raise InputError(f"device={name!r}: torch sees {torch.cuda.device_count()} GPUs, numbered from 0")
    return Device(name)


def names_device(value: object) -> bool:
    """Whether a value is of a kind that can say which device is meant; a ``torch.device`` is known by its class."""
    return (isinstance(value, (str, int)) and not isinstance(value, bool)) or type(value).__name__ == "device"


def one_or_several(device: Any) -> tuple[Any, Sequence[Any] | None]:
    """A device to move the model to, or devices for worker processes; a list of one device is that device."""
    if not isinstance(device, (list, tuple)):
        if device is not None and not names_device(device):
            read_device(device)  # says what is wrong with it
        return device, None
    for each in device:
        if not names_device(each):
            read_device(each)
    return (device[0], None) if len(device) == 1 else (None, device)


def _has_cuda() -> bool:
    """Whether torch can use an NVIDIA GPU; torch is only asked where a driver is."""
    if not any(os.path.exists(path) for path in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg")):
        return False
    from vicinal.core.torch import cuda_is_available

    return cuda_is_available()


def is_usual_device(value: Any) -> bool:
    """Whether something is a device's name such as ``"cpu"`` or ``"cuda:0"``, and cannot be meant otherwise."""
    return isinstance(value, str) and value.partition(":")[0] in ("cpu", "cuda", "mps")
