"""A file that is replaced, removed, overwritten, restored or copied while it is open or beside an old log."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from vicinal.errors import StoreError
from vicinal.index import Index, verify
from vicinal.index.stores.state import raw_state, set_state, state_checksum

from .fakes import FakeModel
from .test_crash import ENVIRONMENT, ROOT


def make(path, word, count=3):
    with Index(path, FakeModel()) as index:
        index.add([f"{word} text {i}" for i in range(count)], [f"{word}{i}" for i in range(count)])
    return path


def texts(path):
    with Index(path, FakeModel()) as index:
        assert index.verify()
        return sorted(hit.text for hit in index.search("text", top_k=100))


def log_of(path):
    return path.with_name(path.name + "-wal")


def remove_log(path):
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def copied_alone(path, target):
    """What `cp` makes of the one file, once the log has been taken over."""
    deadline = time.monotonic() + 60
    while log_of(path).exists() and log_of(path).stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    shutil.copyfile(path, target)
    return target


def identity(path):
    with closing(sqlite3.connect(path)) as db:
        return raw_state(db)["identity"]


CALLS = {
    "search": lambda index, folder: index.search("text"),
    "lexical": lambda index, folder: index.search("text", mode="lexical"),
    "get": lambda index, folder: index.get("old0"),
    "count": lambda index, folder: index.count(),
    "info": lambda index, folder: index.info(),
    "add": lambda index, folder: index.add(["lost"]),
    "upsert": lambda index, folder: index.upsert(["lost"], ["old0"]),
    "delete": lambda index, folder: index.delete("old0"),
    "compact": lambda index, folder: index.compact(),
    "verify": lambda index, folder: index.verify(),
    "export": lambda index, folder: index.export(folder / "out.jsonl"),
    "backup": lambda index, folder: index.backup(folder / "out.db"),
}
CHANGES = {
    "replaced": lambda path, other: os.replace(other, path),
    "removed": lambda path, other: os.unlink(path),
    "moved": lambda path, other: os.rename(path, path.with_name("away.db")),
    "overwritten": lambda path, other: shutil.copyfile(other, path),
    "overwritten unseen": lambda path, other: overwrite_unseen(path, other),
}


def overwrite_unseen(path, other):
    """As ``rsync --inplace --times`` does with a file of equal size and time: the same file, size and time."""
    status = path.stat()
    content = other.read_bytes()
    assert len(content) == status.st_size, "the two files should be equally large"
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("change", CHANGES)
def test_every_call_on_another_file_is_an_error(path, tmp_path, change, call):
    make(path, "old")
    other = make(tmp_path / "other.db", "new")
    index = Index(path, FakeModel())
    index.search("text")
    index.add(["old text 3"], ["old3"])
    CHANGES[change](path, other)
    for _ in range(2):
        with pytest.raises(
            StoreError,
            match=rf"texts\.db.*{'moved' if change == 'removed' else change.split()[0]}.*open it again",
        ):
            CALLS[call](index, tmp_path)
    assert not (tmp_path / "out.jsonl").exists() and not (tmp_path / "out.db").exists()
    index.close()
    if change.startswith(("replaced", "overwritten")):
        with pytest.raises(StoreError, match=r"texts\.db-wal.*does not belong.*delete"):
            Index(path, FakeModel())
        with pytest.raises(StoreError, match="does not belong"):
            Index(path, FakeModel(), read_only=True)
        assert any("does not belong" in problem for problem in verify(path).problems)
        remove_log(path)
        assert texts(path) == ["new text 0", "new text 1", "new text 2"]


def test_a_link_that_leads_elsewhere_is_noticed(tmp_path):
    make(tmp_path / "a.db", "old")
    make(tmp_path / "b.db", "new")
    link = tmp_path / "live.db"
    link.symlink_to("a.db")
    with Index(link, FakeModel()) as index:
        index.search("text")
        (tmp_path / "next").symlink_to("b.db")
        os.replace(tmp_path / "next", link)
        with pytest.raises(StoreError, match="replaced"):
            index.search("text")
    with Index(link, FakeModel()) as index:
        assert index.search("text")[0].id.startswith("new")


def test_an_open_old_file_leaves_the_new_one_and_its_log_alone(path, tmp_path):
    make(path, "old")
    index = Index(path, FakeModel())
    index.add(["old text 3"], ["old3"])
    copied_alone(path, tmp_path / "copy.db")
    os.replace(make(tmp_path / "other.db", "new"), path)
    with Index(path, FakeModel()) as other:
        other.add(["new text 3"], ["new3"])
        assert log_of(path).stat().st_size
        index.close()
        assert log_of(path).stat().st_size, "it belongs to the new file"
        other.add(["new text 4"], ["new4"])
        assert other.count() == 5 and other.verify()
    assert len(texts(path)) == 5


WATCHER = """
import sys
from tests.index.fakes import FakeModel
from vicinal.errors import StoreError
from vicinal.index import Index
index = Index(sys.argv[1], FakeModel())
index.search("text")
print("ready", flush=True)
sys.stdin.readline()
try:
    print(index.search("text"))
except StoreError as error:
    print("replaced" in str(error))
"""


def test_another_process_notices_too(path, tmp_path):
    make(path, "old")
    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCHER, path], stdin=-1, stdout=-1, env=ENVIRONMENT, cwd=ROOT
    )
    assert watcher.stdout.readline() == b"ready\n"
    os.replace(make(tmp_path / "other.db", "new"), path)
    assert watcher.communicate(b"\n", timeout=60)[0] == b"True\n"


def test_threads_never_pair_old_vectors_with_new_texts(path, tmp_path):
    """Each answer is wholly of the old file, or an error."""
    make(path, "old", 50)
    others = [make(tmp_path / f"{n}.db", f"new{n}x", 50) for n in range(3)]
    index = Index(path, FakeModel())
    start = threading.Barrier(5)

    def look(mode):
        start.wait()
        errors = 0
        while errors < 20:
            try:
                found = index.search("text 7", top_k=3, mode=mode)
                assert [hit.id.startswith("old") for hit in found] == [True] * 3
                assert found[0].id == "old7"
            except StoreError as error:
                assert "replaced" in str(error), error  # noqa: PT017
                errors += 1
        return errors

    with ThreadPoolExecutor(4) as pool:
        looks = [pool.submit(look, mode) for mode in ("dense", "lexical", "hybrid", "dense")]
        start.wait()
        for other in others:
            os.replace(other, path)
        assert [one.result(60) for one in looks] == [20] * 4
    index.close()


def test_a_state_that_went_back_is_an_error_and_no_loop(path):
    make(path, "old")
    with Index(path, FakeModel()) as index:
        index.search("text")
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN")
            set_state(db, {"version": 1})
            db.execute("COMMIT")
        with pytest.raises(StoreError, match="set back"):
            index.search("text")
    with Index(path, FakeModel()) as index:
        version = raw_state_of(path)["version"]
        index.search("text")
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN")
            set_state(db, {"version": version})  # another commit under the same number
            db.execute("COMMIT")
        with pytest.raises(StoreError, match="set back"):
            index.search("text")


def raw_state_of(path):
    with closing(sqlite3.connect(path)) as db:
        return raw_state(db)


# -- logs that were left ---------------------------------------------------------------------------------


def crashed(path, tmp_path):
    """A file and its log as a killed process leaves them: ``old0..2`` in the file, ``old3`` in the log."""
    with Index(path, FakeModel()) as index:
        index.add([f"old text {i}" for i in range(3)], [f"old{i}" for i in range(3)])
        before = copied_alone(path, tmp_path / "before.db")
        index.add(["old text 3"], ["old3"])
        (tmp_path / "left").mkdir()
        left = tmp_path / "left" / "texts.db"
        shutil.copyfile(path, left)
        shutil.copyfile(log_of(path), log_of(left))
    return left, before


def test_the_log_of_a_killed_process_is_played_back(path, tmp_path):
    left, _ = crashed(path, tmp_path)
    assert len(texts(left)) == 4


def test_a_log_that_holds_several_commits_belongs_to_each_state_between(path, tmp_path):
    left, _ = crashed(path, tmp_path)
    with Index(left, FakeModel()) as index:
        index.add(["old text 4"], ["old4"])
        log = log_of(left).read_bytes()
        again = copied_alone(left, tmp_path / "again.db")
    log_of(again).write_bytes(log)  # taken over wholly, and not yet emptied: as after a power cut
    assert len(texts(again)) == 5


def test_a_log_that_is_half_taken_over_is_not_taken_for_another_files(path):
    """A reader keeps the log from being taken over wholly; the file alone is then shorter than it says."""
    make(path, "old")
    with Index(path, FakeModel()) as index, Index(path, FakeModel()) as other:
        with other._store.reader() as reader:
            assert reader.count() == 3
            for n in range(3):
                index.add([f"text {n} {i} " + "and more words " * 30 for i in range(700)])
                index._store.take_log_over()
                assert len(index.search("text", top_k=5000, merge_duplicates=False)) == 3 + 700 * (n + 1)
                with Index(path, FakeModel()) as third:
                    assert third.count() == 3 + 700 * (n + 1)
        assert other.count() == 2103 and index.verify()


@pytest.mark.parametrize(
    "which", ["another index", "an older copy", "a backup", "an older copy that went its own way"]
)
def test_a_copy_in_place_beside_an_old_log_is_refused(path, tmp_path, which):
    left, before = crashed(path, tmp_path)
    older = tmp_path / "older.db"
    if which == "another index":
        make(older, "new")
    elif which == "an older copy":
        shutil.copyfile(before, older)
        with Index(left, FakeModel()) as index:  # one state further, with another log
            index.add(["old text 4"], ["old4"])
            copied_alone(left, tmp_path / "x.db")
            index.add(["old text 5"], ["old5"])
            log = log_of(left).read_bytes()
        log_of(left).write_bytes(log)
    elif which == "a backup":
        with Index(before, FakeModel()) as index:
            index.backup(older)
    else:
        shutil.copyfile(before, older)
        with Index(older, FakeModel()) as index:
            index.add(["own text"], ["own"])
    shutil.copyfile(older, left)
    bytes_before = left.read_bytes(), log_of(left).read_bytes()
    for read_only in (False, True):
        with pytest.raises(
            StoreError, match=r"texts\.db-wal.*does not belong to it.*Nothing was changed.*delete"
        ):
            Index(left, FakeModel(), read_only=read_only)
    assert (left.read_bytes(), log_of(left).read_bytes()) == bytes_before
    remove_log(left)
    assert texts(left) == texts(older)


def test_a_log_without_its_file_is_not_thrown_away(path, tmp_path):
    left, _ = crashed(path, tmp_path)
    whole = left.read_bytes()
    left.unlink()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"file is gone.*log"):
            Index(left, FakeModel())
    left.write_bytes(whole)
    assert len(texts(left)) == 4


# -- copies ----------------------------------------------------------------------------------------------


def test_a_copy_of_the_one_file_is_whole_from_the_first_moment_and_when_idle(path, tmp_path):
    with Index(path, FakeModel()) as index:
        shutil.copyfile(path, tmp_path / "empty.db")
        index.add([f"old text {i}" for i in range(30)])
        with Index(path, FakeModel(), read_only=True) as reader:
            assert reader.count() == 30
            copied_alone(path, tmp_path / "idle.db")
        index.delete(filter={})
        index.add(["the last"], ["last"])
    shutil.copyfile(path, tmp_path / "closed.db")
    assert texts(tmp_path / "empty.db") == []
    assert len(texts(tmp_path / "idle.db")) == 30
    assert texts(tmp_path / "closed.db") == ["the last"]


def test_a_backup_is_one_state_while_others_write(path, tmp_path):
    make(path, "old")
    done = threading.Event()

    def write():
        with Index(path, FakeModel()) as writer:
            n = 0
            while not done.is_set():
                writer.add([f"pair {n} {i}" for i in range(2)], [f"{n}-{i}" for i in range(2)])
                n += 1
        return n

    with ThreadPoolExecutor(1) as pool, Index(path, FakeModel()) as index:
        writing = pool.submit(write)
        for n in range(5):
            count = index.count()
            index.backup(tmp_path / f"{n}.db")
            with Index(tmp_path / f"{n}.db", FakeModel()) as copy:
                assert copy.verify() and copy.count() >= count
                assert copy.count() % 2 == 1, "a pair comes wholly or not at all"
        done.set()
        assert writing.result(60) > 0
    identities = {identity(tmp_path / f"{n}.db") for n in range(5)}
    assert len(identities | {identity(path)}) == 6
    assert sorted(file.name for file in tmp_path.iterdir()) == [*(f"{n}.db" for n in range(5)), "texts.db"]


def test_a_backup_put_back_over_an_open_index_is_noticed(path, tmp_path):
    make(path, "old")
    with Index(path, FakeModel()) as index:
        index.backup(tmp_path / "saved.db")
        index.add(["old text 3"], ["old3"])
        with Index(tmp_path / "saved.db", FakeModel()) as saved:
            saved.backup(path, overwrite=True)
        assert not log_of(path).exists(), "the old log went with the old file"
        with pytest.raises(StoreError, match="replaced"):
            index.add(["x"])
    assert len(texts(path)) == 3


def test_a_backup_leaves_the_log_of_whoever_opens_it_at_once(path, tmp_path, monkeypatch):
    make(path, "old")
    opened = []

    def replace_and_open(source, target):
        replaced(source, target)
        opened.append(Index(path, FakeModel()))
        opened[0].add(["acknowledged"], ["new"])

    replaced = os.replace
    with Index(make(tmp_path / "saved.db", "old"), FakeModel()) as saved:
        monkeypatch.setattr(os, "replace", replace_and_open)
        saved.backup(path, overwrite=True)
        monkeypatch.undo()
    opened[0].add(["and this"], ["newer"])
    opened[0].close()
    with Index(path, FakeModel()) as index:
        assert index.ids()[-2:] == ["new", "newer"] and index.verify()


WRITER = """
import sys
from tests.index.fakes import FakeModel
from vicinal.index import Index
with Index(sys.argv[1], FakeModel()) as index:
    index.add(["by another process"], [sys.argv[2]])
"""


def test_a_file_that_is_moved_while_open_here_can_be_opened_under_its_new_name(path, tmp_path):
    rebuilt = tmp_path / "rebuilt.db"
    with (
        ThreadPoolExecutor(1) as pool,
        Index(rebuilt, FakeModel()) as forgotten,
    ):  # as if nobody had closed it before
        forgotten.add(["first"], ["a"])
        copied_alone(rebuilt, tmp_path / "idle.db")
        inside = threading.Event()

        def read():
            with forgotten._store.reader():
                inside.set()
                time.sleep(0.3)  # while the file is moved, and opened again

        reading = pool.submit(read)
        assert inside.wait(60)
        os.replace(rebuilt, path)
        with Index(path, FakeModel()) as index:
            with pytest.raises(StoreError, match="moved"):
                reading.result(60)
            index.add(["second"], ["b"])
            subprocess.run([sys.executable, "-c", WRITER, path, "c"], env=ENVIRONMENT, cwd=ROOT, check=True)
            index.add(["third"], ["d"])
            with pytest.raises(StoreError, match="moved"):
                forgotten.count()
    with Index(path, FakeModel()) as index:
        assert index.ids() == ["a", "b", "c", "d"] and index.verify()


def test_a_file_that_is_moved_without_its_log_is_not_opened_in_the_same_process(path, tmp_path):
    moved = tmp_path / "moved.db"
    with Index(path, FakeModel()) as index:
        index.add(["acknowledged"], ["a"])
        os.rename(path, moved)
        with pytest.raises(StoreError, match="in the log that was left"):
            Index(moved, FakeModel())
    os.rename(log_of(path), log_of(moved))
    with Index(moved, FakeModel()) as index:
        assert index.ids() == ["a"] and index.verify()


# -- files from before -----------------------------------------------------------------------------------


def made_old(path):
    """As a file looked before there were identities, commits and seals."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM state WHERE key IN ('identity', 'commit', 'parent')")
        db.execute("UPDATE documents SET digest = substr(digest, 1, 16)")
        db.execute("UPDATE state SET value = ? WHERE key = 'checksum'", (state_checksum(raw_state(db)),))
    return path


@pytest.mark.parametrize("checksum", [True, False])
def test_a_file_from_before_gets_its_identity_at_the_first_write(path, tmp_path, checksum):
    made_old(make(path, "old"))
    if not checksum:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("DELETE FROM state WHERE key = 'checksum'")
    with Index(path, FakeModel()) as index:
        assert index.search("text 1", top_k=1)[0].id == "old1" and index.get("old1")[0] is not None
        assert index.verify() and "identity" not in raw_state_of(path)
        index.add(["old text 3"], ["old3"])
        assert "identity" in raw_state_of(path)
        left = tmp_path / "left.db"
        shutil.copyfile(path, left)
        shutil.copyfile(log_of(path), log_of(left))
    assert len(texts(left)) == 4 and len(texts(path)) == 4
    shutil.copyfile(made_old(make(tmp_path / "other.db", "new")), tmp_path / "next.db")
    with Index(path, FakeModel()) as index:
        index.add(["old text 4"], ["old4"])
        log = log_of(path).read_bytes()
    log_of(tmp_path / "next.db").write_bytes(log)
    with pytest.raises(StoreError, match="does not belong"):
        Index(tmp_path / "next.db", FakeModel())
