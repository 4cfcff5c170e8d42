"""``vicinal choose``: which model suits someone's own documents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vicinal.cli.console import (
    bytes_text,
    counted,
    is_terminal,
    one_line,
    plain_table,
    rate_text,
    say,
    screen,
    write_json,
    write_rows,
)
from vicinal.cli.files import folder_size
from vicinal.cli.options import DEFAULT_MODEL, AsJson
from vicinal.cli.texts import load_model
from vicinal.errors import InputError

if TYPE_CHECKING:
    from vicinal.evaluation.choosing import Candidate

# Cells of a terminal that shows all figures; a narrower one leaves two out.
_WIDE = 90


def choose(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Your documents, as vicinal index reads them: md, txt, html, jsonl, csv, folders of them, ...",
            show_default=False,
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help=f"A model folder or hub name; given once for each. {DEFAULT_MODEL} is always among them.",
            show_default=False,
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge",
            metavar="RERANKER",
            help="A cross-encoder that says what else answers a query. Slow: up to ten passages a query and model.",
            show_default=False,
        ),
    ] = None,
    queries: Annotated[
        int, typer.Option("--queries", metavar="N", min=1, help="Make up to N queries.")
    ] = 300,
    passages: Annotated[
        int,
        typer.Option("--passages", metavar="N", min=1, help="Search in up to N passages, drawn at random."),
    ] = 5000,
    as_json: AsJson = False,
) -> None:
    """Compare models on your own documents.

    No judgements are needed: headings, titles and sentences of the documents become queries, and are taken out of the
    text that answers them. = behind a figure: the lead of the best model could be chance.
    """
    from vicinal.core.progress import waiting
    from vicinal.evaluation.choosing import compare_models
    from vicinal.evaluation.known_items import known_items
    from vicinal.hub.resolve import resolve_model

    texts = _documents(inputs)
    try:
        items = known_items(texts, queries=queries, passages=passages)
    except InputError as error:
        raise InputError(f"{', '.join(inputs)}: {error}") from error
    say(
        f"{counted(len(items.queries), 'query', 'queries')} ({items.headings:,} of them headings), "
        f"{counted(len(items.passages), 'passage')} of {counted(len(texts), 'document')}"
    )
    names = list(dict.fromkeys([*(model or []), DEFAULT_MODEL]))
    models = {name: load_model(name) for name in names}
    with waiting("comparing", 2.0):
        found = compare_models(items, models, judge=_judge(judge), on_step=lambda step: say(step, "note"))
    sizes = {name: folder_size(resolve_model(name)) for name in names}
    if as_json:
        write_json([_as_object(each, sizes) for each in found])
    elif is_terminal():
        _show(found, sizes)
    else:
        write_rows(list(_as_object(each, sizes).values()) for each in found)
    if len(items.queries) < 100:
        say(
            f"{len(items.queries)} queries tell little: more documents, or longer ones, give surer figures",
            "note",
        )


def _documents(inputs: list[str]) -> list[str]:
    from vicinal.core.progress import waiting
    from vicinal.readers.records import Fields, Record, read_source
    from vicinal.readers.sources import survey

    texts, problems = list[str](), list[InputError]()
    with waiting("reading", 2.0):
        for source in survey(inputs).sources:
            for record in read_source(source, Fields()):
                if isinstance(record, Record):
                    texts.append(_headed(record.text, record.metadata.get("title")))
                else:
                    problems.append(record)
    if problems:
        say(
            f"{counted(len(problems), 'file or row', 'files or rows')} could not be read; the first: {problems[0]}",
            "note",
        )
    if not texts:
        raise InputError(f"{', '.join(inputs)}: no text in there")
    return texts


def _headed(text: str, title: object) -> str:
    """The text with its title as a heading, where it is none yet: that of a web page, or of a row."""
    if not isinstance(title, str) or not title.strip():
        return text
    title = one_line(title)
    lines = text.split("\n")
    if any(line.strip().strip("#").strip() == title and line.lstrip().startswith("#") for line in lines):
        return text
    if text.startswith(title):
        rest = text[len(title) :]
        if re.match(r"[ \t]*\n[ \t]*([^\w\s])\1{2,}[ \t]*(\n|$)", rest):  # underlined
            return text
        if not rest[:1].strip():  # else the title is the beginning of a sentence's word
            text = rest.strip()
    return f"# {title}\n\n{text}"


def _judge(name: str | None) -> Any:
    if name is None:
        return None
    from vicinal import CrossEncoder

    loaded = CrossEncoder(name)
    if loaded.head_is_new:
        raise InputError(f"--judge {name} holds no head that scores pairs: it is no reranker")
    if loaded.num_labels != 1:
        raise InputError(f"--judge {name} gives {loaded.num_labels} scores per pair: a reranker gives one")
    return loaded


def _as_object(each: Candidate, sizes: dict[str, int]) -> dict[str, Any]:
    return {
        "model": each.name,
        "ndcg@10": round(each.ndcg, 4),
        "recall@10": round(each.recall, 4),
        "passages_per_second": round(each.passages_per_second, 1),
        "query_seconds": round(each.query_seconds, 6),
        "dimensions": each.dimension,
        "bytes": sizes[each.name],
        "level_with_the_best": each.level,
    }


def _show(found: list[Candidate], sizes: dict[str, int]) -> None:
    from rich.text import Text

    console, table = screen(), plain_table()
    rows = [
        {
            "nDCG@10": f"{each.ndcg:.3f}{' =' if each.level and place else '  '}",
            "recall@10": f"{each.recall:.3f}",
            "passages/s": rate_text(each.passages_per_second, 1.0),
            "a query": f"{1000 * each.query_seconds:.1f} ms",
            "dimensions": str(each.dimension),
            "on disk": bytes_text(sizes[each.name]),
        }
        for place, each in enumerate(found)
    ]
    left_out = () if console.width >= _WIDE else ("recall@10", "dimensions")
    headings = [heading for heading in rows[0] if heading not in left_out]
    table.add_column("model", overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for place, (each, row) in enumerate(zip(found, rows, strict=True)):
        style = "" if place else "bold"
        cells = [each.name, *(row[heading] for heading in headings)]
        table.add_row(*(Text(cell, style=style) for cell in cells))
    console.print(table)
