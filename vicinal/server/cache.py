"""The embedding cache: no text is computed twice.

A vector is kept under a hash of what decides it: the model's fingerprint, the prompt, the limit, and the text.
The texts themselves are not kept. The file is bounded: what was not asked for the longest goes first.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import struct
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
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

    Args:
        path: the file; ``":memory:"`` for none.
        max_bytes: the most that it takes, about.

    Raises:
        StoreError: it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], max_bytes: int) -> None:
        self.path, self.max_bytes = os.fspath(path), max_bytes
        self._lock = threading.Lock()
        try:
            if self.path != ":memory:":
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            self._base = self._open()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"the cache {self.path} cannot be opened: {error}") from error
        row = self._base.execute("SELECT COUNT(*), SUM(LENGTH(vector)), MAX(used) FROM kept").fetchone()
        self._bytes = (row[1] or 0) + row[0] * _ROW
        self._clock = (row[2] or 0) + 1
        self._written = 0

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
        with self._lock:
            for first in range(0, len(keys), _ASKED):
                part = keys[first : first + _ASKED]
                marks = ",".join("?" * len(part))
                rows = self._base.execute(
                    f"SELECT key, vector, tokens, cut, used FROM kept WHERE key IN ({marks})", part
                ).fetchall()
                old = [(self._clock, key) for key, _, _, _, used in rows if used < self._clock]
                if old:
                    self._base.execute("BEGIN IMMEDIATE")
                    self._base.executemany("UPDATE kept SET used = ? WHERE key = ?", old)
                    self._base.execute("COMMIT")
                for key, vector, tokens, cut, _ in rows:
                    found[key] = Kept(np.frombuffer(vector, dtype="<f4"), tokens, bool(cut))
        return found

    def put(self, keys: Sequence[bytes], kept: Sequence[Kept]) -> None:
        """Keep vectors; those that are there stay."""
        rows = [
            (key, each.vector.astype("<f4", copy=False).tobytes(), each.tokens, each.cut, self._clock)
            for key, each in zip(keys, kept, strict=True)
        ]
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            before = self._base.total_changes
            self._base.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?, ?, ?, ?)", rows)
            new = self._base.total_changes - before
            self._base.execute("COMMIT")
            self._bytes += new * (len(rows[0][1]) + _ROW) if rows else 0
            self._written += new
            if self._written >= _STEP:
                self._written, self._clock = 0, self._clock + 1
            if self._bytes > self.max_bytes:
                self._evict()

    def _evict(self) -> None:
        """Let the rows go that were not asked for the longest."""
        count = self._base.execute("SELECT COUNT(*) FROM kept").fetchone()[0]
        gone = max(1, int(count * _EVICTED))
        self._base.execute("BEGIN IMMEDIATE")
        self._base.execute(
            "DELETE FROM kept WHERE key IN (SELECT key FROM kept ORDER BY used LIMIT ?)", (gone,)
        )
        self._base.execute("COMMIT")
        row = self._base.execute("SELECT COUNT(*), SUM(LENGTH(vector)) FROM kept").fetchone()
        self._bytes = (row[1] or 0) + row[0] * _ROW

    def __len__(self) -> int:
        with self._lock:
            return int(self._base.execute("SELECT COUNT(*) FROM kept").fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        with self._lock, closing(self._base):
            pass


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
