"""The embedding cache: no text is computed twice.

A vector is kept under a hash of what decides it: the model's fingerprint, the prompt, the limit, and the text.
The texts themselves are not kept. The file is bounded: what was not asked for the longest goes first.
"""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import sqlite3
import struct
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vicinal.errors import StoreError

_FORMAT = 1
# Bytes of a row beside the vector: key, numbers, and their places in two trees.
_ROW = 120
# The share that goes when the cache is full: making room costs a scan.
_EVICTED = 0.1
# Rows written between two steps of the clock by which the age of a row is told.
_STEP = 1000
# Values in one question; SQLite's limit was 999 for long.
_ASKED = 500
# Writes that may wait, and those that are done in one transaction.
_MOST_WAITING, _TOGETHER = 1000, 100


_log = logging.getLogger("vicinal.server")


class _Write(NamedTuple):
    """Keys of rows that were asked for, and new rows."""

    used: list[bytes]
    rows: list[tuple[bytes, bytes, int, bool]]


class Kept(NamedTuple):
    """What is known of a text.

    Attributes:
        vector: ``(d,)`` float32, before any cut to fewer dimensions.
        tokens: how many of its tokens were computed.
        cut: whether it was longer than the model reads.
    """

    vector: NDArray[np.float32]
    tokens: int
    cut: bool


class EmbeddingCache:
    """Vectors by the hash of their texts, in an SQLite file that several processes may share.

    Reading is done by the caller's thread, writing by one of its own: nobody waits for it.

    Args:
        path: the file; ``":memory:"`` for one that goes away at the end.
        max_bytes: the most that it takes, about.

    Raises:
        StoreError: it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], max_bytes: int) -> None:
        self.path, self.max_bytes = os.fspath(path), max_bytes
        self._own: tempfile.TemporaryDirectory[str] | None = None
        if self.path == ":memory:":
            self._own = tempfile.TemporaryDirectory(prefix="vicinal-cache")
            self.path = os.path.join(self._own.name, "embeddings.db")
        try:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._open()
            self._reader = self._open()
            rows, size, used = self._writer.execute(
                "SELECT COUNT(*), SUM(LENGTH(vector)), MAX(used) FROM kept"
            ).fetchone()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"the cache {self.path} cannot be used: {error}") from error
        self._bytes = (size or 0) + rows * _ROW
        self._clock = (used or 0) + 1
        self._written = 0
        self._reading = threading.Lock()
        self._todo: queue.Queue[_Write | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._write, name="vicinal-cache", daemon=True)
        self._thread.start()

    def _open(self) -> sqlite3.Connection:
        base = sqlite3.connect(self.path, timeout=5, check_same_thread=False, isolation_level=None)
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=OFF")  # what a crash loses is computed again
        if base.execute("PRAGMA user_version").fetchone()[0] not in (0, _FORMAT):
            base.execute("DROP TABLE IF EXISTS kept")
        base.execute(
            "CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, vector BLOB NOT NULL, tokens INTEGER NOT NULL, "
            "cut INTEGER NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID"
        )
        base.execute("CREATE INDEX IF NOT EXISTS by_age ON kept (used)")
        base.execute(f"PRAGMA user_version={_FORMAT}")
        return base

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Kept]:
        """What is known of some texts; those that are not known are left out."""
        found: dict[bytes, Kept] = {}
        old: list[bytes] = []
        with self._reading:
            for first in range(0, len(keys), _ASKED):
                part = keys[first : first + _ASKED]
                marks = ",".join("?" * len(part))
                asked = f"SELECT key, vector, tokens, cut, used FROM kept WHERE key IN ({marks})"
                try:
                    rows = self._reader.execute(asked, part).fetchall()
                except sqlite3.Error as error:
                    _log.warning("the cache %s cannot be read: %s", self.path, error)
                    return found
                for key, vector, tokens, cut, used in rows:
                    found[key] = Kept(np.frombuffer(vector, dtype="<f4"), tokens, bool(cut))
                    if used < self._clock:
                        old.append(key)
        if old:
            self._later(_Write(old, []))
        return found

    def put(self, keys: Sequence[bytes], kept: Sequence[Kept]) -> None:
        """Keep vectors, soon; those that are there stay. Under more load than the disk takes, some are not kept."""
        rows = [
            (key, each.vector.astype("<f4", copy=False).tobytes(), each.tokens, each.cut)
            for key, each in zip(keys, kept, strict=True)
        ]
        self._later(_Write([], rows))

    def flush(self) -> None:
        """Wait until all that was put is there."""
        self._todo.join()

    def _later(self, write: _Write) -> None:
        with suppress(queue.Full):
            self._todo.put_nowait(write)

    def _write(self) -> None:
        while True:
            batch = [self._todo.get()]
            with suppress(queue.Empty):
                while len(batch) < _TOGETHER:
                    batch.append(self._todo.get_nowait())
            try:
                self._write_all([each for each in batch if each is not None])
            except sqlite3.Error as error:
                _log.warning("the cache %s cannot be written: %s", self.path, error)
            finally:
                for _ in batch:
                    self._todo.task_done()
            if None in batch:
                return

    def _write_all(self, batch: list[_Write]) -> None:
        used = [(self._clock, key) for each in batch for key in each.used]
        rows = [(*row, self._clock) for each in batch for row in each.rows]
        with self._transaction() as base:
            base.executemany("UPDATE kept SET used = ? WHERE key = ?", used)
            before = base.total_changes
            base.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?, ?, ?, ?)", rows)
            new = base.total_changes - before
        if new:
            self._bytes += new * (len(rows[0][1]) + _ROW)
        self._written += new
        if self._written >= _STEP:
            self._written, self._clock = 0, self._clock + 1
        if self._bytes > self.max_bytes:
            self._evict()

    def _evict(self) -> None:
        """Let the rows go that were not asked for the longest."""
        with self._transaction() as base:
            count, size = base.execute("SELECT COUNT(*), SUM(LENGTH(vector)) FROM kept").fetchone()
            self._bytes = (size or 0) + count * _ROW  # another process may have written too
            excess = self._bytes - (1 - _EVICTED) * self.max_bytes
            if excess > 0:
                gone = -int(-count * excess // self._bytes)
                base.execute(
                    "DELETE FROM kept WHERE key IN (SELECT key FROM kept ORDER BY used LIMIT ?)", (gone,)
                )
                count, size = base.execute("SELECT COUNT(*), SUM(LENGTH(vector)) FROM kept").fetchone()
                self._bytes = (size or 0) + count * _ROW

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        base = self._writer
        base.execute("BEGIN IMMEDIATE")
        try:
            yield base
        except BaseException:
            base.execute("ROLLBACK")
            raise
        base.execute("COMMIT")

    def __len__(self) -> int:
        with self._reading:
            return int(self._reader.execute("SELECT COUNT(*) FROM kept").fetchone()[0])

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        self._todo.put(None)
        self._thread.join()
        with self._reading:
            self._reader.close()
            self._writer.close()
        if self._own is not None:
            self._own.cleanup()


def keys_of(texts: Sequence[str], *decides: str | int | None) -> list[bytes]:
    """The keys of texts, with all else that decides their vectors; 16 bytes each."""
    start = hashlib.blake2b(digest_size=16)
    for each in decides:
        raw = repr(each).encode()
        start.update(struct.pack("<q", len(raw)) + raw)
    keys = []
    for text in texts:
        one = start.copy()
        one.update(text.encode())
        keys.append(one.digest())
    return keys


def default_path() -> str:
    """Where the cache of this user lies."""
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return str(root / "vicinal" / "embeddings.db")


def is_writable(path: str) -> bool:
    """Whether a file can be made or changed there."""
    place = Path(path)
    while not place.exists() and place != place.parent:
        place = place.parent
    return os.access(place, os.W_OK)
