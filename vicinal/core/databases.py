"""Files that SQLite calls databases, such as those of an index."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

# The first bytes of every SQLite file that holds something.
SQLITE_START = b"SQLite format 3\0"


def file_uri(file: str, mode: str, immutable: bool = False) -> str:
    """The file for ``sqlite3.connect(..., uri=True)``."""
    return f"file:{quote(os.path.abspath(file))}?mode={mode}{'&immutable=1' if immutable else ''}"


def is_database(file: Path) -> bool:
    """Whether SQLite calls it a database, damaged or not.

    SQLite looks first: if this process has the file open as an index, closing another descriptor of it would give
    up the locks of that index.
    """
    import sqlite3

    try:
        if not file.stat().st_size:
            return False
        with closing(sqlite3.connect(file_uri(str(file), "ro", immutable=True), uri=True)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return True
    except sqlite3.DatabaseError:  # something else, or damaged; nobody can have it open
        with suppress(OSError), file.open("rb") as head:
            return head.read(len(SQLITE_START)) == SQLITE_START
        return False
    except OSError:  # not there
        return False
