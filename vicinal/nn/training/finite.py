"""A run stops at the first loss or gradient that is no finite number, before it harms a weight or a file."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vicinal.core.inputs import caller_level
from vicinal.errors import missing_extra
from vicinal.nn.training.diverged import diverged

try:
    from transformers import Trainer
except ImportError as error:
    raise missing_extra("transformers", "a trainer", "train") from error


class FiniteTrainer(Trainer):  # type: ignore[misc, unused-ignore]
    """transformers' Trainer, which would log a loss of 0 in place of NaN, go on, and save NaN weights."""

    args: Any
    control: Any

    _trial: Any = None

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Loss and gradients of a batch.

        Raises:
            InputError: the loss is no finite number.
        """
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss).all():
            self._stop(f"the loss is {float(loss.detach().mean())}")
        return loss

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        # As in sentence-transformers, whose trainer knows the model alone: a loss's own weights are neither counted
        # nor scaled.
        inner = getattr(model, "module", None) if hasattr(model, "losses") else None
        if inner is None or not any(each.grad is not None for each in inner.parameters()):
            return super()._clip_grad_norm(model)
        return super()._clip_grad_norm(inner)

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        # Called between the gradients and the optimizer's step.
        found = super()._get_grad_norm(model, grad_norm=grad_norm)
        # Gradients that were scaled for float16 may overflow: their scaler leaves the step out and goes on.
        if found is not None and getattr(self.accelerator, "scaler", None) is None:
            value = float(found)
            if not math.isfinite(value):
                self._stop(f"the norm of the gradients is {value}")
        return found

    def _stop(self, what: str) -> None:
        """End the run with an error; a trial of a search just ends, so that the search goes on.

        Raises:
            InputError: always, outside of a search.
        """
        rate = max((group["lr"] for group in self.optimizer.param_groups), default=0.0)
        error = diverged(
            what, self.state.global_step + 1, self.state.max_steps, rate, [self.model], self._kept()
        )
        if self._trial is None:
            self.model.zero_grad()
            raise error
        warnings.warn(f"this trial ends: {error}", UserWarning, stacklevel=caller_level())
        self.control.should_training_stop = True

    def _kept(self) -> str:
        best = self.state.best_model_checkpoint
        if best is not None:
            return f"{best} holds the best model so far"
        found = [each for each in Path(self.args.output_dir).glob("checkpoint-*") if each.is_dir()]
        newest = max(found, key=lambda each: each.stat().st_mtime, default=None)
        return "" if newest is None else f"{newest} holds an earlier state"

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """Whether the model is the best yet; one without a score, or with NaN for it, never is."""
        wanted = f"eval_{str(self.args.metric_for_best_model).removeprefix('eval_')}"
        if math.isnan(metrics.get(wanted, 0.0)):
            return False
        best: bool = super()._determine_best_metric(metrics, trial)
        return best
