"""Bytes go missing, bits flip, disks fill up: it is noticed, reported, and never the end of the process."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys

import pytest

from vicinal.errors import StoreError, VicinalError
from vicinal.index import Index, verify
from vicinal.index.stores import database

from .fakes import FakeModel
from .test_crash import ENVIRONMENT, ROOT


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "texts.db"
    with Index(path, FakeModel(dimension=8)) as index:
        texts = [f"document {i} about subject {i % 7} " + "and more words " * (i % 5) for i in range(400)]
        metadatas = [{"n": i, "tag": ["a", "b"][: i % 3], "d": {"x": i / 2}} for i in range(400)]
        index.add(texts, [f"id{i}" for i in range(400)], metadatas)
        index.add(["long sentence here. " * 100], ["long"])
        index.delete(["id3", "id4"])
        answers = dump(index)
    return path.read_bytes(), answers


def change(path, sql, *values):
    """Change a value behind the index's back."""
    db = database.connect(str(path), 1, "rw")
    db.execute(sql, values)
    db.close()


def dump(index):
    """All that a user can see."""
    ids = [f"id{i}" for i in range(400)] + ["long"]
    documents = [(d.id, d.text, d.metadata) for d in index.get(ids) if d is not None]
    dense = [(h.id, round(h.score, 5)) for h in index.search("document about subject 3", top_k=500)]
    words = [(h.id, round(h.score, 5)) for h in index.search("more subject words", top_k=500, mode="lexical")]
    few = [
        h.id
        for h in index.search("words", top_k=500, filter={"n": {"$lt": 50}, "d.x": {"$gt": 3}, "tag": "b"})
    ]
    return documents, dense, words, few, index.count()


def examine(path):
    """(whether anything was noticed, what was seen or None)"""
    try:
        with Index(path, FakeModel(dimension=8)) as index:
            report = index.verify()
            try:
                seen = dump(index)
            except VicinalError:
                return True, None
            return not report.ok, seen
    except VicinalError:
        return True, None


def test_the_whole_file_is_fine(original, tmp_path):
    (tmp_path / "x.db").write_bytes(original[0])
    assert examine(tmp_path / "x.db") == (False, original[1])


@pytest.mark.slow
def test_flipped_bits_are_reported_or_harmless(original, tmp_path):
    data, answers = original
    rng = random.Random(11)
    noticed = 0
    for n in range(60):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 1, 8])):
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path = tmp_path / f"{n}.db"
        path.write_bytes(damaged)
        reported, seen = examine(path)
        noticed += reported
        assert reported or seen == answers, f"run {n}: a change is visible and verify() finds nothing"
        path.unlink()
    assert noticed > 30


@pytest.mark.slow
def test_overwritten_pages_are_reported(original, tmp_path):
    data, answers = original
    rng = random.Random(12)
    size = database.PAGE_SIZE
    for page in range(len(data) // size):
        for filling in (bytes(size), rng.randbytes(size), data[:size]):
            if data[page * size : (page + 1) * size] == filling:
                continue
            path = tmp_path / "page.db"
            path.write_bytes(data[: page * size] + filling + data[(page + 1) * size :])
            reported, seen = examine(path)
            assert reported or seen == answers, page


@pytest.mark.slow
def test_truncated_files_are_reported(original, tmp_path):
    data, _ = original
    rng = random.Random(13)
    cuts = {rng.randrange(1, len(data)) for _ in range(60)} | {1, 99, 100, len(data) - 1, len(data) // 2}
    for cut in sorted(cuts):
        path = tmp_path / f"{cut}.db"
        path.write_bytes(data[:cut])
        reported, _ = examine(path)
        assert reported, cut


def test_truncation_under_an_open_index_is_an_error_not_a_crash(original, tmp_path):
    path = tmp_path / "open.db"
    path.write_bytes(original[0])
    script = """
import os, sys
from tests.index.fakes import FakeModel
from vicinal.errors import StoreError
from vicinal.index import Index
index = Index(sys.argv[1], FakeModel(dimension=8))
index.count()
os.truncate(sys.argv[1], 20000)
found = 0
ids = [f"id{i}" for i in range(400)]
for ask in (index.verify, lambda: index.search("document"), lambda: index.get(ids)):
    try:
        found += not ask()
    except StoreError:
        found += 1
print(found)
"""
    command = [sys.executable, "-c", script, path]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 3


def test_each_kind_of_damage_is_named(original, tmp_path):
    cases = {
        "UPDATE documents SET text = 'other' WHERE id = 'id9'": ["document 'id9'.*hash", "full-text"],
        "UPDATE documents SET metadata = '{\"n\":8}' WHERE id = 'id9'": [
            "document 'id9'.*hash",
            "metadata entries",
        ],
        "UPDATE documents SET metadata = '{\"n\":' WHERE id = 'id9'": ["'id9'.*cannot be read"],
        "DELETE FROM documents WHERE id = 'id9'": ["counted", "full-text", "outside"],
        "DELETE FROM fields WHERE doc = 10": ["metadata entries"],
        "INSERT INTO fields VALUES (10, 77, 10)": ["metadata entries"],
        "UPDATE segments SET vectors = zeroblob(length(vectors)) WHERE first = 0": ["checksum"],
        "UPDATE segments SET checksum = 5 WHERE first = 0": ["checksum"],
        "DELETE FROM segments WHERE first = 0": ["missing"],
        "DELETE FROM tombstones": ["outside"],
        "UPDATE state SET value = 7 WHERE key = 'documents'": ["settings.*checksum", "7 are counted"],
        "INSERT INTO lexical(rowid, text) VALUES (9, 'ghost')": ["full-text"],
        "UPDATE names SET name = 'm' WHERE name = 'n'": ["metadata entries"],
    }
    import re

    for sql, expected in cases.items():
        path = tmp_path / "named.db"
        path.write_bytes(original[0])
        db = database.connect(str(path), 1, "rw")
        db.execute(sql)
        db.close()
        problems = "\n".join(verify(path).problems)
        if "UPDATE state" not in sql:
            with Index(path, FakeModel(dimension=8)) as index:
                assert "\n".join(index.verify().problems) == problems
        for words in expected:
            assert re.search(words, problems), (sql, words, problems)


def test_a_damaged_segment_is_an_error_not_a_wrong_score(original, tmp_path):
    path = tmp_path / "x.db"
    path.write_bytes(original[0])
    db = database.connect(str(path), 1, "rw")
    vectors = bytearray(db.execute("SELECT vectors FROM segments WHERE first = 0").fetchone()[0])
    vectors[100] ^= 1
    db.execute("UPDATE segments SET vectors = ? WHERE first = 0", (bytes(vectors),))
    db.close()
    with Index(path, FakeModel(dimension=8)) as index:
        with pytest.raises(StoreError, match=r"checksum.*restore"):
            index.search("document")
        assert index.get("id1")[0].id == "id1"


def test_a_full_disk_is_a_clear_error_and_the_old_state(path, monkeypatch):
    with Index(path, FakeModel()) as index:
        index.add([f"text {i}" for i in range(50)], [str(i) for i in range(50)])
    real = database.connect

    def small(*args):
        db = real(*args)
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages + 3}")
        return db

    monkeypatch.setattr(database, "connect", small)
    with Index(path, FakeModel()) as index:
        with pytest.raises(StoreError, match=r"texts\.db.*disk is full.*as it was.*free some space"):
            index.add([f"much more text {i} " * 50 for i in range(500)])
        assert index.count() == 50 and index.verify()
        assert len(index.search("text", top_k=100)) == 50
        index.add(["fits"], ["small"])
    monkeypatch.setattr(database, "connect", real)
    with Index(path, FakeModel()) as index:
        assert index.count() == 51 and index.verify()


LIMITED = """
import resource, sys
from tests.index.fakes import FakeModel
from vicinal.errors import StoreError
from vicinal.index import Index
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
index = Index(sys.argv[1], FakeModel())
before = index.count()
try:
    index.add([f"much more text {i} " * 50 for i in range(2000)])
except StoreError as error:
    assert "as it was before" in str(error), error
    assert index.count() == before
    assert len(index.search("text", top_k=100)) == before
    print("clear")
"""


def test_a_limit_on_the_size_of_files_is_a_clear_error_too(path):
    with Index(path, FakeModel()) as index:
        index.add([f"text {i}" for i in range(50)], [str(i) for i in range(50)])
    size = path.stat().st_size
    for limit in (size // 2, size + 1000, size + 200_000):
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, path, str(limit)],
            env=ENVIRONMENT,
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout) == (0, "clear\n"), done.stderr
        with Index(path, FakeModel()) as index:
            assert index.count() == 50 and index.verify()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match=r"permission|folder"):
        Index(tmp_path / "x.db", FakeModel())


def test_limits_were_lifted():
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
