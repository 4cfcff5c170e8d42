"""``vicinal quantize``."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vicinal.cli.console import (
    bytes_text,
    counted,
    is_terminal,
    plain_table,
    rate_text,
    say,
    screen,
    write_json,
    write_rows,
)
from vicinal.cli.files import folder_size
from vicinal.cli.options import AsJson, Field, FileFormat, one_of
from vicinal.cli.texts import filled_lines_of, load_model, shown_name
from vicinal.core.files import check_folder
from vicinal.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vicinal.models.quantize import Accuracy
    from vicinal.models.sentence_transformer import SentenceTransformer

# One text in ten is held out, but not more than this.
_HELD_OUT = 200
_FEWEST = 20
_ROUNDS = 5


def quantize(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model folder or hub name.", show_default=False)
    ],
    file: Annotated[
        str,
        typer.Argument(
            metavar="CALIBRATION_FILE",
            help="Texts like those to be encoded, some hundreds: txt, jsonl, csv or tsv; - is standard input.",
            show_default=False,
        ),
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="The folder to write.", show_default=False)],
    field: Field = None,
    format: FileFormat = None,
    samples: Annotated[int, typer.Option(metavar="N", min=1, help="Texts to calibrate on.")] = 300,
    accuracy: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="fast, balanced or high: how many products stay in float.",
            callback=one_of("fast", "balanced", "high"),
        ),
    ] = "balanced",
    as_json: AsJson = False,
) -> None:
    """Write an int8 version: small and fast.

    Every tenth text is held out; on those, the vectors of the new model are compared with those of the
    float32 one: the cosines say what the step costs.
    """
    check_folder(out, "OUT")
    target = Path(os.path.realpath(out))
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{out} exists already: give a new folder")
    if not target.parent.is_dir():
        raise InputError(f"{out}: the folder {target.parent} does not exist")
    texts = [line.text for line in filled_lines_of(file, field, format)]
    if len(texts) < _FEWEST:
        raise InputError(
            f"{shown_name(file)} holds {counted(len(texts), 'text')}: "
            f"give {_FEWEST} at least, better 100 or more"
        )
    step = max(10, -(-len(texts) // _HELD_OUT))
    held_out = texts[::step]
    calibration = [text for place, text in enumerate(texts) if place % step]
    exact = load_model(model, "float32")
    say(f"calibrating on {counted(min(samples, len(calibration)), 'text')}; this takes a minute or so")
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        made = Path(scratch) / target.name
        with contextlib.redirect_stdout(sys.stderr):  # where the quantiser draws its progress
            exact.quantize(calibration, made, samples=samples, accuracy=cast("Accuracy", accuracy))
        cost = _cosines(exact, load_model(str(made)), held_out)
        rates = _rates([load_model(model), load_model(str(made))], held_out)
        sizes = [_weights(exact), folder_size(made)]
        if target.exists():
            target.rmdir()
        os.replace(made, target)
    worst, middle = float(cost.min()), float(cost.mean())
    if as_json:
        write_json(
            {
                "path": out,
                "held_out": len(held_out),
                "cosine_mean": round(middle, 6),
                "cosine_lowest": round(worst, 6),
                "bytes": sizes,
                "texts_per_second": [round(rate, 1) for rate in rates],
            }
        )
        return
    rows = [
        ["", "float", "int8"],
        ["size on disk", *(bytes_text(size) for size in sizes)],
        ["texts/s", *(rate_text(rate, 1) for rate in rates)],
        ["cosine, mean", "1", f"{middle:.4f}"],
        ["cosine, lowest", "1", f"{worst:.4f}"],
    ]
    if is_terminal():
        table = plain_table()
        table.add_column(rows[0][0], no_wrap=True)
        for heading in rows[0][1:]:
            table.add_column(heading, justify="right", no_wrap=True)
        for row in rows[1:]:
            table.add_row(*row)
        screen().print(table)
    else:
        write_rows(rows)
    say(
        f"{out} is written; cosines to float32 on {counted(len(held_out), 'text')} held out. "
        f"Use it as --model {out}"
    )


def _cosines(
    exact: SentenceTransformer, coarse: SentenceTransformer, texts: list[str]
) -> NDArray[np.float32]:
    from vicinal.util import pairwise_cos_sim

    rows = [loaded.encode(texts, show_progress_bar=False, on_truncate="ignore") for loaded in (exact, coarse)]
    cosines: NDArray[np.float32] = pairwise_cos_sim(rows[0], rows[1])
    return cosines


def _rates(models: list[SentenceTransformer], texts: list[str]) -> list[float]:
    """Texts per second of each; the best of rounds taken in turn, as other work on the machine comes and goes."""
    best = [0.0] * len(models)
    for round in range(1 + _ROUNDS):
        for place, loaded in enumerate(models):
            start = time.perf_counter()
            loaded.encode(texts, show_progress_bar=False, on_truncate="ignore")
            if round:  # the first one compiles
                best[place] = max(best[place], len(texts) / (time.perf_counter() - start))
    return best


def _weights(loaded: SentenceTransformer) -> int:
    """Size of the model as Vicinal would save it, so that a folder's other formats do not count."""
    with tempfile.TemporaryDirectory() as scratch:
        loaded.save(scratch)
        return folder_size(Path(scratch))
