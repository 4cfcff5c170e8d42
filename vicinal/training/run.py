"""A whole training run from files to a folder: what ``vicinal train`` does, for use from Python too."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vicinal.core.torch import require_torch
from vicinal.errors import InputError, MissingExtraError
from vicinal.readers.columns import by_name, classes, first_row, numbers, read_columns
from vicinal.training.curves import draw, write_log

_CHECKPOINTS = "checkpoints"
# Equal scores may differ in their last digits.
_NO_GAIN = 1e-9


@dataclass(frozen=True)
class Plan:
    """What to train.

    Attributes:
        model: folder or hub name to start from.
        files: csv, tsv, jsonl or parquet files.
        columns: what the loss wants: keys of ``vicinal.readers.columns.NAMES``; anchor and positive get the
            negative too, where the files have one.
        given: names or numbers of these columns in the files; None finds them.
        loss: a name of ``vicinal.losses`` (or of ``vicinal.cross_encoder.losses``).
        evaluation: a file of the same kind to measure with.
        output: the folder of the trained model.
        cross_encoder: whether the model scores pairs.
        epochs, batch_size, learning_rate, warmup, max_seq_length, seed: of the run; warmup is a share.
        evaluations: how often to measure on the way.
        bf16: None decides by what the CPU computes natively.
    """

    model: str
    files: tuple[str, ...]
    columns: tuple[str, ...]
    given: Sequence[str] | None
    loss: str
    evaluation: str | None
    output: Path
    cross_encoder: bool = False
    epochs: float = 1.0
    batch_size: int = 16
    learning_rate: float = 2e-5
    warmup: float = 0.1
    max_seq_length: int | None = None
    evaluations: int = 4
    seed: int = 42
    bf16: bool | None = None


@dataclass(frozen=True)
class Trained:
    """What came of it.

    Attributes:
        rows: trained on.
        score: which metric was measured.
        before: its value of the untrained model, None where nothing was measured.
        after: its value of the model that was saved.
        kept: the step of the model that was saved; 0 is the untrained one, where no evaluation was better.
        steps: of the whole run.
    """

    rows: int
    score: str | None
    before: float | None
    after: float | None
    kept: int
    steps: int


def run_training(plan: Plan, say: Callable[[str], None]) -> Trained:
    """Train and save a model, and write its curves beside it.

    Args:
        plan: what to train.
        say: is told what a person should know.

    Raises:
        MissingExtraError: torch or another package of the extra is not installed.
        InputError: the files cannot be used.
    """
    require_torch("training")
    plan = replace(plan, columns=_columns(plan))
    rows = read_rows(plan.files, plan.columns, plan.given, say)
    # Its score for each kind of evaluator; known before the run, as the run goes by it.
    model = _load(plan)
    evaluator, score = None, None
    if plan.evaluation is not None:
        evaluator, score = _evaluator(plan, model, say)
    trainer = _trainer(plan, model, rows, evaluator, score)
    trainer.train()
    history = [*trainer.state.log_history]
    for step, metrics in trainer.scores.by_step.items():
        history.append(
            {"step": step, **{f"eval_{key.removeprefix('eval_')}": value for key, value in metrics.items()}}
        )
    values = {_step(entry): float(entry[f"eval_{score}"]) for entry in history if f"eval_{score}" in entry}
    steps = trainer.state.global_step
    kept = best_step(values, trainer.state.best_global_step or steps)
    if kept == 0:
        model = _load(plan)
    model.save(str(plan.output))
    shutil.rmtree(plan.output / _CHECKPOINTS, ignore_errors=True)
    write_log(plan.output, history)
    try:
        draw(plan.output, history, None if score is None else f"eval_{score}", kept if values else None)
    except MissingExtraError as error:
        say(str(error))
    return Trained(len(rows), score, values.get(0), values.get(kept), kept, steps)


def best_step(values: Mapping[int, float], trained: int) -> int:
    """The step whose model is kept: the trained one's, or 0 if the untrained model was as good.

    Args:
        values: step -> score, the higher the better; 0 is the untrained model.
        trained: the step of the best model of the run, or of its last.
    """
    before, after = values.get(0, math.nan), values.get(trained, math.nan)
    return 0 if math.isfinite(before) and not after > before + _NO_GAIN else trained


def _step(entry: dict[str, Any]) -> int:
    return int(entry.get("step", 0))


_PAIRS = ("anchor", "positive")
_TRIPLETS = ("anchor", "positive", "negative")


def _columns(plan: Plan) -> tuple[str, ...]:
    """What the loss gets: a ranking loss takes the hard negatives too, where the files have them.

    Raises:
        InputError: some files have them and others not, or there are several for each row.
    """
    if plan.columns != _PAIRS:
        return plan.columns
    if plan.given is not None:
        return _TRIPLETS if len(plan.given) == len(_TRIPLETS) else _PAIRS
    found = {}
    for file in plan.files:
        names = _names(file)
        unused = [
            name for name in names if name.lower().startswith("neg") and by_name([name], ["negative"]) is None
        ]
        if unused:
            raise InputError(
                f"{file}: the column {unused[0]!r} would not be used, as there is place for one negative: name three "
                "columns (anchor, positive, negative), or rename the one to use to 'negative'"
            )
        without_headings = by_name(names, _PAIRS) is None and len(names) == len(_TRIPLETS)
        found[file] = by_name(names, _TRIPLETS) is not None or without_headings
    if len(set(found.values())) > 1:
        having, lacking = (
            next(file for file, has in found.items() if has is wanted) for wanted in (True, False)
        )
        raise InputError(f"{having} has a column of negatives and {lacking} has none: give files of one kind")
    return _TRIPLETS if all(found.values()) else _PAIRS


def _names(file: str) -> list[str]:
    if Path(file).suffix.lower() != ".parquet":
        return first_row(file)
    from vicinal.nn.training.parquet import column_names

    return column_names(file)


def read_rows(
    files: Sequence[str],
    columns: Sequence[str],
    given: Sequence[str] | None,
    say: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """The rows of some files, with the columns named as the loss wants them and scores between 0 and 1.

    Scores from 0 to 5 (STS) and from 1 to 5 (SICK) are scaled to 0 to 1, and ``say`` is told.

    Raises:
        InputError: a file that cannot be read, a column that is not there, a score that is not a number.
    """
    rows: list[dict[str, Any]] = []
    for file in files:
        table: dict[str, list[Any]] = dict(_read(file, columns, given))
        last = columns[-1]
        if last in ("score", "label"):
            values = numbers(table[last], file, last)
            table[last] = _scaled(values, file, say) if last == "score" else classes(values, file)
        rows += [
            dict(zip(columns, cells, strict=True))
            for cells in zip(*(table[each] for each in columns), strict=True)
        ]
    return rows


def _read(file: str, columns: Sequence[str], given: Sequence[str] | None) -> dict[str, list[str]]:
    if Path(file).suffix.lower() != ".parquet":
        return dict(read_columns(file, columns, given, also=("parquet",)))
    from vicinal.nn.training.parquet import read_parquet

    return read_parquet(file, columns, given)


def _scaled(values: list[float], file: str, say: Callable[[str], None]) -> list[float]:
    low, high = min(values), max(values)
    if low >= 0 and high <= 1:
        return values
    if low >= 1 and high <= 5 and low == 1:
        say(f"{file}: scores from 1 to 5 become 0 to 1")
        return [(value - 1) / 4 for value in values]
    if low >= 0 and high <= 5:
        say(f"{file}: scores from 0 to 5 are divided by 5")
        return [value / 5 for value in values]
    raise InputError(f"{file}: scores run from {low:g} to {high:g}; scale them to 0 to 1 first")


def _evaluator(plan: Plan, model: Any, say: Callable[[str], None]) -> tuple[Any, str]:
    from vicinal import evaluation
    from vicinal.evaluation.cross_encoder import CrossEncoderCorrelationEvaluator

    assert plan.evaluation is not None
    columns = plan.columns
    ranking = columns[:2] == _PAIRS and plan.loss != "TripletLoss"
    if ranking:
        triplets = by_name(_names(plan.evaluation), _TRIPLETS) is not None
        columns = _TRIPLETS if triplets else ("sentence1", "sentence2", "score")
    rows = read_rows([plan.evaluation], columns, None if ranking else plan.given, say)
    first, second, third = ([row[name] for row in rows] for name in columns)
    if plan.cross_encoder:
        pairs = list(zip(first, second, strict=True))
        return CrossEncoderCorrelationEvaluator(pairs, third, write_csv=False), "spearman"
    similarity = model.similarity_fn_name
    if columns[-1] == "negative":
        return evaluation.TripletEvaluator(first, second, third, write_csv=False), f"{similarity}_accuracy"
    if columns[-1] == "label" and set(third) <= {0, 1}:
        return evaluation.BinaryClassificationEvaluator(
            first, second, third, write_csv=False
        ), f"{similarity}_ap"
    return evaluation.EmbeddingSimilarityEvaluator(
        first, second, third, write_csv=False
    ), f"spearman_{similarity}"


def _load(plan: Plan) -> Any:
    torch = require_torch("training")
    torch.manual_seed(plan.seed)  # a new head is made of random numbers
    if plan.cross_encoder:
        from vicinal.models.cross_encoder import CrossEncoder

        return CrossEncoder(plan.model, num_labels=1, max_length=plan.max_seq_length)
    from vicinal.models.sentence_transformer import SentenceTransformer

    model = SentenceTransformer(plan.model)
    if plan.max_seq_length is not None:
        model.max_seq_length = plan.max_seq_length
    return model


def _trainer(
    plan: Plan, model: Any, rows: Sequence[dict[str, Any]], evaluator: Any, score: str | None
) -> Any:
    """The trainer of the model's kind, which shows a bar and prints no metrics."""
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback

    from vicinal.nn.training.bar import BarCallback

    kind: Any
    if plan.cross_encoder:
        from vicinal.nn.training.cross_encoder import CrossEncoderTrainer as kind
    else:
        from vicinal.nn.training.sentence_transformer import SentenceTransformerTrainer as kind
    trainer = kind(
        model=model,
        args=kind.training_args_class(**_settings(plan, len(rows), score)),
        train_dataset=Dataset.from_list([dict(row) for row in rows]),
        loss=_loss(plan, model, rows),
        evaluator=evaluator,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(BarCallback(None if score is None else f"eval_{score}"))
    return trainer


def _loss(plan: Plan, model: Any, rows: Sequence[dict[str, Any]]) -> Any:
    losses: Any
    if plan.cross_encoder:
        from vicinal.nn.losses import cross_encoder as losses
    else:
        from vicinal.nn import losses
    return getattr(losses, plan.loss).for_labels(model, [row[plan.columns[-1]] for row in rows])


def _settings(plan: Plan, rows: int, score: str | None) -> dict[str, Any]:
    """The arguments of the trainer: about 50 losses are logged, and the best of some evaluations is kept."""
    steps = max(1, round(-(-rows // plan.batch_size) * plan.epochs))
    settings: dict[str, Any] = {
        "output_dir": str(plan.output / _CHECKPOINTS),
        "num_train_epochs": plan.epochs,
        "per_device_train_batch_size": plan.batch_size,
        "learning_rate": plan.learning_rate,
        "warmup_ratio": plan.warmup,
        "logging_steps": max(1, steps // 50),
        "report_to": "none",
        "disable_tqdm": True,
        "seed": plan.seed,
        "bf16": plan.bf16,
        "save_strategy": "no",
    }
    if score is not None:
        settings |= {
            "eval_strategy": "steps",
            "eval_steps": max(1, steps // plan.evaluations),
            "save_strategy": "best",
            "save_total_limit": 1,
            "load_best_model_at_end": True,
            "metric_for_best_model": f"eval_{score}",
            "greater_is_better": True,
        }
    return settings
