"""One progress bar for a whole run of a trainer, in place of a line of metrics every few steps."""

from __future__ import annotations

import sys
from typing import Any

from transformers import TrainerCallback


class BarCallback(TrainerCallback):
    """Shows steps, the mean loss since the last log, and the latest score, where a person looks on.

    Args:
        score: the figure to show, e.g. ``"eval_spearman_cosine"``; None for none.
        show: None shows a bar in a terminal.
    """

    def __init__(self, score: str | None = None, show: bool | None = None) -> None:
        self._score = score
        self._show = sys.stderr is not None and sys.stderr.isatty() if show is None else show
        self._bar: Any = None
        self._figures: dict[str, str] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin at the step that a resumed run begins at."""
        if self._show and state.is_world_process_zero:
            from tqdm import tqdm

            self._bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc="Training",
                unit=" steps",
                dynamic_ncols=True,
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Go on by a step."""
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Show the newest figures."""
        logs = logs or {}
        if "loss" in logs:
            self._figures["loss"] = f"{float(logs['loss']):.4f}"
        if self._score in logs:
            self._figures[str(self._score).removeprefix("eval_")] = f"{float(logs[self._score]):.4f}"
        if self._bar is not None:
            self._bar.set_postfix(self._figures)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave the full bar behind."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
