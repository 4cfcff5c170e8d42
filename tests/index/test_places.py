"""Where indexes, exports and backups may lie: beside leftovers, under two names, where nothing can be written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from vicinal.core.files import replacing
from vicinal.errors import InputError, InputTypeError, StoreError
from vicinal.index import Index, salvage, verify

from .fakes import FakeModel
from .test_crash import ENVIRONMENT, ROOT
from .test_replaced import log_of, make, texts


def names(folder):
    return sorted(file.name for file in folder.iterdir())


# -- leftovers -------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from tests.index.fakes import FakeModel
from vicinal.index import Index
from vicinal.index.stores import backup
path, what = sys.argv[1:]
index = Index(path, FakeModel())
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if what == "export":
    index.export(os.path.join(os.path.dirname(path), "out", "texts.jsonl"))
elif what == "backup":
    index.backup(os.path.join(os.path.dirname(path), "out", "copy.db"))
else:
    backup.set_state = lambda db, rows: (db.execute("INSERT INTO names VALUES (99, 'x')"), db.execute("COMMIT"),
                                         os.kill(os.getpid(), signal.SIGKILL))
    index.backup(os.path.join(os.path.dirname(path), "out", "copy.db"))
"""


@pytest.mark.parametrize("what", ["export", "backup", "backup with a log"])
@pytest.mark.parametrize("then", ["export", "backup"])
def test_what_a_killed_writer_leaves_is_removed_by_the_next(path, tmp_path, what, then):
    make(path, "old")
    out = tmp_path / "out"
    out.mkdir()
    (out / ".other.part.db").write_text("not ours")
    killed = subprocess.run([sys.executable, "-c", KILLED, path, what], env=ENVIRONMENT, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    left = [name for name in names(out) if name.startswith(".vicinal-")]
    assert len(left) == (3 if what == "backup with a log" else 1)
    with Index(path, FakeModel()) as index:
        target = out / "next"
        index.export(target) if then == "export" else index.backup(target)
    assert names(out) == [".other.part.db", "next"]


def test_the_file_of_a_living_writer_stays(tmp_path):
    with replacing(tmp_path / "a.txt") as mine:
        mine.write_text("mine")
        with replacing(tmp_path / "b.txt") as other:
            other.write_text("other")
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys; from pathlib import Path; from vicinal.core.files import replacing\n"
                "with replacing(Path(sys.argv[1])) as scratch: scratch.write_text('theirs')",
                tmp_path / "c.txt",
            ],
            env=ENVIRONMENT,
            cwd=ROOT,
        )
        assert done.returncode == 0 and mine.exists()
    assert names(tmp_path) == ["a.txt", "b.txt", "c.txt"]
    assert (tmp_path / "a.txt").read_text() == "mine"


# -- backups ---------------------------------------------------------------------------------------------


def test_a_backup_that_fails_leaves_nothing_and_the_old_file(path, tmp_path, monkeypatch):
    make(path, "old")
    out = tmp_path / "out"
    out.mkdir()
    make(out / "copy.db", "precious")
    before = (out / "copy.db").read_bytes()

    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Index(path, FakeModel()) as index:
        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(StoreError, match=r"copy\.db.*No space left.*as it was"):
            index.backup(out / "copy.db", overwrite=True)
    assert names(out) == ["copy.db"] and (out / "copy.db").read_bytes() == before


def test_a_backup_refuses_what_it_would_destroy(path, tmp_path):
    make(path, "old")
    make(tmp_path / "other.db", "precious")
    (tmp_path / "notes.txt").write_text("precious")
    os.link(path, tmp_path / "second.db")
    (tmp_path / "empty").touch()
    with Index(path, FakeModel(), read_only=True) as index:
        before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
        for name in ("other.db", "notes.txt", "empty"):
            with pytest.raises(InputError, match=rf"{name}.*exists.*overwrite=True"):
                index.backup(tmp_path / name)
        with pytest.raises(InputError, match="no database"):
            index.backup(tmp_path / "notes.txt", overwrite=True)
        for name in ("texts.db", "second.db"):
            with pytest.raises(InputError, match="the index itself"):
                index.backup(tmp_path / name, overwrite=True)
        with pytest.raises(InputTypeError, match="NoneType"):
            index.backup(None)
        with pytest.raises(InputError, match="does not exist"):
            index.backup(tmp_path / "no" / "x.db")
        assert {name: (tmp_path / name).read_bytes() for name in before} == before
        index.backup(tmp_path / "other.db", overwrite=True)
        index.backup(tmp_path / "empty", overwrite=True)
    assert (
        texts(tmp_path / "other.db")
        == texts(tmp_path / "empty")
        == ["old text 0", "old text 1", "old text 2"]
    )


def test_a_damaged_index_is_not_backed_up_as_if_it_were_whole(path, tmp_path):
    from .test_damage import change

    with Index(make(path, "old"), FakeModel()) as index:
        index.count()
        change(path, "UPDATE state SET value = 2 WHERE key = 'documents'")
        with pytest.raises(StoreError, match=r"texts\.db.*checksum.*salvage"):
            index.backup(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


# -- hard links ------------------------------------------------------------------------------------------


def test_a_database_with_two_names_is_only_read(path, tmp_path):
    make(path, "old")
    os.link(path, tmp_path / "second.db")
    for name in (path, tmp_path / "second.db"):
        with pytest.raises(StoreError, match=r"2 names \(hard links\).*copy"):
            Index(name, FakeModel())
        with Index(name, FakeModel(), read_only=True) as index:
            assert index.count() == 3 and len(index.search("text")) == 3
    (tmp_path / "second.db").unlink()
    assert len(texts(path)) == 3


def test_the_second_name_of_a_target_is_not_left_behind_silently(path, tmp_path):
    make(path, "old")
    for name in ("out.jsonl", "out.db"):
        make(tmp_path / "out.db", "x") if name == "out.db" else (tmp_path / name).write_text("old")
        os.link(tmp_path / name, tmp_path / f"second {name}")
    with Index(path, FakeModel()) as index:
        with pytest.raises(InputError, match=r"2 names \(hard links\).*another path"):
            index.export(tmp_path / "out.jsonl")
        with pytest.raises(InputError, match=r"2 names \(hard links\).*another path"):
            index.backup(tmp_path / "out.db", overwrite=True)


OPENED_AND_CLOSED = """
import sys
from tests.index.fakes import FakeModel
from vicinal.index import Index
with Index(sys.argv[1], FakeModel()) as index:
    print(index.count())
"""


def test_looking_at_a_target_does_not_unlock_an_index_that_is_open(path, tmp_path):
    """POSIX gives up all locks of a process on a file when any descriptor of it is closed.

    Without its lock the other process would think that it is the last one, and remove the log in use.
    """
    make(path, "old")
    make(tmp_path / "other.db", "other")
    with Index(path, FakeModel()) as index, Index(tmp_path / "other.db", FakeModel()) as other:
        index.add(["old text 3"], ["old3"])
        for attempt in (
            lambda: other.export(path),
            lambda: salvage(tmp_path / "other.db", path),
            lambda: index.export(path),
        ):
            with pytest.raises(InputError, match="is a database"):
                attempt()
        assert verify(path).ok
        done = subprocess.run(
            [sys.executable, "-c", OPENED_AND_CLOSED, path], env=ENVIRONMENT, cwd=ROOT, stdout=-1
        )
        assert done.stdout == b"4\n"
        assert log_of(path).exists()
        index.add(["old text 4"], ["old4"])
    assert len(texts(path)) == 5


# -- where nothing may be written ------------------------------------------------------------------------

WITHOUT_PERMISSION = """
import ctypes, json, os, sys
from tests.index.fakes import FakeModel
from vicinal.errors import VicinalError
from vicinal.index import Index, salvage, verify

def like_others():
    # root may write everywhere: give up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
    if os.geteuid():
        return True
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None)
    if libc.capget(header, sets):
        return False
    for i in range(3):
        sets[i] &= ~0b110
    return libc.capset(header, sets) == 0 and not os.access(sys.argv[1], os.W_OK)

def ask(what):
    try:
        return what()
    except VicinalError as error:
        return f"{type(error).__name__}: {error}"

folder, out = sys.argv[1:]
if not like_others():
    print("null")
    sys.exit()
path = folder + "/texts.db"
answers = {
    "write": ask(lambda: Index(path, FakeModel())),
    "new": ask(lambda: Index(folder + "/new.db", FakeModel())),
}
index = ask(lambda: Index(path, FakeModel(), read_only=True))
answers["read"] = index
if not isinstance(index, str):
    answers["read"] = [hit.id for hit in index.search("text 1", top_k=1)]
    answers["words"] = [hit.id for hit in index.search("text", top_k=9, mode="lexical")]
    answers["verify"] = index.verify().ok
    answers["add"] = ask(lambda: index.add(["x"]))
    answers["export into"] = ask(lambda: index.export(folder + "/out.jsonl"))
    answers["export"] = ask(lambda: index.export(out + "/out.jsonl"))
    answers["backup"] = ask(lambda: index.backup(out + "/out.db"))
    index.close()
answers["verify file"] = list(verify(path).problems)
answers["salvage"] = ask(lambda: salvage(path, out + "/saved.jsonl").documents)
answers["left"] = sorted(os.listdir(folder))
print(json.dumps(answers))
"""


def asked_without_permission(folder, out):
    folder.chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", WITHOUT_PERMISSION, folder, out],
            env=ENVIRONMENT,
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    finally:
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    if answers is None:
        pytest.skip("root may write everywhere, and cannot give that up here")
    return answers


@pytest.mark.skipif(sys.platform != "linux", reason="permissions are given up as Linux does it")
def test_a_folder_that_may_not_be_written_to_is_read(path, tmp_path):
    folder, out = tmp_path / "closed", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    shutil.copyfile(make(path, "old"), folder / "texts.db")
    (folder / "texts.db").chmod(0o444)
    answers = asked_without_permission(folder, out)
    assert "StoreError" in answers["write"] and "may not be written to" in answers["write"]
    assert "read_only=True" in answers["write"]
    assert "StoreError" in answers["new"] and "may not be written to" in answers["new"]
    assert answers["read"] == ["old1"] and answers["words"] == ["old0", "old1", "old2"]
    assert answers["verify"] is True and answers["verify file"] == []
    assert "read_only=True" in answers["add"]
    assert "no permission" in answers["export into"]
    assert answers["export"] == answers["salvage"] == 3 and answers["backup"] is None
    assert answers["left"] == ["texts.db"]
    assert len(texts(out / "out.db")) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="permissions are given up as Linux does it")
def test_a_log_in_a_folder_that_may_not_be_written_to_is_not_passed_over(path, tmp_path):
    folder, out = tmp_path / "closed", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    make(path, "old")
    with Index(path, FakeModel()) as index:
        index.add(["old text 3"], ["old3"])
        shutil.copyfile(path, folder / "texts.db")
        shutil.copyfile(log_of(path), log_of(folder / "texts.db"))
    answers = asked_without_permission(folder, out)
    assert "StoreError" in answers["read"] and "log" in answers["read"] and "copy both" in answers["read"]
    assert answers["left"] == ["texts.db", "texts.db-wal"]


def test_an_index_without_locks_notices_a_change(path, tmp_path, monkeypatch):
    """As on read-only media: immutable for this process, and yet written to by another one."""
    from vicinal.index.stores import database

    make(path, "old")
    real = database.prepare
    monkeypatch.setattr(database, "prepare", lambda *args: real(*args) or True)
    with Index(path, FakeModel(), read_only=True) as index:
        assert index.count() == 3
        monkeypatch.setattr(database, "prepare", real)
        with Index(path, FakeModel()) as writer:
            writer.add(["old text 3"], ["old3"])
            with pytest.raises(StoreError, match="was changed while it was open"):
                index.count()
