"""A run stops at the first loss or gradient that is no finite number, before it harms a weight or a file."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vicinal.core.inputs import caller_level
from vicinal.errors import missing_extra
from vicinal.nn.training.diverged import diverged
from vicinal.nn.training.idle import IdleSteps
from vicinal.nn.training.refused import check_weights, refuse_unreached, warn_of_no_rate

try:
    from transformers import Trainer
except ModuleNotFoundError as error:
    raise missing_extra("transformers", "a trainer", "train") from error


# A scaler starts at 2**16 and halves its factor at each.
_MOST_OVERFLOWS = 40


class FiniteTrainer(Trainer):  # type: ignore[misc, unused-ignore]
    """transformers' Trainer, which would log a loss of 0 in place of NaN, go on, and save NaN weights."""

    args: Any
    control: Any

    trained: Any

    _trial: Any = None
    # of the gradients of this step, as far as they were clipped, and whose
    _norm: Any = None
    _counted: Collection[int] = frozenset()
    _overflows: int = 0
    _idle: IdleSteps | None = None

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Loss and gradients of a batch.

        Raises:
            InputError: the loss is no finite number.
        """
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss).all():
            self._stop(f"the loss is {float(loss.detach().mean())}")
        return loss

    def refuse_useless(self) -> None:
        """Refuse, or warn of, a run that would train nothing; called before it."""
        self._idle = None
        if self.model is not None:  # else model_init makes it later
            check_weights(self.trained.module, self.trained.losses)
        if self.optimizer is None and not self.args.learning_rate_mapping:
            warn_of_no_rate(self.args.learning_rate, "learning_rate")

    def create_accelerator_and_postprocess(self) -> None:
        """Make the accelerator, whose clipping of gradients is listened to; all releases of transformers clip by it."""
        super().create_accelerator_and_postprocess()
        clip = self.accelerator.clip_grad_norm_

        def clipped(parameters: Any, max_norm: Any, norm_type: Any = 2) -> Any:
            mine = self._clipped_of(list(parameters))
            self._norm = clip(mine, max_norm, norm_type)
            self._counted = {id(each) for each in mine}
            return self._norm

        self.accelerator.clip_grad_norm_ = clipped

    def _clipped_of(self, parameters: list[Any]) -> list[Any]:
        """As in sentence-transformers, whose trainer knows the model alone: a loss's own weights are neither counted
        nor scaled."""
        own = {id(each) for each in self.trained.module.parameters()}
        mine = [each for each in parameters if id(each) in own]
        return mine if any(each.grad is not None for each in mine) else parameters

    def check_gradients(self) -> None:
        """Look at the gradients of a step; called between the backward pass and the optimizer's step.

        Raises:
            InputError: they are no finite numbers, or at the first step no weight of the model has one.

        Warns:
            UserWarning: they have been 0 at all steps so far.
        """
        if self.control.should_training_stop:  # a trial that ends has no gradients any longer
            return
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled  # their gradients lie elsewhere
        losses = ", ".join(dict.fromkeys(type(each).__name__ for each in self.trained.losses))
        if not sharded and self.state.global_step == 0:
            refuse_unreached(self.trained.module, losses)
        norm, counted = self._norm, self._counted
        self._norm, self._counted = None, frozenset()
        others = [] if sharded else [each for each in self.trained.parameters() if id(each) not in counted]
        norms = [each.grad.detach().norm().float() for each in others if each.grad is not None]
        if norm is not None:
            norms.append(torch.as_tensor(norm).float())
        device = self.args.device
        value = float(torch.stack([each.to(device) for each in norms]).norm()) if norms else 0.0
        if math.isfinite(value):
            self._overflows = 0
            if self._idle is None:
                self._idle = IdleSteps(self.state.max_steps - self.state.global_step)
            if not sharded:
                self._idle.count(value, losses)
        elif getattr(self.accelerator, "scaler", None) is None:
            self._stop(f"the norm of the gradients is {value}")
        else:
            # Gradients that were scaled for float16 may overflow: the scaler leaves the step out, halves its factor
            # and goes on. A factor that has become 2**-24 helps no more.
            self._overflows += 1
            if self._overflows >= _MOST_OVERFLOWS:
                self._stop(f"the norm of the gradients is {value} in each of {self._overflows} float16 steps")

    def _stop(self, what: str) -> None:
        """End the run with an error; a trial of a search just ends, so that the search goes on.

        Raises:
            InputError: always, outside of a search.
        """
        rate = max((group["lr"] for group in self.optimizer.param_groups), default=0.0)
        error = diverged(
            what, self.state.global_step + 1, self.state.max_steps, rate, [self.model], self._kept()
        )
        self.model.zero_grad()
        if self._trial is None:
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
        if best:  # transformers 5.0 forgets it where only the best model is saved
            self.state.best_global_step = self.state.global_step
        return best
