"""``vicinal index``: fill an index from files."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vicinal.cli.console import bytes_text, counted, rate_text, say, seconds_text
from vicinal.cli.failures import stop_if_interrupted
from vicinal.cli.options import one_of
from vicinal.cli.texts import load_model
from vicinal.core.databases import SQLITE_START
from vicinal.core.files import check_target
from vicinal.errors import InputError

if TYPE_CHECKING:
    from vicinal.core.progress import Meter
    from vicinal.index import Index
    from vicinal.index.ingest import IngestReport, Progress
    from vicinal.models.sentence_transformer import SentenceTransformer
    from vicinal.readers.sources import Survey

_INTERRUPTED = 130
# Records that could not be used, named one by one; the others are only counted.
_NAMED_PROBLEMS = 5


def index(
    db: Annotated[
        str,
        typer.Argument(metavar="DB", help="The index, a file; made if it is not there.", show_default=False),
    ],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="jsonl, csv, tsv, txt, md, html, rst and source files, man pages, each also as .gz; folders of "
            "them, BEIR corpora; - is standard input.",
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
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Of folders, only files whose name or path fits, e.g. '*.md'. May be given several times.",
            show_default=False,
        ),
    ] = None,
    as_text: Annotated[
        bool, typer.Option("--as-text", help="Read files of unknown kinds as plain text.")
    ] = False,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="What standard input is: txt, jsonl, csv, tsv, md or html; if not given, jsonl or txt.",
            callback=one_of("txt", "jsonl", "csv", "tsv", "md", "html"),
            show_default=False,
        ),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove all documents that are not in the input (any more).")
    ] = False,
    chunk_tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=8,
            help="For a new index, the longest chunk in tokens; if not given, as many as the model reads.",
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

    A txt, md or html file, a source file or a man page is one text; each line of a jsonl file and each row of a csv
    or tsv file is one. The same command again adds what is new, replaces what has changed and passes over the rest;
    after an interruption it goes on where it was.
    """
    from vicinal.core.progress import Meter
    from vicinal.index.ingest import index_sources
    from vicinal.readers.records import Fields
    from vicinal.readers.sources import SUFFIXES

    if Path(db).suffix.lower() in SUFFIXES:
        raise InputError(f"{db}: the index comes first, then the texts: vicinal index texts.db {db}")
    check_target(db, "DB", database=True)
    found = _survey(db, inputs, include or [], as_text, format)
    opened, model_seen = _opened_to_fill(db, model, chunk_tokens)
    with opened:
        try:
            start = time.perf_counter()
            with Meter("Indexing", found.size or None, unit="", lines=True) as meter:
                bar = _Bar(meter)
                model_seen.report = bar.encoded
                done = index_sources(
                    opened,
                    found.sources,
                    Fields(id_field, text_field, metadata_field),
                    batch_size=batch,
                    prune=prune,
                    on_progress=bar.committed,
                    on_read=bar.read,
                )
        except KeyboardInterrupt:
            inside = opened.count()
            kept = f"{counted(inside, 'text')} {'is' if inside == 1 else 'are'} safely in {db}"
            say(
                f"interrupted: {kept if inside else 'no text is in yet'}; the same command goes on from there"
            )
            raise typer.Exit(_INTERRUPTED) from None
    took = time.perf_counter() - start
    _name_problems(found, done)
    _summarise(db, done, took)
    if prune and done.removed is None:
        say(
            f"no document was removed: {counted(done.unreadable, 'file or row', 'files or rows')} could not be read, "
            "and --prune cannot know which documents they are",
            "error",
        )
        raise typer.Exit(1)


def _survey(db: str, inputs: list[str], include: list[str], as_text: bool, format: str | None) -> Survey:
    """The files to read, and standard input behind them."""
    from vicinal.readers.sources import FORMATS, STANDARD_INPUT, Survey, standard_input, survey

    files = [each for each in inputs if each != STANDARD_INPUT]
    found = survey(files, include=include, as_text=as_text, own=db)
    if len(files) == len(inputs):
        if format is not None:
            raise InputError("--format is for standard input (-); the names of files say what they are")
        return found
    if sys.stdin is None:
        raise InputError("standard input is closed: give files or folders")
    if sys.stdin.isatty():
        say("reading a text from the terminal; Ctrl-D ends it", "note")
    stream = standard_input(sys.stdin.buffer, "" if format is None else FORMATS[format])
    return Survey([*found.sources, stream], found.skipped)


class _Bar:
    """Moves the bar over the bytes of the input: by what is committed, and inside of a batch by what is encoded.

    Args:
        meter: the bar.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._done = 0
        self._read = 0
        meter.note = "0 texts"

    def read(self, bytes_read: int) -> None:
        """Called after each record."""
        stop_if_interrupted()
        self._read = bytes_read

    def encoded(self, share: float) -> None:
        """Called while a batch is encoded, with the share of it that is done."""
        stop_if_interrupted()
        self._meter.done = max(self._meter.done, self._done + share * (self._read - self._done))

    def committed(self, progress: Progress) -> None:
        """Called after each batch."""
        stop_if_interrupted()
        self._done = progress.bytes_done
        self._meter.done = self._done
        rate = rate_text(progress.records, progress.seconds)
        self._meter.note = f"{counted(progress.records, 'text')}, {rate}/s"


class _QuietModel:
    """A model as an index sees it, without progress bars of its own: there is one over all of the input.

    Args:
        model: the model.
        prompt_name: the prompt before queries; None for the model's own.

    Attributes:
        report: called while documents are encoded, with the share of them that is done.
    """

    def __init__(self, model: SentenceTransformer, prompt_name: str | None = None) -> None:
        self._prompt_name = prompt_name
        self.fingerprint = model.fingerprint
        self.name_or_path = model.name_or_path
        self.prompts = model.prompts
        self.similarity_fn_name = model.similarity_fn_name
        self.max_seq_length = model.max_seq_length
        # The model's own method: what is known of its tokenizer holds for it.
        self.count_tokens = model.count_tokens
        self.report: Callable[[float], None] = lambda share: None
        self._model = model

    def encode_document(self, sentences: list[str], /) -> Any:
        """``(n, d)`` vectors of documents."""
        from vicinal.core.progress import listening

        finished = 0

        def report(count: int) -> None:
            nonlocal finished
            finished += count
            self.report(finished / len(sentences))

        stop_if_interrupted()
        with listening(report):
            return self._model.encode_document(sentences, show_progress_bar=False)

    def encode_query(self, sentences: list[str], /) -> Any:
        """``(n, d)`` vectors of queries."""
        return self._model.encode_query(sentences, self._prompt_name, show_progress_bar=False)

    def get_embedding_dimension(self) -> int | None:
        """``d``."""
        return self._model.get_embedding_dimension()


def _opened_to_fill(db: str, name: str | None, chunk_tokens: int | None) -> tuple[Index, _QuietModel]:
    """The index and its model, which is loaded first: a wrong name leaves no file behind."""
    from vicinal.index import Index
    from vicinal.index.encoder import DEFAULT_MODEL

    file = Path(db)
    if file.exists() and file.stat().st_size:
        check_is_index(db)
        with Index(db) as opened:
            held = opened.info()
        name = held.model if name is None else name
        if chunk_tokens is not None and held.chunk_tokens not in (None, chunk_tokens):
            raise InputError(
                f"--chunk-tokens {chunk_tokens}: {db} has chunks of up to {held.chunk_tokens} tokens, and "
                "all of its documents must be cut in the same way; index them into a new file"
            )
    model = load_model(lasting_name(name or DEFAULT_MODEL))
    window = model.max_seq_length
    if chunk_tokens is not None and window is not None and chunk_tokens > window:
        raise InputError(
            f"--chunk-tokens {chunk_tokens}: the model {model.name_or_path} reads {window} tokens at most"
        )
    quiet = _QuietModel(model)
    return Index(db, quiet, chunk_tokens=chunk_tokens), quiet


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


def opened_to_read(db: str, model: str | None = None, prompt_name: str | None = None) -> Index:
    """An index that exists.

    It is opened for writing where that is possible: only then it is a single file again afterwards.

    Args:
        db: the file.
        model: where its model is now; None for where it was.
        prompt_name: the prompt before queries; None for the model's own.

    Raises:
        InputError: there is no such index, or the model has no such prompt.
    """
    from vicinal.index import Index

    check_is_index(db)
    folder = os.path.dirname(os.path.realpath(db))
    one_name = os.stat(db).st_nlink == 1  # a file with several would get several logs
    writable = one_name and os.access(db, os.W_OK) and os.access(folder, os.W_OK)
    given = None if model is None else lasting_name(model)
    if prompt_name is None:
        return Index(db, given, read_only=not writable)
    if given is None:
        with Index(db, read_only=not writable) as opened:
            given = opened.info().model
    loaded = load_model(given)
    if prompt_name not in loaded.prompts:
        there = ", ".join(loaded.prompts) or "none"
        raise InputError(
            f"--prompt-name {prompt_name}: the model {given} has no such prompt; there are: {there}"
        )
    return Index(db, _QuietModel(loaded, prompt_name), read_only=not writable)


def _name_problems(found: Survey, done: IngestReport) -> None:
    """What was left out, and why."""
    for problem in done.problems[:_NAMED_PROBLEMS]:
        # The library names its own argument; here it is an option.
        if problem.endswith("with text_field"):
            problem = problem.removesuffix("text_field") + "--text-field"
        say(f"left out: {problem}", "note")
    failed = done.progress.failed
    if failed > _NAMED_PROBLEMS:
        say(f"left out: {counted(failed - _NAMED_PROBLEMS, 'more text')}", "note")
    if found.skipped:
        say(f"skipped {found.skipped_text()}; --as-text reads files of unknown kinds as text", "note")
    if done.apart:
        say(
            f"{counted(done.apart, 'text has an id', 'texts have ids')} of another file; kept apart as FILE:ID",
            "note",
        )


def _summarise(db: str, done: IngestReport, took: float) -> None:
    end = done.progress
    usable = end.added + end.updated + end.unchanged
    if not usable:
        raise InputError("no text was found in the input, and nothing was added")
    rate = rate_text(end.added + end.updated or usable, took)
    size = bytes_text(os.path.getsize(db))
    removed = "" if done.removed is None else f", {done.removed:,} removed"
    say(
        f"{end.added:,} added, {end.updated:,} replaced, {end.unchanged:,} unchanged{removed}; "
        f"{seconds_text(took)}, {rate} texts/s; {db} has {size}"
    )
