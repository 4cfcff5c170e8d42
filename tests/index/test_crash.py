"""kill -9 at any moment, and a failure at every step of every transaction."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vicinal.errors import StoreError
from vicinal.index import Index
from vicinal.index.stores import database

from .fakes import FakeModel

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

WRITER = """
import os, random, sys
from tests.index.fakes import FakeModel
from vicinal.index import Index
path, ledger, name = sys.argv[1:]
random.seed(name)
out = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
index = Index(path, FakeModel(dimension=8), timeout=60)
mine, number = [], 0
while True:
    number += 1
    batch = f"{name}-{number}"
    size = random.randint(1, 20)
    if mine and random.random() < 0.3:
        victim = mine.pop(random.randrange(len(mine)))
        os.write(out, f"? delete {victim} 0\\n".encode())
        index.delete(filter={"batch": victim})
        os.write(out, f"! delete {victim} 0\\n".encode())
    elif random.random() < 0.05:
        index.compact()
    else:
        os.write(out, f"? add {batch} {size}\\n".encode())
        index.add([f"text {i} of batch {batch} " * 3 for i in range(size)],
                  [f"{batch}-{i}" for i in range(size)], [{"batch": batch, "size": size}] * size)
        os.write(out, f"! add {batch} {size}\\n".encode())
        mine.append(batch)
"""

READER = """
import sys, time
from tests.index.fakes import FakeModel
from vicinal.index import Index
path, stop = sys.argv[1:]
index = Index(path, FakeModel(dimension=8), timeout=60)
import os
looks = 0
while not os.path.exists(stop):
    for mode in ("dense", "lexical"):
        hits = index.search("text of batch", top_k=5, mode=mode)
        for hit in hits[:2]:
            batch = hit.metadata["batch"]
            whole = index.search("text", top_k=100, filter={"batch": batch}, mode=mode)
            assert len(whole) in (0, hit.metadata["size"]), (batch, len(whole), hit.metadata)
    index.count()
    looks += 1
    time.sleep(0.02)  # leaves the cores to the writers
print(looks)
"""


def read_ledger(path):
    """(batches that must be there, batches that may be there or not)"""
    sure, open_ = {}, {}
    for line in path.read_text().splitlines() if path.exists() else []:
        mark, what, batch, size = line.split()
        if mark == "?":
            open_[batch] = int(size) or sure.pop(batch, 0)
        else:
            open_.pop(batch, None)
            if what == "add":
                sure[batch] = int(size)
    return sure, open_


@pytest.mark.slow
def test_killed_writers_lose_nothing_and_leave_no_half(tmp_path):
    path, stop = tmp_path / "texts.db", tmp_path / "stop"
    with Index(path, FakeModel(dimension=8)) as index:
        index.add(["text of batch zero"], ["first"], [{"batch": "first", "size": 1}])
    readers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", READER, path, stop], env=ENVIRONMENT, stdout=-1, cwd=ROOT
        )
        for _ in range(2)
    ]
    rng = random.Random(4)
    kills, ledgers = 0, []
    try:
        while kills < 12:
            pair = []
            for _ in range(2):  # two writers at a time also fight for the lock
                ledger = tmp_path / f"ledger{len(ledgers)}"
                ledgers.append(ledger)
                command = [sys.executable, "-W", "error", "-c", WRITER, path, ledger, f"w{len(ledgers)}"]
                pair.append(subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT))
            while not all(ledger.exists() and ledger.stat().st_size for ledger in ledgers[-2:]):
                assert all(writer.poll() is None for writer in pair)
                time.sleep(0.005)
            for writer in pair:
                time.sleep(rng.random() * 0.3)
                assert writer.poll() is None, "a writer ended by itself"
                writer.send_signal(signal.SIGKILL)
                writer.wait()
                kills += 1
            check_against_ledgers(path, ledgers)
        stop.touch()
        for reader in readers:
            assert reader.wait(60) == 0
            assert int(reader.stdout.read()) > 0
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()
            reader.stdout.close()
    assert kills >= 12


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_hundred_kills_at_random_moments_lose_nothing():
    """``make crash`` runs a thousand. See :mod:`tests.index.crash`."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.index.crash", "100"],
        env=ENVIRONMENT,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "100 kills, nothing lost" in done.stdout


def check_against_ledgers(path, ledgers):
    with Index(path, FakeModel(dimension=8)) as index:
        report = index.verify()
        assert report.ok, report
        stored = {}
        for hit in index.search("text", top_k=10**6):
            stored[hit.metadata["batch"]] = stored.get(hit.metadata["batch"], 0) + 1
            size = hit.metadata["size"]
        del size
        stored.pop("first")
        allowed = set()
        for ledger in ledgers:
            sure, unsure = read_ledger(ledger)
            for batch, size in sure.items():
                assert stored.get(batch) == size, f"acknowledged batch {batch} is not whole"
            for batch, size in unsure.items():
                assert stored.get(batch, 0) in (0, size), f"half of batch {batch}"
            allowed |= sure.keys() | unsure.keys()
        assert set(stored) <= allowed


class Failing:
    """A connection that fails at one step, counted over all its statements."""

    def __init__(self, real, plan):
        self._real, self._plan = real, plan

    def __getattr__(self, name):
        return getattr(self._real, name)

    def execute(self, sql, *args):
        return self._step(self._real.execute, sql, *args)

    def executemany(self, sql, rows):
        return self._step(self._real.executemany, sql, rows)

    def _step(self, run, sql, *args):
        if sql == "ROLLBACK":
            return run(sql, *args)
        self._plan["step"] += 1
        if self._plan["step"] == self._plan["fail_at"]:
            if self._plan["kill"]:
                os.kill(os.getpid(), signal.SIGKILL)
            if self._plan["late"] and not sql.startswith("COMMIT"):
                run(sql, *args)
            raise sqlite3.OperationalError("disk I/O error")
        return run(sql, *args)


OPERATIONS = {
    "add": lambda index: index.add(
        ["new one here " * 60, "new two"], ["n1", "n2"], [{"k": 1}, {"new": [1, "x"]}]
    ),
    "upsert": lambda index: index.upsert(["changed text"], ["a3"], [{"k": 9}]),
    "delete": lambda index: index.delete(filter={"k": {"$lte": 1}}),
    "compact": lambda index: index.compact(),
}


def fill(path):
    with Index(path, FakeModel(dimension=8)) as index:
        for i in range(7):  # seven segments: the next one makes them merge
            index.add([f"old text number {i}"], [f"a{i}"], [{"k": i}])
        index.delete("a2")


def dump(path):
    with Index(path, FakeModel(dimension=8)) as index:
        report = index.verify()
        assert report.ok, report
        hits = index.search("old new text", top_k=99)
        words = index.search("old new text", top_k=99, mode="lexical")
        return sorted((h.id, h.text, json.dumps(h.metadata)) for h in hits), sorted(w.id for w in words)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_failure_at_each_step_changes_nothing(tmp_path, monkeypatch, operation, late):
    reference, done = tmp_path / "reference.db", tmp_path / "done.db"
    fill(reference)
    fill(done)
    with Index(done, FakeModel(dimension=8)) as index:
        OPERATIONS[operation](index)
    old, new = dump(reference), dump(done)
    plan = {"step": 0, "fail_at": 0, "kill": False, "late": late}
    real = database.connect

    def connect(*args):
        return Failing(real(*args), plan)

    for step in range(1, 200):
        path = tmp_path / f"{step}.db"
        path.write_bytes(reference.read_bytes())
        monkeypatch.setattr(database, "connect", connect)
        plan["fail_at"] = 0
        index = Index(path, FakeModel(dimension=8))
        plan.update(step=0, fail_at=step)
        failed = False
        try:
            OPERATIONS[operation](index)
        except StoreError as error:
            failed = str(error)
        ran_out = plan["step"] < step
        plan["fail_at"] = 0
        # The same object goes on working, and a retry succeeds.
        state_now = dump_of(index)
        if failed:
            assert str(path) in failed and "as it was before" in failed
            assert state_now in (old, new) and (state_now == old or operation == "compact")
            monkeypatch.setattr(database, "connect", real)
            assert dump(path) == state_now
            if state_now == old:
                OPERATIONS[operation](index)
        assert dump_of(index) == new
        index.close()
        assert dump(path) == new
        if ran_out:
            break
    assert step > 8 and not failed


def dump_of(index):
    hits = index.search("old new text", top_k=99)
    words = index.search("old new text", top_k=99, mode="lexical")
    return sorted((h.id, h.text, json.dumps(h.metadata)) for h in hits), sorted(w.id for w in words)


KILLED = """
import os, sys
from tests.index.fakes import FakeModel
from tests.index.test_crash import Failing, OPERATIONS, database
from vicinal.index import Index
path, operation = sys.argv[1:]
plan = {"step": 0, "fail_at": 0, "kill": True, "late": False}
real = database.connect
database.connect = lambda *args: Failing(real(*args), plan)
original = open(path, "rb").read()
for step in range(1, 200):
    target = f"{path}.{step}"
    with open(target, "wb") as file:
        file.write(original)
    child = os.fork()
    if not child:
        index = Index(target, FakeModel(dimension=8))
        plan.update(step=0, fail_at=step)
        OPERATIONS[operation](index)
        os._exit(0 if plan["step"] < step else 7)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status):
        print(step, os.WEXITSTATUS(status))
        break
"""


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_kill_at_each_step_leaves_old_or_new(tmp_path, operation):
    reference, done = tmp_path / "reference.db", tmp_path / "done.db"
    fill(reference)
    fill(done)
    with Index(done, FakeModel(dimension=8)) as index:
        OPERATIONS[operation](index)
    old, new = dump(reference), dump(done)
    command = [sys.executable, "-c", KILLED, reference, operation]
    out = subprocess.run(
        command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    last, status = map(int, out.split())
    assert status == 0 and last > 8
    for step in range(1, last):
        assert dump(f"{reference}.{step}") in (old, new)
    assert dump(f"{reference}.{last}") == new
