"""Several evaluators as one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from vicinal.core.inputs import explains_keywords
from vicinal.errors import InputError, InputTypeError
from vicinal.evaluation.base import SentenceEvaluator
from vicinal.evaluation.found import metrics_of, primary_of

_log = logging.getLogger(__name__)


def _last(scores: list[float]) -> float:
    return scores[-1]


class SequentialEvaluator(SentenceEvaluator):
    """Runs evaluators one after the other and joins their metrics.

    The primary metric is ``sequential_score``. An evaluator that gives one number instead of a dictionary has
    it as ``evaluator_{place}``. Give evaluators of one kind different names, or the later metric hides the
    earlier one of the same key, which is logged as a warning. One that gives None or no metrics has no score; if none
    has, there is no ``sequential_score``.

    Args:
        evaluators: the evaluators.
        main_score_function: from the list of their primary metrics to one number; the last, if not given.

    Raises:
        InputError: there is no evaluator.
        InputTypeError: they are no list, or one of them cannot be called.
    """

    primary_metric = "sequential_score"

    @explains_keywords
    def __init__(
        self,
        evaluators: Iterable[Callable[..., Any]],
        main_score_function: Callable[[list[float]], float] = _last,
    ) -> None:
        if not isinstance(evaluators, Iterable):
            raise InputTypeError(f"evaluators is {type(evaluators).__name__}: give a list of evaluators")
        self.evaluators = list(evaluators)
        self.main_score_function = main_score_function
        if not self.evaluators:
            raise InputError("evaluators is empty: there is nothing to evaluate")
        for place, each in enumerate(self.evaluators):
            if not callable(each):
                raise InputTypeError(f"evaluators[{place}] is {type(each).__name__}, which cannot be called")

    def __call__(
        self,
        model: Any,
        output_path: str | os.PathLike[str] | None = None,
        epoch: int = -1,
        steps: int = -1,
    ) -> dict[str, float]:
        metrics: dict[str, float] = {}
        scores = []
        for place, each in enumerate(self.evaluators):
            found = metrics_of(each, each(model, output_path, epoch, steps), f"evaluator_{place}")
            primary = primary_of(each, found)
            if primary is not None:
                scores.append(found[primary])
            hidden = sorted(found.keys() & metrics.keys())
            if hidden:
                _log.warning(
                    "evaluators[%d] gives %s again: give the evaluators different names", place, hidden[0]
                )
            metrics.update(found)
        if scores:  # without one there is no best model, which fit and the trainer say
            metrics["sequential_score"] = float(self.main_score_function(scores))
        return metrics
