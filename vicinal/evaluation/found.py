"""What an evaluator found, in every form that custom evaluators give it: metrics, one number, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vicinal.errors import InputTypeError


def metrics_of(evaluator: Any, found: Any, name: str = "score") -> dict[str, float]:
    """Metrics by name; empty where the evaluator gave None or no metrics: then it has no score.

    Args:
        evaluator: that was called, for errors.
        found: what it gave.
        name: of the metric where it gave one number.

    Raises:
        InputTypeError: it gave something that is not a number.
    """
    if found is None:
        return {}
    named = found if isinstance(found, Mapping) else {name: found}
    metrics: dict[str, float] = {}
    for key, value in named.items():
        try:
            metrics[str(key)] = float(value)
        except (TypeError, ValueError) as error:
            what = (
                f"{type(value).__name__} as {key!r}" if isinstance(found, Mapping) else type(value).__name__
            )
            raise InputTypeError(
                f"{type(evaluator).__name__} gave {what}: an evaluator returns a number, or a dictionary of numbers"
            ) from error
    return metrics


def primary_of(evaluator: Any, metrics: Mapping[str, float]) -> str | None:
    """The metric that decides which model is better: the evaluator's own, else the first; None if there is none."""
    named = getattr(evaluator, "primary_metric", None)
    return named if named in metrics else next(iter(metrics), None)


def no_score(evaluator: Any) -> str:
    """The warning about an evaluator that has no score."""
    return (
        f"{type(evaluator).__name__} gave no score (None, or no metrics), so that no best model can be chosen: "
        "training goes on, and its last model is kept"
    )
