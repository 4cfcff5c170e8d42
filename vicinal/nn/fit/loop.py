"""The training loop behind ``fit``: any model, any objectives, one optimizer.

What is trained comes in a :class:`Learner`, how in :class:`Settings`; :func:`run` does the rest. Each step
visits all objectives in turn, as fit has always done: one batch, one update for each.
"""

from __future__ import annotations

import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vicinal.core.inputs import caller_level, check_positive
from vicinal.errors import InputError
from vicinal.folder.card_records import title_of
from vicinal.nn.fit.checkpoints import Batches, Place, find_checkpoint, read_checkpoint, write_checkpoint
from vicinal.nn.fit.optimizer import make_optimizer
from vicinal.nn.fit.schedules import schedule
from vicinal.nn.training.autocast import autocast
from vicinal.nn.training.diverged import NO_SCORE, diverged
from vicinal.nn.training.idle import IdleSteps
from vicinal.nn.training.refused import check_weights, refuse_constant, refuse_unreached, warn_of_no_rate

# Part of a run that warms up when the asked number of steps is longer than the run.
_WARMUP_SHARE = 0.1
_LEARNING_RATE = 2e-5


@dataclass(frozen=True)
class Objective:
    """Batches, and what is to become small on them.

    Attributes:
        name: the argument that it came in, for errors.
        loader: gives batches, lists of examples; anything with a length that can be gone through again and again.
        loss: the loss that :attr:`step` computes, for the record and for its weights.
        step: a batch as the loader gives it -> the loss, a scalar.
    """

    name: str
    loader: Any
    loss: nn.Module
    step: Callable[[Any], Tensor]


@dataclass(frozen=True)
class Learner:
    """What is trained.

    Attributes:
        objectives: one or more.
        modules: all that holds weights or drops out, by a name for checkpoints: ``"model"``, and the losses.
        device: where they lie.
        save: (folder, title) -> None; writes the model, with this title on its card: while a folder is written, it
            may have another name.
        evaluate: (folder or None, epoch, steps) -> the score, or None where there is no score; None if nothing is
            evaluated.
        better: whether the first score is better than the second.
    """

    objectives: Sequence[Objective]
    modules: Mapping[str, nn.Module]
    device: str
    save: Callable[[str, str], None]
    evaluate: Callable[[str | None, int, int], float | None] | None = None
    better: Callable[[float, float], bool] = lambda new, old: new > old

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Every weight that is to be trained, once."""
        found: dict[int, tuple[str, nn.Parameter]] = {}
        for module in self.modules.values():
            for name, parameter in module.named_parameters():
                if parameter.requires_grad:
                    found.setdefault(id(parameter), (name, parameter))
        return list(found.values())


@dataclass(frozen=True)
class Settings:
    """How it is trained; the arguments of ``fit``, which explains them.

    ``optimizer_params`` without ``lr`` gets the default of it, 2e-5, whatever the optimizer's own default is.
    """

    epochs: int = 1
    steps_per_epoch: int | None = None
    scheduler: str = "WarmupLinear"
    warmup_steps: int = 10_000
    optimizer_class: Any = None
    optimizer_params: Mapping[str, Any] | None = None
    weight_decay: float = 0.01
    evaluation_steps: int = 0
    output_path: str | os.PathLike[str] | None = None
    save_best_model: bool = True
    max_grad_norm: float | None = 1.0
    use_amp: bool | None = None
    callback: Callable[[float, int, int], Any] | None = None
    show_progress_bar: bool = True
    checkpoint_path: str | os.PathLike[str] | None = None
    checkpoint_save_steps: int = 500
    checkpoint_save_total_limit: int = 0
    resume_from_checkpoint: bool | str | os.PathLike[str] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "optimizer_params", {"lr": _LEARNING_RATE, **(self.optimizer_params or {})})
        check_positive(self.epochs, "epochs")
        check_positive(self.steps_per_epoch, "steps_per_epoch")
        check_positive(self.checkpoint_save_steps, "checkpoint_save_steps")
        for name in ("warmup_steps", "evaluation_steps", "checkpoint_save_total_limit"):
            value = getattr(self, name)
            if not hasattr(value, "__index__") or value < 0:
                raise InputError(
                    f"{name}={value!r}: give a whole number, 0 or more (a share of the run times its steps)"
                )
        if self.resume_from_checkpoint is True and self.checkpoint_path is None:
            raise InputError(
                "resume_from_checkpoint=True needs checkpoint_path, the folder of the checkpoints"
            )


def run(learner: Learner, settings: Settings) -> None:
    """Train.

    Raises:
        InputError: there is nothing to train on, or loss or gradient are no finite numbers any longer.
    """
    _Run(learner, settings).go()


class _Run:
    """One run: optimizer, schedule, where it is, and the best score yet."""

    def __init__(self, learner: Learner, settings: Settings) -> None:
        self.learner, self.settings = learner, settings
        self.batches = [Batches(each.loader, each.name) for each in learner.objectives]
        if not self.batches:
            raise InputError("train_objectives is empty: give at least one pair of a DataLoader and a loss")
        self.steps_per_epoch = settings.steps_per_epoch or min(map(len, self.batches))
        self.total = self.steps_per_epoch * settings.epochs
        self.parameters = learner.named_parameters()
        check_weights(learner.modules["model"], nn.ModuleList(each.loss for each in learner.objectives))
        warn_of_no_rate((settings.optimizer_params or {}).get("lr", _LEARNING_RATE), "optimizer_params['lr']")
        self.optimizer = make_optimizer(
            self.parameters,
            settings.optimizer_class,
            settings.optimizer_params or {},
            settings.weight_decay,
            learner.device,
        )
        self.schedule = schedule(self.optimizer, settings.scheduler, self._warmup(), self.total)
        self.place = Place()
        self.idle = IdleSteps(self.total)
        self.first_score: float | None = None
        self.last_score: float | None = None
        self.warned = False

    def _warmup(self) -> int:
        asked = self.settings.warmup_steps
        if asked <= self.total or self.settings.scheduler.lower() == "constantlr":
            return asked
        taken = int(self.total * _WARMUP_SHARE)
        warnings.warn(
            f"warmup_steps={asked} is longer than the run of {self.total} steps, which would hardly learn: "
            f"{taken} are taken. Give warmup_steps={taken} yourself to silence this",
            UserWarning,
            stacklevel=caller_level(),
        )
        return taken

    def go(self) -> None:
        settings, learner = self.settings, self.learner
        self._resume()
        if self.place.step == 0 and learner.evaluate is not None:
            self.first_score = learner.evaluate(self._evaluation_folder(), 0, 0)
        with _bar(self.total, self.place.step, settings.show_progress_bar) as report, _training(learner):
            try:
                for epoch in range(self.place.step // self.steps_per_epoch, settings.epochs):
                    for step in range(self.place.step % self.steps_per_epoch, self.steps_per_epoch):
                        report(*self._step())
                        if settings.evaluation_steps and (step + 1) % settings.evaluation_steps == 0:
                            self._evaluate(epoch, step + 1)
                        self._checkpoint()
                    self._evaluate(epoch, -1)
            except KeyboardInterrupt:
                kept = self._kept()
                _say(
                    f"interrupted after step {self.place.step}: the model is as that step left it{kept and '; ' + kept}"
                )
                raise
        if settings.output_path is not None and not (settings.save_best_model and self.place.saved):
            self._save()
        self._compare()

    def _step(self) -> tuple[float, int]:
        """One batch and one update for each objective; the mean loss and the number of examples."""
        losses, examples = [], 0
        for objective, batches in zip(self.learner.objectives, self.batches, strict=True):
            batch = batches.next()
            with autocast(self.learner.device, self.settings.use_amp):
                loss = objective.step(batch)
            refuse_constant(loss, objective.name)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise self._diverged(f"the loss of {objective.name} is {value}")
            loss.backward()
            if self.place.step == 0:
                refuse_unreached(self.learner.modules["model"], objective.name)
            self.idle.count(self._clip(), objective.name)
            self.optimizer.step()
            self.optimizer.zero_grad()
            losses.append(value)
            examples += len(batch)
        self.schedule.step()
        self.place.step += 1
        return sum(losses) / len(losses), examples

    def _clip(self) -> float:
        """Scale all gradients together, so that their norm is at most the greatest allowed; the norm before it."""
        limit = self.settings.max_grad_norm
        gradients = [each.grad for _, each in self.parameters if each.grad is not None]
        if not gradients:
            return 0.0
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        value = float(norm)
        if not math.isfinite(value):
            self.optimizer.zero_grad()
            raise self._diverged(f"the norm of the gradients is {value}")
        # Below the limit the products would be by 1, and the memory they go through is what they cost.
        if limit is not None and 0 < limit < value:
            torch._foreach_mul_(gradients, limit / (value + 1e-6))
        return value

    def _diverged(self, what: str) -> InputError:
        rate = max(group["lr"] for group in self.optimizer.param_groups)
        return diverged(
            what, self.place.step + 1, self.total, rate, self.learner.modules.values(), self._kept()
        )

    def _kept(self) -> str:
        saved = self.place.saved and self.settings.output_path is not None
        return f"{self.settings.output_path} holds the best model so far, whole" if saved else ""

    # scores

    def _evaluation_folder(self) -> str | None:
        if self.settings.output_path is None:
            return None
        folder = Path(self.settings.output_path) / "eval"
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def _evaluate(self, epoch: int, steps: int) -> None:
        settings, learner = self.settings, self.learner
        if learner.evaluate is None:
            return
        score = learner.evaluate(self._evaluation_folder(), epoch, steps)
        for module in learner.modules.values():
            module.train()
        if score is None:
            return
        self.last_score = score
        if settings.callback is not None:
            settings.callback(score, epoch, steps)
        if math.isnan(score):
            if not self.warned:
                warnings.warn(NO_SCORE.format(self.place.step), UserWarning, stacklevel=caller_level())
            self.warned = True
            return
        best = self.place.best
        if best is None or math.isnan(best) or learner.better(score, best):
            self.place.best = score
            if settings.save_best_model and settings.output_path is not None:
                self._save()

    def _compare(self) -> None:
        """Say how the score moved.

        Warns:
            UserWarning: it fell.
        """
        before, after, best = self.first_score, self.last_score, self.place.best
        if before is None or after is None or best is None:
            return
        _say(
            f"score before training {before:.4f}, after {after:.4f} ({after - before:+.4f}), best {best:.4f}"
        )
        if self.learner.better(before, after):
            warnings.warn(
                f"training made the model worse: its score went from {before:.4f} to {after:.4f}. A lower learning "
                "rate, other data or another loss may help",
                UserWarning,
                stacklevel=caller_level(),
            )

    # files

    def _save(self) -> None:
        assert self.settings.output_path is not None
        replace_folder(self.settings.output_path, self.learner.save)
        self.place.saved = True

    def _checkpoint(self) -> None:
        settings = self.settings
        if settings.checkpoint_path is None or self.place.step % settings.checkpoint_save_steps:
            return
        self.place.first_score = self.first_score
        write_checkpoint(
            Path(settings.checkpoint_path),
            settings.checkpoint_save_total_limit,
            self.learner.save,
            self.learner.modules,
            self.optimizer,
            self.schedule,
            self.batches,
            self.place,
        )

    def _resume(self) -> None:
        settings = self.settings
        folder = find_checkpoint(settings.resume_from_checkpoint, settings.checkpoint_path)
        if folder is None:
            return
        self.place = read_checkpoint(
            folder, self.learner.modules, self.optimizer, self.schedule, self.batches
        )
        self.first_score = self.place.first_score
        _say(f"going on from {folder}: step {self.place.step} of {self.total}")


def replace_folder(folder: str | os.PathLike[str], save: Callable[[str, str], None]) -> None:
    """Save into a folder so that an interruption while writing leaves there what was there before.

    Args:
        save: writes to the folder that it is given, for the folder whose name it is given.
    """
    import shutil
    import tempfile

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target, prefix=".saving-"))
    try:
        save(str(scratch), title_of(target))
        for file in sorted(each for each in scratch.rglob("*") if each.is_file()):
            place = target / file.relative_to(scratch)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _training(learner: Learner) -> Iterator[None]:
    """Dropout is on within the block, and off after it."""
    for module in learner.modules.values():
        module.train()
    try:
        yield
    finally:
        for module in learner.modules.values():
            module.eval()
            module.zero_grad()


@contextmanager
def _bar(total: int, done: int, show: bool) -> Iterator[Callable[[float, int], None]]:
    """A bar with the loss, a moving mean, and examples a second."""
    from tqdm import tqdm

    mean, examples, start = math.nan, 0, time.perf_counter()
    with tqdm(
        total=total, initial=done, desc="Training", unit=" steps", disable=not show, dynamic_ncols=True
    ) as bar:

        def report(loss: float, count: int) -> None:
            nonlocal mean, examples
            mean = loss if math.isnan(mean) else 0.95 * mean + 0.05 * loss
            examples += count
            rate = examples / (time.perf_counter() - start)
            bar.set_postfix_str(f"loss {mean:.4f}, {rate:.0f} examples/s", refresh=False)
            bar.update()

        yield report


def _say(line: str) -> None:
    """One line on stderr, above the bar if there is one."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)
