"""The analyzer of a store: renewed when another process has rebuilt the words, or after a fork."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping

from vicinal.index.lexical import Analyzer
from vicinal.index.stores.lexical_tables import analysis_of


class Analyzers:
    """Gives the analyzer for the texts as they are in a transaction.

    Args:
        path: the index, as its user named it.
        settings: the rows of ``state``.
    """

    def __init__(self, path: str, settings: Mapping[str, str | int]) -> None:
        self._path, self._tokenizer = path, str(settings["tokenizer"])
        self._lock = threading.Lock()
        self._replaced: list[Analyzer] = []  # other threads may be using them
        self.current = self._new(analysis_of(settings))

    def _new(self, analysis: int) -> Analyzer:
        return Analyzer(self._tokenizer, analysis, self._path)

    def of(self, db: sqlite3.Connection) -> Analyzer:
        """The analyzer for what a connection sees."""
        row = db.execute("SELECT value FROM state WHERE key = 'analysis'").fetchone()
        analysis = int(row[0]) if row else 1
        if self.current.analysis != analysis:
            with self._lock:
                if self.current.analysis != analysis:
                    self._replaced.append(self.current)
                    self.current = self._new(analysis)
        return self.current

    def after_fork(self) -> Analyzers:
        """New ones for a child process; the old ones are left alone, as their locks may be held over there."""
        return Analyzers(self._path, {"tokenizer": self._tokenizer, "analysis": self.current.analysis})

    def close(self) -> None:
        """Free them all."""
        for each in (*self._replaced, self.current):
            each.close()
