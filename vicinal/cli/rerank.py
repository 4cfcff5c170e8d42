"""``vicinal rerank``."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from vicinal.cli.console import (
    counted,
    is_terminal,
    plain_table,
    rate_text,
    say,
    scored,
    screen,
    seconds_text,
    shortened,
    write_json,
    write_rows,
)
from vicinal.cli.options import AsJson, DType, Field, FileFormat, TextFile
from vicinal.cli.texts import check_argument, filled_lines_of
from vicinal.errors import InputError

# Lines of the terminal that a text gets at most.
_TALLEST = 3


def rerank(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="What is looked for, in quotes.", show_default=False)
    ],
    file: TextFile,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="MODEL", help="A cross-encoder's folder or hub name.", show_default=False
        ),
    ],
    top: Annotated[int, typer.Option("-k", "--top", metavar="N", min=1, help="How many to show.")] = 10,
    field: Field = None,
    format: FileFormat = None,
    dtype: DType = "auto",
    as_json: AsJson = False,
) -> None:
    """Order texts by how they answer a query.

    A cross-encoder reads the query with each text, which is exact and slow: it is for some hundreds of
    texts. What is printed is score, line in the file, and text, the best first.
    """
    query = check_argument(query, "the query")
    if not query.strip():
        raise InputError("the query is blank")
    lines = filled_lines_of(file, field, format)
    if dtype == "int8":
        raise InputError("--dtype int8: a cross-encoder is computed in float32 or bfloat16; leave it out")
    from vicinal.models.scorer import load_scorer

    scorer = load_scorer(model, dtype)
    start = time.perf_counter()
    found = scorer.rank(query, [line.text for line in lines], top_k=top, return_documents=True)
    took = time.perf_counter() - start
    numbers = [lines[hit["corpus_id"]].number for hit in found]
    if as_json:
        write_json(
            [
                {"score": round(hit["score"], 6), "line": number, "text": hit["text"]}
                for hit, number in zip(found, numbers, strict=True)
            ]
        )
    elif is_terminal():
        from rich.text import Text

        console = screen()
        table = plain_table()
        table.add_column("score", justify="right", no_wrap=True, style="bold")
        table.add_column("line", justify="right", no_wrap=True, style="dim")
        table.add_column("text", overflow="fold")
        used = (
            2 + max(len(scored(hit["score"])) for hit in found) + 2 + max(4, *map(len, map(str, numbers))) + 2
        )
        width = max(16, console.width - used) * _TALLEST - _TALLEST * 4
        for hit, number in zip(found, numbers, strict=True):
            table.add_row(scored(hit["score"]), str(number), Text(shortened(hit["text"], width)))
        console.print(table)
    else:
        write_rows(
            [f"{hit['score']:.6f}", number, hit["text"]] for hit, number in zip(found, numbers, strict=True)
        )
    say(
        f"{counted(len(lines), 'text')} scored in {seconds_text(took)}, {rate_text(len(lines), took)} texts/s"
    )
