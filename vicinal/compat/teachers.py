"""What old code's losses of distillation ask of a teacher's scores."""

from __future__ import annotations

import logging
from typing import Any

from vicinal.errors import InputError

_log = logging.getLogger(__name__)


def check_teacher_targets(
    teacher_probabilities: Any, teacher_logits: Any, teacher_temperature: float, loss_name: str
) -> None:
    """Look at a teacher's targets before a loss learns from them.

    Args:
        teacher_probabilities: a tensor of the probabilities that the loss will use.
        teacher_logits: the teacher's scores, of the same shape; infinite ones mark candidates that are left out, and
            nothing is looked at then.
        teacher_temperature: what the scores were divided by.
        loss_name: for the messages.

    Warns:
        In the log: probabilities that are 0, from which nothing is learned.

    Raises:
        InputError: a score is NaN.
    """
    scores = teacher_logits.detach().float()
    if bool(scores.isnan().any()):
        raise InputError(
            f"{loss_name} got NaN among the teacher's scores, so that its loss would be NaN too: look at the column "
            "that holds them"
        )
    vanished = int((teacher_probabilities == 0).sum())
    if vanished and bool(scores.isfinite().all()):
        span = float((scores.amax(dim=-1) - scores.amin(dim=-1)).max())
        _log.warning(
            "%s: %d of %d of the teacher's probabilities are 0 at teacher_temperature=%g, and nothing is learned from "
            "them. Scores of one row are up to %.1f apart: take a teacher_temperature above %.3g",
            loss_name,
            vanished,
            teacher_probabilities.numel(),
            teacher_temperature,
            span,
            span / 100,
        )
