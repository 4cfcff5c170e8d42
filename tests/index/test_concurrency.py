"""Many threads and processes on one file."""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from vicinal.errors import InputError, StoreError
from vicinal.index import Index
from vicinal.index.stores import database, writing
from vicinal.index.stores.database import prepare

from .fakes import FakeModel
from .test_crash import ENVIRONMENT, ROOT


def test_readers_see_commits_of_another_object_and_load_only_what_is_new(path, monkeypatch):
    from vicinal.index.memory import Memory

    appended = []
    real = Memory.append

    def append(self, rows, skip=0):
        appended.append(len(rows) - skip)
        return real(self, rows, skip)

    monkeypatch.setattr(Memory, "append", append)
    with Index(path, FakeModel()) as writer, Index(path, FakeModel()) as reader:
        writer.add([f"text {i}" for i in range(100)], [f"a{i}" for i in range(100)])
        assert len(reader.search("text", top_k=200)) == 100
        for n in range(20):
            writer.add([f"more {n}"], [f"b{n}"])
            assert reader.search(f"more {n}", top_k=1)[0].id == f"b{n}"
        writer.delete("b7")
        assert "b7" not in {hit.id for hit in reader.search("more 7", top_k=200)}
        assert appended == [100] + [1] * 20
        writer.compact()
        assert len(reader.search("text", top_k=200)) == 119
        assert appended[21:] == [119]


def test_threads_share_one_object(index):
    index.add(["start"], ["start"], [{"thread": -1}])
    stop = threading.Event()

    def write(thread):
        for n in range(15):
            ids = [f"{thread}-{n}-{i}" for i in range(3)]
            index.add([f"thread {thread} text {n} {i}" for i in range(3)], ids, [{"thread": thread}] * 3)
            if n % 3 == 0:
                assert index.delete(ids[:1]) == 1
            found = {
                hit.id for hit in index.search(f"thread {thread}", top_k=1000, filter={"thread": thread})
            }
            assert set(ids[1:]) <= found, "what was added is found at once"

    def read():
        looks = 0
        while not stop.is_set():
            for mode in ("dense", "lexical", "hybrid"):
                hits = index.search("thread text", top_k=20, mode=mode)
                assert len({hit.id for hit in hits}) == len(hits)
                assert all(hit.text[h0:h1] for hit in hits for h0, h1 in hit.passage.matches)
            looks += 1
        return looks

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        writers = [pool.submit(write, thread) for thread in range(4)]
        try:
            for writer in writers:
                writer.result(60)
        finally:
            stop.set()
        assert all(reader.result(60) > 0 for reader in readers)
    assert index.count() == 1 + 4 * (15 * 3 - 5)
    assert index.verify()


def test_an_id_taken_while_another_writer_encodes_is_still_refused(path):
    class Slow(FakeModel):
        def encode_document(self, texts):
            if texts == ["mine"]:
                other.add(["theirs"], ["same"])
            return super().encode_document(texts)

    with Index(path, FakeModel()) as other, Index(path, Slow()) as index:
        with pytest.raises(InputError, match=r"'same'.*upsert"):
            index.add(["mine"], ["same"])
        assert index.get("same")[0].text == "theirs" and index.count() == 1 and index.verify()


def test_readers_are_not_in_the_way_of_a_writer(path):
    with Index(path, FakeModel(), timeout=0.2) as index:
        index.add(["x"], ["1"])
        with index._store.reader(ranking=True) as reader:
            index.add(["y"], ["2"])  # write-ahead log: nobody waits
            assert reader.count() == 1, "a reader keeps its state"
        assert index.count() == 2


def test_many_small_adds_make_few_segments(path, monkeypatch):
    monkeypatch.setattr(writing, "SEGMENT_ROWS", 32)
    with Index(path, FakeModel(dimension=4)) as index:
        for i in range(100):
            index.add([f"text {i}"], [str(i)])
        db = index._store._idle[0]
        sizes = [row[0] for row in db.execute("SELECT n FROM segments ORDER BY first")]
        assert sum(sizes) == 100 and max(sizes) <= 32 and len(sizes) < 30
        assert index.verify()


def test_whoever_closes_second_returns_when_it_is_closed(tmp_path, monkeypatch):
    index = Index(tmp_path / "texts.db", FakeModel())
    index.add(["the cat"])
    closing, go_on = threading.Event(), threading.Event()
    close_idle = index._store.close_idle

    def slowly(wait: float = 0.0) -> None:
        closing.set()
        assert go_on.wait(60)
        close_idle(wait)

    monkeypatch.setattr(index._store, "close_idle", slowly)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(index.close)
        assert closing.wait(60)
        second = pool.submit(index.close)
        assert not wait([second], 0.2).done
        go_on.set()
        second.result(60)
        assert [each.name for each in tmp_path.iterdir()] == ["texts.db"]
        first.result(60)


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_closing_under_searches_ends_them_with_an_error(tmp_path, mode):
    """Used to end the process in every third run: the analyzer was closed in the middle of a query."""
    for turn in range(8):
        path = tmp_path / f"{turn}.db"
        index = Index(path, FakeModel())
        index.add([f"the cat {i} sat on the mat " * 4 for i in range(60)])
        started = threading.Barrier(5)

        def ask(index=index, started=started):
            started.wait()
            while True:
                assert len(index.search("the cat and mat 7", mode=mode)) == 10

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask) for _ in range(4)]
            started.wait()
            time.sleep(0.002 * turn)
            closing = threading.Thread(target=index.close)
            closing.start()
            index.close()
            assert not list(tmp_path.glob(f"{turn}.db-*")), "closed means that it is one file"
            closing.join()
            for one in asking:
                with pytest.raises(StoreError, match="is closed"):
                    one.result(60)


def test_a_call_that_is_inside_ends_before_the_index_does(path):
    index = Index(path, FakeModel())
    index.add(["x", "y"], ["1", "2"])
    with ThreadPoolExecutor(1) as pool, index._store.reader(ranking=True) as reader:
        closing = pool.submit(index.close)
        while not index._store._visits.closed:
            time.sleep(0.001)
        with pytest.raises(StoreError, match=r"texts\.db' is closed: open it again"):
            index.search("x")
        assert not closing.done()
        assert [document.id for document in reader.every()] == ["1", "2"]
        assert reader.lexical("x", 5, None) and reader.matches("x", ["x y"])
    closing.result(60)
    assert [file.name for file in path.parent.iterdir()] == ["texts.db"]


def test_an_index_that_is_closed_by_its_own_reranker_or_iterator(path):
    class Closing:
        def predict(self, pairs):
            index.close()
            return [1.0] * len(pairs)

    index = Index(path, FakeModel())
    index.add(["x", "y"], ["1", "2"])
    assert len(index.search("x", reranker=Closing())) == 2, "it ends what it began"
    with pytest.raises(StoreError, match="is closed"):
        index.search("x")
    assert [file.name for file in path.parent.iterdir()] == ["texts.db"]
    index = Index(path, FakeModel(), timeout=0)
    with index._store.reader() as reader:
        every = reader.every()
        assert next(every).id == "1"
        index.close()
        assert next(every).id == "2"
    with pytest.raises(StoreError, match="is closed"):
        index.count()


def test_who_stays_inside_too_long_frees_the_index(path):
    index = Index(path, FakeModel(), timeout=0.05)
    index.add(["x"], ["1"])
    inside, leave = threading.Event(), threading.Event()

    def stay():
        with index._store.reader() as reader:
            inside.set()
            assert leave.wait(60)
            return reader.count()

    with ThreadPoolExecutor(1) as pool:
        staying = pool.submit(stay)
        assert inside.wait(60)
        index.close()
        index.close()
        leave.set()
        assert staying.result(60) == 1
    assert [file.name for file in path.parent.iterdir()] == ["texts.db"]


LEFT_OPEN = """
import sys, threading, time
from tests.index.fakes import FakeModel
from vicinal.index import Index
index = Index(sys.argv[1], FakeModel())
index.add([f"text {n} of many" for n in range(500)])
def work():
    while True:
        index.search("text of many 7", mode="hybrid")
        index.upsert(["again"], ["a"])
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
time.sleep(float(sys.argv[2]))
if sys.argv[3] == "close":
    import atexit
    atexit.register(index.close)
"""


@pytest.mark.parametrize("end", ["close", "leave"])
def test_the_interpreter_ends_while_daemons_search(path, end):
    for moment in (0, 0.05):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", LEFT_OPEN, path, str(moment), end],
            env=ENVIRONMENT,
            cwd=ROOT,
            capture_output=True,
            timeout=100,
        )
        assert done.returncode == 0, done
        with Index(path, FakeModel()) as index:
            assert index.verify()
            index.delete(filter={})


HOLDER = """
import sys, time
from tests.index.fakes import FakeModel
from vicinal.index import Index
index = Index(sys.argv[1], FakeModel())
with index._store.writer():
    print("holding", flush=True)
    sys.stdin.readline()
index.close()
"""


def test_a_second_writer_waits_then_gives_up_clearly_and_readers_go_on(path):
    with Index(path, FakeModel(), timeout=0.3) as index:
        index.add(["x"], ["1"])
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, path], stdin=-1, stdout=-1, env=ENVIRONMENT, cwd=ROOT
        )
        try:
            assert holder.stdout.readline() == b"holding\n"
            for change in (lambda: index.add(["y"], ["2"]), lambda: index.delete("1"), index.compact):
                with pytest.raises(StoreError, match=r"texts\.db.*another process or thread.*timeout="):
                    change()
            assert index.search("x")[0].id == "1" and index.count() == 1
            with Index(path, FakeModel(), timeout=30) as patient:
                timer = threading.Timer(0.3, lambda: (holder.stdin.write(b"\n"), holder.stdin.flush()))
                timer.start()
                patient.add(["z"], ["3"])
                timer.join()
            assert index.count() == 2
        finally:
            holder.communicate(b"\n")


def test_a_second_thread_gives_up_clearly(path):
    with Index(path, FakeModel(), timeout=0.2) as index, index._store.writer():
        with ThreadPoolExecutor(1) as pool, pytest.raises(StoreError, match=r"another thread.*timeout="):
            pool.submit(index.delete, "1").result()


ADDER = """
import sys
from tests.index.fakes import FakeModel
from vicinal.index import Index
with Index(sys.argv[1], FakeModel(), timeout=60) as index:
    for n in range(20):
        index.add([f"process {sys.argv[2]} text {n}"], [f"{sys.argv[2]}-{n}"])
"""


def test_processes_make_and_fill_one_file_together(path):
    command = [sys.executable, "-W", "error", "-c", ADDER, path]
    running = [subprocess.Popen([*command, str(n)], env=ENVIRONMENT, cwd=ROOT) for n in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    with Index(path, FakeModel()) as index:
        assert index.count() == 80 and index.verify()
        assert index.info().segments < 20, "single adds are merged into larger segments"


def test_many_make_one_file_at_the_same_time(tmp_path):
    """Fails in most runs if SQLite's refusals are not tried again, or if the file is looked at in two steps."""
    threads = 6
    barrier = threading.Barrier(threads)

    def make(file: int) -> None:
        barrier.wait()
        time.sleep(random.random() * 0.004)
        prepare(str(tmp_path / f"{file}.db"), 30, False, {"tokenizer": "unicode61"})

    with ThreadPoolExecutor(threads) as pool:
        for file in range(60):
            for made in [pool.submit(make, file) for _ in range(threads)]:
                made.result()


def test_a_file_made_while_its_place_is_looked_at_is_no_lost_file(tmp_path, monkeypatch):
    """The size 0 of before and the log of after would look like a log whose file is gone."""
    path = str(tmp_path / "made.db")
    look, makers = database.log_bytes, []

    def made_meanwhile(file: str) -> int:
        monkeypatch.setattr(database, "log_bytes", look)
        makers.append(Index(path, FakeModel()))
        makers[0].add(["a"], ["1"])
        return look(file)

    monkeypatch.setattr(database, "log_bytes", made_meanwhile)
    with Index(path, FakeModel()) as index, makers[0]:
        assert index.count() == 1


FORKER = """
import os, sys
from tests.index.fakes import FakeModel
from vicinal.index import Index
index = Index(sys.argv[1], FakeModel())
index.add(["parent text"], ["p"])
index.search("parent")
child = os.fork()
if not child:
    assert index.search("parent")[0].id == "p"
    index.add(["child text"], ["c"])
    index.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert {hit.id for hit in index.search("text")} == {"p", "c"}
index.add(["again"], ["q"])
index.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_an_open_index_survives_a_fork(path):
    subprocess.run([sys.executable, "-c", FORKER, path], env=ENVIRONMENT, cwd=ROOT, check=True)
    with Index(path, FakeModel()) as index:
        assert index.count() == 3 and index.verify()


PARENT_CLOSES = """
import os, sys
from tests.index.fakes import FakeModel
from vicinal.index import Index
index = Index(sys.argv[1], FakeModel())
index.add(["parent text"], ["p"])
to_parent, from_child = os.pipe()
to_child, from_parent = os.pipe()
child = os.fork()
if not child:
    if sys.argv[2] == "opened anew":
        index = Index(sys.argv[1], FakeModel())
    index.add(["child text"], ["c"])
    os.write(from_child, b".")
    os.read(to_child, 1)
    index.add(["later"], ["d"])
    os._exit(0)  # no close(): what add() has acknowledged is there all the same
os.read(to_parent, 1)
index.close()
with Index(sys.argv[1], FakeModel()) as other:
    other.add(["in between"], ["o"])
os.write(from_parent, b".")
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("way", ["inherited", "opened anew"])
def test_a_forked_child_loses_nothing_when_its_parent_closes(path, way):
    subprocess.run([sys.executable, "-c", PARENT_CLOSES, path, way], env=ENVIRONMENT, cwd=ROOT, check=True)
    with Index(path, FakeModel()) as index:
        assert index.ids() == ["p", "c", "o", "d"] and index.verify()


def test_spawned_processes_open_their_own(path):
    with Index(path, FakeModel()) as index:
        index.add(["x y z"], ["1"])
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(look, (str(path),)) == ["1"]


def look(path):
    with Index(path, FakeModel()) as index:
        return [hit.id for hit in index.search("x")]
