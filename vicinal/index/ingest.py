"""Fill an index from files, again and again: what is there unchanged is passed over."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from vicinal.errors import InputError, InputTypeError
from vicinal.index.index import Index
from vicinal.index.records import canonical_ids, canonical_metadata, canonical_texts, metadata_json
from vicinal.index.stores.texts import content_digest
from vicinal.index.values import integer_from
from vicinal.readers.lines import kind_of
from vicinal.readers.records import Fields, Record, read_source
from vicinal.readers.sources import WHOLE, Source, survey

MOST_PROBLEMS = 1000
# What encoding a batch and writing it should take. A batch is open for so long at most, too, so that something is
# committed at least every two seconds, but for single documents that take longer.
_BATCH_SECONDS = 1.0
# Characters of the first batch, before the speed of the model is known, and how much it may grow at a time: a
# guess that is too large costs what an interruption loses.
_FIRST_BATCH = 50_000
_GROWTH = 4
# Texts of a batch, whatever their length.
_MOST_TEXTS = 8192


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest is.

    Attributes:
        records: records read so far.
        added: documents that were new.
        updated: documents whose text or metadata had changed.
        unchanged: documents that were there already.
        failed: records that could not be used.
        bytes_done: bytes of the input that are dealt with.
        bytes_total: bytes of the whole input.
        seconds: since the start.
    """

    records: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds if self.seconds > 0 else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds that are left if it goes on like this, None as long as nobody can tell."""
        if not self.bytes_done:
            return None
        return self.seconds * (self.bytes_total - self.bytes_done) / self.bytes_done


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest did.

    Attributes:
        progress: the final numbers.
        problems: one sentence for each record that could not be used, the first thousand of them.
        skipped: how many files of each unknown kind were left aside, by the ending of their names.
        apart: records whose id had come before in another file; they have ``FILE:ID``.
        unreadable: files and rows that could not be read at all.
        removed: documents that were removed because they are no longer in the input; None if nothing was to be
            removed, or if that could not be told because something was unreadable.
    """

    progress: Progress
    problems: tuple[str, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    apart: int = 0
    unreadable: int = 0
    removed: int | None = None


@dataclass(slots=True)
class _State:
    progress: Progress
    started: float
    problems: list[str] = field(default_factory=list)
    # Ids of the documents of the input, and the number of the file that each came from.
    seen: dict[str, int] = field(default_factory=dict)
    apart: int = 0
    unreadable: int = 0

    def fail(self, problem: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)
        self.progress = replace(self.progress, failed=self.progress.failed + 1)


def index_files(
    index: Index,
    inputs: Sequence[str | os.PathLike[str]],
    *,
    id_field: str | None = None,
    text_field: str | Sequence[str] | None = None,
    metadata_fields: Sequence[str] | None = None,
    batch_size: int | None = None,
    include: Sequence[str] = (),
    as_text: bool = False,
    prune: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Bring an index up to date with files; interrupted, it goes on where it was.

    Each batch is one transaction. Before it is encoded, documents whose content hash (text and metadata) is
    in the index already are dropped from it, so a second run over the same files encodes nothing.

    Args:
        index: the index.
        inputs: files and folders, see :func:`vicinal.readers.sources.survey`.
        id_field: the field with the id; None finds it.
        text_field: the field or fields with the text; None finds it.
        metadata_fields: the fields to keep; None keeps all others.
        batch_size: records in one transaction; None puts in about a second's worth at a time.
        include: of folders, only files whose name or path fits one of these patterns; none takes all.
        as_text: read files of unknown kinds as plain text.
        prune: remove all documents that are not in the input. Nothing is removed if something in the input could
            not be read: nobody knows which documents that would have been.
        on_progress: called after each batch.

    Returns:
        What was done. Records that cannot be used are reported in it and do not end the run.

    Raises:
        InputError: an input does not exist or is of an unknown kind.
        StoreError: the index cannot be written; batches before this one are in it.
    """
    text_fields = (text_field,) if isinstance(text_field, str) else text_field
    fields = Fields(id_field, text_fields, metadata_fields)
    found = survey(inputs, include=include, as_text=as_text, own=index.path)
    report = index_sources(
        index, found.sources, fields, batch_size=batch_size, prune=prune, on_progress=on_progress
    )
    return replace(report, skipped=found.skipped)


def index_sources(
    index: Index,
    sources: Sequence[Source],
    fields: Fields,
    *,
    batch_size: int | None = None,
    prune: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    on_read: Callable[[int], None] | None = None,
) -> IngestReport:
    """As :func:`index_files`, for files that have been found already.

    Args:
        sources: the files.
        fields: which fields of rows are what.
        on_read: called with the bytes that have been read so far, after each record.

    Other arguments, result and errors as there.
    """
    if batch_size is not None:
        batch_size = integer_from(1, batch_size, "batch_size")
    state = _State(Progress(bytes_total=sum(source.size for source in sources)), time.monotonic())
    batches = _Batches(index, state, batch_size, on_progress)
    before = 0
    for number, source in enumerate(sources):
        for record in _usable(index, number, source, fields, state):
            if on_read is not None:
                on_read(before + record.position)
            batches.append(record, before + record.position)
        before += source.size
        batches.done = before
    batches.flush()
    usable = state.progress.added + state.progress.updated + state.progress.unchanged
    removed = _prune(index, state.seen) if prune and usable and not state.unreadable else None
    return IngestReport(
        state.progress,
        tuple(state.problems),
        apart=state.apart,
        unreadable=state.unreadable,
        removed=removed,
    )


class _Batches:
    """Gathers records and writes them, a transaction for each batch.

    Args:
        index: the index.
        state: is kept up to date.
        size: records of a batch; None for as many as take about a second, by the speed of the batches before.
        on_progress: called after each batch.
    """

    def __init__(
        self, index: Index, state: _State, size: int | None, on_progress: Callable[[Progress], None] | None
    ) -> None:
        self._index = index
        self._state = state
        self._size = size
        self._on_progress = on_progress
        self._records: list[Record] = []
        self._characters = 0
        self._limit = float(_FIRST_BATCH)
        self._begun = 0.0
        self.done = 0

    def append(self, record: Record, done: int) -> None:
        """Take a record; ``done`` is the place in the input behind it, in bytes."""
        if self._size is None and self._characters + len(record.text) > self._limit and self._records:
            self.flush()  # a long document shall not take others with it
        if not self._records:
            self._begun = time.monotonic()
        self._records.append(record)
        self._characters += len(record.text)
        self.done = done
        if self._is_full():
            self.flush()

    def _is_full(self) -> bool:
        if self._size is not None:
            return len(self._records) >= self._size
        return (
            self._characters >= self._limit
            or len(self._records) >= _MOST_TEXTS
            or time.monotonic() - self._begun >= _BATCH_SECONDS
        )

    def flush(self) -> None:
        """Write what was gathered."""
        start = time.monotonic()
        written = _write(self._index, self._records, self._state)
        took = time.monotonic() - start
        if written:
            wanted = written * _BATCH_SECONDS / max(took, 1e-3)
            self._limit = max(1.0, min(wanted, _GROWTH * self._limit))
        self._records.clear()
        self._characters = 0
        state = self._state
        state.progress = replace(
            state.progress, bytes_done=self.done, seconds=time.monotonic() - state.started
        )
        if self._on_progress is not None:
            self._on_progress(state.progress)


def _usable(index: Index, number: int, source: Source, fields: Fields, state: _State) -> Iterator[Record]:
    rows = (source.kind or kind_of(source.path)) not in WHOLE
    known = set(index.ids(f"{source.name}:")) if rows else set()
    for record in read_source(source, fields):
        state.progress = replace(state.progress, records=state.progress.records + 1)
        if isinstance(record, InputError):
            state.unreadable += 1
            state.fail(str(record))
            continue
        try:
            canonical_ids([record.id])
            record = _apart(known, number, source, record, state)
            if record.id in state.seen:
                state.fail(f"{record.where}: id {record.id!r} came before: only the first one is kept")
                continue
            if record.text:
                state.seen[record.id] = number  # also of what cannot be used: an older version of it stays
            canonical_texts([record.text])
            metadata = canonical_metadata(record.metadata, "metadata")
        except (InputError, InputTypeError) as error:
            state.fail(f"{record.where}: {error}")
            continue
        if not record.text:
            state.fail(f"{record.where}: there is no text in it")
        else:
            yield replace(record, metadata=metadata)


def _apart(known: Set[str], number: int, source: Source, record: Record, state: _State) -> Record:
    """The record, under an id of its own if another file has the same one: the name of its file goes before.

    Args:
        known: ids in the index that begin with the name of the file. So a record has the same id again if the other
            file is missing from a later run.
    """
    name = f"{source.name}:{record.id}"
    if state.seen.get(record.id, number) == number and name not in known:
        return record
    state.apart += 1
    return replace(record, id=name)


def _write(index: Index, batch: Sequence[Record], state: _State) -> int:
    """Write what has changed; gives the characters that were encoded."""
    known = index.digests([record.id for record in batch])
    changed = [
        record
        for record in batch
        if known.get(record.id) != content_digest(record.text, metadata_json(record.metadata))
    ]
    if changed:
        index.upsert(
            [record.text for record in changed],
            [record.id for record in changed],
            [record.metadata for record in changed],
        )
    updated = sum(record.id in known for record in changed)
    state.progress = replace(
        state.progress,
        added=state.progress.added + len(changed) - updated,
        updated=state.progress.updated + updated,
        unchanged=state.progress.unchanged + len(batch) - len(changed),
    )
    return sum(len(record.text) for record in changed)


def _prune(index: Index, kept: Iterable[str]) -> int:
    """Remove the documents whose ids are not among ``kept``."""
    stale = set(index.ids()).difference(kept)
    return index.delete(sorted(stale)) if stale else 0
