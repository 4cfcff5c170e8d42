"""``fit`` of a model, whatever its kind: its record, its scores and its folders; the loop does the rest."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from vicinal.core.files import check_folder
from vicinal.core.inputs import caller_level
from vicinal.errors import InputTypeError
from vicinal.evaluation.found import metrics_of, no_score, primary_of
from vicinal.folder.card_records import TrainingRecord
from vicinal.nn.fit.loop import Learner, Objective, Settings, run
from vicinal.nn.fit.record import fit_record, note_score


def train(model: Any, objectives: Sequence[Objective], evaluator: Any, settings: Settings) -> None:
    """Train a model. Its record is that of this run afterwards; of a run that fails nothing is recorded.

    Args:
        model: a SentenceTransformer, CrossEncoder, ...
        objectives: the loaders and losses.
        evaluator: called with the model; None for none.

    Raises:
        InputError, InputTypeError: as :func:`vicinal.nn.fit.loop.run`; an evaluator that cannot be called, or that
            gives something that is not a number.

    Warns:
        UserWarning: the evaluator gave no score: then the last model is kept.
    """
    for name, folder in (
        ("output_path", settings.output_path),
        ("checkpoint_path", settings.checkpoint_path),
    ):
        if folder is not None:
            check_folder(folder, name)
    device = str(model.device)
    modules: dict[str, nn.Module] = {"model": model.module}
    modules |= {f"loss_{place}": each.loss.to(device) for place, each in enumerate(objectives)}
    record = fit_record(model, objectives, settings)
    learner = Learner(
        objectives=objectives,
        modules=modules,
        device=device,
        save=lambda folder, title: model.save(folder, model_name=title),
        evaluate=scorer(model, evaluator, record),
        better=(lambda new, old: new > old)
        if getattr(evaluator, "greater_is_better", True)
        else (lambda new, old: new < old),
    )
    before, model.training_record = model.training_record, record
    try:
        with lists_of_examples([each.loader for each in objectives]):
            run(learner, settings)
    except BaseException:
        model.training_record = before
        raise


def scorer(
    model: Any, evaluator: Any, record: TrainingRecord
) -> Callable[[str | None, int, int], float | None] | None:
    """An evaluator as one number, which ``record`` is told; None where it gives None or no metrics.

    Raises:
        InputTypeError: it cannot be called.
    """
    if evaluator is None:
        return None
    if not callable(evaluator):
        raise InputTypeError(
            f"evaluator is {type(evaluator).__name__}; give a SentenceEvaluator, or a function of the model"
        )
    told = False

    def score(folder: str | None, epoch: int, steps: int) -> float | None:
        nonlocal told
        metrics = metrics_of(evaluator, evaluator(model, output_path=folder, epoch=epoch, steps=steps))
        key = primary_of(evaluator, metrics)
        if key is None:
            if not told:
                warnings.warn(no_score(evaluator), UserWarning, stacklevel=caller_level())
            told = True
            return None
        name = getattr(evaluator, "primary_metric", None) or "score"
        note_score(record, name, metrics[key], epoch, steps)
        return metrics[key]

    return score


@contextmanager
def lists_of_examples(loaders: Sequence[Any]) -> Iterator[None]:
    """Within the block the loaders give lists of examples, whatever they do with them otherwise."""
    before = [(each, each.collate_fn) for each in loaders if hasattr(each, "collate_fn")]
    for loader, _ in before:
        loader.collate_fn = as_they_are
    try:
        yield
    finally:
        for loader, known in before:
            loader.collate_fn = known


def as_they_are(examples: list[Any]) -> list[Any]:
    """A loader's collate function that leaves the examples alone; worker processes need it by name."""
    return examples
