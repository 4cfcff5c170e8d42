"""The one place that imports OpenVINO, and does so quietly.

Importing ``openvino`` pulls in ``openvino_telemetry``, which can report usage over the network. Vicinal
never wants it: while the import runs, the telemetry package is hidden, and openvino falls back to the
empty stand-in that it ships for this case.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from vicinal.core.native_calls import before_forks, native_call
from vicinal.errors import MissingExtraError

_TELEMETRY = "openvino_telemetry"
_loaded_by: list[int] = []  # the process that loaded OpenVINO first


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Hide the telemetry package from everything imported inside the block."""
    if _TELEMETRY in sys.modules:  # somebody else's choice, made before us
        yield
        return
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # makes `import` raise ImportError
    try:
        yield
    finally:
        sys.modules.pop(_TELEMETRY, None)


def load_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry.

    Raises:
        MissingExtraError: it is not installed or does not load on this machine.
    """
    try:
        with native_call(), without_telemetry():
            import openvino
            import openvino.opset15
    except ImportError as error:
        raise MissingExtraError(
            f"the OpenVINO engine cannot be loaded ({error}): pip install --force-reinstall openvino"
        ) from error
    if not _loaded_by:
        _loaded_by.append(os.getpid())
        before_forks(_free_executors)
    module: ModuleType = openvino
    return module


def _free_executors() -> None:
    """Have OpenVINO end the threads that freed graphs left, which it keeps for the next graph of their kind.

    The child of a fork would be given these executors without their threads, and wait for ever. Unloading the
    plugin of any core does it, for all of them.
    """
    core = sys.modules["openvino"].Core()
    core.get_property("CPU", "FULL_DEVICE_NAME")  # loads the plugin: 1 ms
    core.unload_plugin("CPU")


def loaded_before_fork() -> bool:
    """Whether a process that this one was forked from had loaded OpenVINO. Its threads were not copied."""
    return bool(_loaded_by) and _loaded_by[0] != os.getpid()


def native_bfloat16(core: Any) -> bool:
    """Whether this CPU multiplies bfloat16 matrices in hardware."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@functools.lru_cache(maxsize=1)
def multiplies_bfloat16() -> bool:
    """:func:`native_bfloat16`, asked once."""
    return native_bfloat16(load_openvino().Core())


def native_float16(core: Any) -> bool:
    """Whether this CPU multiplies float16 matrices in hardware."""
    return "FP16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
