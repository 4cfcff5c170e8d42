"""What a finished run was, for the model card."""

from __future__ import annotations

from itertools import islice
from typing import Any

from vicinal.errors import InputError
from vicinal.folder.card_records import (
    DatasetRecord,
    TrainingRecord,
    base_model_of,
    changed_arguments,
    describe_dataset,
    versions,
)
from vicinal.nn.training.rows import Sources, is_stream

_PREFIX = "eval_"
_SAMPLE = 1000


def run_record(trainer: Any, metrics: dict[str, float], seconds: float) -> TrainingRecord:
    """The record of a run that is done.

    Args:
        trainer: that ran.
        metrics: of the whole training, as Trainer reports them.
        seconds: that it took.
    """
    scores = trainer.scores.by_step
    return TrainingRecord(
        base_model=base_model_of(trainer.owner),
        datasets=_described(trainer, trainer.sources, "train"),
        evaluation_datasets=_described(trainer, trainer.eval_sources, "evaluation"),
        arguments=changed_arguments(trainer.args, hidden=("use_cpu", "dataloader_pin_memory")),
        evaluations=[
            (float(entry.get("epoch") or 0), int(entry["step"]), found)
            for entry in trainer.state.log_history
            if (found := {key: value for key, value in entry.items() if key.startswith(_PREFIX)})
        ],
        before=dict(scores.get(0, {})),
        after=dict(trainer.scores.last),
        seconds=seconds,
        examples_per_second=metrics.get("train_samples_per_second"),
        versions=versions(),
    )


def _described(trainer: Any, sources: Sources, name: str) -> list[DatasetRecord]:
    described, counts = [], _counts_tokens(trainer.owner)
    for key, dataset in sources.items():
        loss = trainer.trained.loss_of(key)
        rows = 0 if is_stream(dataset) else len(dataset)
        described.append(
            describe_dataset(
                name if key is None else key,
                rows,
                list(islice(iter(dataset), _SAMPLE)),
                count_tokens=trainer.owner.count_tokens if counts else None,
                loss=type(loss).__name__,
                loss_arguments=loss.get_config_dict() if hasattr(loss, "get_config_dict") else None,
            )
        )
    return described


def _counts_tokens(model: Any) -> bool:
    """Whether a model counts the tokens of single texts; where it does not, the card gives characters.

    A cross-encoder counts pairs, and a bag of words has no tokens.
    """
    if not (hasattr(model, "encode") and hasattr(model, "count_tokens")):
        return False
    try:
        model.count_tokens(["a"])
    except InputError:
        return False
    return True
