"""How the learning rate moves over a run, by the names that ``fit`` has always used."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vicinal.core.inputs import check_choice
from vicinal.errors import InputTypeError

SCHEDULES: dict[str, Callable[[float], float]] = {
    "warmupconstant": lambda done: 1.0,
    "warmuplinear": lambda done: 1.0 - done,
    "warmupcosine": lambda done: 0.5 + 0.5 * math.cos(math.pi * done),
    # One cycle, as fit has always asked for it: a restart would come after the last step.
    "warmupcosinewithhardrestarts": lambda done: 0.5 + 0.5 * math.cos(math.pi * done),
}
"""Factor of the learning rate behind the warm-up, where ``done`` goes from 0 to 1."""

_CONSTANT = "constantlr"


def schedule(optimizer: Optimizer, name: str, warmup_steps: int, total_steps: int) -> LambdaLR:
    """A scheduler; call its ``step()`` after each of the optimizer's.

    Args:
        optimizer: whose rates to move, from 0 up to those that it has, and down again.
        name: ``"constantlr"`` (no warm-up), ``"warmupconstant"``, ``"warmuplinear"``, ``"warmupcosine"`` or
            ``"warmupcosinewithhardrestarts"``, in upper or lower case.
        warmup_steps: steps in which the rate grows linearly from 0.
        total_steps: steps of the whole run.

    Raises:
        InputError: no such schedule.
    """
    if not isinstance(name, str):
        raise InputTypeError(
            f"scheduler={name!r} is {type(name).__name__}; give a name, such as 'WarmupLinear'"
        )
    kind = name.lower()
    check_choice(kind, (_CONSTANT, *SCHEDULES), "scheduler")
    if kind == _CONSTANT:
        return LambdaLR(optimizer, lambda step: 1.0)
    return LambdaLR(optimizer, partial(_factor, SCHEDULES[kind], warmup_steps, total_steps))


def _factor(shape: Callable[[float], float], warmup: int, total: int, step: int) -> float:
    if step < warmup:
        return step / warmup
    return shape(min(1.0, (step - warmup) / max(1, total - warmup)))
