"""Quantised vectors are what the definition says, and searching them finds what a full scan finds."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_strategies import CONTAINERS, contained

from vicinal import util
from vicinal.errors import InputError, MissingExtraError

torch = pytest.importorskip("torch")


def rows_of(n: int, dim: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 9999), kind=st.sampled_from(CONTAINERS), dim=st.integers(1, 20))
def test_quantised_by_definition(seed: int, kind: str, dim: int) -> None:
    rows = (
        np.random.default_rng(seed).integers(-64, 65, (150, dim)).astype(np.float32) / 32
    )  # exact in bfloat16
    low, high = rows.min(axis=0), rows.max(axis=0)
    low, high = low.astype(np.float64), np.where(high > low, high, low + 1).astype(np.float64)
    given_rows = contained(rows, kind)
    steps = (rows - low) / ((high - low) / 255)
    clear = np.abs(steps - np.rint(steps)) > 1e-3  # elsewhere a rounding decides
    for precision, shift, dtype in (("uint8", 0, np.uint8), ("int8", 128, np.int8)):
        quantised = util.quantize_embeddings(given_rows, precision)
        assert (
            isinstance(quantised, np.ndarray) and quantised.dtype == dtype and quantised.shape == rows.shape
        )
        np.testing.assert_array_equal(quantised[clear], (np.floor(steps) - shift)[clear])
        np.testing.assert_allclose(quantised, steps - shift, atol=1.001)
    bits = util.quantize_embeddings(given_rows, "ubinary")
    np.testing.assert_array_equal(np.unpackbits(bits, axis=1)[:, :dim], rows > 0)
    binary = util.quantize_embeddings(given_rows, "binary")
    assert binary.dtype == np.int8
    np.testing.assert_array_equal(binary.astype(int), bits.astype(int) - 128)
    assert util.quantize_embeddings(given_rows, "float32").dtype == np.float32


def test_ranges_and_calibration_agree_and_clip() -> None:
    corpus, queries = rows_of(200, 8), rows_of(3, 8, 1) * 10
    ranges = np.stack([corpus.min(axis=0), corpus.max(axis=0)])
    quantised = util.quantize_embeddings(queries, "int8", ranges=ranges)
    np.testing.assert_array_equal(
        quantised, util.quantize_embeddings(queries, "int8", None, torch.tensor(corpus))
    )
    assert quantised.min() == -128 and quantised.max() == 127
    assert util.quantize_embeddings(queries[0], "int8", ranges).tolist() == quantised[0].tolist()
    flat = util.quantize_embeddings(np.ones((200, 3)), "uint8")
    assert flat.tolist() == [[0, 0, 0]] * 200


def test_few_vectors_are_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    util.quantize_embeddings(rows_of(50, 4), "int8")
    assert "only 50 vectors" in caplog.text


@pytest.mark.parametrize("precision", ["float32", "int8", "binary"])
def test_no_rows(precision: Any) -> None:
    assert len(util.quantize_embeddings(np.empty((0, 16), np.float32), precision)) == 0


def test_bad_inputs() -> None:
    rows = rows_of(100, 4)
    with pytest.raises(InputError, match="'int4'"):
        util.quantize_embeddings(rows, "int4")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="only floats"):
        util.quantize_embeddings(np.ones((3, 4), np.int8), "int8")
    with pytest.raises(InputError, match="too few"):
        util.quantize_embeddings(rows[0], "int8")
    with pytest.raises(InputError, match=r"ranges has shape \(2, 3\)"):
        util.quantize_embeddings(rows, "int8", ranges=np.ones((2, 3)))
    with pytest.raises(InputError, match="largest value is below"):
        util.quantize_embeddings(rows, "int8", ranges=np.stack([np.ones(4), np.zeros(4)]))
    with pytest.raises(InputError, match="calibration_embeddings has 5 dimensions"):
        util.quantize_embeddings(rows, "int8", calibration_embeddings=np.ones((9, 5)))
    rows[7] = np.nan
    with pytest.raises(InputError, match="row 7 contains NaN"):
        util.quantize_embeddings(rows, "binary")


ENGINES = [("faiss", p) for p in ("float32", "uint8", "ubinary")] + [
    ("usearch", p) for p in ("float32", "int8", "ubinary", "binary")
]


@pytest.mark.parametrize(("library", "precision"), ENGINES)
@pytest.mark.parametrize("quantised_before", [True, False])
def test_search_finds_what_a_scan_finds(library: str, precision: Any, quantised_before: bool) -> None:
    pytest.importorskip(library)
    search = getattr(util, f"semantic_search_{library}")
    corpus, queries = rows_of(2_000, 64), rows_of(20, 64, 1)
    queries += 2 * corpus[:20]
    ranges = np.stack([corpus.min(axis=0), corpus.max(axis=0)])
    quantised = util.quantize_embeddings(corpus, precision, ranges) if quantised_before else corpus
    exact = util.semantic_search(queries, corpus, score_function=util.dot_score)
    hits, seconds, index = search(
        queries, quantised, corpus_precision=precision, ranges=ranges, rescore_multiplier=8, output_index=True
    )
    assert seconds > 0 and [len(found) for found in hits] == [10] * 20
    assert [found[0]["corpus_id"] for found in hits] == list(range(20))
    scores = [hit["score"] for hit in hits[0]]
    assert scores == sorted(scores, reverse=True) and type(hits[0][0]["corpus_id"]) is int
    overlap = np.mean(
        [
            len({h["corpus_id"] for h in a} & {h["corpus_id"] for h in b})
            for a, b in zip(hits, exact, strict=True)
        ]
    )
    assert overlap >= {"float32": 10, "int8": 9.5, "uint8": 9.5}.get(precision, 3)  # a bit each
    if precision in ("float32", "int8", "uint8"):
        assert abs(hits[0][0]["score"] - exact[0][0]["score"]) < 0.03
    again, _ = search(
        queries, corpus_index=index, corpus_precision=precision, ranges=ranges, rescore_multiplier=8
    )
    if quantised_before or precision == "float32":
        assert [[h["corpus_id"] for h in a] for a in again] == [[h["corpus_id"] for h in b] for b in hits]
    assert again[0][0]["corpus_id"] == 0
    plain, _ = search(queries, quantised, corpus_precision=precision, ranges=ranges, rescore=False, top_k=3)
    assert [found[0]["corpus_id"] for found in plain] == list(range(20)) and len(plain[0]) == 3


@pytest.mark.parametrize(("library", "precision"), ENGINES)
def test_graph_small_and_quantised_queries(library: str, precision: Any) -> None:
    pytest.importorskip(library)
    search = getattr(util, f"semantic_search_{library}")
    corpus = rows_of(300, 64)
    ranges = np.stack([corpus.min(axis=0), corpus.max(axis=0)])
    hits, _ = search(corpus[:5], corpus, corpus_precision=precision, ranges=ranges, exact=False, top_k=2)
    assert [found[0]["corpus_id"] for found in hits] == list(range(5))
    few, _ = search(torch.tensor(corpus[0]), corpus[:4], corpus_precision=precision, ranges=ranges, top_k=99)
    assert len(few) == 1 and sorted(h["corpus_id"] for h in few[0]) == [0, 1, 2, 3]
    if precision != "float32":
        quantised = util.quantize_embeddings(corpus, precision, ranges)
        hits, _ = search(quantised[:5], quantised, corpus_precision=precision, ranges=ranges, top_k=1)
        assert [found[0]["corpus_id"] for found in hits] == list(range(5))


@pytest.mark.parametrize("library", ["faiss", "usearch"])
def test_bad_searches(library: str) -> None:
    pytest.importorskip(library)
    search = getattr(util, f"semantic_search_{library}")
    rows = rows_of(100, 8)
    with pytest.raises(InputError, match="one of them"):
        search(rows)
    with pytest.raises(InputError, match="corpus_precision is 'float16'"):
        search(rows, rows, corpus_precision="float16")
    with pytest.raises(InputError, match="top_k is 0"):
        search(rows, rows, top_k=0)
    with pytest.raises(InputError, match="query_embeddings has 4 dimensions"):
        search(rows[:, :4], rows)


@pytest.mark.parametrize("library", ["faiss", "usearch"])
def test_missing_library_is_explained(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, f"{library}.index", None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'vicinal\[{library}\]'"):
        getattr(util, f"semantic_search_{library}")(np.eye(2), np.eye(2))


def test_the_largest_values_fall_where_sentence_transformers_puts_them() -> None:
    """(largest - lowest) / 255 in float32: 255 of its steps, rounded, may reach the largest value or not quite."""
    rows = rows_of(50, 64).astype(np.float32)
    low, high = rows.min(axis=0), rows.max(axis=0)
    expected = np.floor((rows - low) / ((high - low) / 255)).astype(np.uint8)
    np.testing.assert_array_equal(util.quantize_embeddings(rows, "uint8"), expected)
    np.testing.assert_array_equal(
        util.quantize_embeddings(rows, "int8"), (expected.astype(int) - 128).astype(np.int8)
    )
