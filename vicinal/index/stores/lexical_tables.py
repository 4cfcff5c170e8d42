"""The full-text tables of the file: made, and rebuilt where the texts are cut into words differently now."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from vicinal.index.folding import ANALYSIS, fold
from vicinal.index.lexical import cuts_pairs, quote, with_marks
from vicinal.index.stores.texts import unpack_text

# A change of either also changes what an older Vicinal must not write to: it reads this number of its own.
FORMAT = 2
# 1: texts are not folded (analysis 1). Read as it is, and rebuilt by the first change.
FORMATS = (1, 2)

_TABLES = """
CREATE VIEW texts AS SELECT doc, folded(text, {pairs}) AS text FROM documents;
CREATE VIRTUAL TABLE lexical USING fts5(
    text, content='texts', content_rowid='doc', columnsize=0, tokenize={tokenizer}
);
CREATE VIRTUAL TABLE lexical_terms USING fts5vocab(lexical, 'row');
CREATE VIRTUAL TABLE lexical_places USING fts5vocab(lexical, 'instance')
"""


def analysis_of(rows: Mapping[str, str | int]) -> int:
    """How the texts of a file were cut into words, by its rows of ``state``."""
    return int(rows.get("analysis", 1))


def create(db: sqlite3.Connection, tokenizer: str) -> None:
    """Make the tables, empty, inside a transaction.

    Args:
        db: a connection on which ``BEGIN IMMEDIATE`` has succeeded.
        tokenizer: the FTS5 tokenizer as the user gave it.
    """
    sql = _TABLES.format(pairs=int(cuts_pairs(tokenizer)), tokenizer=quote(with_marks(tokenizer)))
    for statement in sql.split(";\n"):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {FORMAT}")


def bring_up_to_date(db: sqlite3.Connection, rows: dict[str, str | int]) -> bool:
    """Rebuild the tables if they were made with another analysis, inside the caller's transaction.

    Takes about as long as adding all the texts, without their vectors.

    Args:
        db: a connection on which ``BEGIN IMMEDIATE`` has succeeded.
        rows: the rows of ``state``; ``"analysis"`` is set in them, and the caller writes them.

    Returns:
        Whether anything was done.
    """
    if analysis_of(rows) == ANALYSIS:
        return False
    for name in ("lexical_places", "lexical_terms", "lexical"):
        db.execute(f"DROP TABLE {name}")
    db.execute("DROP VIEW texts")
    create(db, str(rows["tokenizer"]))
    db.execute("INSERT INTO lexical(lexical) VALUES ('rebuild')")
    rows["analysis"] = ANALYSIS
    return True


def register(db: sqlite3.Connection) -> None:
    """Teach a connection the functions through which the full-text index reads the texts."""
    db.create_function("unpack", 1, unpack_text, deterministic=True)  # of files without folding
    db.create_function("folded", 2, _folded, deterministic=True)


def _folded(stored: str | bytes, pairs: int) -> str:
    return fold(unpack_text(stored), bool(pairs))
