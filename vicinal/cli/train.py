"""``vicinal train``."""

from __future__ import annotations

import math
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from vicinal.cli.console import counted, say, seconds_text
from vicinal.cli.options import Columns, split_columns
from vicinal.errors import InputError

if TYPE_CHECKING:
    from vicinal.training.run import Trained


class Loss(str, Enum):
    """The losses, by short names."""

    cosine = "cosine"
    cosent = "cosent"
    angle = "angle"
    ranking = "ranking"
    cached_ranking = "cached-ranking"
    triplet = "triplet"
    contrastive = "contrastive"
    online_contrastive = "online-contrastive"
    softmax = "softmax"
    cross_entropy = "binary-cross-entropy"


class _Kind(NamedTuple):
    """What a loss is called in ``vicinal.losses``, and which columns it wants."""

    name: str
    columns: tuple[str, ...]


_SCORED = ("sentence1", "sentence2", "score")
_LABELLED = ("sentence1", "sentence2", "label")
_KINDS = {
    Loss.cosine: _Kind("CosineSimilarityLoss", _SCORED),
    Loss.cosent: _Kind("CoSENTLoss", _SCORED),
    Loss.angle: _Kind("AnglELoss", _SCORED),
    Loss.ranking: _Kind("MultipleNegativesRankingLoss", ("anchor", "positive")),
    Loss.cached_ranking: _Kind("CachedMultipleNegativesRankingLoss", ("anchor", "positive")),
    Loss.triplet: _Kind("TripletLoss", ("anchor", "positive", "negative")),
    Loss.contrastive: _Kind("ContrastiveLoss", _LABELLED),
    Loss.online_contrastive: _Kind("OnlineContrastiveLoss", _LABELLED),
    Loss.softmax: _Kind("SoftmaxLoss", _LABELLED),
    Loss.cross_entropy: _Kind("BinaryCrossEntropyLoss", _SCORED),
}


def train(
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="MODEL", show_default=False, help="The folder or hub name to start from."
        ),
    ],
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            "-d",
            metavar="FILE",
            show_default=False,
            help="csv, tsv, jsonl or parquet; may be repeated.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="DIR", show_default=False, help="The trained model's folder."),
    ],
    loss: Annotated[
        Loss,
        typer.Option(
            "--loss",
            "-l",
            metavar="LOSS",
            help="cosine, cosent, angle: scored pairs. ranking, cached-ranking: pairs that belong together, with a "
            "negative if there is one. triplet: anchor, positive, negative. contrastive: pairs with 0 or 1. "
            "softmax: pairs with a class. "
            "binary-cross-entropy: scored pairs, for --cross-encoder.",
        ),
    ] = Loss.cosine,
    evaluation: Annotated[
        str | None,
        typer.Option(
            "--eval",
            "-e",
            metavar="FILE",
            show_default=False,
            help="Scored pairs (or triplets) to measure with.",
        ),
    ] = None,
    columns: Columns = None,
    cross_encoder: Annotated[
        bool,
        typer.Option("--cross-encoder", help="Train a model that scores pairs, not one that gives vectors."),
    ] = False,
    epochs: Annotated[float, typer.Option(metavar="N", help="How often to go through the data.")] = 1.0,
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, help="Rows per step.")] = 16,
    learning_rate: Annotated[
        float, typer.Option("--lr", metavar="RATE", help="Highest learning rate.")
    ] = 2e-5,
    warmup: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the steps in which the rate rises.")
    ] = 0.1,
    max_seq_length: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, show_default=False, help="Tokens of a text that count; default the model's."
        ),
    ] = None,
    evaluations: Annotated[int, typer.Option(metavar="N", min=1, help="Evaluations during training.")] = 4,
    seed: Annotated[int, typer.Option(metavar="N", help="Order of the rows, dropout, new weights.")] = 42,
    float32: Annotated[
        bool, typer.Option("--float32", help="Compute in float32 where bfloat16 would be quicker.")
    ] = False,
) -> None:
    """Fine-tune a model on labelled texts.

    Writes the trained model, training_log.csv and training_curves.png to --output. With --eval the score
    before and after is printed, and the best model seen is the one that is kept: where nothing was better than
    the start, the start.
    """
    from vicinal.training.run import Plan, run_training

    _check_rates(epochs, learning_rate, warmup)
    target = Path(output)
    if target.exists() and not target.is_dir():
        raise InputError(f"--output {target}: this is a file; give a folder")
    if cross_encoder != (loss is Loss.cross_entropy):
        other = "binary-cross-entropy" if cross_encoder else "cosine, ranking, ..."
        if cross_encoder and loss is Loss.cosine:
            loss = Loss.cross_entropy
        else:
            raise InputError(f"--loss {loss.value} does not go with this kind of model; use {other}")
    kind = _KINDS[loss]
    start = time.perf_counter()
    found = run_training(
        Plan(
            model=model,
            files=tuple(data),
            columns=kind.columns,
            given=split_columns(columns),
            loss=kind.name,
            evaluation=evaluation,
            output=target,
            cross_encoder=cross_encoder,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            warmup=warmup,
            max_seq_length=max_seq_length,
            evaluations=evaluations,
            seed=seed,
            bf16=False if float32 else None,
        ),
        say,
    )
    took = time.perf_counter() - start
    say(f"trained on {counted(found.rows, 'row')} in {seconds_text(took)}{_kept(found)}; wrote {target}")


def _kept(found: Trained) -> str:
    """Which model was saved, where scores decided."""
    if found.before is None or found.after is None:
        return ""
    score = f"{found.score} {found.after:.4f}"
    if not found.kept:
        return f"; no evaluation was better than the start: the start is kept ({score})"
    return f"; kept step {found.kept:,} of {found.steps:,} ({score}, at the start {found.before:.4f})"


def _check_rates(epochs: float, learning_rate: float, warmup: float) -> None:
    for option, value in (("--epochs", epochs), ("--lr", learning_rate)):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{option} {value:g}: give a number above 0")
    if not 0 <= warmup < 1:
        raise InputError(f"--warmup {warmup:g}: give a share of the steps, from 0 to less than 1")
