"""Whether a log belongs to the file that it lies beside, and whether a file is still the one that was opened.

SQLite plays a write-ahead log back into whatever file has the right name, so a copy that was put in place while
an old log was left becomes a mixture of both, and nothing notices. Here each commit names the one before it
(``parent`` and ``commit`` in ``state``): a log belongs to a file if the file's own commit is the one that the
first commit of the log was made upon, or one of the log's (the file has taken it over already).

The file is read through SQLite, never with ``open()``: closing a file gives up every POSIX lock that the process
holds on it, those of its open connections too. Logs carry no such locks.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress

from vicinal.core.databases import file_uri
from vicinal.errors import IndexReplacedError, StoreError

# While a log is taken over, the file may be unreadable for moments: it is read again after a pause, for so long.
_PATIENCE = 10.0
_PAUSE = 0.002
_LOG_HEADER = 32
_FRAME_HEADER = 24
_LEAF = 0x0A  # a page that holds rows of a table without row numbers, and no further pages


def log_bytes(file: str) -> int:
    """Size of the log beside a file; 0 if there is none."""
    try:
        return os.stat(file + "-wal").st_size
    except OSError:
        return 0


def check_log(path: str, file: str) -> None:
    """Refuse a log that was left beside a file by another one.

    Args:
        path: the file as the caller gave it, for errors.
        file: its absolute path.

    Raises:
        StoreError: the log belongs to another file, or to another state of this one.
    """
    fits = _log_fits(file, None)
    if fits is None:
        raise StoreError(_busy(path))
    if not fits:
        raise StoreError(
            f"index {path!r}: the log beside it, {path + '-wal'!r}, does not belong to it: another file was put in "
            f"this place while the log was left. Nothing was changed. To open the file as it is, delete "
            f"{path + '-wal'!r} and {path + '-shm'!r}; to keep what the log holds, put back the file it belongs to"
        )


def is_foreign_log(file: str) -> bool:
    """Whether a log was left beside a file that does not belong to it."""
    return log_bytes(file) > 0 and _log_fits(file, None) is False


def _busy(path: str) -> str:
    return f"index {path!r}: it is written to by others all the time, and could not be checked: retry"


def _log_fits(file: str, current: str | None) -> bool | None:
    """Whether a file and the log beside it belong together.

    Args:
        file: its path.
        current: the commit that an open transaction sees; None where none is open.

    Returns:
        None if they did not stand still long enough to tell.
    """
    file = os.path.realpath(file)  # SQLite puts the log beside the file itself
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        salts = _salts(file)
        own, root = _commit_of_file(file)
        if own is None and current is None:
            return True  # no index, or a damaged one: opening it says so
        if own is not None:
            if _fits(file, root, own, current):
                return True
            if salts == _salts(file) and own == _commit_of_file(file)[0]:
                return False
        time.sleep(_PAUSE)
    return None


def replaced(path: str, what: str) -> str:
    """That the file is no longer the one that was opened."""
    return (
        f"index {path!r} {what} while it was open here: nothing is read from it or written to it any more. "
        "Close it and open it again with Index(path); what was changed since the last good answer may have to "
        "be added again"
    )


def _fits(file: str, root: int, own: str, current: str | None) -> bool:
    any_frame = False
    for parent, commit in _commits_of_log(file, root):
        any_frame = True
        if own in (parent, commit):
            return True
    return not any_frame and current in (None, own)


def _commit_of_file(file: str) -> tuple[str | None, int]:
    """The last commit that the file itself holds, without its log, and the page where ``state`` lies.

    The commit is empty in files from before there were commits, and None if there is no ``state``.
    """
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(file_uri(file, "ro", immutable=True), uri=True)) as db,
    ):
        # A file that has taken half of its log over may be shorter than it says: it is read all the same.
        db.execute("PRAGMA writable_schema = ON")
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'state'").fetchone()
        row = db.execute("SELECT value FROM state WHERE key = 'commit'").fetchone()
        if root is not None:
            return str(row[0]) if row else "", int(root[0])
    return None, 0


def _salts(file: str) -> bytes:
    """What changes when the log is started over."""
    with suppress(OSError), open(file + "-wal", "rb") as log:
        return log.read(_LOG_HEADER)[16:24]
    return b""


def _commits_of_log(file: str, root: int) -> Iterator[tuple[str, str]]:
    """``(parent, commit)`` of each commit in the log, newest first."""
    with suppress(OSError), open(file + "-wal", "rb", buffering=0) as log:
        header = log.read(_LOG_HEADER)
        if len(header) < _LOG_HEADER:
            return
        page = int.from_bytes(header[8:12], "big")
        found: list[int] = []
        at = _LOG_HEADER
        while 512 <= page <= 65536:
            log.seek(at)
            frame = log.read(_FRAME_HEADER)
            if len(frame) < _FRAME_HEADER or frame[8:16] != header[16:24]:
                break  # the end, or what an earlier log left behind
            if int.from_bytes(frame[:4], "big") == root:
                found.append(at + _FRAME_HEADER)
            at += _FRAME_HEADER + page
        for at in reversed(found):  # what is looked for is seldom an old one
            log.seek(at)
            rows = _rows_of_page(log.read(page))
            yield rows.get("parent", ""), rows.get("commit", "")


def _rows_of_page(page: bytes) -> dict[str, str]:
    """The rows of two short texts on a page of ``state``; others are passed over.

    Source:
        https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.1.
    """
    rows: dict[str, str] = {}
    if not page or page[0] != _LEAF:
        return rows
    for cell in range(int.from_bytes(page[3:5], "big")):
        at = int.from_bytes(page[8 + 2 * cell : 10 + 2 * cell], "big")
        cell_bytes = page[at : at + 256]
        if len(cell_bytes) < 4 or max(cell_bytes[:4]) > 127:
            continue  # a long row: its lengths take more than a byte each
        size, head, key, value = cell_bytes[:4]
        if head != 3 or key < 13 or value < 13 or not key % 2 or not value % 2:
            continue  # not two texts
        key, value = (key - 13) // 2, (value - 13) // 2
        if size == 3 + key + value:
            rows[cell_bytes[4 : 4 + key].decode("ascii", "replace")] = cell_bytes[
                4 + key : 4 + key + value
            ].decode("ascii", "replace")
    return rows


def _trace(status: os.stat_result) -> tuple[int, int, int]:
    """What a write changes: tools such as ``rsync --inplace -t`` put the first back, nobody can put the last back.

    The last also changes when a file gets another mode or a link, which does it no harm.
    """
    return status.st_mtime_ns, status.st_size, status.st_ctime_ns


class Place:
    """The file that an index opened, and whether it still lies there.

    Args:
        path: the file as the caller gave it, for errors.
        file: its absolute path.
        immutable: it is read without locks and without its log, so nothing may change.

    Attributes:
        lost: whether it was found to be another file once.
        overwritten: whether that other file lies in the same place on the disk: SQLite itself cannot tell.
    """

    def __init__(self, path: str, file: str, immutable: bool) -> None:
        self._path = path
        self._file = file
        self._immutable = immutable
        self.overwritten = False
        status = os.stat(file)
        self._own = (status.st_dev, status.st_ino)
        self._seen = _trace(status)
        self._lost: str | None = None

    @property
    def lost(self) -> bool:
        return self._lost is not None

    def refuse_left_log(self, path: str) -> None:
        """Raise if the file was moved to ``path``, and its log still lies where it was.

        Raises:
            StoreError: what was changed last is in the log.
        """
        log = os.path.realpath(self._file) + "-wal"
        with suppress(OSError):
            status = os.stat(path)
            if (status.st_dev, status.st_ino) == self._own and not os.path.exists(self._file):
                if not log_bytes(log.removesuffix("-wal")):
                    return
                raise StoreError(
                    f"index {path!r} was moved there from {self._path!r} while it was open, and what was changed "
                    f"last is in the log that was left: move {log!r} to {path + '-wal'!r}, or delete it to open "
                    "the file as it is"
                )

    def check(self, db: sqlite3.Connection | None = None) -> None:
        """Refuse to go on with another file; a few microseconds.

        Args:
            db: a connection in a transaction; with it, a file that was overwritten in its place is noticed too.

        Raises:
            IndexReplacedError: the file was removed, replaced or overwritten. From then on every call raises.
        """
        if self._lost is None:
            self._lost = self._problem(db)
        if self._lost is not None:
            raise IndexReplacedError(self._lost)

    def _problem(self, db: sqlite3.Connection | None) -> str | None:
        try:
            status = os.stat(self._file)
        except FileNotFoundError:
            return replaced(self._path, "was removed or moved")
        except OSError as error:
            raise StoreError(f"index {self._path!r}: it cannot be looked at: {error.strerror}") from error
        if (status.st_dev, status.st_ino) != self._own:
            return replaced(self._path, "was replaced by another file")
        seen = _trace(status)
        if self._immutable:
            changed = seen[:2] != self._seen[:2] or log_bytes(os.path.realpath(self._file))
            return replaced(self._path, "was changed") if changed else None
        if db is not None and seen != self._seen:
            # Written to since: by SQLite, when it took the log over, or by somebody who copied a file over it.
            row = db.execute("SELECT value FROM state WHERE key = 'commit'").fetchone()
            fits = _log_fits(self._file, str(row[0]) if row else "")
            if fits is None:
                raise StoreError(_busy(self._path))
            if not fits:
                self.overwritten = True
                return replaced(self._path, "was overwritten")
            self._seen = seen
        return None
