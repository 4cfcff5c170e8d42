"""A copy of an index while it is in use."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from vicinal.core.files import replacing
from vicinal.errors import StoreError
from vicinal.index.stores.database import tidy
from vicinal.index.stores.lineage import is_foreign_log
from vicinal.index.stores.state import set_state, state

# Pages copied in one step; in between, Ctrl-C is heard.
_STEP = 2048


def back_up(db: sqlite3.Connection, target: Path, check: Callable[[], None]) -> None:
    """Copy what an open transaction sees; the copy appears under its name when it is whole and on the disk.

    The copy has an identity of its own, so a log that was left beside ``target`` is never taken for its own.

    Args:
        db: a connection in a read transaction.
        target: where it goes; a file that is there is replaced, with its log.
        check: called before the copy gets its name; what it raises leaves nothing behind.

    Raises:
        Damage: the counters and settings cannot be right.
        StoreError: the copy cannot be written; a file that was there is as it was.
    """
    state(db)  # its checksum is made again below, so it must be right now
    try:
        with replacing(target) as scratch:
            _copy(db, scratch)
            with scratch.open("r+b") as file:
                os.fsync(file.fileno())
            check()
    except (OSError, sqlite3.Error) as error:
        if isinstance(error, sqlite3.Error) and not _about_writing(error):
            raise  # the index cannot be read
        reason = getattr(error, "strerror", None) or error
        raise StoreError(
            f"backup to {str(target)!r}: {reason}: a file that was there is as it was; check space and permissions"
        ) from error
    # Who opens the file before its old log is gone is told so: no harm is done. Whoever found none to refuse may
    # have begun a new one meanwhile, which stays.
    with suppress(OSError):
        if is_foreign_log(str(target)):
            for end in ("-wal", "-shm"):
                Path(str(target) + end).unlink(missing_ok=True)
        tidy(str(target))
        _sync_folder(target.parent)


def _about_writing(error: sqlite3.Error) -> bool:
    return any(word in str(error).lower() for word in ("full", "disk i/o", "unable to open", "readonly"))


def _copy(db: sqlite3.Connection, scratch: Path) -> None:
    with closing(sqlite3.connect(scratch, isolation_level=None)) as copy:
        db.backup(copy, pages=_STEP)
        copy.execute("PRAGMA synchronous = FULL")
        copy.execute("BEGIN IMMEDIATE")
        set_state(copy, {"identity": secrets.token_hex(16)})
        copy.execute("COMMIT")
        copy.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _sync_folder(folder: Path) -> None:
    """Wait until the new name is on the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
