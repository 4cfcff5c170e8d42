"""What is said of a run whose loss or gradients are no finite numbers any longer."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from vicinal.errors import InputError
from vicinal.nn.modules.memory import not_finite

#: said once in a run, with the number of the step
NO_SCORE = (
    "the evaluator's score is NaN after step {}, so it chooses no best model: are all of its labels the same, or "
    "all of the model's vectors?"
)


def diverged(
    what: str, step: int, total: int, rate: float, modules: Iterable[nn.Module], kept: str
) -> InputError:
    """The error of a run that cannot go on.

    Args:
        what: which number is not finite: the start of the sentence.
        step: from 1.
        total: steps of the run.
        rate: the learning rate of this step.
        modules: what is trained.
        kept: where a good model lies; empty for nowhere.
    """
    broken = next((name for name in map(not_finite, modules) if name is not None), None)
    state = "this step changed no weight"
    if broken is not None:
        state = f"the steps before left NaN or infinite numbers in weights such as {broken!r}"
    return InputError(
        f"{what} at step {step} of {total} (learning rate {rate:.2g}); {state}"
        + (f", and {kept}" if kept else "")
        + ". Take a lower learning rate, a longer warm-up or float32; and look for wrong labels"
    )
