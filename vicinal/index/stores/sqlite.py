"""An index in one SQLite file, with its vectors in memory.

Everything of one ``writer()`` block commits in one transaction, in write-ahead-log mode: a reader sees the
state before or after it, in any process; a crash leaves one or the other. Writers exclude one another with
SQLite's own lock. A reader compares one counter with that of the vectors in memory and loads what is new.
Each transaction makes sure that the file is still the one that was opened (:class:`.lineage.Place`).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from vicinal.core.native_calls import native_call
from vicinal.errors import InputError, StoreError
from vicinal.index.lexical import Analyzer
from vicinal.index.memory import Memory, View
from vicinal.index.results import IndexInfo, VerifyReport
from vicinal.index.segments import row_bytes
from vicinal.index.stores import database
from vicinal.index.stores.analyzers import Analyzers
from vicinal.index.stores.backup import back_up
from vicinal.index.stores.base import ModelFacts
from vicinal.index.stores.compaction import compact
from vicinal.index.stores.damage import Damage
from vicinal.index.stores.database import store_errors
from vicinal.index.stores.description import described
from vicinal.index.stores.held import close_moved, hold
from vicinal.index.stores.idle import IdleCheckpoints
from vicinal.index.stores.lineage import Place, replaced
from vicinal.index.stores.reading import Caches, SqliteReader
from vicinal.index.stores.state import commit_of, state
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
        with native_call():  # no fork meanwhile
            close_moved(path)
            self._immutable = database.prepare(path, timeout, read_only, settings)
        try:
            self._place = Place(path, self.file, self._immutable)
        except OSError as error:
            raise StoreError(f"index {path!r} cannot be looked at: {error.strerror}") from error
        self._reset()
        with native_call():
            hold(self, self._place)
        try:
            with store_errors(path, "opening"), self._connection() as db:
                self._settings = state(db)
                self.storage = str(self._settings["storage"])
                self.chunk_overlap = int(self._settings["chunk_overlap"])
                self._analyzers = Analyzers(path, self._settings)
        except BaseException:
            self.close_idle()
            raise

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
        this = weakref.ref(self)
        self._idle_checkpoints = IdleCheckpoints(lambda: (store := this()) is None or store.take_log_over())

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        self._notice_fork()
        with self._visits.visit(), self._borrowed() as db:
            yield db

    def _notice_fork(self) -> None:
        if self._pid != os.getpid() and not self._visits.closed:
            # Never closed here: that would drop the parent's locks.
            self._orphans = (self._idle, self._analyzers)
            self._reset()
            self._analyzers = self._analyzers.after_fork()

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        idle = self._idle
        try:
            db = idle.pop()
        except IndexError:
            # Never "rwc": a file that was moved away must not be begun anew, empty, in its place.
            db = self._connected()
        try:
            yield db
        except (sqlite3.Error, Damage):
            self._place.check()  # what looks like damage may be another file
            raise
        finally:
            if db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            if idle is not self._idle or self._place.lost:
                self._let_go(db)
            else:
                idle.append(db)

    def _connected(self) -> sqlite3.Connection:
        mode: Literal["ro", "rw"] = "ro" if self._read_only else "rw"
        more = {"immutable": True} if self._immutable else {}
        self._place.check()
        db = database.connect(self.file, self._timeout, mode, **more)
        try:
            self._place.check()
        except BaseException:
            self._let_go(db)
            raise
        return db

    def close_idle(self, wait: float = 0.0) -> None:
        """Close the connections that nobody uses just now, after waiting so long for calls under way."""
        if wait:
            self._visits.wait(wait)
        while self._idle:
            self._let_go(self._idle.pop())

    def _let_go(self, db: sqlite3.Connection) -> None:
        if self._place.overwritten:
            database.abandon(db, self.file)
        else:  # of a file that was moved or replaced, SQLite itself leaves the new one's log alone
            db.close()

    # -- reading -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def reader(self, ranking: bool = False) -> Iterator[SqliteReader]:
        """One unchanging state to read from; ``ranking`` is needed for all that looks at chunks."""
        with store_errors(self.path, "reading"), self._connection() as db:
            if ranking:
                view, caches = self._begin(db)
                analyzer = self._analyzers.of(db)
            else:  # texts and counts need no vectors in memory
                db.execute("BEGIN")
                view, caches, analyzer = self._nothing, Caches(0), self._analyzers.current
            yield SqliteReader(db, view, caches, analyzer, lambda: self._place.check(db))
            self._place.check(db)  # at the end, when nothing more is read: before it is answered

    def _begin(self, db: sqlite3.Connection) -> tuple[View, Caches]:
        """Start a read transaction and bring the vectors in memory to exactly its state."""
        deadline = time.monotonic() + max(1.0, self._timeout)
        while True:
            known = self._latest
            db.execute("BEGIN")
            version, commit = commit_of(db)
            latest = self._latest
            if latest is None or latest[0].version < version:
                with self._load_lock:
                    latest = self._latest
                    if latest is None or latest[0].version < version:
                        latest = self._load(db)
            if latest[0].version == version and latest[1].commit == commit:
                return latest
            # Another thread may have loaded a newer state: then there is one for us too.
            if latest[0].version == version or (known is not None and version < known[0].version):
                raise StoreError(replaced(self.path, "was set back to an earlier state"))
            db.execute("ROLLBACK")
            if time.monotonic() > deadline:
                raise StoreError(
                    f"index {self.path!r}: it is written to faster than it can be read: retry, or raise timeout="
                )

    def _load(self, db: sqlite3.Connection) -> tuple[View, Caches]:
        rows = state(db)
        version, generation = int(rows["version"]), int(rows["generation"])
        caches = Caches(version, rows.get("commit"))
        previous = self._latest
        memory = self._memory if previous and previous[0].generation == generation else None
        if memory is None:
            self._forget()  # before the new vectors are there, not after
        try:
            if memory is None:
                facts = facts_of(rows)
                if facts is None:
                    self._latest = (Memory(1, self.storage).view(generation, version), caches)
                    return self._latest
                memory = Memory(facts.dimension, self.storage)
            width = row_bytes(self.storage, memory.dimension)
            for first, part in read_segments(db, width, memory.n):
                if first + len(part) > memory.n:
                    memory.append(part, memory.n - first)
            since = previous[0].version if previous and memory is self._memory else -1
            memory.delete(read_tombstones(db, since))
            view = memory.view(generation, version)
            if memory.n != rows["next_row"] or len(view.last_chunks) != rows["documents"]:
                raise Damage(
                    f"{memory.n} chunks of {len(view.last_chunks)} documents are there, "
                    f"{rows['next_row']} of {rows['documents']} are counted"
                )
        except BaseException:
            # Half of a state must not be built upon.
            self._forget()
            raise
        self._memory = memory
        self._latest = (view, caches)
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
            if writer.changed:
                self._commit(db)

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
                self._place.check(db)
                yield db
            finally:
                if db.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                lock.release()

    def _commit(self, db: sqlite3.Connection) -> None:
        self._place.check()
        db.execute("COMMIT")
        self._place.check()  # nothing is acknowledged that went into a file which nobody can find
        self._idle_checkpoints.committed()

    def take_log_over(self) -> bool:
        """Put what the log holds into the file; gives whether nothing is left to do."""
        if self._visits.closed or self._pid != os.getpid():
            return True
        with contextlib.suppress(StoreError, sqlite3.Error), self._connection() as db:
            db.execute("BEGIN")
            self._place.check(db)
            db.execute("ROLLBACK")
            db.execute("PRAGMA busy_timeout = 0")  # nobody shall wait for this
            try:
                return not db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                db.execute(f"PRAGMA busy_timeout = {int(1000 * self._timeout)}")
        return self._place.lost

    def compact(self) -> None:
        """Drop what is deleted, order the full-text index, give the space back to the disk."""
        with self._exclusive("compacting") as db:
            compact(db, self.storage)
            self._commit(db)
            # Outside of the transaction, as it must be: if these fail, only space is lost.
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # -- the rest ------------------------------------------------------------------------------------

    def facts(self) -> ModelFacts | None:
        """What model the vectors are of, None before the first document."""
        with self.reader() as reader:
            return facts_of(state(reader.db))

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
            return described(reader.db, self.path, self.files)

    def verify(self) -> VerifyReport:
        """Check every checksum, hash, entry and tree of the file; damage is reported, never raised."""
        with self._connection() as db:
            try:
                # One state for all steps. Comparing the full-text index counts as writing, so it is a
                # writer's transaction; it is rolled back.
                db.execute("BEGIN" if self._read_only else "BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                return VerifyReport(0, 0, 0, (f"file: a transaction cannot begin: {error}",))
            report = verify(db, self._read_only)
            with contextlib.suppress(sqlite3.Error):  # in a damaged file
                self._place.check(db)
            return report

    def backup(self, target: Path) -> None:
        """Copy one state into another file, whole or not at all."""
        with self.reader() as reader:
            back_up(reader.db, target, reader.check)

    def close(self) -> None:
        """Write the log back into the file and let go of it, after the calls under way. Closing twice is fine."""
        self._notice_fork()
        if self._visits.closed:
            self._visits.close(self._timeout)  # another thread may be at it still
            return
        self._idle_checkpoints.stop()
        if not self._read_only and self._write_lock.acquire(timeout=0):
            try:
                self.take_log_over()
            finally:
                self._write_lock.release()
        self._visits.close(self._timeout)

    def _free(self) -> None:
        self.close_idle()
        if self._read_only and not self._immutable and not self._place.lost:
            database.tidy(self.file)
        self._forget()
        self._analyzers.close()
