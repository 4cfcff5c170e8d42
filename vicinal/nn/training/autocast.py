"""Mixed precision: matrix products in bfloat16, weights, sums and losses in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def bf16_by_default(device: str = "cpu") -> bool:
    """Whether a device multiplies bfloat16 natively, so that training in it is faster.

    bfloat16 has the range of float32, so gradients need no scaling; that is why float16 is never chosen.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
    """
    kind = str(device).partition(":")[0]
    if kind == "cuda":
        # Emulation on older cards would count too, and is slower than float32.
        return bool(torch.cuda.get_device_capability(device)[0] >= 8)
    if kind != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    # Where torch lost these private questions, float32 is slower but never wrong.
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in asked)


def autocast(device: str, enabled: bool | None = None) -> AbstractContextManager[Any]:
    """Within the block, matrix products are computed in bfloat16.

    Args:
        device: where the model computes.
        enabled: True and False decide; None means :func:`bf16_by_default`.
    """
    if not (bf16_by_default(device) if enabled is None else enabled):
        return nullcontext()
    block: AbstractContextManager[Any] = torch.autocast(str(device).partition(":")[0], dtype=torch.bfloat16)
    return block
