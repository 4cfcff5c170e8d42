"""An index in one SQLite file, with its vectors in memory.

Everything of one ``writer()`` block commits in one transaction, in write-ahead-log mode: a reader sees the
state before or after it, in any process; a crash leaves one or the other. Writers exclude one another with
SQLite's own lock. A reader compares one counter with that of the vectors in memory and loads what is new.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator

import numpy as np

from vicinal.errors import InputError, StoreError
from vicinal.index.lexical import Analyzer
from vicinal.index.memory import Memory, View
from vicinal.index.results import IndexInfo, VerifyReport
from vicinal.index.segments import decode_heads, row_bytes
from vicinal.index.stores import database
from vicinal.index.stores.base import ModelFacts
from vicinal.index.stores.compaction import compact
from vicinal.index.stores.database import store_errors
from vicinal.index.stores.reading import Caches, SqliteReader
from vicinal.index.stores.verification import verify
from vicinal.index.stores.visits import Visits
from vicinal.index.stores.writing import SqliteWriter, facts_of, read_segments, read_tombstones


class SqliteStore:
    """Implements :class:`vicinal.index.stores.base.Store` on one file.

    Args:
        path: the file; made if it is not there.
        timeout: seconds that a writer waits for another one.
        read_only: refuse to write.
        model: the model's name, kept in a new file.
        storage: ``"int16"`` or ``"float32"``, for a new file.
        tokenizer: FTS5 tokenizer, for a new file.
        chunk_overlap: tokens, for a new file.

    Raises:
        StoreError: the file is no index, or cannot be opened.
    """

    def __init__(
        self,
        path: str,
        *,
        timeout: float,
        read_only: bool,
        model: str,
        storage: str,
        tokenizer: str,
        chunk_overlap: int,
    ) -> None:
        self.path = path
        # New connections open the same file wherever the process has gone meanwhile (a daemon goes to /).
        self.file = os.path.abspath(path)
        self._timeout = timeout
        self._read_only = read_only
        settings: dict[str, str | int] = {
            "model": model,
            "storage": storage,
            "tokenizer": tokenizer,
            "chunk_overlap": chunk_overlap,
        }
        try:
            Analyzer(tokenizer).close()
        except sqlite3.Error as error:
            if "no such module" in str(error):
                raise StoreError(
                    f"SQLite {sqlite3.sqlite_version} of this Python was built without FTS5: use a Python "
                    "whose sqlite3 has it (those of python.org, Debian, conda and uv do)"
                ) from None
            raise InputError(
                f"tokenizer {tokenizer!r} is not known to SQLite FTS5 ({error}): "
                "use for example 'unicode61 remove_diacritics 2' or 'trigram'"
            ) from None
        database.prepare(path, timeout, read_only, settings)
        self._reset()
        with store_errors(path, "opening"), self._connection() as db:
            self._settings = database.state(db)
            self.storage = str(self._settings["storage"])
            self.chunk_overlap = int(self._settings["chunk_overlap"])
            self._analyzer = Analyzer(str(self._settings["tokenizer"]))

    def _reset(self) -> None:
        """Everything that must not cross a fork: SQLite forbids it, and locks may be held over there."""
        self._pid = os.getpid()
        self._visits = Visits(self.path, self._free)
        self._idle: list[sqlite3.Connection] = []
        self._write_lock = threading.Lock()
        self._load_lock = threading.Lock()
        self._memory: Memory | None = None
        self._latest: tuple[View, Caches] | None = None
        self._nothing = Memory(1, "float32").view(-1, -1)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        self._notice_fork()
        with self._visits.visit(), self._borrowed() as db:
            yield db

    def _notice_fork(self) -> None:
        if self._pid != os.getpid() and not self._visits.closed:
            self._orphans = (
                self._idle,
                self._analyzer,
            )  # never closed here: that would drop the parent's locks
            self._reset()
            self._analyzer = Analyzer(str(self._settings["tokenizer"]))

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        idle = self._idle
        try:
            db = idle.pop()
        except IndexError:
            # Never "rwc": a file that was moved away must not be begun anew, empty, in its place.
            db = database.connect(self.file, self._timeout, "ro" if self._read_only else "rw")
        try:
            yield db
        finally:
            if db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            if idle is not self._idle:
                db.close()
            else:
                idle.append(db)

    # -- reading -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def reader(self, ranking: bool = False) -> Iterator[SqliteReader]:
        """One unchanging state to read from; ``ranking`` is needed for all that looks at chunks."""
        with store_errors(self.path, "reading"), self._connection() as db:
            if ranking:
                view, caches = self._begin(db)
            else:  # texts and counts need no vectors in memory
                db.execute("BEGIN")
                view, caches = self._nothing, Caches(0)
            yield SqliteReader(db, view, caches, self._analyzer)

    def _begin(self, db: sqlite3.Connection) -> tuple[View, Caches]:
        """Start a read transaction and bring the vectors in memory to exactly its state."""
        while True:
            db.execute("BEGIN")
            row = dict(db.execute("SELECT key, value FROM state WHERE key IN ('version', 'generation')"))
            version, generation = row["version"], row["generation"]
            latest = self._latest
            if latest is None or latest[0].version < version:
                with self._load_lock:
                    latest = self._latest
                    if latest is None or latest[0].version < version:
                        latest = self._load(db, version, generation)
            if latest[0].version == version:
                return latest
            db.execute("ROLLBACK")  # another thread has loaded a newer state: look again

    def _load(self, db: sqlite3.Connection, version: int, generation: int) -> tuple[View, Caches]:
        previous = self._latest
        memory = self._memory if previous and previous[0].generation == generation else None
        if memory is None:
            self._forget()  # before the new vectors are there, not after
        try:
            if memory is None:
                facts = facts_of(database.state(db))
                if facts is None:
                    view = Memory(1, self.storage).view(generation, version)
                    self._latest = (view, Caches(version))
                    return self._latest
                memory = Memory(facts.dimension, self.storage)
            width = row_bytes(self.storage, memory.dimension)
            for first, rows in read_segments(db, width, memory.n):
                if first + len(rows) > memory.n:
                    memory.append(rows, memory.n - first)
            since = previous[0].version if previous and memory is self._memory else -1
            memory.delete(read_tombstones(db, since))
        except BaseException:
            # Half of a state must not be built upon.
            self._forget()
            raise
        self._memory = memory
        self._latest = (memory.view(generation, version), Caches(version))
        return self._latest

    def prepare(self) -> None:
        """Load the vectors, and make sketches of them."""
        with self.reader(ranking=True) as reader:
            view = reader.view
        view.prepare()  # takes seconds, in which the file need not be held

    def _forget(self) -> None:
        """Let go of the vectors in memory."""
        if self._memory is not None:
            self._memory.close()
        self._memory, self._latest = None, None

    # -- writing -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def writer(self) -> Iterator[SqliteWriter]:
        """A transaction; commits at the end of the block, or takes everything back on an exception."""
        with self._exclusive("writing") as db:
            writer = SqliteWriter(db, self.path, self.storage)
            yield writer
            writer.finish()
            db.execute("COMMIT" if writer.changed else "ROLLBACK")

    @contextlib.contextmanager
    def _exclusive(self, doing: str) -> Iterator[sqlite3.Connection]:
        if self._read_only:
            raise StoreError(
                f"index {self.path!r} was opened with read_only=True: open it without to change it"
            )
        with store_errors(self.path, doing), self._connection() as db:
            lock = self._write_lock
            if not lock.acquire(timeout=self._timeout):
                raise StoreError(
                    f"index {self.path!r}: another thread is writing to it and did not finish within "
                    f"{self._timeout} s: retry, or raise timeout="
                )
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
            finally:
                if db.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                lock.release()

    def compact(self) -> None:
        """Drop what is deleted, order the full-text index, give the space back to the disk."""
        with self._exclusive("compacting") as db:
            compact(db, self.storage)
            db.execute("COMMIT")
            # Outside of the transaction, as it must be: if these fail, only space is lost.
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # -- the rest ------------------------------------------------------------------------------------

    def facts(self) -> ModelFacts | None:
        """What model the vectors are of, None before the first document."""
        with store_errors(self.path, "reading"), self._connection() as db:
            return facts_of(database.state(db))

    def model_name(self) -> str:
        """The model's name as it was given when the file was made."""
        return str(self._settings["model"])

    @property
    def files(self) -> tuple[str, ...]:
        """The file, its log and the log's index: beside the file itself, if a link leads to it."""
        file = os.path.realpath(self.file)
        return file, file + "-wal", file + "-shm"

    def info(self) -> IndexInfo:
        """What is in it."""
        with self.reader() as reader:
            db = reader.db
            rows = database.state(db)
            facts = facts_of(rows)
            names = [row[0] for row in db.execute("SELECT name FROM names ORDER BY name")]
            dead = read_tombstones(db, -1)
            chunks = alive = segments = 0
            for n, head in db.execute("SELECT n, head FROM segments"):
                docs, _, _ = decode_heads(head, n)
                segments += 1
                chunks += n
                alive += n - int(np.count_nonzero(np.isin(docs, dead)))
        return IndexInfo(
            path=self.path,
            documents=int(rows["documents"]),
            chunks=alive,
            deleted_chunks=chunks - alive,
            dimension=facts.dimension if facts else None,
            storage=self.storage,
            similarity=facts.similarity if facts else None,
            model=facts.name if facts else self.model_name(),
            fingerprint=facts.fingerprint if facts else None,
            chunk_tokens=facts.chunk_tokens if facts else None,
            chunk_overlap=self.chunk_overlap,
            tokenizer=str(rows["tokenizer"]),
            segments=segments,
            file_bytes=sum(os.path.getsize(file) for file in self.files[:2] if os.path.exists(file)),
            fields=tuple(names),
            created=str(rows["created"]) if "created" in rows else None,
        )

    def verify(self) -> VerifyReport:
        """Check every checksum, hash, entry and tree of the file; report, never raise."""
        with self._connection() as db:
            try:
                # One state for all steps. Comparing the full-text index counts as writing, so it is a
                # writer's transaction; it is rolled back.
                db.execute("BEGIN" if self._read_only else "BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                return VerifyReport(0, 0, 0, (f"file: a transaction cannot begin: {error}",))
            return verify(db, self.storage, self._read_only)

    def close(self) -> None:
        """Write the log back into the file and let go of it, after the calls under way. Closing twice is fine."""
        self._notice_fork()
        self._visits.close(self._timeout)

    def _free(self) -> None:
        if not self._read_only and self._idle:
            with contextlib.suppress(sqlite3.Error):
                self._idle[-1].execute("PRAGMA busy_timeout = 0")
                self._idle[-1].execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        while self._idle:
            self._idle.pop().close()
        if self._read_only:
            database.tidy(self.file)
        self._forget()
        self._analyzer.close()
