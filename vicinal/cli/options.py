"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

# Lies in the package: every command works at once and without a network; --model names a more exact one.
DEFAULT_MODEL = "vicinal-mini"


def one_of(*choices: str) -> Callable[[str | None], str | None]:
    """A check of an option's value: another one is an error in what was typed."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in choices:
            raise typer.BadParameter(f"'{value}' is not one of {', '.join(map(repr, choices))}")
        return value

    return check


TextFile = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        show_default=False,
        help="Texts: txt (one per line), jsonl, csv or tsv; - is standard input.",
    ),
]
ModelName = Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="A model folder or hub name.")]
Field = Annotated[
    str | None,
    typer.Option(
        "--field",
        "-f",
        metavar="NAME",
        help='The jsonl field or column with the text ("text" if not given). '
        "A number is a column of a file without headings.",
        show_default=False,
    ),
]
FileFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="txt, jsonl, csv or tsv, where the file's name does not say.",
        callback=one_of("txt", "jsonl", "csv", "tsv"),
        show_default=False,
    ),
]
DType = Annotated[
    str,
    typer.Option(
        metavar="DTYPE",
        help="auto, float32, bfloat16, float16, or int8 for a quantized model.",
        callback=one_of("auto", "float32", "bfloat16", "float16", "int8"),
    ),
]
PoolingMode = Annotated[
    str | None,
    typer.Option(
        metavar="MODE",
        help="How token vectors become one (mean, cls, ...), for a model folder that does not say it.",
        callback=one_of("mean", "cls", "max", "mean_sqrt_len", "weightedmean", "lasttoken"),
        show_default=False,
    ),
]
PromptName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Put this prompt of the model before each text, e.g. query.", show_default=False
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Texts per batch; if not given, a batch is filled up to a number of tokens.",
        show_default=False,
    ),
]
TruncateDim = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Keep the first N dimensions of each vector.", show_default=False),
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,C",
        help="The columns' names or numbers, e.g. 6,7,5, where they are not found by themselves.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
IndexFile = Annotated[
    str, typer.Argument(metavar="DB", help="An index that `vicinal index` made.", show_default=False)
]
MovedModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Where the index's model is now, if it moved.",
        show_default=False,
    ),
]


def split_columns(columns: str | None) -> list[str] | None:
    """What ``--columns`` names."""
    return None if columns is None else [each.strip() for each in columns.split(",")]
