"""Looking at every byte of the file that matters."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vicinal.errors import StoreError
from vicinal.index.filters import flatten
from vicinal.index.results import VerifyReport
from vicinal.index.segments import STORAGES, Ints, row_bytes
from vicinal.index.stores.damage import Damage
from vicinal.index.stores.reading import checked_document, document
from vicinal.index.stores.state import raw_state, state_problem
from vicinal.index.stores.writing import facts_of, read_segments, read_tombstones

MOST_PROBLEMS = 100
_MASK = 2**64 - 1


def verify(db: sqlite3.Connection, read_only: bool) -> VerifyReport:
    """Check pages, hashes, checksums, and that the tables agree with one another.

    Args:
        db: a connection; the caller ends the transaction that this begins.
        read_only: leaves out the comparison of the full-text index with the texts, which SQLite counts
            as writing.

    Returns:
        The report; damage of any kind is a problem in it and never an exception.
    """
    check = _Check(db)
    check.run("pages", check.pages)
    check.run("settings", check.settings)
    check.run("documents", check.documents)
    check.run("metadata entries", check.fields)
    check.run("vectors", check.vectors)
    if not read_only:
        check.run("full-text index", check.lexical)
    problems = list(dict.fromkeys(check.problems))
    if len(problems) > MOST_PROBLEMS:
        problems = [*problems[:MOST_PROBLEMS], f"and {len(problems) - MOST_PROBLEMS} more"]
    return VerifyReport(check.count, check.chunks, check.segments, tuple(problems))


class _Check:
    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.rows: dict[Any, Any] = {}
        self.problems: list[str] = []
        self.count = self.chunks = self.segments = 0
        self.lengths: dict[int, int] = {}
        self.entries = (0, 0)
        self.dead: Ints = np.empty(0, np.int64)

    def run(self, what: str, step: Callable[[], None]) -> None:
        """Take one step; whatever it stumbles over is a problem."""
        try:
            step()
        except StoreError as error:
            self.problems.append(f"{what}: {error}")
        except sqlite3.Error as error:
            self.problems.append(f"{what}: cannot be read: {error}")
        except (ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
            self.problems.append(f"{what}: cannot be read: {type(error).__name__}: {error}")

    def pages(self) -> None:
        for (line,) in self.db.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})"):
            if line != "ok":
                self.problems.append(f"pages: {line}")

    def settings(self) -> None:
        self.rows = raw_state(self.db)
        wrong = state_problem(self.rows)
        if wrong is not None:
            self.problems.append(f"settings: {wrong}")

    def documents(self) -> None:
        expected = self.rows.get("documents")
        names: dict[str, int] = {name: id for id, name in self.db.execute("SELECT id, name FROM names")}
        total = number = 0
        for doc, id, digest, metadata, text in self._documents():
            self.count += 1
            try:
                parsed = checked_document(id, metadata, text, digest)
            except Damage as error:
                self.problems.append(str(error))
                try:
                    parsed = document(id, metadata, text)
                except Damage:
                    continue
            self.lengths[doc] = len(parsed.text)
            entries = {
                (8 * names.get(name, -1) + kind, int(value) if isinstance(value, bool) else value)
                for name, kind, value in flatten(parsed.metadata)
            }
            number += len(entries)
            for key, value in entries:
                total = (total + _hash(key, value, doc)) & _MASK
        self.entries = (number, total)
        if self.count != expected:
            self.problems.append(f"documents: {self.count} are there, {expected} are counted")

    def _documents(self) -> Iterator[tuple[Any, ...]]:
        # Not in one go: a damaged page should hide no more than it must.
        last = -1
        while True:
            rows = self.db.execute(
                "SELECT doc, id, digest, metadata, text FROM documents WHERE doc > ? ORDER BY doc LIMIT 1000",
                (last,),
            ).fetchall()
            if not rows:
                return
            yield from rows
            last = rows[-1][0]

    def fields(self) -> None:
        total = number = 0
        for key, value, doc in self.db.execute("SELECT key, value, doc FROM fields"):
            number += 1
            total = (total + _hash(key, value, doc)) & _MASK
        if (number, total) != self.entries:
            self.problems.append(
                "metadata entries: what filters look at differs from the documents' metadata"
            )

    def vectors(self) -> None:
        facts = facts_of(self.rows)
        if facts is None:
            if self.db.execute("SELECT count(*) FROM segments").fetchone()[0]:
                self.problems.append("vectors: there are segments, but no model is stored")
            return
        storage, dimension = self.rows.get("storage"), facts.dimension
        if storage not in STORAGES or type(dimension) is not int:
            self.problems.append(
                "vectors: cannot be read without the settings 'storage' and 'model.dimension'"
            )
            return
        width = row_bytes(storage, dimension)
        self.dead = read_tombstones(self.db, -1)
        firsts = self.db.execute("SELECT first, n FROM segments ORDER BY first").fetchall()
        seen: set[int] = set()
        expected = 0
        for first, n in firsts:
            if first != expected:
                self.problems.append(f"vectors: chunks {expected}..{first - 1} are missing")
            expected = first + n
            self.run("vectors", lambda first=first, n=n: self._segment(first, width, seen))  # type: ignore[misc]
        if expected != self.rows.get("next_row"):
            self.problems.append(f"vectors: {expected} chunks are there, another number is counted")
        for doc in self.lengths.keys() - seen:
            self.problems.append(f"vectors: document number {doc} has none")

    def _segment(self, first: int, width: int, seen: set[int]) -> None:
        self.segments += 1
        _, rows = next(iter(read_segments(self.db, width, first)))
        alive = ~np.isin(rows.docs, self.dead)
        self.chunks += int(np.count_nonzero(alive))
        for doc, start, end in zip(
            rows.docs[alive].tolist(), rows.starts[alive].tolist(), rows.ends[alive].tolist(), strict=True
        ):
            seen.add(doc)
            if not 0 <= start <= end <= self.lengths.get(doc, -1):
                self.problems.append(f"vectors: a chunk of document number {doc} lies outside of its text")

    def lexical(self) -> None:
        # With rank 1 FTS5 also tokenizes every text again and compares.
        self.db.execute("INSERT INTO lexical(lexical, rank) VALUES ('integrity-check', 1)")


def _hash(key: Any, value: Any, doc: Any) -> int:
    text = json.dumps([key, value, doc])
    return int.from_bytes(
        hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little"
    )
