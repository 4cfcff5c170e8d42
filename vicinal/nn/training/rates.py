"""Learning rates of their own for some parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from vicinal.errors import InputError


def apply_rates(optimizer: Any, model: nn.Module, mapping: Mapping[str, float]) -> None:
    """Split an optimizer's groups so that each parameter learns at its own rate.

    Args:
        optimizer: as it was made, before its first step.
        model: what it trains; the prefix ``module.`` of its names is left out.
        mapping: regular expression -> rate; the first that finds something in a name counts.

    Raises:
        InputError: an expression that finds no name.
    """
    names = {id(parameter): name.removeprefix("module.") for name, parameter in model.named_parameters()}
    for pattern in mapping:
        if not any(re.search(pattern, name) for name in names.values()):
            some = ", ".join(map(repr, list(names.values())[::20]))
            raise InputError(f"learning_rate_mapping[{pattern!r}] matches no parameter; some names: {some}")
    groups: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        by_rate: dict[float, list[Any]] = {}
        for parameter in group["params"]:
            name = names.get(id(parameter), "")
            rate = next((rate for pattern, rate in mapping.items() if re.search(pattern, name)), group["lr"])
            by_rate.setdefault(rate, []).append(parameter)
        # A group without parameters stays: saved states count groups.
        groups += [{**group, "params": some, "lr": rate} for rate, some in by_rate.items()] or [group]
    optimizer.param_groups[:] = groups
