"""The optimizer of ``fit``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from vicinal.errors import InputTypeError


def make_optimizer(
    named_parameters: Sequence[tuple[str, nn.Parameter]],
    optimizer_class: Any,
    optimizer_params: Mapping[str, Any],
    weight_decay: float,
    device: str,
) -> torch.optim.Optimizer:
    """The optimizer, with weights that decay and biases and norms that do not; AdamW is the fused one.

    Args:
        named_parameters: all weights that are trained.
        optimizer_class: None for AdamW.
        optimizer_params: keywords of the class.
        weight_decay: of those that decay.
        device: where the weights lie.

    Raises:
        InputTypeError: the class does not take these keywords.
    """
    options = dict(optimizer_params)
    cls = optimizer_class or torch.optim.AdamW
    if cls is torch.optim.AdamW and not {"fused", "foreach", "capturable"} & options.keys():
        options["fused"] = device.partition(":")[0] in ("cpu", "cuda", "mps", "xpu")
    plain = [each for name, each in named_parameters if each.ndim < 2 or "bias" in name]
    marked = {id(each) for each in plain}
    decaying = [each for _, each in named_parameters if id(each) not in marked]
    groups = [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    try:
        found: torch.optim.Optimizer = cls([group for group in groups if group["params"]], **options)
    except TypeError as error:
        raise InputTypeError(
            f"optimizer_params={dict(optimizer_params)!r}: {cls.__name__} does not take them ({error})"
        ) from error
    return found
