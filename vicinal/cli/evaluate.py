"""``vicinal evaluate``."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vicinal.cli.console import (
    counted,
    is_terminal,
    plain_table,
    say,
    screen,
    seconds_text,
    write_json,
    write_rows,
)
from vicinal.cli.options import AsJson, BatchSize, Columns, DType, TruncateDim, one_of, split_columns
from vicinal.cli.vector_files import check_dimensions
from vicinal.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from vicinal.evaluation import SentenceEvaluator


class Task(str, Enum):
    """What is evaluated."""

    sts = "sts"
    classification = "classification"
    triplets = "triplets"
    retrieval = "retrieval"
    rerank = "rerank"


_COLUMNS = {
    Task.sts: ("sentence1", "sentence2", "score"),
    Task.classification: ("sentence1", "sentence2", "label"),
    Task.triplets: ("anchor", "positive", "negative"),
}
_CROSS_TASKS = (Task.sts, Task.classification, Task.rerank)


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            show_default=False,
            help="A model's folder or hub name; a cross-encoder too for sts, classification and rerank.",
        ),
    ],
    task: Annotated[
        Task,
        typer.Option(
            "--task",
            "-t",
            metavar="TASK",
            show_default=False,
            help="sts (scored pairs), classification (pairs with 0 or 1), triplets, retrieval, or rerank.",
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            "-d",
            metavar="PATH",
            show_default=False,
            help="csv, tsv or jsonl; for rerank jsonl; for retrieval a BEIR folder.",
        ),
    ],
    columns: Columns = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", show_default=False, help="For retrieval: qrels/NAME.tsv; test if there."
        ),
    ] = None,
    similarity: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="cosine, dot, euclidean or manhattan; the model's own if not given.",
            callback=one_of("cosine", "dot", "euclidean", "manhattan"),
        ),
    ] = None,
    dtype: DType = "auto",
    truncate_dim: TruncateDim = None,
    batch_size: BatchSize = None,
    csv: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="DIR",
            show_default=False,
            help="Append the metrics to a CSV file in this folder.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how good a model is.

    The data come with known answers.

    sts: correlation of the similarities with the scores. classification: the best threshold. triplets: how
    often the positive is nearer. retrieval and rerank: nDCG, MRR, MAP, recall. The marked metric is the one
    that decides which model is best.
    """
    cross = _is_cross_encoder(model)
    if cross and task not in _CROSS_TASKS:
        raise InputError(f"{model} is a cross-encoder, which gives no vectors: it cannot do {task.value}")
    if cross and (similarity or truncate_dim):
        raise InputError(f"{model} is a cross-encoder: --similarity and --truncate-dim are for vectors")
    if csv is not None and Path(csv).exists() and not Path(csv).is_dir():
        raise InputError(f"--csv {csv}: this is a file; give a folder")
    if cross and dtype == "int8":
        raise InputError(
            f"--dtype int8: {model} is a cross-encoder, which is computed in float32 or bfloat16"
        )
    options: dict[str, Any] = {"batch_size": batch_size, "show_progress_bar": None}
    if not cross:
        options["truncate_dim"] = truncate_dim
    evaluator, what = _evaluator(task, data, columns, split, cross, similarity, options)
    loaded = _load(model, dtype, cross)
    if cross:
        _check_head(loaded, evaluator, task, data)
    else:
        check_dimensions(loaded, truncate_dim)
    start = time.perf_counter()
    figures = evaluator(loaded, csv)
    took = time.perf_counter() - start
    if as_json:
        write_json(
            {
                "model": model,
                "task": task.value,
                "data": data,
                "primary": evaluator.primary_metric,
                "figures": {key: round(value, 6) for key, value in figures.items()},
            }
        )
    elif is_terminal():
        _show(figures, evaluator.primary_metric)
    else:
        write_rows([key, f"{value:.6f}"] for key, value in figures.items())
    say(f"{what} in {seconds_text(took)}")
    undefined = [key for key, value in figures.items() if not math.isfinite(value)]
    if undefined:
        say(
            f"{', '.join(undefined)}: undefined on these data, where all answers or all scores are the same",
            "note",
        )


def _show(figures: dict[str, float], primary: str | None) -> None:
    from rich.text import Text

    table = plain_table()
    table.add_column("metric", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    for key, value in figures.items():
        style = "bold" if key == primary else ""
        table.add_row(
            Text(key, style=style), Text(f"{value:.4f}{' *' if key == primary else '  '}", style=style)
        )
    screen().print(table)


def _is_cross_encoder(name: str) -> bool:
    from vicinal.engine.opening import read_spec, refuse_cross_encoder
    from vicinal.errors import ModelFormatError

    spec = read_spec(name)
    try:
        refuse_cross_encoder(spec)
    except ModelFormatError:
        return True
    return False


def _load(name: str, dtype: str, cross: bool) -> Any:
    from vicinal import CrossEncoder, SentenceTransformer

    return CrossEncoder(name, dtype=dtype) if cross else SentenceTransformer(name, dtype=dtype)


def _check_head(model: Any, evaluator: Any, task: Task, data: str) -> None:
    """What the number of scores that a cross-encoder gives decides, in the words of the command line."""
    from vicinal.readers.columns import classes

    count = model.num_labels
    if task is Task.classification:
        classes(evaluator.labels, data, max(count - 1, 1))
    elif count != 1:
        raise InputError(
            f"the model gives {count} scores per pair, but --task {task.value} needs one; "
            "--task classification takes several"
        )


@contextmanager
def _about(data: str) -> Iterator[None]:
    """Errors of the evaluators name the file and its parts, not arguments of Python."""
    try:
        yield
    except (InputError, InputTypeError) as error:
        words = re.sub(
            r"samples\[(\d+)\](?:\['(\w+)'\])?",
            lambda found: f"sample {int(found[1]) + 1}" + (f": {found[2]!r}" if found[2] else ""),
            str(error),
        )
        raise InputError(f"{data}: {words.replace('relevant_docs', 'qrels')}") from error


def _evaluator(
    task: Task,
    data: str,
    columns: str | None,
    split: str | None,
    cross: bool,
    similarity: str | None,
    options: dict[str, Any],
) -> tuple[SentenceEvaluator, str]:
    """The evaluator, and how much it evaluates."""
    if split is not None and task is not Task.retrieval:
        raise InputError(f"--split {split} is for retrieval; {task.value} reads the one file of --data")
    if task in _COLUMNS:
        return _of_table(task, data, split_columns(columns), cross, similarity, options)
    if columns is not None:
        raise InputError(
            f"--columns is for sts, classification and triplets; {task.value} reads named fields"
        )
    return (
        _of_retrieval(data, split, similarity, options)
        if task is Task.retrieval
        else _of_samples(data, cross, similarity, options)
    )


def _of_table(
    task: Task,
    data: str,
    given: list[str] | None,
    cross: bool,
    similarity: str | None,
    options: dict[str, Any],
) -> tuple[SentenceEvaluator, str]:
    from vicinal import evaluation as bi
    from vicinal.evaluation import cross_encoder
    from vicinal.readers.columns import classes, numbers, read_columns

    names = _COLUMNS[task]
    found = read_columns(data, names, given)
    first, second, third = (found[name] for name in names)
    own = None if similarity is None else [similarity]
    values: list[Any] = []
    if task is not Task.triplets:
        values = numbers(third, data, names[2])
    if task is Task.classification:
        values = classes(values, data, None if cross else 1)
    with _about(data):
        if task is Task.triplets:
            return bi.TripletEvaluator(first, second, third, similarity_fn_names=own, **options), counted(
                len(first), "triplet"
            )
        what = counted(len(first), "pair")
        pairs = list(zip(first, second, strict=True))
        if cross and task is Task.sts:
            return cross_encoder.CrossEncoderCorrelationEvaluator(pairs, values, **options), what
        if cross:
            return cross_encoder.CrossEncoderClassificationEvaluator(pairs, values, **options), what
        if task is Task.sts:
            return bi.EmbeddingSimilarityEvaluator(
                first, second, values, similarity_fn_names=own, **options
            ), what
        return bi.BinaryClassificationEvaluator(
            first, second, values, similarity_fn_names=own, **options
        ), what


def _of_retrieval(
    data: str, split: str | None, similarity: str | None, options: dict[str, Any]
) -> tuple[SentenceEvaluator, str]:
    from vicinal.evaluation import InformationRetrievalEvaluator
    from vicinal.readers.beir import read_beir

    found = read_beir(data, split)
    with _about(data):
        evaluator = InformationRetrievalEvaluator(
            *found,
            accuracy_at_k=(1, 10),
            precision_recall_at_k=(1, 10, 100),
            main_score_function=similarity,
            **options,
        )
    documents = counted(len(found.corpus), "document")
    return evaluator, f"{counted(len(evaluator.queries), 'query', 'queries')} on {documents}"


def _of_samples(
    data: str, cross: bool, similarity: str | None, options: dict[str, Any]
) -> tuple[SentenceEvaluator, str]:
    from vicinal.evaluation import RerankingEvaluator
    from vicinal.evaluation.cross_encoder import CrossEncoderRerankingEvaluator
    from vicinal.readers.columns import read_samples
    from vicinal.vectors.similarity import all_pairs_function

    samples = read_samples(data)
    what = counted(len(samples), "query", "queries")
    with _about(data):
        if cross:
            return CrossEncoderRerankingEvaluator(samples, **options), what
        function = all_pairs_function(similarity or "cosine")
        return RerankingEvaluator(samples, similarity_fct=function, **options), what
