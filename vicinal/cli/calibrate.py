"""``vicinal calibrate``: from which score on a search has an answer."""

from __future__ import annotations

from typing import Annotated

import typer

from vicinal.cli.console import counted, is_terminal, plain_table, say, screen, write_json, write_rows
from vicinal.cli.index import opened_to_read
from vicinal.cli.options import AsJson, IndexFile, MovedModel
from vicinal.cli.texts import load_model
from vicinal.errors import InputError

# Shares of queries with an answer that thresholds are told for.
_LOST = (0.01, 0.02, 0.05, 0.1, 0.2)
# Documents that are read at a time.
_PART = 1000


def calibrate(
    db: IndexFile,
    queries: Annotated[
        int, typer.Option("--queries", metavar="N", min=20, help="Make up to N queries.")
    ] = 300,
    passages: Annotated[
        int,
        typer.Option("--passages", metavar="N", min=1, help="Search in up to N passages, drawn at random."),
    ] = 5000,
    model: MovedModel = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Also write the calibration as JSON.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the lowest score of an answer.

    Headings and sentences of the documents become queries, taken out of the text that answers them, and search it.
    Printed are scores, and the share of queries with an answer whose best hit scores lower: a threshold for
    `vicinal search DB QUERY --mode dense --min-score X`. Thresholds of the same share mean the same with every model.
    """
    from vicinal.core.progress import waiting
    from vicinal.evaluation.calibration import calibrate

    with opened_to_read(db, model) as opened, waiting("reading", 2.0):
        ids = opened.ids()
        texts = [
            document.text
            for start in range(0, len(ids), _PART)
            for document in opened.get(ids[start : start + _PART])
            if document is not None
        ]
        given = model or opened.info().model
    if not texts:
        raise InputError(f"there is no document in {db}")
    try:
        with waiting("searching", 2.0):
            found = calibrate(load_model(given), texts, queries=queries, passages=passages)
    except InputError as error:
        raise InputError(f"{db}: {error}") from error
    count = len(found.scores)
    told = [lost for lost in _LOST if lost * (count + 1) >= 1]
    rows = [(lost, found.threshold(lost)) for lost in told]
    if out is not None:
        found.save(out)
    if as_json:
        write_json(
            {
                "queries": count,
                "thresholds": [{"lost": lost, "score": round(score, 6)} for lost, score in rows],
            }
        )
    elif is_terminal():
        table = plain_table()
        table.add_column("with an answer, but lower", justify="right", no_wrap=True)
        table.add_column("best score", justify="right", no_wrap=True, style="bold")
        for lost, score in rows:
            table.add_row(f"{100 * lost:g} %", f"{score:.3f}")
        screen().print(table)
    else:
        write_rows([f"{lost:g}", f"{score:.6f}"] for lost, score in rows)
    say(f"{counted(count, 'query', 'queries')} made of {counted(len(texts), 'document')}")
