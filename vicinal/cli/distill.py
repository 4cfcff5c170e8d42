"""``vicinal distill``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from vicinal.cli.console import counted, say
from vicinal.cli.options import Field, FileFormat, one_of
from vicinal.cli.texts import filled_lines_of
from vicinal.errors import InputError


def distill(
    teacher: Annotated[
        str, typer.Argument(metavar="TEACHER", help="A model folder or hub name.", show_default=False)
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="The folder to write.", show_default=False)],
    dim: Annotated[int, typer.Option(metavar="N", min=1, help="Dimensions of a vector.")] = 256,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            "--texts",
            metavar="FILE",
            help="Texts to train on, some ten thousand: txt, jsonl, csv or tsv. May be given several times.",
            show_default=False,
        ),
    ] = None,
    field: Field = None,
    format: FileFormat = None,
    epochs: Annotated[int, typer.Option(metavar="N", min=1, help="Passes over the texts at most.")] = 16,
    precision: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="float32 or float16, or int8: a quarter of the size, for Vicinal only.",
            callback=one_of("float32", "float16", "int8"),
        ),
    ] = "float32",
) -> None:
    """Make a static model: fast, and less exact.

    Every token goes through the teacher, PCA reduces the vectors, and with --texts the rows are trained until
    averages of them agree with the teacher's vectors of the texts. Without, they are only weighted by
    frequency: done in seconds, and clearly worse.
    """
    from vicinal.distillation.static_model import distill as make
    from vicinal.distillation.training import Settings

    target = Path(os.path.realpath(out))
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{out} exists already: give a new folder")
    lines = [line.text for file in texts or [] for line in filled_lines_of(file, field, format)]
    made = make(teacher, dim=dim, texts=lines or None, settings=Settings(epochs=epochs), report=say)
    made.save(target, precision=precision)
    say(f"{out} is written: {counted(len(made.rows), 'token')} of {dim} dimensions. Use it as --model {out}")
