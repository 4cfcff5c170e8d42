"""The SQLite file: its tables, how it is opened, and its errors in Vicinal's words."""

from __future__ import annotations

import ctypes
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from vicinal.core.databases import file_uri
from vicinal.errors import StoreError
from vicinal.index.folding import ANALYSIS
from vicinal.index.stores.damage import RESTORE, Damage, damaged
from vicinal.index.stores.lexical_tables import FORMAT, FORMATS, create, register
from vicinal.index.stores.lineage import check_log, log_bytes
from vicinal.index.stores.state import set_state

APPLICATION_ID = 0x56494349  # "VICI"
PAGE_SIZE = 8192
HEADER_BYTES = 512  # less is no database
# Every connection's page cache, in KiB: a writer spreads over the B-trees of ids, fields and terms.
CACHE_KIB = 32 << 10
WAL_LIMIT = 64 << 20

_TABLES = """
CREATE TABLE state (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE documents (
    doc INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, digest BLOB NOT NULL, metadata TEXT, text NOT NULL
);
CREATE TABLE segments (
    first INTEGER PRIMARY KEY, n INTEGER NOT NULL, checksum INTEGER NOT NULL,
    head BLOB NOT NULL, vectors BLOB NOT NULL
);
CREATE TABLE tombstones (version INTEGER PRIMARY KEY, docs BLOB NOT NULL);
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE fields (key INTEGER, value, doc INTEGER, PRIMARY KEY (key, value, doc)) WITHOUT ROWID
"""


@contextmanager
def foreign_errors() -> Iterator[None]:
    """Mark what an object of the caller's raises during a reading, so that it is not taken for one of the file's."""
    try:
        yield
    except Exception as error:
        with suppress(AttributeError):
            error._is_foreign = True  # type: ignore[attr-defined]
        raise


def _is_foreign(error: BaseException) -> bool:
    return getattr(error, "_is_foreign", False)


@contextmanager
def store_errors(path: str, doing: str) -> Iterator[None]:
    """Turn what SQLite raises into a :class:`StoreError` that names the file and the remedy.

    Args:
        path: the file.
        doing: what was being done, as in "while ...".
    """
    try:
        yield
    except sqlite3.Error as error:
        if _is_foreign(error):
            raise
        raise StoreError(f"index {path!r}: {_explain(error, path)} (while {doing}: {error})") from error
    except Damage as error:
        raise StoreError(f"index {path!r}: {error}: {damaged(path)} (while {doing})") from error
    except (UnicodeDecodeError, MemoryError, OverflowError) as error:
        if _is_foreign(error):
            raise
        # What a damaged length or character looks like by the time it reaches Python.
        raise StoreError(f"index {path!r}: {damaged(path)} (while {doing}: {error!r})") from error


NO_INDEX = f"it is not an index, or its head is damaged: give another path; if it was one, {RESTORE}"


def _is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection stood in the way."""
    text = str(error).lower()
    return "locked" in text or "busy" in text


def _explain(error: sqlite3.Error, path: str) -> str:
    text = str(error).lower()
    if _is_busy(error):
        return (
            "another process or thread is writing to it and did not finish in time: retry, or raise timeout="
        )
    if "full" in text:
        return "the disk is full; the file is as it was before: free some space and retry"
    if "readonly" in text or "read-only" in text:
        return (
            "it cannot be written to: check the permissions of the file and of its folder, or open it with "
            "read_only=True"
        )
    if "unable to open" in text:
        return "it cannot be opened: check that it was not moved, and that its folder exists and may be written to"
    if "disk i/o" in text:
        return "reading or writing failed; the file is as it was before: check space, quota and the disk"
    if "not a database" in text:
        return NO_INDEX
    signs = ("malformed", "decode", "corrupt", "user-defined function")
    if any(sign in text for sign in signs):
        return damaged(path)
    return "the database refused"


def connect(
    path: str,
    timeout: float,
    mode: Literal["ro", "rw", "rwc"],
    immutable: bool = False,
    cut_off: bool = False,
) -> sqlite3.Connection:
    """Open one connection; :func:`prepare` has made the file.

    Args:
        path: the file.
        timeout: seconds to wait for another writer.
        mode: ``"ro"``: nothing can be written; ``"rwc"``: the file is made if it is not there.
        immutable: nobody writes to the file: it is read without locks and without its log.
        cut_off: read a file that lacks its end, which SQLite refuses otherwise.

    Returns:
        A connection in autocommit mode that any thread may use, one at a time.
    """
    uri = file_uri(path, mode, immutable)
    db = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        if cut_off:
            db.execute("PRAGMA writable_schema = ON")
        # Reading through a memory map would turn a truncated file into SIGBUS, the end of the process.
        db.execute("PRAGMA mmap_size = 0")
        db.execute("PRAGMA trusted_schema = ON")  # the view of texts calls a function of ours
        register(db)
        db.execute("PRAGMA cell_size_check = ON")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        db.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        # FULL: an acknowledged add survives a power cut too, not only the end of the process.
        db.execute("PRAGMA synchronous = FULL")
    except BaseException:
        db.close()
        raise
    return db


def abandon(db: sqlite3.Connection, path: str) -> None:
    """Close a connection without what SQLite does when the last one closes: playing the log back.

    The log would go into whatever was copied over the file. The last one to close is a connection that may not
    write, and so plays nothing back.
    """
    try:
        with closing(connect(path, 0, "ro")) as last:
            last.execute("SELECT count(*) FROM sqlite_master").fetchone()
            db.close()
    except sqlite3.Error:  # it cannot even be read: our connection stays open until the process ends
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(db))


def tidy(path: str) -> None:
    """Take away the empty ``-wal`` and ``-shm`` files that read-only connections leave, where that is allowed.

    SQLite removes them when the last connection closes, if that one may write. A log that holds something
    stays: it belongs to a writer, or waits to be recovered by one.
    """
    with suppress(OSError, sqlite3.Error):
        if os.path.getsize(path + "-wal") == 0:
            with closing(sqlite3.connect(file_uri(path, "rw"), uri=True, timeout=0)) as db:
                db.execute("SELECT count(*) FROM state").fetchone()


def prepare(path: str, timeout: float, read_only: bool, settings: dict[str, str | int]) -> bool:
    """Make the file if it is not there, and check that it is an index if it is.

    Args:
        path: the file.
        timeout: seconds to wait for another process that makes the same file.
        read_only: whether nothing may be made.
        settings: rows of ``state`` for a new file, ``"tokenizer"`` among them.

    Returns:
        Whether it has to be opened as immutable: its folder may not be written to, so SQLite could make no
        log's index there, and needs none because there is no log.

    Raises:
        StoreError: it is something else, or of a newer format, or cannot be opened, or has the log of
            another file beside it.
    """
    check_place(path, read_only)
    with store_errors(path, "opening"):
        try:
            with closing(connect(path, timeout, "ro" if read_only else "rwc")) as db:
                _make_or_identify(db, path, timeout, read_only, settings)
        except sqlite3.OperationalError as error:
            if not _is_refused(error) or _may_write(path):
                raise
            _refuse_to_write(path, read_only)
        else:
            return False
        with closing(connect(path, timeout, "ro", immutable=True)) as db:
            _identify(db, path)
    return True


def _make_or_identify(
    db: sqlite3.Connection, path: str, timeout: float, read_only: bool, settings: dict[str, str | int]
) -> None:
    deadline = time.monotonic() + timeout
    while not _identify(db, path):
        if read_only:
            raise StoreError(f"index {path!r} is empty, and read_only=True forbids filling it")
        try:
            _create(db, settings)
        except sqlite3.OperationalError as error:
            # Several processes make the file at once. SQLite's own waiting does not help: it refuses
            # the change to WAL at once where two would wait for one another.
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.001, 0.02))


def check_place(path: str, read_only: bool) -> None:
    """Look at a file, its folder and its log before SQLite touches any of them.

    Raises:
        StoreError: no index can be there, or none that may be opened.
    """
    file = Path(path)
    if file.is_dir():
        raise StoreError(
            f"index {path!r} is a folder: give the path of a file, such as {path!r} + '/texts.db'"
        )
    if read_only and not file.exists():
        raise StoreError(f"index {path!r} does not exist, and read_only=True forbids making it")
    if not file.parent.is_dir():
        raise StoreError(f"index {path!r}: its folder {str(file.parent)!r} does not exist: create it first")
    # The log first: whoever makes the file just now writes the start of it before there is a log.
    log = log_bytes(os.path.realpath(path))
    size, names = _size_and_names(path)
    if 0 < size < HEADER_BYTES:
        # SQLite would take it for empty and begin anew over what is left of a truncated file.
        raise StoreError(f"index {path!r} holds {size} bytes: {NO_INDEX}")
    if names > 1 and not read_only:
        raise StoreError(
            f"index {path!r} has {names} names (hard links), and each would get a log of its own, which destroys "
            "the file: copy it and open the copy, remove the other names, or open it with read_only=True"
        )
    if log:
        if not size:
            # SQLite would throw the log away.
            raise StoreError(
                f"index {path!r}: the file is gone, but its log {path + '-wal'!r} is there: put the file back "
                "beside it, or delete the log to begin anew"
            )
        check_log(path, path)


def _size_and_names(path: str) -> tuple[int, int]:
    """Bytes and hard links of a file, of one moment; 0 and 1 if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 1
    return found.st_size, found.st_nlink


def _is_refused(error: sqlite3.Error) -> bool:
    """Whether SQLite could not make the files that it needs."""
    text = str(error).lower()
    return "unable to open" in text or "readonly" in text


def _may_write(path: str) -> bool:
    folder = os.path.dirname(os.path.realpath(path))
    return os.access(folder, os.W_OK) and (not os.path.exists(path) or os.access(path, os.W_OK))


def _refuse_to_write(path: str, read_only: bool) -> None:
    """Raise if a file in a folder that may not be written to cannot be opened even for reading.

    Raises:
        StoreError: a change is wanted, the file is not there, or its log would have to be played back first.
    """
    if not os.path.exists(path):
        raise StoreError(f"index {path!r} cannot be made: its folder may not be written to")
    if not os.access(path, os.R_OK):
        raise StoreError(f"index {path!r} cannot be read: check its permissions")
    if not read_only:
        raise StoreError(
            f"index {path!r} cannot be changed: the file or its folder may not be written to. "
            "Open it with read_only=True to search it, or copy it into a folder of yours"
        )
    if log_bytes(os.path.realpath(path)):
        raise StoreError(
            f"index {path!r} has a log beside it, {path + '-wal'!r}, and cannot be read where nothing may be "
            "written: copy both into a folder of yours, or let its owner open and close it"
        )


def _identify(db: sqlite3.Connection, path: str) -> bool:
    """Whether it is an index, not an empty file."""
    db.execute("BEGIN")  # one state: another process may be making the index just now
    try:
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    finally:
        if db.in_transaction:  # a damaged file may have ended it
            db.execute("ROLLBACK")
    if application == APPLICATION_ID:
        if version not in FORMATS:
            raise StoreError(
                f"index {path!r} has format {version}, this Vicinal reads formats up to {FORMAT}: upgrade Vicinal"
            )
        return True
    if application or version or tables:
        raise StoreError(f"index {path!r} is a database of something else: give another path")
    return False


def _create(db: sqlite3.Connection, settings: dict[str, str | int]) -> None:
    db.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    try:
        if not db.execute("PRAGMA application_id").fetchone()[0]:
            for statement in _TABLES.split(";\n"):
                db.execute(statement)
            create(db, str(settings["tokenizer"]))
            rows = {"generation": 0, "version": 1, "next_doc": 1, "next_row": 0, "documents": 0, **settings}
            created = datetime.now(timezone.utc).isoformat(timespec="seconds")
            set_state(db, {**rows, "created": created, "analysis": ANALYSIS})
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    # A copy of the file alone shall be an index from its first moment on.
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
