"""What can still be read of a file that is damaged, or no longer opens as an index."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from vicinal.errors import StoreError
from vicinal.index.results import Document, VerifyReport
from vicinal.index.stores import database
from vicinal.index.stores.damage import Damage
from vicinal.index.stores.lineage import check_log
from vicinal.index.stores.reading import checked_document, document
from vicinal.index.stores.state import raw_state
from vicinal.index.stores.verification import verify

MOST_PROBLEMS = 100
_ROWS = 500  # asked for at a time
_ROWS_OF_A_PAGE = 400  # no page holds more documents


@dataclass(slots=True)
class Salvage:
    """The documents that can be read, and what is wrong with the others.

    Attributes:
        problems: one sentence for each thing that is wrong, the first hundred of them.
        expected: how many documents there should be, None if that cannot be read.
        left_out: how many documents are there and not given.
    """

    problems: list[str] = field(default_factory=list)
    expected: int | None = None
    left_out: int = 0

    def documents(self, path: str, keep_damaged: bool) -> Iterator[Document]:
        """Every document that can be read, in the order of adding.

        Args:
            path: the file; it is not changed.
            keep_damaged: also those whose text, metadata or id do not match their hash.

        Raises:
            StoreError: it is no SQLite file, or holds no table of documents.
        """
        with _opened(path, self._note) as (db, _):
            with suppress(sqlite3.Error):
                count = raw_state(db).get("documents")
                self.expected = count if type(count) is int and count >= 0 else None
            try:
                db.execute("SELECT doc, id, digest, metadata, text FROM documents LIMIT 0")
            except sqlite3.Error as error:
                raise StoreError(
                    f"index {path!r}: its table of documents cannot be found ({error}): nothing can be saved"
                ) from error
            seen: set[str] = set()
            for _, id, digest, metadata, text in self._rows(db):
                one = self._read(id, digest, metadata, text, keep_damaged)
                if one is None or one.id in seen:
                    self.left_out += 1
                    continue
                seen.add(one.id)
                yield one

    def _read(self, id: Any, digest: Any, metadata: Any, text: Any, keep_damaged: bool) -> Document | None:
        try:
            return checked_document(id, metadata, text, digest)
        except (Damage, UnicodeError, MemoryError) as error:
            self._note(str(error))
        if keep_damaged:
            with suppress(Damage, UnicodeError, MemoryError):
                return document(id, metadata, text)
        return None

    def _note(self, problem: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)

    def _rows(self, db: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
        """Every row that can be reached; a range that cannot be read is halved until the bad rows are alone."""
        waiting = [(0, self._limit(db))]
        unreadable = 0
        while waiting:
            low, high = waiting.pop()
            try:
                rows = db.execute(
                    "SELECT doc, id, digest, metadata, text FROM documents "
                    f"WHERE doc >= ? AND doc < ? ORDER BY doc LIMIT {_ROWS}",
                    (low, high),
                ).fetchall()
            except (sqlite3.Error, MemoryError, OverflowError) as error:
                if high - low <= 1:
                    unreadable += 1
                    self._note(f"document number {low} cannot be read: {error}")
                else:
                    middle = (low + high) // 2
                    waiting += [(middle, high), (low, middle)]
                continue
            yield from rows
            if len(rows) == _ROWS:
                waiting.append((max(low, *(row[0] for row in rows)) + 1, high))

    def _limit(self, db: sqlite3.Connection) -> int:
        """One more than the highest document number."""
        with suppress(sqlite3.Error):
            last = db.execute("SELECT max(doc) FROM documents").fetchone()[0]
            return 1 if last is None else int(last) + 1
        with suppress(sqlite3.Error):
            limit = raw_state(db).get("next_doc")
            if type(limit) is int and 0 < limit < 1 << 32:
                return limit
        return int(db.execute("PRAGMA page_count").fetchone()[0]) * _ROWS_OF_A_PAGE


def verify_file(path: str) -> VerifyReport:
    """Check a file that may be too damaged to open as an index.

    Args:
        path: the file; it is not changed.

    Returns:
        The report; damage of any kind is a problem in it. The full-text index is compared with the texts where the
        file may be written to.

    Raises:
        StoreError: there is no such file.
    """
    problems: list[str] = []
    try:
        with _opened(path, problems.append) as (db, mode):
            report = verify(db, read_only=mode == "ro" or not _begin_writing(db))
    except StoreError as error:
        if not os.path.isfile(path):
            raise
        return VerifyReport(0, 0, 0, (*problems, f"file: {error}"))
    return VerifyReport(report.documents, report.chunks, report.segments, (*problems, *report.problems))


def _begin_writing(db: sqlite3.Connection) -> bool:
    """Start a transaction; gives whether one that may write, which comparing the full-text index takes."""
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            db.execute("BEGIN")
        return False
    return True


@contextmanager
def _opened(path: str, note: Callable[[str], None]) -> Iterator[tuple[sqlite3.Connection, str]]:
    """A connection to whatever opens as SQLite, and its mode; another file's log is left aside, with a note."""
    if not os.path.isfile(path):
        raise StoreError(f"index {path!r}: there is no such file")
    immutable = False
    try:
        check_log(path, path)
    except StoreError as error:
        note(f"log: {error}")
        immutable = True
    db, mode = _connected(path, immutable, note)
    try:
        yield db, mode
    finally:
        with suppress(sqlite3.Error):
            if db.in_transaction:
                db.execute("ROLLBACK")
        db.close()
        if not immutable:
            database.tidy(os.path.abspath(path))


def _connected(path: str, immutable: bool, note: Callable[[str], None]) -> tuple[sqlite3.Connection, str]:
    ways: tuple[tuple[Literal["ro", "rw", "cut"], bool], ...] = (("rw", False), ("ro", False), ("ro", True))
    refused: Exception | None = None
    # A file that was cut off does not open, unless SQLite is told to go on with the pages that are there.
    for mode, alone in (ways[2:] if immutable else ways) + (("cut", True),):
        cut = mode == "cut"
        try:
            db = database.connect(path, 5.0, "ro" if mode == "cut" else mode, alone, cut_off=cut)
        except sqlite3.Error as error:
            refused = error
            continue
        try:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if cut:
                note(f"file: {_missing(path)}")
            return db, "ro" if cut else mode
        except sqlite3.Error as error:
            refused = error
            db.close()
    raise StoreError(
        f"index {path!r}: it does not open as SQLite ({refused}): {database.NO_INDEX}"
    ) from refused


def _missing(path: str) -> str:
    """What a file that does not open lacks, by the page count in its head."""
    with open(path, "rb") as file:
        head = file.read(32)
    size, promised = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
    there = os.path.getsize(path) // (65536 if size == 1 else max(1, size))
    if there < promised:
        return f"its end is missing: {there:,} of {promised:,} pages are there"
    return "its head is damaged"
