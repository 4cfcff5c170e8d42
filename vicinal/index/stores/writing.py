"""One transaction on the file."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vicinal.index.filters import Node, Scalar, flatten
from vicinal.index.folding import fold
from vicinal.index.lexical import cuts_pairs
from vicinal.index.segments import (
    Floats,
    Ints,
    Rows,
    checksum,
    decode_segment,
    encode_heads,
    encode_vectors,
    row_bytes,
)
from vicinal.index.stores.base import ModelFacts, NewDocument, compare_models
from vicinal.index.stores.damage import Damage
from vicinal.index.stores.filtering import BATCH, matching, numbers
from vicinal.index.stores.lexical_tables import bring_up_to_date
from vicinal.index.stores.reading import document
from vicinal.index.stores.state import set_state, state
from vicinal.index.stores.texts import pack_text, sealed

# A full segment. Larger ones load no quicker, and a merge rewrites up to this many rows.
SEGMENT_ROWS = 4096
# This many neighbouring small segments become one: each row is rewritten at most four times (8**4 = 4096).
MERGE = 8


class SqliteWriter:
    """Implements :class:`vicinal.index.stores.base.Writer` inside one write transaction.

    Args:
        db: a connection on which ``BEGIN IMMEDIATE`` has succeeded.
        path: the file, for errors.
        storage: how vectors are stored.
    """

    def __init__(self, db: sqlite3.Connection, path: str, storage: str) -> None:
        self._db = db
        self._path = path
        self._storage = storage
        self._state = state(db)
        self._pairs = cuts_pairs(str(self._state["tokenizer"]))
        self._dead: list[int] = []
        self._names: dict[str, int] = {}
        self.changed = False

    # -- the model -----------------------------------------------------------------------------------

    def bind(self, facts: ModelFacts) -> None:
        """Store what model it is, or raise if another one is stored."""
        stored = facts_of(self._state)
        if stored is None:
            self._state.update({f"model.{key}": getattr(facts, key) for key in ModelFacts.__slots__})
            self.changed = True
        else:
            compare_models(self._path, stored, facts)

    # -- adding --------------------------------------------------------------------------------------

    def existing(self, ids: Iterable[str]) -> list[str]:
        """Those of the ids that are taken."""
        return [row[0] for row in self._rows("id", list(ids))]

    def insert(self, documents: Sequence[NewDocument], vectors: Floats) -> None:
        """Add documents with ``(sum of their chunks, d)`` vectors; their ids must be free."""
        if not documents:
            return
        bring_up_to_date(self._db, self._state)
        first_doc = self._int("next_doc")
        numbers = range(first_doc, first_doc + len(documents))
        pairs = list(zip(numbers, documents, strict=True))
        self._db.executemany(
            "INSERT INTO documents(doc, id, digest, metadata, text) VALUES (?, ?, ?, ?, ?)",
            ((n, d.id, sealed(d.id, d.digest), d.metadata_json, pack_text(d.text)) for n, d in pairs),
        )
        self._db.executemany(
            "INSERT INTO lexical(rowid, text) VALUES (?, ?)",
            ((n, fold(d.text, self._pairs)) for n, d in pairs),
        )
        entries = {entry for n, d in pairs for entry in self._entries(n, d.metadata)}
        # In key order the B-tree is filled page by page.
        ordered = sorted(entries, key=lambda entry: (entry[0], entry[1], entry[2]))
        self._db.executemany("INSERT INTO fields VALUES (?, ?, ?)", ordered)
        self._insert_chunks(
            np.repeat(np.fromiter(numbers, np.int64), [len(d.spans) for d in documents]),
            np.array([span for d in documents for span in d.spans], np.int32),
            vectors,
        )
        self._state["next_doc"] = first_doc + len(documents)
        self._state["documents"] = self._int("documents") + len(documents)
        self.changed = True

    def _entries(self, doc: int, metadata: Mapping[str, Any]) -> Iterator[tuple[int, Scalar, int]]:
        for name, kind, value in flatten(metadata):
            # Booleans are told apart by their kind; as integers they sort among themselves.
            yield 8 * self._name(name) + kind, int(value) if isinstance(value, bool) else value, doc

    def _name(self, name: str) -> int:
        known = self._names.get(name)
        if known is None:
            self._db.execute("INSERT OR IGNORE INTO names(name) VALUES (?)", (name,))
            row = self._db.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
            known = self._names[name] = int(row[0])
        return known

    def _insert_chunks(self, docs: Ints, spans: Any, vectors: Floats) -> None:
        row = self._int("next_row")
        for at in range(0, len(docs), SEGMENT_ROWS):
            part = slice(at, at + SEGMENT_ROWS)
            data = encode_vectors(vectors[part], self._storage)
            self._put(row + at, Rows(docs[part], spans[part, 0], spans[part, 1], data))
        self._state["next_row"] = row + len(docs)
        self._merge_tail()

    def _put(self, first: int, rows: Rows) -> None:
        head = encode_heads(rows)
        self._db.execute(
            "INSERT INTO segments VALUES (?, ?, ?, ?, ?)",
            (first, len(rows), checksum(head, rows.vectors), head, rows.vectors),
        )

    def _merge_tail(self) -> None:
        """Keep the number of segments small however few documents each transaction brings."""
        while True:
            sizes = self._db.execute(
                "SELECT first, n FROM segments ORDER BY first DESC LIMIT ?", (2 * MERGE,)
            ).fetchall()
            run: list[int] = []
            total = 0
            tier = _tier(sizes[0][1]) if sizes else 0
            for first, n in sizes:
                if _tier(n) > tier or total + n > SEGMENT_ROWS:
                    break
                run.append(first)
                total += n
            if len(run) < MERGE:
                return
            parts = [part for _, part in read_segments(self._db, self._width(), run[-1])]
            self._db.execute("DELETE FROM segments WHERE first >= ?", (run[-1],))
            self._put(run[-1], joined(parts))

    def _width(self) -> int:
        return row_bytes(self._storage, self._int("model.dimension"))

    # -- deleting ------------------------------------------------------------------------------------

    def delete(self, ids: Iterable[str]) -> int:
        """Remove documents; gives how many were there."""
        return self._delete(self._rows("doc, id, metadata, text", list(ids)))

    def delete_where(self, where: Node) -> int:
        """Remove the documents that a filter holds for; gives how many."""
        limit = self._int("next_doc")
        every = "SELECT group_concat(doc) FROM documents"
        mask = matching(self._db, where, limit, lambda: numbers(self._db, every, (), limit))
        return self._delete(self._rows("doc, id, metadata, text", np.flatnonzero(mask).tolist(), key="doc"))

    def _delete(self, rows: Iterable[tuple[Any, ...]]) -> int:
        removed = 0
        rows = iter(rows)
        while some := list(itertools.islice(rows, BATCH)):
            bring_up_to_date(self._db, self._state)
            found = [(row[0], document(*row[1:])) for row in some]
            # FTS5 keeps no texts of its own: it has to be told what to forget, letter by letter.
            self._db.executemany(
                "INSERT INTO lexical(lexical, rowid, text) VALUES ('delete', ?, ?)",
                ((doc, fold(old.text, self._pairs)) for doc, old in found),
            )
            self._db.executemany(
                "DELETE FROM fields WHERE key = ? AND value = ? AND doc = ?",
                (entry for doc, old in found for entry in self._entries(doc, old.metadata)),
            )
            self._db.executemany("DELETE FROM documents WHERE doc = ?", ((doc,) for doc, _ in found))
            self._dead += [doc for doc, _ in found]
            removed += len(found)
        if removed:
            self._state["documents"] = self._int("documents") - removed
            self.changed = True
        return removed

    # -- the end -------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Write what readers look at: the tombstones and the counters. The store commits after it."""
        if not self.changed:
            return
        version = self._int("version") + 1
        if self._dead:
            dead = np.array(sorted(self._dead), "<i8")
            self._db.execute("INSERT INTO tombstones VALUES (?, ?)", (version, dead.tobytes()))
        self._state["version"] = version
        set_state(self._db, self._state)

    def _int(self, key: str) -> int:
        return int(self._state[key])

    def _rows(self, columns: str, values: Sequence[Any], key: str = "id") -> Iterator[tuple[Any, ...]]:
        for at in range(0, len(values), BATCH):
            some = values[at : at + BATCH]
            marks = ",".join("?" * len(some))
            # Fetched at once: the rows may be deleted before the next ones are asked for.
            sql = f"SELECT {columns} FROM documents WHERE {key} IN ({marks})"
            yield from self._db.execute(sql, some).fetchall()


def _tier(n: int) -> int:
    """0 for 1..7 rows, 1 for 8..63, and so on."""
    tier = 0
    while n >= MERGE:
        n //= MERGE
        tier += 1
    return tier


def joined(parts: Sequence[Rows]) -> Rows:
    """Consecutive rows as one."""
    return Rows(
        np.concatenate([part.docs for part in parts]),
        np.concatenate([part.starts for part in parts]),
        np.concatenate([part.ends for part in parts]),
        b"".join(part.vectors for part in parts),
    )


def read_segments(db: sqlite3.Connection, width: int, row: int) -> Iterator[tuple[int, Rows]]:
    """The segments that hold rows from ``row`` on, as ``(number of the first row, rows)``, checked.

    Args:
        db: a connection.
        width: bytes of one stored vector.
        row: the first row that is wanted; it may lie inside the first segment given.

    Raises:
        Damage: a segment is damaged, or one is missing.
    """
    start = db.execute("SELECT max(first) FROM segments WHERE first <= ?", (row,)).fetchone()[0]
    expected = row if start is None else start
    cursor = db.execute(
        "SELECT first, n, head, vectors, checksum FROM segments WHERE first >= ? ORDER BY first", (expected,)
    )
    for first, n, head, vectors, check in cursor:
        if first != expected or not isinstance(n, int):
            raise Damage(f"the segment of chunk {expected} is missing")
        yield first, decode_segment(first, n, head, vectors, check, width)
        expected = first + n


def read_tombstones(db: sqlite3.Connection, since: int) -> Ints:
    """Numbers of the documents that were deleted after a version, ascending within each transaction."""
    rows = db.execute("SELECT docs FROM tombstones WHERE version > ? ORDER BY version", (since,)).fetchall()
    data = b"".join(row[0] for row in rows if isinstance(row[0], bytes))
    if len(data) % 8 or not all(isinstance(row[0], bytes) for row in rows):
        raise Damage("the list of deleted documents has a wrong size")
    return np.frombuffer(data, "<i8").astype(np.int64)


def facts_of(rows: Mapping[str, Any]) -> ModelFacts | None:
    """The model's facts among the rows of ``state``, None before the first document."""
    if "model.fingerprint" not in rows:
        return None
    return ModelFacts(**{key: rows[f"model.{key}"] for key in ModelFacts.__slots__})
