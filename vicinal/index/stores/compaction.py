"""Rewriting the file without what was deleted, inside one transaction."""

from __future__ import annotations

import sqlite3

import numpy as np

from vicinal.index.segments import Ints, Rows, checksum, decode_segment, encode_heads, row_bytes
from vicinal.index.stores.lexical_tables import bring_up_to_date
from vicinal.index.stores.state import set_state, state
from vicinal.index.stores.writing import SEGMENT_ROWS, joined


def compact(db: sqlite3.Connection, storage: str) -> None:
    """Renumber documents and chunks without gaps, fill the segments, order the full-text index.

    Args:
        db: a connection on which ``BEGIN IMMEDIATE`` has succeeded; the caller commits.
        storage: how vectors are stored.
    """
    rows = state(db)
    if bring_up_to_date(db, rows):
        set_state(db, rows)
    living = np.fromiter((row[0] for row in db.execute("SELECT doc FROM documents ORDER BY doc")), np.int64)
    if int(rows["next_doc"]) != len(living) + 1:
        _renumber(db, living)
    else:
        db.execute("INSERT INTO lexical(lexical) VALUES ('optimize')")
    chunks = 0
    if "model.dimension" in rows:
        chunks = _rewrite(db, row_bytes(storage, int(rows["model.dimension"])), living)
    db.execute("DELETE FROM tombstones")
    db.execute("DELETE FROM names WHERE id NOT IN (SELECT DISTINCT key / 8 FROM fields)")
    changed = {
        "version": int(rows["version"]) + 1,
        "generation": int(rows["generation"]) + 1,
        "next_doc": len(living) + 1,
        "next_row": chunks,
    }
    set_state(db, changed)


def _renumber(db: sqlite3.Connection, living: Ints) -> None:
    db.execute("CREATE TEMP TABLE renumber (old INTEGER PRIMARY KEY, new INTEGER NOT NULL)")
    db.executemany("INSERT INTO temp.renumber(new, old) VALUES (?, ?)", enumerate(living.tolist(), start=1))
    # Ascending, and no new number is larger than the old one: the new one is always free by then.
    moved = db.execute("SELECT new, old FROM temp.renumber WHERE new <> old ORDER BY old").fetchall()
    db.executemany("UPDATE documents SET doc = ? WHERE doc = ?", moved)
    db.execute(
        "CREATE TEMP TABLE moved AS SELECT key, value, new FROM fields JOIN temp.renumber ON doc = old "
        "ORDER BY key, value, new"
    )
    db.execute("DELETE FROM fields")
    db.execute("INSERT INTO fields SELECT key, value, new FROM temp.moved ORDER BY rowid")
    db.execute("DROP TABLE temp.moved")
    db.execute("DROP TABLE temp.renumber")
    db.execute("INSERT INTO lexical(lexical) VALUES ('rebuild')")


def _rewrite(db: sqlite3.Connection, width: int, living: Ints) -> int:
    """Rewrite the segments; gives the number of chunks left.

    A segment is read and deleted before its rows are written again, at a place at or before the old one,
    so old and new share the table.
    """
    waiting: list[Rows] = []
    written = 0
    for (first,) in db.execute("SELECT first FROM segments ORDER BY first").fetchall():
        row = db.execute(
            "SELECT n, head, vectors, checksum FROM segments WHERE first = ?", (first,)
        ).fetchone()
        n, head, vectors, check = row
        kept = _living(decode_segment(first, n, head, vectors, check, width), living, width)
        db.execute("DELETE FROM segments WHERE first = ?", (first,))
        if len(kept):
            waiting.append(kept)
        while sum(map(len, waiting)) >= SEGMENT_ROWS:
            together = joined(waiting)
            _put(db, written, _cut(together, 0, SEGMENT_ROWS, width))
            written += SEGMENT_ROWS
            waiting = [_cut(together, SEGMENT_ROWS, len(together), width)]
    if sum(map(len, waiting)):
        together = joined(waiting)
        _put(db, written, together)
        written += len(together)
    return written


def _living(rows: Rows, living: Ints, width: int) -> Rows:
    places = np.searchsorted(living, rows.docs)
    keep = np.zeros(len(rows), bool)
    inside = places < len(living)
    keep[inside] = living[places[inside]] == rows.docs[inside]
    vectors = np.frombuffer(rows.vectors, np.uint8).reshape(len(rows), width)
    return Rows(places[keep] + 1, rows.starts[keep], rows.ends[keep], vectors[keep].tobytes())


def _cut(rows: Rows, start: int, stop: int, width: int) -> Rows:
    part = slice(start, stop)
    vectors = rows.vectors[start * width : stop * width]
    return Rows(rows.docs[part], rows.starts[part], rows.ends[part], vectors)


def _put(db: sqlite3.Connection, first: int, rows: Rows) -> None:
    head = encode_heads(rows)
    db.execute(
        "INSERT INTO segments VALUES (?, ?, ?, ?, ?)",
        (first, len(rows), checksum(head, rows.vectors), head, rows.vectors),
    )
