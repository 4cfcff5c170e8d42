"""What happens at certain moments of a run: a first measurement, checks of gradients, an order for each epoch."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback


class Moments(TrainerCallback):
    """Tells a ``ModelTrainer`` and its sampler what comes next."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure the untrained model, unless that is done anyway."""
        if not (args.eval_on_start and state.global_step == 0):
            self._trainer.scores.before()

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Give the sampler the order of this epoch."""
        # A resumed epoch begins with its skipped part in the count; the order of its rows must be the same.
        if hasattr(self._trainer._sampler, "set_epoch"):
            self._trainer._sampler.set_epoch(int((state.epoch or 0) + 1e-6))

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at the gradients, before they change a weight."""
        self._trainer.check_gradients()
