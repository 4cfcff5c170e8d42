"""Search on an accelerator is exact: coarse scores only choose what is scored. Tensors on the CPU stand in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from vicinal import util
from vicinal.errors import InputError
from vicinal.vectors import device_search, search

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(search, "on_accelerator", lambda *values: True)
    monkeypatch.setattr(device_search, "_FAST_HALF", ("cpu",))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def blocks(monkeypatch: pytest.MonkeyPatch, rows: int, queries: int = 1024) -> None:
    """Small blocks, so that floors of earlier ones count."""
    monkeypatch.setattr(device_search, "_ROWS", rows)
    monkeypatch.setattr(device_search, "_QUERIES", queries)


def check(queries: Any, corpus: Any, cosine: bool, k: int) -> None:
    """Against float64: no row is missing, and scores are those of float32 or better."""
    hits = util.semantic_search(
        queries, corpus, top_k=k, score_function=util.cos_sim if cosine else util.dot_score
    )
    a, b = (
        np.asarray(each.double() if hasattr(each, "double") else each, np.float64)
        for each in (queries, corpus)
    )
    if cosine:
        a, b = (each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-300) for each in (a, b))
    scores = a @ b.T
    close = 1e-6 * max(1.0, float(np.abs(scores).max()))
    assert len(hits) == len(a)
    for row, found in zip(scores, hits, strict=True):
        ids = [hit["corpus_id"] for hit in found]
        assert len(set(ids)) == len(ids) == min(k, len(b))
        assert np.abs(np.array([hit["score"] for hit in found]) - row[ids]).max(initial=0) < close
        kept = [hit["score"] for hit in found]
        assert kept == sorted(kept, reverse=True)
        assert np.all(row[ids] >= np.sort(row)[::-1][: len(ids)] - close)


@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("rows", [64, 500, 100_000])
def test_exact(cosine: bool, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks(monkeypatch, rows, 7)
    draw = np.random.default_rng(1)
    for width, k in ((3, 10), (40, 1), (40, 33), (40, 5_000)):
        queries, corpus = draw.standard_normal((9, width)), draw.standard_normal((3_001, width))
        corpus *= draw.uniform(0.01, 30, (3_001, 1))  # lengths of the rows differ, between blocks too
        corpus[1_000:1_100] *= 1e-4
        tensors = torch.tensor(queries, dtype=torch.float32), torch.tensor(corpus, dtype=torch.float32)
        check(*tensors, cosine, k)


@pytest.mark.parametrize("cosine", [True, False])
def test_close_neighbours(cosine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cosines of 0.5, differences in the fourth digit, and coarse scores that are off by up to 3e-3."""
    blocks(monkeypatch, 1_000)
    monkeypatch.setattr(device_search, "_GROUP", 2)
    draw = np.random.default_rng(2)
    query = draw.standard_normal((1, 64))
    query /= np.linalg.norm(query)
    others = draw.standard_normal((3_000, 64))
    others -= (others @ query.T) * query
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    corpus = others * 0.75**0.5 + query * 0.5 * (1 + 4e-4 * draw.standard_normal((3_000, 1)))
    begin = device_search._Search.__init__

    def inexact(self: Any, *arguments: Any) -> None:
        begin(self, *arguments)
        noise = torch.tensor(draw.standard_normal((1, 64)))
        self._coarse_queries += (3e-3 * noise / noise.norm()).to(self._coarse_queries.dtype)

    monkeypatch.setattr(device_search._Search, "__init__", inexact)
    check(torch.tensor(query).float(), torch.tensor(corpus).float(), cosine, 10)
    check(torch.tensor(query), torch.tensor(corpus), cosine, 10)


def test_the_lower_id_of_equal_rows_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks(monkeypatch, 96)
    monkeypatch.setattr(device_search, "_KEPT", 50)
    monkeypatch.setattr(device_search, "_SCORED", 40)
    monkeypatch.setattr(device_search, "_LOOKED", 3)
    draw = np.random.default_rng(3)
    corpus = torch.tensor(draw.standard_normal((400, 16))).float()
    corpus[[390, 7, 100, 250]] = corpus[3].clone()
    hits = util.semantic_search(corpus[[3, 9]], corpus, top_k=5)
    assert [hit["corpus_id"] for hit in hits[0]] == [3, 7, 100, 250, 390]
    assert hits[1][0]["corpus_id"] == 9


@pytest.mark.parametrize("cosine", [True, False])
def test_zeros_and_extremes(cosine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks(monkeypatch, 32)
    draw = np.random.default_rng(4)
    corpus = draw.standard_normal((200, 8))
    corpus[:40] = 0  # a whole block of zeros first
    corpus[150] *= 1e15
    corpus[151] *= 1e-15
    queries = np.concatenate(
        [draw.standard_normal((3, 8)), np.zeros((1, 8)), draw.standard_normal((1, 8)) * 1e9]
    )
    function = util.cos_sim if cosine else util.dot_score
    found = util.semantic_search(
        torch.tensor(queries), torch.tensor(corpus), top_k=7, score_function=function
    )
    monkeypatch.setattr(search, "on_accelerator", lambda *values: False)
    wanted = util.semantic_search(queries, corpus, top_k=7, score_function=function)
    for a, b in zip(found, wanted, strict=True):
        assert [hit["corpus_id"] for hit in a] == [hit["corpus_id"] for hit in b]
        assert [hit["score"] for hit in a] == pytest.approx([hit["score"] for hit in b], rel=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int32"])
def test_types(dtype: str) -> None:
    draw = np.random.default_rng(5)
    kind = getattr(torch, dtype)
    table = torch.tensor(draw.integers(-9, 10, (300, 24))).to(kind)
    check(table[:4], table, True, 9)
    check(table[:4], table, False, 9)


def test_inputs_of_other_kinds() -> None:
    """A corpus in the CPU's memory is brought over block by block; lists and single vectors work as elsewhere."""
    draw = np.random.default_rng(6)
    corpus = draw.standard_normal((100, 6)).astype(np.float32)
    tensor = torch.tensor(corpus)
    wanted = util.semantic_search(tensor[:3], tensor, top_k=4)
    assert util.semantic_search(tensor[:3], corpus, top_k=4) == wanted
    assert util.semantic_search(tensor[:3], list(tensor), top_k=4) == wanted
    assert util.semantic_search(tensor[:3], tensor.to_sparse(), top_k=4) == wanted
    assert util.semantic_search(corpus[:3], tensor.requires_grad_(), top_k=4) == wanted
    assert util.semantic_search(tensor[0], corpus, top_k=4) == wanted[:1]
    assert util.semantic_search(tensor[:2], tensor[:0], top_k=4) == [[], []]
    assert util.semantic_search(tensor[:0], tensor, top_k=4) == []
    bad = corpus.copy()
    bad[77, 2] = np.inf
    with pytest.raises(InputError, match="corpus_embeddings: row 77"):
        util.semantic_search(tensor[:3], bad)
    with pytest.raises(InputError, match="query_embeddings: row 77"):
        util.semantic_search(torch.tensor(bad), tensor)
    with pytest.raises(InputError, match="dimensions"):
        util.semantic_search(tensor[:3, :4], tensor)


def test_functions_that_only_answer_in_tensors_are_the_ones_behind_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of old code: a dot product stays one."""
    from vicinal.compat import tensors

    draw = np.random.default_rng(5)
    queries, corpus = draw.standard_normal((3, 8)), draw.standard_normal((50, 8)) * np.arange(1, 51)[:, None]
    a, b = torch.tensor(queries), torch.tensor(corpus)
    for name in ("dot_score", "cos_sim"):
        found = util.semantic_search(a, b, top_k=4, score_function=getattr(tensors, name))
        assert found == util.semantic_search(a, b, top_k=4, score_function=getattr(util, name))
    assert util.semantic_search(a, b, score_function=tensors.dot_score) != util.semantic_search(a, b)


@pytest.mark.parametrize("scale", [1e-37, 1e-30, 1e-13, 1e20, 1e30])
def test_extreme_lengths(scale: float) -> None:
    draw = np.random.default_rng(3)
    queries, corpus = (draw.standard_normal((n, 20)) for n in (5, 300))
    tensors = (
        torch.tensor(queries * scale, dtype=torch.float32),
        torch.tensor(corpus * scale, dtype=torch.float32),
    )
    wanted = util.semantic_search(torch.tensor(queries), torch.tensor(corpus))
    found = util.semantic_search(*tensors)
    for some, others in zip(found, wanted, strict=True):
        assert [hit["corpus_id"] for hit in some] == [hit["corpus_id"] for hit in others]
        np.testing.assert_allclose(
            [hit["score"] for hit in some], [hit["score"] for hit in others], atol=1e-5
        )
    if scale != 1e-13:
        with pytest.raises(InputError, match="so long, or so short, that dot products of them leave"):
            util.semantic_search(*tensors, score_function=util.dot_score)
