"""Three hundred damages of bytes, pages and values: each is an error of ours, or the answer is right."""

from __future__ import annotations

import contextlib
import random
import sqlite3

import pytest

from vicinal.errors import StoreError
from vicinal.index import Index, verify
from vicinal.index.stores.database import PAGE_SIZE

from .fakes import FakeModel

DOCUMENTS = 120


def fill(path):
    with Index(path, FakeModel(dimension=8)) as index:
        index.add(
            [f"document {i} about subject {i % 7} " + "and more words " * (i % 9) for i in range(DOCUMENTS)],
            [f"id{i}" for i in range(DOCUMENTS)],
            [{"n": i, "tag": "ab"[i % 2]} for i in range(DOCUMENTS)],
        )
        index.add(["a long sentence stands here. " * 60], ["long"])
        index.delete(["id3", "id40"])


def hits(found):
    return [(hit.id, hit.text, hit.metadata, round(hit.score, 5)) for hit in found]


QUESTIONS = {
    "get": lambda index: [
        (d.id, d.text, d.metadata) for d in index.get([f"id{i}" for i in range(DOCUMENTS)]) if d
    ],
    "dense": lambda index: hits(index.search("document about subject 3", top_k=200)),
    "lexical": lambda index: hits(index.search("more subject words", top_k=200, mode="lexical")),
    "filter": lambda index: hits(
        index.search("words", top_k=200, filter={"n": {"$lt": 50}, "$not": {"tag": "a"}})
    ),
    "count": lambda index: [(index.count(),)],
}


def asked(ask, path, index):
    try:
        return ask(index)
    except StoreError as error:
        return str(error) if str(path) in str(error) else AssertionError(f"names no file: {error}")


def answers(path):
    """What each question gives; a string is an error of ours that names the file."""
    try:
        with Index(path, FakeModel(dimension=8)) as index:
            return {name: asked(ask, path, index) for name, ask in QUESTIONS.items()}
    except StoreError as error:
        assert str(path) in str(error)  # noqa: PT017
        return dict.fromkeys(QUESTIONS, str(error))


def wrong(path, right):
    """The answers that are neither an error nor right."""
    given = answers(path)
    return {
        name: found for name, found in given.items() if found != right[name] and not isinstance(found, str)
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "texts.db"
    fill(path)
    return path.read_bytes(), answers(path)


@pytest.mark.slow
def test_bytes_and_pages(whole, tmp_path):
    """What leads to documents (the tree of ids, the filters' entries, the lists of words) has no checksum of its own.

    Damage there may hide a document, which verify() finds; no damage at all makes up or changes one.
    """
    data, right = whole
    rng = random.Random(5)
    true = {found[:3] for name in ("get", "dense") for found in map(hashable, right[name])}
    hidden = 0
    for n in range(120):
        damaged = bytearray(data)
        if n % 4:
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            page = rng.randrange(1, len(data) // PAGE_SIZE) * PAGE_SIZE
            other = rng.randrange(len(data) // PAGE_SIZE) * PAGE_SIZE
            damaged[page : page + PAGE_SIZE] = rng.choice(
                [bytes(PAGE_SIZE), rng.randbytes(PAGE_SIZE), data[other : other + PAGE_SIZE]]
            )
        path = tmp_path / "x.db"
        path.write_bytes(damaged)
        silent = wrong(path, right)
        if silent:
            hidden += 1
            assert not verify(path).ok, (n, silent)
            assert "count" not in silent and "dense" not in silent, (n, silent)
            assert {found[:3] for name in silent for found in map(hashable, silent[name])} <= true, n
    assert hidden <= 6


def hashable(found):
    return (*found[:2], str(found[2:3]))


COLUMNS = {
    "documents": ("id", "digest", "metadata", "text"),
    "segments": ("n", "checksum", "head", "vectors"),
    "tombstones": ("docs",),
    "state": ("value",),
}
VALUES = [
    None,
    "",
    "x",
    "{}",
    "[]",
    "[1]",
    "no json",
    0,
    -1,
    1.5,
    2**62,
    -(2**63),
    b"",
    bytes(8),
    bytes(16),
    b"\xff",
]


@pytest.mark.slow
def test_values(whole, tmp_path):
    data, right = whole
    rng = random.Random(6)
    noticed = 0
    for n in range(100):
        path = tmp_path / "x.db"
        path.write_bytes(data)
        table = rng.choice(list(COLUMNS))
        column, value = rng.choice(COLUMNS[table]), rng.choice(VALUES)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            rows = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            key = "key" if table == "state" else "rowid"
            place = f"{key} = (SELECT {key} FROM {table} LIMIT 1 OFFSET {rng.randrange(rows)})"
            with contextlib.suppress(sqlite3.IntegrityError):  # SQLite itself refuses NULL here and there
                db.execute(f"UPDATE {table} SET {column} = ? WHERE {place}", (value,))
        silent = wrong(path, right)
        if column == "id":  # the tree of ids has changed with it: the old id is not found, as if deleted
            given = silent.pop("get", [])
            assert all(found in right["get"] for found in given)
        assert not silent, (n, table, column, value, silent)
        noticed += any(isinstance(found, str) for found in answers(path).values())
    assert noticed > 60


def test_the_whole_file_answers(whole, tmp_path):
    (tmp_path / "x.db").write_bytes(whole[0])
    assert answers(tmp_path / "x.db") == whole[1]
    assert len(whole[1]["get"]) == DOCUMENTS - 2 and len(whole[1]["filter"]) == 24
