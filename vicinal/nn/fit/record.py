"""What a run of ``fit`` was, for the model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import islice
from typing import Any

from vicinal.folder.card_records import (
    DatasetRecord,
    TrainingRecord,
    base_model_of,
    describe_dataset,
    shown_arguments,
    versions,
)
from vicinal.nn.fit.loop import Objective, Settings

_SAMPLE = 1000
# Where files go and what is shown say nothing about the model.
_HIDDEN = ("output_path", "callback", "show_progress_bar", "checkpoint_path", "resume_from_checkpoint")


def fit_record(model: Any, objectives: Sequence[Objective], settings: Settings) -> TrainingRecord:
    """The record of a run that begins; evaluations are added as they come (:func:`note_score`).

    Args:
        model: that is trained.
        objectives: what it is trained on.
        settings: of the run.
    """
    arguments = {field.name: getattr(settings, field.name) for field in fields(settings)}
    shown = {
        name: value
        if isinstance(value, (int, float, str, bool, dict))
        else str(getattr(value, "__name__", value))
        for name, value in arguments.items()
        if value is not None and name not in _HIDDEN and not name.startswith("checkpoint")
    }
    sizes = [getattr(loader, "batch_size", None) for loader in (each.loader for each in objectives)]
    return TrainingRecord(
        base_model=base_model_of(model),
        datasets=[_described(place, each.loader, each.loss) for place, each in enumerate(objectives)],
        arguments=shown_arguments({"batch_size": sizes[0] if len(set(sizes)) == 1 else sizes, **shown}),
        versions=versions(),
    )


def note_score(record: TrainingRecord, name: str, score: float, epoch: int, steps: int) -> None:
    """Add an evaluation; the first is that of the untrained model.

    Args:
        name: of the figure.
        steps: of the epoch, -1 at its end.
    """
    if not record.before and not record.evaluations and (epoch, steps) == (0, 0):
        record.before = {name: score}
        return
    record.evaluations.append((epoch + 1.0 if steps < 0 else float(epoch), max(steps, 0), {name: score}))
    record.after = {name: score}


def _described(place: int, loader: Any, loss: Any) -> DatasetRecord:
    dataset = getattr(loader, "dataset", None)
    listed = dataset if isinstance(dataset, (list, tuple)) else []
    rows = [
        {f"sentence_{number}": text for number, text in enumerate(each.texts)} | {"label": each.label}
        for each in islice(listed, _SAMPLE)
        if hasattr(each, "texts") and hasattr(each, "label")
    ]
    rows = [
        {key: value for key, value in row.items() if isinstance(value, (str, int, float))} for row in rows
    ]
    return describe_dataset(
        f"train_{place}",
        len(dataset) if dataset is not None and hasattr(dataset, "__len__") else 0,
        rows,
        loss=type(loss).__name__,
        loss_arguments=loss.get_config_dict() if hasattr(loss, "get_config_dict") else None,
    )
