"""The table ``state``: counters, settings, the model's facts, and how one commit follows another.

All rows lie under one checksum, which is compared whenever they are read. Three rows tell files and their
states apart: ``identity`` is random and made for each new file and each backup; ``commit`` is random and made for
each commit; ``parent`` is the ``commit`` before it. So a log that belongs to another file, or to another
state of it, is noticed (see :mod:`vicinal.index.stores.lineage`).
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from vicinal.index.segments import STORAGES
from vicinal.index.stores.damage import Damage

_HUGE = 1 << 48  # no file holds so many of anything


def _counter(value: Any) -> bool:
    return type(value) is int and 0 <= value < _HUGE


def _positive(value: Any) -> bool:
    return _counter(value) and value > 0


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _prompts(value: Any) -> bool:
    try:
        return isinstance(value, str) and isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        return False


# What each row must hold; those of the second table are there once the file has a model.
_ALWAYS: dict[str, Callable[[Any], bool]] = {
    "generation": _counter,
    "version": _positive,
    "next_doc": _positive,
    "next_row": _counter,
    "documents": _counter,
    "model": _text,
    "storage": lambda value: value in STORAGES,
    "tokenizer": _text,
    "chunk_overlap": _counter,
}
_OF_MODEL: dict[str, Callable[[Any], bool]] = {
    "model.name": _text,
    "model.fingerprint": _text,
    "model.dimension": lambda value: _positive(value) and value < 1 << 24,
    "model.prompts": _prompts,
    "model.similarity": _text,
    "model.chunk_tokens": _positive,
}


def raw_state(db: sqlite3.Connection) -> dict[Any, Any]:
    """Every row of ``state``, whatever it holds."""
    return dict(db.execute("SELECT key, value FROM state").fetchall())


def state(db: sqlite3.Connection) -> dict[str, str | int]:
    """Every row of ``state``, checked.

    Raises:
        Damage: a row is missing or holds what it cannot, or the checksum does not match.
    """
    rows = raw_state(db)
    wrong = state_problem(rows)
    if wrong is not None:
        raise Damage(wrong)
    return rows


def commit_of(db: sqlite3.Connection) -> tuple[int, str | None]:
    """Version and commit of the state that a transaction sees; the commit is None in files from before."""
    rows = dict(db.execute("SELECT key, value FROM state WHERE key IN ('version', 'commit')"))
    version, commit = rows.get("version"), rows.get("commit")
    if type(version) is not int or not isinstance(commit, (str, type(None))):
        raise Damage("the counter of versions is missing")
    return version, commit


def state_problem(rows: Mapping[Any, Any]) -> str | None:
    """What is wrong with the rows of ``state``; None if nothing is."""
    if "checksum" in rows or "identity" in rows:  # files from before there was one have neither
        try:
            right = rows.get("checksum") == state_checksum(rows)
        except (TypeError, ValueError):  # bytes, or keys of several types
            right = False
        return None if right else "the checksum of counters, settings and model facts does not match"
    needed = {**_ALWAYS, **(_OF_MODEL if any(key in rows for key in _OF_MODEL) else {})}
    for key, fits in needed.items():
        if key not in rows:
            return f"the setting {key!r} is missing"
        if not fits(rows[key]):
            return f"the setting {key!r} is {_shown(rows[key])}"
    if rows["documents"] >= rows["next_doc"] or rows["documents"] > rows["next_row"]:
        return f"{rows['documents']} documents are counted, more than were ever added"
    return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def set_state(db: sqlite3.Connection, rows: Mapping[str, str | int]) -> None:
    """Write rows of ``state`` for a new commit, and the checksum over all of them.

    Files from before there were identities get one.
    """
    before = raw_state(db)
    after: dict[Any, Any] = {
        **before,
        **rows,
        "identity": rows.get("identity") or before.get("identity") or secrets.token_hex(16),
        "parent": str(before.get("commit") or ""),
        "commit": secrets.token_hex(8),
    }
    after["checksum"] = state_checksum(after)
    changed = [(key, value) for key, value in after.items() if key not in before or before[key] != value]
    db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", changed)


def state_checksum(rows: Mapping[Any, Any]) -> int:
    """CRC-32 over all rows of ``state`` but the checksum."""
    kept = sorted((key, value) for key, value in rows.items() if key != "checksum")
    return zlib.crc32(json.dumps(kept).encode())
