from __future__ import annotations

import math
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vicinal.index import bounds as module
from vicinal.index import memory as memory_module
from vicinal.index.bounds import Bounds
from vicinal.index.memory import Memory
from vicinal.index.segments import Rows
from vicinal.index.sketches import mixed, padded, sketch, turn

pytestmark = pytest.mark.filterwarnings("error")


def unit(n, d, seed=0, tail=0.0):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, d)) * np.exp(-tail * np.arange(d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def stored(matrix, docs=None):
    docs = np.arange(1, len(matrix) + 1) if docs is None else np.asarray(docs)
    zeros = np.zeros(len(matrix), np.int32)
    return Rows(docs.astype(np.int64), zeros, zeros, np.ascontiguousarray(matrix, np.float32).tobytes())


def brute(matrix, docs, query, k, out):
    """Rows and scores of the k best documents; the same product as the index takes, nothing else shared."""
    scores = np.einsum("ij,j->i", np.ascontiguousarray(matrix), query)
    found, seen = [], set()
    for row in sorted(range(len(scores)), key=lambda row: (-scores[row], row)):
        if not out[row] and docs[row] not in seen:
            seen.add(docs[row])
            found.append(row)
        if len(found) == k:
            break
    return found, [scores[row] for row in found]


def waited(bounds, blocks, n, start=Bounds._start):
    """Sketches as if the thread that makes them were done at once."""
    start(bounds, blocks, n)
    bounds._lock.release()
    bounds.settle()
    bounds._lock.acquire()


@pytest.fixture
def eager(monkeypatch):
    """Bounds for every size, blocks and steps as small as they get."""
    monkeypatch.setattr(memory_module, "BOUNDS_FROM", 1)
    monkeypatch.setattr(memory_module, "BLOCK_BYTES", 1)
    monkeypatch.setattr(memory_module, "SURVIVORS_SHARE", 2.0)
    monkeypatch.setattr(module, "STEP", 64)
    monkeypatch.setattr(module, "PATIENCE", 1)
    monkeypatch.setattr(Bounds, "_start", waited)


@pytest.mark.parametrize("dimension", [1, 31, 32, 100, 256])
def test_mixing_keeps_lengths_and_products(dimension):
    rows = unit(50, dimension, 1)
    turned = mixed(rows, padded(dimension))
    np.testing.assert_allclose(turned @ turned.T, rows @ rows.T, atol=1e-6)
    if dimension == 256:  # one outstanding coordinate is spread over 16
        assert np.abs(mixed(np.eye(256, dtype=np.float32), 256)).max() == 0.25
    out = np.zeros((1, padded(dimension)), np.float32)
    for row, full in zip(rows, turned, strict=True):
        most = turn(row, out)
        np.testing.assert_allclose(out[0], full, atol=1e-6)
        for group in (32, math.gcd(len(full), 128)):  # as the kernel may do
            parts = full.reshape(-1, group)
            step = np.maximum(np.abs(parts).max(axis=1, keepdims=True), 1e-30) / 127
            assert np.linalg.norm(parts - np.rint(parts / step) * step) <= most < 0.06


@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e12])
def test_sketches_are_as_near_as_their_radius_says(scale):
    rows = unit(3000, 96, 2, tail=0.03) * np.float32(scale)
    rows[5] = 0
    rows[6, 1:] = 0
    sketches, scales, radius, longest = sketch(rows, 96)
    assert sketches.min() >= -7 and sketches.max() <= 7
    left = np.linalg.norm(mixed(rows, 96).astype(float) - sketches.astype(float) * scales, axis=1)
    assert (left <= radius).all()
    assert longest == pytest.approx(np.linalg.norm(rows, axis=1).max(), rel=1e-5)
    assert np.median(radius) < 0.16 * scale


@pytest.mark.parametrize("dimension", [7, 64, 256])
def test_no_product_exceeds_its_bound_and_bounds_are_near(dimension, monkeypatch):
    matrix = unit(5000, dimension, 3)
    matrix[17] = 0
    memory = Memory(dimension, "float32")
    memory.append(stored(matrix))
    monkeypatch.setattr(module, "PATIENCE", 1)
    bounds = Bounds(dimension)
    blocks = memory.view(0, 0).blocks
    assert bounds.upper(matrix[0], blocks, 5000) is None  # patience
    assert bounds.upper(matrix[0], blocks, 5000) is None  # sketches are being made
    bounds.settle()
    for query in [*unit(20, dimension, 4), matrix[3], -matrix[3], 1000 * matrix[4], 1e-6 * matrix[5]]:
        query = query.astype(np.float32)
        ceilings = bounds.upper(query, blocks, 5000)
        assert ceilings is not None and bounds.sketched == 5000
        exact = np.einsum("ij,j->i", matrix, query)
        assert all(
            value >= ceilings.of(score) for value, score in zip(ceilings.values, exact.tolist(), strict=True)
        )
        upper = (ceilings.values.astype(float) + ceilings.more) * ceilings.scale
        assert (upper - exact).mean() < 0.2 * np.linalg.norm(query)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_top_is_brute_force_whatever_happened(data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_module, "BOUNDS_FROM", 1)
        patch.setattr(memory_module, "BLOCK_BYTES", 1)
        patch.setattr(memory_module, "SURVIVORS_SHARE", data.draw(st.sampled_from([0.0, 0.06, 2.0])))
        patch.setattr(module, "STEP", 64)
        patch.setattr(module, "PATIENCE", 1)
        patch.setattr(module, "PIECE_BYTES", data.draw(st.sampled_from([1, 8_000, 32 << 20])))
        if data.draw(st.booleans()):  # else sketches come while queries do
            patch.setattr(Bounds, "_start", waited)
        dimension = data.draw(st.sampled_from([3, 32, 40]))
        rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
        memory, matrix, docs = Memory(dimension, "float32"), np.empty((0, dimension), np.float32), []
        dead: set[int] = set()
        kept = []
        for _ in range(data.draw(st.integers(1, 4))):
            first = docs[-1] + 1 if docs else 1
            count = data.draw(st.integers(1, 900))
            per = data.draw(st.integers(1, 3))
            part = unit(count * per, dimension, int(rng.integers(1 << 30)), tail=0.05)
            part[rng.random(len(part)) < 0.2] = part[0]  # equal rows, which keep their order
            part[rng.random(len(part)) < 0.05] = 0
            part *= rng.choice([1, 1, 1, 5], (len(part), 1)).astype(np.float32)
            added = np.repeat(np.arange(first, first + count), per)
            memory.append(stored(part, added))
            matrix, docs = np.concatenate([matrix, part]), docs + added.tolist()
            gone = data.draw(st.sets(st.integers(1, docs[-1]), max_size=60))
            memory.delete(np.array(sorted(gone), np.int64))
            dead |= gone
            kept.append((memory.view(0, 0), len(docs), set(dead)))
            memory.view(0, 0).top(part[0], 3)
        mask_share = data.draw(st.sampled_from([None, 0.3, 1.0]))
        k = data.draw(st.sampled_from([1, 10, 50, 5000]))
        for view, n, gone in [*kept, *reversed(kept)]:
            query = rng.standard_normal(dimension).astype(np.float32)
            if rng.random() < 0.5:
                query = matrix[rng.integers(n)] * np.float32(0.7)
            mask = None if mask_share is None else rng.random(view.doc_limit) < mask_share
            out = [doc in gone or (mask is not None and not mask[doc]) for doc in docs[:n]]
            rows, scores = view.top(query, k, mask)
            expected = brute(matrix[:n], docs[:n], query, k, out)
            assert rows.tolist() == expected[0]
            assert scores.tolist() == expected[1]
        assert memory.view(0, 0).bounds._trusted or not view.bounds._trusted


def test_bounds_are_used_and_follow_new_rows(eager, monkeypatch):
    matrix = unit(4000, 32, 5)
    memory = Memory(32, "float32")
    memory.append(stored(matrix[:1500]))
    for _ in range(4):
        memory.view(0, 0).top(matrix[0], 5)
    bounds = memory.view(0, 0).bounds
    assert bounds.sketched == 1500
    memory.append(stored(matrix[1500:1550], np.arange(1501, 1551)))
    view = memory.view(0, 0)
    assert view.top(matrix[1549], 1)[0].tolist() == [1549] and bounds.sketched == 1500  # too few to sketch
    memory.append(stored(matrix[1550:], np.arange(1551, 4001)))
    later = memory.view(0, 0)
    for _ in range(5):
        later.top(matrix[0], 5)
    assert bounds.sketched == 4000 and later.bounds is bounds
    monkeypatch.setattr(memory_module.View, "_scores", None)  # no scan of all rows any more
    for row in (0, 1549, 3999):
        assert later.top(matrix[row], 1)[0].tolist() == [row]
    assert view.top(matrix[1520], 1)[0].tolist() == [1520]  # and an old view knows its rows only
    assert view.top(matrix[3999], 1)[0][0] < 1550


def test_a_kernel_that_gives_too_little_is_found_out(eager, monkeypatch):
    matrix = unit(1000, 32, 6)
    memory = Memory(32, "float32")
    memory.append(stored(matrix))
    view = memory.view(0, 0)
    original = Bounds._upper

    def too_low(*given):
        ceilings = original(*given)
        ceilings.values[:] -= np.float32(0.5)
        return ceilings

    monkeypatch.setattr(Bounds, "_upper", too_low)
    for row in range(6):
        assert view.top(matrix[row], 1)[0].tolist() == [row]
    assert not view.bounds._trusted and view.bounds.upper(matrix[0], view.blocks, 1000) is None


@pytest.mark.parametrize("wrong", ["no openvino", "large"])
def test_without_bounds_all_rows_are_looked_at(eager, monkeypatch, wrong):
    matrix = unit(1000, 32, 7)
    if wrong == "large":
        matrix *= np.float32(1e17)
    else:
        monkeypatch.setattr(module, "load_openvino", lambda: (_ for _ in ()).throw(RuntimeError("no")))
    memory = Memory(32, "float32")
    memory.append(stored(matrix))
    view = memory.view(0, 0)
    for row in range(5):
        assert view.top(matrix[row] / np.linalg.norm(matrix[row]), 1)[0].tolist() == [row]
    assert not view.bounds._trusted


def test_bounds_that_leave_nothing_out_are_asked_less_often(eager, monkeypatch):
    monkeypatch.setattr(memory_module, "SURVIVORS_SHARE", 0.0001)
    matrix = unit(20_000, 32, 8)
    memory = Memory(32, "float32")
    memory.append(stored(matrix))
    view = memory.view(0, 0)
    asked = []
    original = Bounds._upper
    monkeypatch.setattr(Bounds, "_upper", lambda *given: asked.append(1) or original(*given))
    for query in unit(100, 32, 9):
        assert view.top(query, 1)[0].tolist() == [int(np.argmax(np.einsum("ij,j->i", matrix, query)))]
    assert 1 <= len(asked) < 12 and view.bounds._trusted


def test_threads_share_bounds(eager):
    matrix = unit(3000, 64, 10)
    memory = Memory(64, "float32")
    memory.append(stored(matrix))
    view, wrong = memory.view(0, 0), []

    def ask(first):
        for row in range(first, first + 100):
            if view.top(matrix[row], 1)[0].tolist() != [row]:
                wrong.append(row)

    threads = [threading.Thread(target=ask, args=(700 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and view.bounds.sketched == 3000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_answers_and_ends(eager):
    matrix = unit(2000, 32, 11)
    memory = Memory(32, "float32")
    memory.append(stored(matrix))
    view = memory.view(0, 0)
    for row in range(5):
        view.top(matrix[row], 1)
    assert view.bounds.sketched == 2000
    child = os.fork()
    if not child:
        good = all(view.top(matrix[row], 1)[0].tolist() == [row] for row in range(5))
        # Compiling once more could wait for threads of the parent.
        os._exit(0 if good and not view.bounds.sketched and not view.bounds._trusted else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert view.top(matrix[7], 1)[0].tolist() == [7] and view.bounds.sketched == 2000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_forked_before_anything_was_loaded_makes_sketches():
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr


FORKED = """
import os
import numpy as np
from vicinal.index.bounds import Bounds
rows = np.random.default_rng(0).standard_normal((6000, 32)).astype(np.float32)
bounds = Bounds(32)
child = os.fork()
if not child:
    bounds.make((rows,), 6000)
    os._exit(0 if bounds.sketched == 6000 and bounds.upper(rows[0], (rows,), 6000) is not None else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_making_sketches_ends_with_the_index_and_with_the_process():
    matrix = unit(60_000, 64, 12)
    memory = Memory(64, "float32")
    memory.append(stored(matrix))
    memory.close()
    view = memory.view(0, 0)
    bounds = Bounds(64)
    bounds.close()
    bounds.make(view.blocks, view.n)
    assert not bounds.sketched
    run = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and not run.stderr, run.stderr
    assert run.stdout == "0"  # the process ended before all of the one piece was sketched, and ended well


ENDING = """
import atexit
import numpy as np
from vicinal.index import bounds as module
rows = np.ones((400_000, 128), np.float32)
module.PATIENCE = 0
bounds = module.Bounds(128)
atexit.register(lambda: print(bounds.sketched, end=""))
bounds.upper(rows[0], (rows,), len(rows))
"""
