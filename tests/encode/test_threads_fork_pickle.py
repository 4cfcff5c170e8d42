"""One model in several threads and processes."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tinyfolder import ROOT

from vicinal import SentenceTransformer

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
TEXTS = [f"the cat {number} sat on the mat" + " hello" * (number % 7) for number in range(300)]


def test_eight_threads(tiny: SentenceTransformer) -> None:
    expected = SentenceTransformer(tiny._spec.folder, dtype="float32").encode(TEXTS)
    start = threading.Barrier(8)

    def work(number: int) -> np.ndarray:
        start.wait()  # the first encode, which compiles, from all at once
        rows = [tiny.encode(TEXTS[number : number + 1])[0] for _ in range(5)]
        np.testing.assert_allclose(rows, np.broadcast_to(expected[number], (5, 16)), atol=1e-6)
        return np.asarray(tiny.encode(TEXTS))

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(work, range(8)):
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_threads_that_ask_for_the_module_get_the_same_one(tiny_path: Path) -> None:
    """Another one would be trained without a change of the model's vectors."""
    pytest.importorskip("transformers")
    model, start = SentenceTransformer(tiny_path), threading.Barrier(4)

    def ask(_: int) -> int:
        start.wait()
        return id(model.module)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(4))) == {id(model.module)}


def test_threads_with_different_outputs(tiny: SentenceTransformer) -> None:
    tokens = tiny.encode(TEXTS[:20], output_value="token_embeddings")
    expected = tiny.encode(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        rows = [pool.submit(tiny.encode, TEXTS) for _ in range(6)]
        parts = [pool.submit(tiny.encode, TEXTS[:20], output_value="token_embeddings") for _ in range(6)]
        for row in rows:
            np.testing.assert_allclose(row.result(), expected, atol=1e-6)
        for part in parts:
            for one, other in zip(part.result(), tokens, strict=True):
                np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_copies(
    tiny: SentenceTransformer, used: bool, clone: Callable[[SentenceTransformer], SentenceTransformer]
) -> None:
    if used:
        tiny.encode(TEXTS)
    tiny.truncate_dim = 5
    other = clone(tiny)
    np.testing.assert_allclose(other.encode(TEXTS), tiny.encode(TEXTS), atol=1e-6)
    assert repr(other) == repr(tiny)
    assert other.prompts == tiny.prompts
    if clone is not copy.copy:
        other.max_seq_length = 4
        other.prompts["new"] = "x"
        assert tiny.max_seq_length == 64 and "new" not in tiny.prompts


# Each script is a process of its own: a child of the test run itself would hold its output open.

FORK = """
import os, sys, threading
import numpy as np
from vicinal import SentenceTransformer
model = SentenceTransformer(sys.argv[1], dtype="float32")
texts = [f"the cat {number}" for number in range(300)]
before, in_child = "before" in sys.argv, "child" in sys.argv
expected = SentenceTransformer(sys.argv[1], dtype="float32").encode(texts) if before else None
if before:
    model.encode(texts)
    model.encode("a")
for attempt in range(2):
    child = os.fork()
    if not child:
        if in_child:
            found = model.encode(texts)
            model.encode("a")
            assert found.shape == (300, 16) and np.isfinite(found).all()
            assert expected is None or np.abs(found - expected).max() < 1e-6
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
model.encode(texts)
print("done")
"""


@forks
@pytest.mark.parametrize("before", ["before", "after"])
@pytest.mark.parametrize("child", ["child", "idle"])
def test_fork(tiny_path: Path, before: str, child: str, run_script: Callable[..., str]) -> None:
    source = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + FORK
    assert run_script(source, tiny_path, before, child, timeout=40).strip() == "done"


FORK_WHILE_COMPILING = """
import os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from vicinal import SentenceTransformer
from vicinal.engine.openvino import OpenVINOEngine
model = SentenceTransformer(sys.argv[1], dtype="float32")
entered, real = threading.Event(), OpenVINOEngine._compile
def slow(self, *which):
    entered.set()
    time.sleep(1)
    return real(self, *which)
OpenVINOEngine._compile = slow
thread = threading.Thread(target=model.encode, args=(["a"],))
thread.start()
entered.wait()
child = os.fork()
if not child:
    OpenVINOEngine._compile = real
    model.encode(["a"])
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
thread.join()
print("done")
"""


@forks
def test_fork_while_another_thread_compiles(tiny_path: Path, run_script: Callable[..., str]) -> None:
    assert run_script(FORK_WHILE_COMPILING, tiny_path, timeout=40).strip() == "done"


FORK_BESIDE_THREADS = """
import os, signal, sys, threading, warnings
warnings.simplefilter("ignore")
import numpy as np
from vicinal import SentenceTransformer, util
kind, path = sys.argv[1:]
texts = [f"the cat {n} sat on the mat" for n in range(200)]
rows = np.random.default_rng(0).normal(size=(6000, 64)).astype(np.float32)
if kind == "model":  # each turn compiles, computes one batch, then many, and frees the graphs
    work = lambda: [SentenceTransformer(path).encode(some) for some in (texts, "a")][0]
elif kind == "static":
    model = SentenceTransformer("vicinal-mini")
    work = lambda: model.encode([*texts, "Füße und Grüße"])
elif kind == "vectors":
    work = lambda: (util.cos_sim(rows[:500], rows), util.semantic_search(rows[:200], rows, top_k=3))[0]
elif kind == "index":
    from tests.index.fakes import FakeModel
    from vicinal.index import Index
    index = Index(path + "/texts.db", FakeModel(), timeout=60)
    index.add(texts)
    def work():
        index.upsert(texts[:2], ["a", "b"])
        return np.array([hit.score for hit in index.search("cat mat 7", mode="hybrid")])
expected = work()
stop, turns = threading.Event(), [0, 0]
def go_on(thread):
    while not stop.is_set():
        work()
        turns[thread] += 1
threads = [threading.Thread(target=go_on, args=(n,)) for n in range(2)]
for thread in threads:
    thread.start()
codes = []
for attempt in range(6):
    seen = turns[0]
    while turns[0] == seen:
        stop.wait(0.001)
    stop.wait(0.003 * attempt)
    child = os.fork()
    if not child:
        signal.alarm(60)  # ends a child that hangs
        os._exit(7 if np.allclose(work(), expected, atol=1e-5) else 8)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
for thread in threads:
    thread.join()
print(codes == [7] * 6 or codes)
"""


@forks
@pytest.mark.parametrize("kind", ["model", "static", "vectors", "index"])
def test_forks_while_threads_work(
    tiny_path: Path, tmp_path: Path, kind: str, run_script: Callable[..., str]
) -> None:
    """Without the wait about one child in ten waits for ever, in OpenVINO, SQLite or BLAS."""
    path = tiny_path if kind == "model" else tmp_path
    assert run_script(FORK_BESIDE_THREADS, kind, path, timeout=200, PYTHONPATH=str(ROOT)).strip() == "True"


FORK_IN_THE_MIDDLE = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")
from vicinal import SentenceTransformer
from vicinal.core import native_calls
from vicinal.errors import ForkError
native_calls._LONGEST_FORK = 0.1
model = SentenceTransformer(sys.argv[1])
entered, leave = threading.Event(), threading.Event()
def long():
    with native_calls.native_call():
        entered.set()
        leave.wait()
thread = threading.Thread(target=long)
thread.start()
entered.wait()
child = os.fork()
if not child:
    for use in (model, SentenceTransformer("vicinal-mini")):
        try:
            use.encode(["a"] * 100)
        except ForkError as error:
            assert "forked while another thread" in str(error) and "spawn" in str(error)
        else:
            os._exit(8)
    os._exit(7)
leave.set()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), model.encode("a").shape)
thread.join()
"""


@forks
def test_a_fork_in_the_middle_of_a_long_call_is_told_in_the_child(
    tiny_path: Path, run_script: Callable[..., str]
) -> None:
    assert run_script(FORK_IN_THE_MIDDLE, tiny_path).strip() == "7 (16,)"


FORK_AFTER_TORCH = """
import os, sys, warnings
warnings.simplefilter("ignore")
from vicinal import SentenceTransformer
from vicinal.errors import ForkError
model, other = SentenceTransformer(sys.argv[1], backend="torch"), SentenceTransformer(sys.argv[1])
def forked():
    child = os.fork()
    if not child:
        assert other.encode("a").shape == (16,)
        try:
            os._exit(7 if model.encode("a").shape == (16,) else 8)
        except ForkError as error:
            os._exit(9 if "torch" in str(error) and "spawn" in str(error) else 10)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
codes = [forked()]
model.encode("a")
print([*codes, forked()])
"""


@forks
@pytest.mark.torch
def test_torch_says_that_it_does_not_survive_a_fork(tiny_path: Path, run_script: Callable[..., str]) -> None:
    pytest.importorskip("torch")
    assert run_script(FORK_AFTER_TORCH, tiny_path).strip() == "[7, 9]"


POOL = """
import multiprocessing, sys, warnings
import numpy as np
from vicinal import SentenceTransformer
warnings.simplefilter("ignore", DeprecationWarning)

def rows(numbers):
    return model.encode([f"the cat {number}" for number in numbers])

def given(pair):
    return pair[0].encode(pair[1])

if __name__ == "__main__":
    model = SentenceTransformer(sys.argv[1], dtype="float32")
    expected = model.encode([f"the cat {number}" for number in range(40)])
    with multiprocessing.get_context("fork").Pool(2) as pool:
        parts = pool.map(rows, [range(0, 20), range(20, 40)])
        pairs = pool.map(given, [(model, ["the cat 0"]), (model, ["the cat 1"])])
        pool.close()
        pool.join()
    assert np.abs(np.concatenate(parts) - expected).max() < 1e-6
    assert np.abs(np.concatenate(pairs) - expected[:2]).max() < 1e-6
    worker = multiprocessing.get_context("fork").Process(target=model.encode, args=(["a"],))
    worker.start()
    worker.join(30)
    print("done", worker.exitcode)
"""


@forks
def test_multiprocessing_with_fork(tiny_path: Path, run_script: Callable[..., str]) -> None:
    assert run_script(POOL, tiny_path, timeout=60).strip() == "done 0"


def _encode(model: SentenceTransformer, texts: list[str], answers: multiprocessing.Queue[np.ndarray]) -> None:
    answers.put(model.encode(texts))


def test_spawn(tiny: SentenceTransformer) -> None:
    expected = tiny.encode(TEXTS[:10])
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    worker = context.Process(target=_encode, args=(tiny, TEXTS[:10], answers))
    worker.start()
    np.testing.assert_allclose(answers.get(timeout=40), expected, atol=1e-6)
    worker.join(20)
    assert worker.exitcode == 0
    answers.close()
    answers.join_thread()


def test_the_process_ends_while_a_thread_encodes(tiny_path: Path, run_script: Callable[..., str]) -> None:
    script = (
        "import sys, threading\nfrom vicinal import SentenceTransformer\n"
        "model = SentenceTransformer(sys.argv[1])\nmodel.encode('a')\n"
        "def work():\n    while True: model.encode(['the cat'] * 50)\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "import time; time.sleep(0.3)\nprint('done')\nsys.exit(0)"
    )
    assert run_script(script, tiny_path, timeout=40).strip() == "done"
