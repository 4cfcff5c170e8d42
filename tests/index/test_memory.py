from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vicinal.errors import StoreError
from vicinal.index import Index
from vicinal.index import memory as memory_module
from vicinal.index.memory import Memory
from vicinal.index.segments import (
    Rows,
    checksum,
    decode_segment,
    decode_vectors,
    encode_heads,
    encode_vectors,
    row_bytes,
)

from .fakes import FakeModel


def unit(n, d, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("dimension", [1, 7, 256])
def test_int16_keeps_dot_products_to_1e_5(dimension):
    rows = unit(3000, dimension)
    data = encode_vectors(rows, "int16")
    assert len(data) == 3000 * row_bytes("int16", dimension)
    back = np.empty_like(rows)
    decode_vectors(data, "int16", back)
    queries = unit(20, dimension, 1)
    assert np.abs(back - rows).max() <= np.abs(rows).max() / 65_000
    assert np.abs(back @ queries.T - rows @ queries.T).max() < (3e-5 if dimension < 256 else 1e-5)


@pytest.mark.parametrize("storage", ["int16", "float32"])
def test_extreme_vectors_survive(storage):
    rows = np.array([[0, 0, 0], [1e30, -1e30, 1], [1e-30, 0, -1e-30], [3, -3, 3e-9]], np.float32)
    back = np.empty_like(rows)
    decode_vectors(encode_vectors(rows, storage), storage, back)
    assert (np.abs(back - rows) <= np.abs(rows).max(axis=1, keepdims=True) / 32_000).all()
    if storage == "float32":
        assert (back == rows).all()


def test_similarities_equal_brute_force(path):
    model = FakeModel(dimension=64)
    texts = [f"text about w{i} and w{i * 7 % 100} or w{i * 13 % 50}" for i in range(500)]
    truth = model.encode(texts)
    with Index(path, model) as index:
        index.add(texts, [str(i) for i in range(500)])
        for i in range(20):
            query = f"w{i} and w{i + 40}"
            scores = truth @ model.encode([query])[0]
            hits = index.search(query, top_k=10)
            assert [hit.score for hit in hits] == pytest.approx(np.sort(scores)[::-1][:10], abs=1e-5)


def rows_of(docs, d, rng, storage="float32"):
    matrix = rng.standard_normal((len(docs), d)).astype(np.float32)
    starts = np.arange(len(docs), dtype=np.int32)
    return matrix, Rows(np.array(docs, np.int64), starts, starts + 5, encode_vectors(matrix, storage))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_views_never_change_and_top_is_exact(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    original = memory_module.BLOCK_BYTES
    memory_module.BLOCK_BYTES = 1  # blocks of 1,024 rows: the smallest there are
    try:
        memory, all_docs, all_rows, dead = Memory(4, "float32"), [], np.empty((0, 4), np.float32), set()
        kept = []
        for _ in range(data.draw(st.integers(1, 5))):
            first = all_docs[-1] + 1 if all_docs else 1
            docs = np.repeat(np.arange(first, first + 400), rng.integers(1, 4, 400)).tolist()
            matrix, rows = rows_of(docs, 4, rng)
            memory.append(rows)
            all_docs, all_rows = all_docs + docs, np.concatenate([all_rows, matrix])
            gone = data.draw(st.sets(st.integers(1, all_docs[-1]), max_size=300))
            memory.delete(np.array(sorted(gone), np.int64))
            dead |= gone
            kept.append((memory.view(0, 0), list(all_docs), all_rows.copy(), set(dead)))
        query = rng.standard_normal(4).astype(np.float32)
        k = data.draw(st.integers(1, 60))
        share = data.draw(st.sampled_from([None, 0.0, 0.005, 0.3, 1.0]))
        for view, docs, matrix, gone in kept:
            mask = None if share is None else rng.random(view.doc_limit) < share
            best = {}
            for doc, score in zip(docs, (matrix @ query).tolist(), strict=True):
                if doc not in gone and (mask is None or mask[doc]):
                    best[doc] = max(score, best.get(doc, -1e9))
            rows, scores = view.top(query, k, mask)
            found = view.docs[rows].tolist()
            assert len(set(found)) == len(found) == min(k, len(best))
            np.testing.assert_allclose(scores, sorted(best.values(), reverse=True)[:k], atol=1e-5)
            np.testing.assert_allclose(scores, [best[doc] for doc in found], atol=1e-5)
            assert len(view.last_chunks) == len(set(docs) - gone)
    finally:
        memory_module.BLOCK_BYTES = original


def test_the_middle_is_the_mean_of_the_living_rows():
    rng = np.random.default_rng(0)
    memory = Memory(8, "float32")
    assert memory.view(0, 0).middle.shape == (0,)
    first, rows = rows_of(range(1000), 8, rng)
    memory.append(rows)
    dead = rng.choice(1000, 300, replace=False)
    memory.delete(dead)
    living = np.delete(first, dead, axis=0)
    np.testing.assert_allclose(memory.view(0, 1).middle, living.mean(0), atol=1e-6)
    more, rows = rows_of(range(1000, 9000), 8, rng)
    memory.append(rows)
    living = np.vstack([living, more])
    np.testing.assert_allclose(memory.view(0, 2).middle, living.mean(0), atol=0.06)  # of every second one
    memory.delete(np.arange(9000))
    np.testing.assert_array_equal(memory.view(0, 3).middle, np.zeros(8))


def test_appending_behind_rows_that_are_known():
    rng = np.random.default_rng(0)
    matrix, rows = rows_of(list(range(1, 31)), 4, rng, "int16")
    memory = Memory(4, "int16")
    memory.append(Rows(rows.docs[:20], rows.starts[:20], rows.ends[:20], rows.vectors[: 20 * 12]))
    memory.append(rows, skip=20)  # as after a merge of segments
    view = memory.view(0, 0)
    assert view.docs.tolist() == list(range(1, 31))
    np.testing.assert_allclose(view.blocks[0][:30], matrix, atol=1e-3)


def test_segments_notice_damage():
    _, rows = rows_of([1, 1, 5], 4, np.random.default_rng(0), "int16")
    head = encode_heads(rows)
    check = checksum(head, rows.vectors)
    good = decode_segment(0, 3, head, rows.vectors, check, 12)
    assert good.docs.tolist() == [1, 1, 5] and good.ends.tolist() == [5, 6, 7]
    for bad in (
        (0, 3, head, rows.vectors[:-1], check, 12),
        (0, 3, head, rows.vectors, check + 1, 12),
        (0, 3, head, None, check, 12),
        (0, 4, head, rows.vectors, check, 12),
        (0, 3, b"x", rows.vectors, checksum(b"x", rows.vectors), 12),
        (0, 3, head, rows.vectors, check, 16),
    ):
        with pytest.raises(StoreError, match="segment"):
            decode_segment(*bad)


def test_documents_of_many_chunks_do_not_crowd_out_others(path):
    with Index(path, FakeModel(window=8), chunk_overlap=0) as index:
        index.add(["same words here. " * 300, "same words", "here too"], ["big", "small", "other"])
        hits = index.search("same words here", top_k=3)
        assert {hit.id for hit in hits} == {"big", "small", "other"}
