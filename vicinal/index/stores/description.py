"""What an index file holds, in numbers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence

import numpy as np

from vicinal.index.results import IndexInfo
from vicinal.index.segments import decode_heads
from vicinal.index.stores.state import state
from vicinal.index.stores.writing import facts_of, read_tombstones


def described(db: sqlite3.Connection, path: str, files: Sequence[str]) -> IndexInfo:
    """What is in an index.

    Args:
        db: a connection in a transaction.
        path: the file as the caller gave it.
        files: the file and its log.
    """
    rows = state(db)
    facts = facts_of(rows)
    names = [row[0] for row in db.execute("SELECT name FROM names ORDER BY name")]
    dead = read_tombstones(db, -1)
    chunks = alive = segments = 0
    for n, head in db.execute("SELECT n, head FROM segments"):
        docs, _, _ = decode_heads(head, n)
        segments += 1
        chunks += n
        alive += n - int(np.count_nonzero(np.isin(docs, dead)))
    return IndexInfo(
        path=path,
        documents=int(rows["documents"]),
        chunks=alive,
        deleted_chunks=chunks - alive,
        dimension=facts.dimension if facts else None,
        storage=str(rows["storage"]),
        similarity=facts.similarity if facts else None,
        model=facts.name if facts else str(rows["model"]),
        fingerprint=facts.fingerprint if facts else None,
        chunk_tokens=facts.chunk_tokens if facts else None,
        chunk_overlap=int(rows["chunk_overlap"]),
        tokenizer=str(rows["tokenizer"]),
        segments=segments,
        file_bytes=sum(os.path.getsize(file) for file in files[:2] if os.path.exists(file)),
        fields=tuple(names),
        created=str(rows["created"]) if "created" in rows else None,
    )
