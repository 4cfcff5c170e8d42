"""``vicinal index`` and ``vicinal info``: fill an index from files, and see what it holds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
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
    seconds_text,
    write_json,
    write_rows,
)
from vicinal.cli.failures import stop_if_interrupted
from vicinal.cli.options import AsJson, IndexFile
from vicinal.cli.texts import load_model
from vicinal.core.files import SQLITE_START, check_target
from vicinal.errors import InputError, StoreError

if TYPE_CHECKING:
    from vicinal.index import Index, IndexInfo, VerifyReport
    from vicinal.index.ingest import IngestReport, Progress
    from vicinal.models.sentence_transformer import SentenceTransformer

_INTERRUPTED = 130
# Records that could not be used, named one by one; the others are only counted.
_NAMED_PROBLEMS = 5
_FINGERPRINT_SHOWN = 12
# What a batch should take, and its bounds.
_BATCH_SECONDS = 1.0
_SMALLEST_BATCH = 64
_LARGEST_BATCH = 2048
_PROBE = (
    "The old fisherman was waiting near the harbour for the first train of a cold and bright morning. " * 4
)


def index(
    db: Annotated[
        str,
        typer.Argument(metavar="DB", help="The index, a file; made if it is not there.", show_default=False),
    ],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="jsonl, csv, tsv, txt, md and html files, folders of them, BEIR corpora.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="A model folder or hub name; vicinal-mini if not given, or the model of an index that exists.",
            show_default=False,
        ),
    ] = None,
    id_field: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The field with the id: _id, id, ... if not given.", show_default=False
        ),
    ] = None,
    text_field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="The field with the text: title and text, body, ... if not given. Several are joined.",
            show_default=False,
        ),
    ] = None,
    metadata_field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A field to keep for filters and results; all if not given. May be given several times.",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Texts that go in at once, wholly or not at all; if not given, a second's worth.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Put texts into an index, to search them.

    A txt, md or html file is one text; each line of a jsonl file and each row of a csv or tsv file is one. The
    same command again adds what is new, replaces what has changed and passes over the rest; after an
    interruption it goes on where it was.
    """
    from vicinal.index.ingest import index_files
    from vicinal.readers.sources import SUFFIXES, find_sources

    if Path(db).suffix.lower() in SUFFIXES:
        raise InputError(f"{db}: the index comes first, then the texts: vicinal index texts.db {db}")
    check_target(db, "DB")
    total = sum(source.size for source in find_sources(inputs))
    opened, loaded = _opened_to_fill(db, model)
    with opened:
        try:
            size = batch or _batch_for(loaded)
            start = time.perf_counter()
            with _progress(total) as report:
                done = index_files(
                    opened,
                    inputs,
                    id_field=id_field,
                    text_field=text_field,
                    metadata_fields=metadata_field,
                    batch_size=size,
                    on_progress=report,
                )
        except KeyboardInterrupt:
            inside = opened.count()
            kept = f"{counted(inside, 'text')} {'is' if inside == 1 else 'are'} safely in {db}"
            say(
                f"interrupted: {kept if inside else 'no text is in yet'}; the same command goes on from there"
            )
            raise typer.Exit(_INTERRUPTED) from None
    _summarise(db, done, time.perf_counter() - start)


class _QuietModel:
    """A model as an index sees it, without progress bars of its own: there is one over all of the input."""

    def __init__(self, model: SentenceTransformer) -> None:
        self.fingerprint = model.fingerprint
        self.name_or_path = model.name_or_path
        self.prompts = model.prompts
        self.similarity_fn_name = model.similarity_fn_name
        self.max_seq_length = model.max_seq_length
        self._model = model

    def encode_document(self, sentences: list[str], /) -> Any:
        """``(n, d)`` vectors of documents."""
        stop_if_interrupted()
        return self._model.encode_document(sentences, show_progress_bar=False)

    def encode_query(self, sentences: list[str], /) -> Any:
        """``(n, d)`` vectors of queries."""
        return self._model.encode_query(sentences, show_progress_bar=False)

    def get_embedding_dimension(self) -> int | None:
        """``d``."""
        return self._model.get_embedding_dimension()

    def count_tokens(self, texts: list[str], /) -> list[int]:
        """Tokens of each text."""
        counts = self._model.count_tokens(texts)
        assert isinstance(counts, list)
        return counts


def _opened_to_fill(db: str, name: str | None) -> tuple[Index, SentenceTransformer]:
    """The index and its model, which is loaded first: a wrong name leaves no file behind."""
    from vicinal.index import Index
    from vicinal.index.encoder import DEFAULT_MODEL

    file = Path(db)
    if file.exists() and file.stat().st_size:
        check_is_index(db)
        if name is None:
            with Index(db) as held:
                name = held.info().model
    model = load_model(lasting_name(name or DEFAULT_MODEL))
    return Index(db, _QuietModel(model)), model


def _batch_for(model: SentenceTransformer) -> int:
    """Texts that the model gets through in about a second: then the bar moves and little is lost.

    A transaction has a cost of its own, so a quick model gets more texts in each.
    """
    texts = [f"{number} {_PROBE}" for number in range(16)]
    model.encode(texts, show_progress_bar=False, on_truncate="ignore")  # the first call compiles
    start = time.perf_counter()
    model.encode(texts, show_progress_bar=False, on_truncate="ignore")
    rate = len(texts) / max(1e-6, time.perf_counter() - start)
    return int(min(_LARGEST_BATCH, max(_SMALLEST_BATCH, rate * _BATCH_SECONDS)))


def lasting_name(model: str) -> str:
    """A model's name as an index keeps it: a folder is found from everywhere."""
    return os.path.abspath(model) if Path(model).is_dir() else model


def check_is_index(db: str) -> None:
    """Refuse what cannot be an index, without making or changing anything.

    Raises:
        InputError: it is not there, is a folder, or is something else.
    """
    file = Path(db)
    if file.is_dir():
        raise InputError(f"{db} is a folder; an index is a file")
    if not file.exists():
        raise InputError(f"{db}: no such index; `vicinal index {db} INPUT...` makes it")
    with file.open("rb") as opened:
        start = opened.read(len(SQLITE_START))
    if not start:
        raise InputError(f"{db} is empty; `vicinal index {db} INPUT...` fills it")
    if start != SQLITE_START:
        raise InputError(f"{db} is no index, or its beginning is damaged")


def opened_to_read(db: str, model: str | None = None) -> Index:
    """An index that exists.

    It is opened for writing where that is possible: only then it is a single file again afterwards.
    """
    from vicinal.index import Index

    check_is_index(db)
    writable = os.access(db, os.W_OK) and os.access(Path(os.path.abspath(db)).parent, os.W_OK)
    return Index(db, None if model is None else lasting_name(model), read_only=not writable)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Progress], None]]:
    """A bar over the bytes of the input, for a terminal; elsewhere only an eye on Ctrl-C."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda progress: stop_if_interrupted()
        return
    from tqdm import tqdm

    layout = "Indexing {percentage:3.0f}%|{bar}| {desc}{remaining} left"
    with tqdm(total=total, bar_format=layout, leave=False, dynamic_ncols=True) as bar:

        def report(progress: Progress) -> None:
            stop_if_interrupted()
            rate = rate_text(progress.records, progress.seconds)
            bar.set_description_str(f"{progress.records:,} texts, {rate}/s, ", refresh=False)
            bar.update(progress.bytes_done - bar.n)

        yield report


def _summarise(db: str, done: IngestReport, took: float) -> None:
    end = done.progress
    for problem in done.problems[:_NAMED_PROBLEMS]:
        # The library names its own argument; here it is an option.
        if problem.endswith("with text_field"):
            problem = problem.removesuffix("text_field") + "--text-field"
        say(f"left out: {problem}", "note")
    if end.failed > _NAMED_PROBLEMS:
        say(f"left out: {counted(end.failed - _NAMED_PROBLEMS, 'more text')}", "note")
    usable = end.added + end.updated + end.unchanged
    if not usable:
        raise InputError("no text was found in the input, and nothing was added")
    rate = rate_text(end.added + end.updated or usable, took)
    size = bytes_text(os.path.getsize(db))
    say(
        f"{end.added:,} added, {end.updated:,} replaced, {end.unchanged:,} unchanged; "
        f"{seconds_text(took)}, {rate} texts/s; {db} has {size}"
    )


def info(
    db: IndexFile,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read everything, and list what is wrong with it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what an index holds.

    With --verify every page, text and vector is checked; the exit code is 1 if anything is wrong.
    """
    with opened_to_read(db) as opened:
        report = opened.verify() if verify else None
        try:
            held: IndexInfo | None = opened.info()
        except StoreError:
            if report is None or report.ok:
                raise
            held = None  # the report says why
    changed = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(os.path.getmtime(db)))
    if as_json:
        shown: dict[str, object] = {} if held is None else {**asdict(held), "changed": changed}
        if report is not None:
            shown["verify"] = {"ok": report.ok, **asdict(report)}
        write_json(shown)
    else:
        _show_info([] if held is None else _facts(held, changed), report)
    if report is not None and not report.ok:
        raise typer.Exit(1)


def _facts(held: IndexInfo, changed: str) -> list[tuple[str, str]]:
    def or_dash(value: object) -> str:
        return "-" if value is None else str(value)

    fingerprint = None if held.fingerprint is None else held.fingerprint[:_FINGERPRINT_SHOWN]
    facts = [
        ("file", held.path),
        ("documents", f"{held.documents:,}"),
        ("chunks", f"{held.chunks:,}"),
        ("dimension", or_dash(held.dimension)),
        ("model", held.model),
        ("fingerprint", or_dash(fingerprint)),
        ("similarity", or_dash(held.similarity)),
        ("storage", held.storage),
        ("longest chunk", "-" if held.chunk_tokens is None else f"{held.chunk_tokens} tokens"),
        ("metadata", ", ".join(held.fields) or "-"),
        ("size", bytes_text(held.file_bytes)),
        ("created", or_dash(held.created)),
        ("changed", changed.replace("T", " ")),
    ]
    if held.deleted_chunks:
        facts.insert(3, ("deleted chunks", f"{held.deleted_chunks:,}"))
    return facts


def _show_info(facts: list[tuple[str, str]], report: VerifyReport | None) -> None:
    if report is not None:
        verdict = "nothing is wrong" if report.ok else counted(len(report.problems), "problem")
        facts = [*facts, ("verify", verdict)]
    problems = [] if report is None else report.problems
    if not is_terminal():
        write_rows([*facts, *(("problem", problem) for problem in problems)])
        return
    from rich.text import Text

    table = plain_table(headings=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in facts:
        bad = name == "verify" and bool(problems)
        table.add_row(name, Text(one_line(value), style="bold red" if bad else ""))
    for problem in problems:
        table.add_row("", Text(one_line(problem)))
    screen().print(table)
