"""Fill an index from files, again and again: what is there unchanged is passed over."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from vicinal.errors import InputError, InputTypeError
from vicinal.index.index import Index
from vicinal.index.records import canonical_ids, canonical_metadata, canonical_texts, metadata_json
from vicinal.index.stores.verification import content_digest
from vicinal.index.values import integer_from
from vicinal.readers.records import Fields, Record, read_source
from vicinal.readers.sources import Source, find_sources

MOST_PROBLEMS = 1000


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
    """

    progress: Progress
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _State:
    progress: Progress
    started: float
    problems: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

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
    batch_size: int = 1024,
    on_progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Bring an index up to date with files; interrupted, it goes on where it was.

    Each batch is one transaction. Before it is encoded, documents whose content hash (text and metadata) is
    in the index already are dropped from it, so a second run over the same files encodes nothing.
    Documents that have left the files stay in the index.

    Args:
        index: the index.
        inputs: files and folders, see :func:`vicinal.readers.sources.survey`.
        id_field: the field with the id; None finds it.
        text_field: the field or fields with the text; None finds it.
        metadata_fields: the fields to keep; None keeps all others.
        batch_size: records in one transaction.
        on_progress: called after each batch.

    Returns:
        What was done. Records that cannot be used are reported in it and do not end the run.

    Raises:
        InputError: an input does not exist or is of an unknown kind.
        StoreError: the index cannot be written; batches before this one are in it.
    """
    batch_size = integer_from(1, batch_size, "batch_size")
    text_fields = (text_field,) if isinstance(text_field, str) else text_field
    fields = Fields(id_field, text_fields, metadata_fields)
    sources = find_sources(inputs)
    state = _State(Progress(bytes_total=sum(source.size for source in sources)), time.monotonic())
    before = 0
    batch: list[Record] = []
    done = 0

    def flush() -> None:
        _write(index, batch, state)
        batch.clear()
        state.progress = replace(state.progress, bytes_done=done, seconds=time.monotonic() - state.started)
        if on_progress is not None:
            on_progress(state.progress)

    for source in sources:
        for record in _usable(source, fields, state):
            batch.append(record)
            done = before + record.position
            if len(batch) >= batch_size:
                flush()
        before += source.size
        done = before
    flush()
    return IngestReport(state.progress, tuple(state.problems))


def _usable(source: Source, fields: Fields, state: _State) -> Iterator[Record]:
    for record in read_source(source, fields):
        state.progress = replace(state.progress, records=state.progress.records + 1)
        if isinstance(record, InputError):
            state.fail(str(record))
            continue
        try:
            canonical_ids([record.id])
            canonical_texts([record.text])
            metadata = canonical_metadata(record.metadata, "metadata")
        except (InputError, InputTypeError) as error:
            state.fail(f"{record.where}: {error}")
            continue
        if record.id in state.seen:
            state.fail(f"{record.where}: id {record.id!r} came before: only the first one is kept")
        elif not record.text:
            state.fail(f"{record.where}: there is no text in it")
        else:
            state.seen.add(record.id)
            yield replace(record, metadata=metadata)


def _write(index: Index, batch: Sequence[Record], state: _State) -> None:
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
