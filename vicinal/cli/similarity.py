"""``vicinal similarity``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vicinal.cli.console import (
    is_terminal,
    one_line,
    plain_table,
    scored,
    screen,
    shortened,
    write_json,
    write_rows,
)
from vicinal.cli.options import DEFAULT_MODEL, AsJson, DType, ModelName, PoolingMode, PromptName
from vicinal.cli.texts import Encoder, check_argument, load_model
from vicinal.errors import InputError
from vicinal.readers.lines import Line

if TYPE_CHECKING:
    from rich.table import Table

# Terminal cells that a text gets at least, beside the columns of numbers.
_LEAST_TEXT = 20


def similarity(
    texts: Annotated[
        list[str],
        typer.Argument(metavar="TEXT", help="Two texts or more, each in quotes.", show_default=False),
    ],
    model: ModelName = DEFAULT_MODEL,
    dtype: DType = "auto",
    prompt_name: PromptName = None,
    pooling_mode: PoolingMode = None,
    as_json: AsJson = False,
) -> None:
    """Show how similar texts are to each other.

    The measure is the model's own; for most it is the cosine, where 1 means the same direction.
    """
    texts = [check_argument(text, "the text") for text in texts]
    if len(texts) < 2:
        raise InputError("one text alone has nothing to be compared with: give two or more, each in quotes")
    loaded = load_model(model, dtype, pooling_mode=pooling_mode)
    lines = [Line(number, text) for number, text in enumerate(texts, start=1)]
    rows = Encoder(loaded, prompt_name).all(lines)
    matrix = loaded.similarity(rows, rows)
    scores: list[list[float]] = [[float(value) for value in row] for row in matrix]
    if as_json:
        write_json(
            {
                "model": model,
                "similarity": loaded.similarity_fn_name,
                "texts": texts,
                "scores": [[round(value, 6) for value in row] for row in scores],
            }
        )
    elif is_terminal():
        console = screen()
        for number, table in enumerate(_tables(texts, scores, console.width)):
            if number:
                console.print()
            console.print(table)
    else:
        write_rows([["", *texts]])
        write_rows(
            [text, *(f"{value:.6f}" for value in row)] for text, row in zip(texts, scores, strict=True)
        )


def _tables(texts: Sequence[str], scores: Sequence[Sequence[float]], width: int) -> list[Table]:
    """The matrix as tables that are no wider than the terminal, cut between columns where need be."""
    from rich.cells import cell_len
    from rich.text import Text

    shown = [one_line(text) for text in texts]
    cells = [[scored(value) for value in row] for row in scores]
    number_width = len(str(len(texts)))
    cell_width = max(number_width, *(len(cell) for row in cells for cell in row))
    longest = max(cell_len(text) for text in shown)
    room = width - number_width - 2
    columns = (room - min(longest, _LEAST_TEXT)) // (cell_width + 2)
    columns = min(max(1, columns), len(texts))
    room = max(_LEAST_TEXT, room - columns * (cell_width + 2))
    tables = []
    for first in range(0, len(texts), columns):
        table = plain_table()
        table.add_column("", justify="right", no_wrap=True, min_width=number_width, style="dim")
        table.add_column("", no_wrap=True, overflow="crop")
        block = range(first, min(first + columns, len(texts)))
        for column in block:
            table.add_column(str(column + 1), justify="right", no_wrap=True, min_width=cell_width)
        for row, text in enumerate(shown):
            values: list[Any] = [
                Text(cells[row][column], style="dim" if row == column else "") for column in block
            ]
            table.add_row(str(row + 1), Text(shortened(text, room)), *values)
        tables.append(table)
    return tables
