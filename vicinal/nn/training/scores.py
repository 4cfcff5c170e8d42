"""What the evaluators found, before training, on the way, and after."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vicinal.core.inputs import caller_level
from vicinal.errors import InputTypeError
from vicinal.evaluation.found import metrics_of, no_score, primary_of

_PREFIX = "eval_"


class Scores:
    """Metrics by step, each step measured once.

    Args:
        trainer: whose model is measured.
        evaluator: one, several, or None. One that gives None or no metrics has no score, which is said once per
            run; a best model is then chosen by the others, or not at all.
    """

    def __init__(self, trainer: Any, evaluator: Any) -> None:
        several = isinstance(evaluator, Sequence) and not isinstance(evaluator, str)
        self.evaluators: list[Any] = [] if evaluator is None else list(evaluator) if several else [evaluator]
        for each in self.evaluators:
            if not callable(each):
                raise InputTypeError(
                    f"evaluator is {type(each).__name__}; give a SentenceEvaluator, or a list of them"
                )
        self._trainer = trainer
        self._enabled = True
        self._silent: set[int] = set()
        self.by_step: dict[int, dict[str, float]] = {}
        #: of the finished model
        self.last: dict[str, float] = {}

    def begin(self, enabled: bool) -> None:
        """Forget an earlier run."""
        self._enabled = enabled and bool(self.evaluators)
        self.by_step, self.last = {}, {}
        self._silent = set()

    def at(self, step: int) -> dict[str, float]:
        """The metrics of a step, which is now."""
        if step not in self.by_step:
            self.by_step[step] = self.now()
        return self.by_step[step]

    def now(self) -> dict[str, float]:
        """What the evaluators find now; the main process asks them and tells the others."""
        trainer = self._trainer
        found: list[dict[str, float]] = [{}]
        if trainer.is_world_process_zero():
            folder = Path(trainer.args.output_dir) / "eval"
            folder.mkdir(parents=True, exist_ok=True)
            epoch = trainer.state.epoch if trainer.state.epoch is not None else -1
            found = [self._measure(str(folder), epoch, trainer.state.global_step)]
        if trainer.args.world_size > 1:
            from accelerate.utils import broadcast_object_list

            broadcast_object_list(found)
        return found[0]

    def _measure(self, folder: str, epoch: float, step: int) -> dict[str, float]:
        """Ask the evaluators one after the other.

        Warns:
            UserWarning: one gave no score, for the first time in this run.
        """
        metrics: dict[str, float] = {}
        last: float | None = None
        for place, evaluator in enumerate(self.evaluators):
            found = evaluator(self._trainer.owner, output_path=folder, epoch=epoch, steps=step)
            named = metrics_of(evaluator, found, "evaluator" if place == 0 else f"evaluator_{place}")
            if not named and place not in self._silent:
                self._silent.add(place)
                warnings.warn(no_score(evaluator), UserWarning, stacklevel=caller_level())
            metrics |= named
            key = primary_of(evaluator, named)
            last = None if key is None else named[key]
        if len(self.evaluators) > 1 and last is not None:
            # Several are what a SequentialEvaluator of them is, whose score is the last one's.
            metrics.setdefault("sequential_score", last)
        return metrics

    def before(self) -> None:
        """Measure the untrained model; a resumed run takes what its log says."""
        if not self._enabled:
            return
        state = self._trainer.state
        if state.global_step == 0:
            state.log_history.append({"step": 0, "epoch": 0.0, **_prefixed(self.at(0))})
        for entry in state.log_history:
            if entry.get("step") == 0:
                found = {
                    key.removeprefix(_PREFIX): value
                    for key, value in entry.items()
                    if key.startswith(_PREFIX)
                }
                self.by_step.setdefault(0, found)
        if 0 in self.by_step and state.global_step == 0:
            key = self.primary(self.by_step[0])
            if key is not None:
                _say(self._trainer, f"before training: {key} {self.by_step[0][key]:.4f}")

    def finish(self, step: int) -> None:
        """Measure the trained model, and say how its score moved.

        Warns:
            UserWarning: it fell.
        """
        if not self._enabled:
            return
        after = self.by_step[step] if step in self.by_step else self.now()
        self.last = after
        before = self.by_step.get(0)
        key = self.primary(after)
        if before is None or key is None or key not in before:
            return
        gain = after[key] - before[key]
        _say(self._trainer, f"after training:  {key} {after[key]:.4f} ({gain:+.4f})")
        better = getattr(self.evaluators[0], "greater_is_better", True)
        lost = math.isnan(after[key]) and not math.isnan(before[key])
        if lost or ((gain < 0) if better else (gain > 0)):
            warnings.warn(
                f"training made the model worse: {key} went from {before[key]:.4f} to {after[key]:.4f}. A lower "
                "learning rate, other data or another loss may help; load_best_model_at_end=True keeps the best",
                UserWarning,
                stacklevel=caller_level(),
            )

    def primary(self, metrics: Mapping[str, float]) -> str | None:
        """The metric that decides: the first evaluator's own, else the first."""
        return primary_of(self.evaluators[0], metrics)


def _prefixed(metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{_PREFIX}{key}": value for key, value in metrics.items()}


def _say(trainer: Any, line: str) -> None:
    """One line on stderr, above the progress bar if there is one."""
    if trainer.is_world_process_zero():
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)
