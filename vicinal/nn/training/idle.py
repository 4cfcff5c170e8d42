"""A run whose steps all find nothing to learn is warned about while it runs."""

from __future__ import annotations

import math
import warnings

from vicinal.core.inputs import caller_level

# Steps without a gradient after which the warning comes: a single batch may well have nothing to teach.
_IDLE_STEPS = 20
# What is left of a sum that is 0 but for rounding; Adam would scale it up to whole steps.
_ROUNDING = 1e-6


class IdleSteps:
    """Counts the first steps of a run for as long as their gradient is 0.

    Args:
        total: steps of the run; a shorter run is warned about at its last one.
    """

    def __init__(self, total: int) -> None:
        self._limit = min(_IDLE_STEPS, total)
        self._counts: dict[str, int] = {}
        self._done: set[str] = set()

    def count(self, norm: float, name: str) -> None:
        """Take the norm of the gradients of one step of the losses called ``name``.

        Warns:
            UserWarning: it has been 0 at each of the first steps; once for a name.
        """
        if name in self._done or not math.isfinite(norm):
            return
        if norm > _ROUNDING:
            self._done.add(name)
            return
        self._counts[name] = self._counts.get(name, 0) + 1
        if self._counts[name] < self._limit:
            return
        self._done.add(name)
        warnings.warn(
            f"{name}: the gradient was 0 at each of the first {self._counts[name]} steps, which trained nothing. A "
            "loss that compares rows needs batches of two or more (not batch_size=1, nor repeated texts with "
            "batch_sampler='no_duplicates'), and labels that are not all equal",
            UserWarning,
            stacklevel=caller_level(),
        )
