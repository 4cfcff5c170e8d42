"""Mining and communities equal their definitions, computed pair by pair in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_strategies import CONTAINERS, brute, contained, matrices, meaning

from vicinal import util
from vicinal.errors import InputError, InputTypeError
from vicinal.vectors import all_pairs as pairs
from vicinal.vectors import best_pairs, mining, products
from vicinal.vectors.topk import best_first

torch = pytest.importorskip("torch")


def best_pairs_by_sorting(scores: np.ndarray, top_k: int, max_pairs: int) -> dict[tuple[int, int], float]:
    """Pairs of which one row has the other among its best, by sorting every row."""
    found = {}
    scores = scores.copy()
    np.fill_diagonal(scores, -np.inf)
    for i, row in enumerate(scores):
        for j in np.argsort(-row, kind="stable")[: min(top_k, len(row) - 1)].tolist():
            found[min(i, j), max(i, j)] = max(row[j], scores[j, i])
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))[:max_pairs])


def communities_by_definition(scores: np.ndarray, threshold: float, smallest: int) -> list[list[int]]:
    """Greedy: the largest neighbourhood first, centres that are taken make none, members are taken once."""
    near = scores >= threshold
    free = np.ones(len(scores), dtype=bool)
    found = []
    for centre in np.argsort(-near.sum(axis=1), kind="stable").tolist():
        members = np.flatnonzero(near[centre] & free)
        if near[centre].sum() >= smallest and free[centre] and len(members) >= smallest:
            order = np.lexsort((members, -np.where(members == centre, np.inf, scores[centre, members])))
            found.append(members[order].tolist())
            free[members] = False
    return sorted(found, key=len, reverse=True)


def clustered(n: int, clusters: int, dim: int, seed: int = 0, noise: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, dim))
    rows = centres[rng.integers(clusters, size=n)] + noise * rng.standard_normal((n, dim))
    return rows.astype(np.float32)


@settings(max_examples=100, deadline=None)
@given(
    rows=matrices(rows=st.integers(2, 40), width=6),
    kind=st.sampled_from(CONTAINERS),
    name=st.sampled_from(["cos_sim", "dot_score", "euclidean_sim"]),
    top_k=st.integers(1, 50),
    max_pairs=st.sampled_from([1, 10, 10_000]),
)
def test_pairs_equal_sorting_every_row(
    rows: np.ndarray, kind: str, name: str, top_k: int, max_pairs: int
) -> None:
    found = util.paraphrase_mining_embeddings(
        contained(rows, kind), top_k=top_k, max_pairs=max_pairs, score_function=getattr(util, name)
    )
    scores = brute(name, meaning(rows, kind), meaning(rows, kind))
    expected = best_pairs_by_sorting(scores, top_k, max_pairs)
    assert all(type(score) is float and type(i) is int and i < j for score, i, j in found)
    assert len({(i, j) for _, i, j in found}) == len(found)
    got = [score for score, _, _ in found]
    assert got == sorted(got, reverse=True)
    np.testing.assert_allclose(got, [scores[i, j] for _, i, j in found], rtol=1e-4, atol=1e-4)
    if top_k < len(rows) - 1:
        # Scores that are equal in float64 may differ by a rounding: which of them is kept is then open.
        return
    np.testing.assert_allclose(got, list(expected.values()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("engine", ["openvino", "numpy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("top_k", "max_pairs"), [(1, 10**6), (10, 10**6), (10, 500), (100, 3000)])
def test_pairs_over_many_tiles(
    engine: str, dtype: str, top_k: int, max_pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_engine(engine, monkeypatch)
    monkeypatch.setattr(best_pairs, "_WAITING", 20_000)
    monkeypatch.setattr(pairs, "BLOCK_ROWS", 512)
    rows = clustered(1_700, 100, 24).astype(dtype)
    found = util.paraphrase_mining_embeddings(rows, top_k=top_k, max_pairs=max_pairs)
    expected = best_pairs_by_sorting(
        brute("cos_sim", rows.astype(float), rows.astype(float)), top_k, max_pairs
    )
    same = {(i, j) for _, i, j in found} & set(expected)
    assert len(found) == len(expected)
    assert len(same) >= (len(expected) if dtype == "float64" else 0.999 * len(expected))
    np.testing.assert_allclose([s for s, _, _ in found], list(expected.values()), atol=1e-5)


def choose_engine(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_REPAYS_IMPORT", 0 if engine == "openvino" else np.inf)
    monkeypatch.setattr(products, "_REPAYS_COMPILING", 0 if engine == "openvino" else np.inf)


def test_pairs_of_equal_rows() -> None:
    rows = np.ones((3_000, 4), dtype=np.float32)
    found = util.paraphrase_mining_embeddings(rows, top_k=2, max_pairs=100)
    assert len(found) == 100 and all(abs(score - 1) < 1e-6 for score, _, _ in found)
    rows = np.zeros((5, 3))
    assert [pair[0] for pair in util.paraphrase_mining_embeddings(rows)] == [0.0] * 10


def test_pairs_of_few_rows() -> None:
    assert util.paraphrase_mining_embeddings(np.empty((0, 3))) == []
    assert util.paraphrase_mining_embeddings([]) == []
    assert util.paraphrase_mining_embeddings(np.ones(3)) == []
    assert util.paraphrase_mining_embeddings(np.eye(2)) == [[0.0, 0, 1]]


def test_paraphrase_mining_encodes() -> None:
    class Model:
        def encode(self, sentences: list[str], **options: Any) -> np.ndarray:
            self.options = options
            return np.array([[len(s), s.count("a")] for s in sentences], dtype=np.float32)

    model = Model()
    found = util.paraphrase_mining(model, ("aa", "bb", "aa", "bbb"), batch_size=7, prompt="p", top_k=1)
    assert model.options == {"show_progress_bar": False, "batch_size": 7, "prompt": "p"}
    assert {(i, j) for _, i, j in found} == {(0, 2), (1, 3)}
    with pytest.raises(InputTypeError, match="one string"):
        util.paraphrase_mining(model, "aa")


@settings(max_examples=100, deadline=None)
@given(
    rows=matrices(rows=st.integers(1, 60), width=3),
    kind=st.sampled_from(CONTAINERS),
    threshold=st.sampled_from([-1.0, 0.0, 0.503, 0.777, 0.951]),
    smallest=st.integers(1, 6),
)
def test_communities_equal_their_definition(
    rows: np.ndarray, kind: str, threshold: float, smallest: int
) -> None:
    scores = brute("cos_sim", meaning(rows, kind), meaning(rows, kind))
    if (np.abs(scores - threshold) < 1e-5).any():
        return  # rounding decides
    found = util.community_detection(contained(rows, kind), threshold, smallest)
    expected = communities_by_definition(scores, threshold, smallest)
    assert [set(c) for c in found] == [set(c) for c in expected]
    assert [c[0] for c in found] == [c[0] for c in expected]
    assert all(type(i) is int for community in found for i in community)


@pytest.mark.parametrize("engine", ["openvino", "numpy"])
@pytest.mark.parametrize("remembered", [1 << 26, 1_000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_communities_over_many_tiles(
    engine: str, remembered: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_engine(engine, monkeypatch)
    monkeypatch.setattr(mining, "_REMEMBERED", remembered)
    monkeypatch.setattr(pairs, "BLOCK_ROWS", 512)
    rows = clustered(1_800, 60, 32, noise=0.7).astype(dtype)
    scores = brute("cos_sim", rows.astype(float), rows.astype(float))
    for threshold, smallest in ((0.6031, 5), (0.7503, 2)):
        found = util.community_detection(rows, threshold, smallest, batch_size=100)
        assert found == communities_by_definition(scores, threshold, smallest)


def test_communities_of_equal_rows_and_none() -> None:
    assert util.community_detection(np.ones((4, 3)), min_community_size=2) == [[0, 1, 2, 3]]
    assert util.community_detection(np.eye(4), min_community_size=2) == []
    assert util.community_detection(np.zeros((4, 3)), min_community_size=1) == []
    assert util.community_detection(np.empty((0, 3))) == []
    assert util.community_detection(np.eye(2), min_community_size=1, show_progress_bar=True) == [[0], [1]]


@pytest.mark.parametrize("function", [util.community_detection, util.paraphrase_mining_embeddings])
@pytest.mark.parametrize("container", ["numpy", "torch"])
def test_bad_inputs(function: Any, container: str) -> None:
    rows = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    rows[33, 1] = np.nan
    with pytest.raises(InputError, match="embeddings: row 33 contains NaN"):
        function(contained(rows, container))
    with pytest.raises(InputTypeError, match="not real numbers"):
        function(["a", "b"])


def test_bad_arguments() -> None:
    rows = np.eye(3)
    with pytest.raises(InputError, match="min_community_size is 0"):
        util.community_detection(rows, min_community_size=0)
    with pytest.raises(InputError, match="batch_size is 0"):
        util.community_detection(rows, batch_size=0)
    with pytest.raises(InputError, match="threshold is nan"):
        util.community_detection(rows, float("nan"))
    with pytest.raises(InputError, match="top_k is 0"):
        util.paraphrase_mining_embeddings(rows, top_k=0)
    with pytest.raises(InputError, match="max_pairs is -1"):
        util.paraphrase_mining_embeddings(rows, max_pairs=-1)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 9999), scale=st.sampled_from([1e-3, 1.0, 1e4]), cosine=st.booleans())
def test_the_margin_holds(seed: int, scale: float, cosine: bool) -> None:
    """A tile's score is never further from the exact one than the margin says."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((60, 40)) * scale * rng.uniform(0.1, 2, (60, 1))
    with pytest.MonkeyPatch.context() as patch:
        choose_engine("openvino", patch)
        look = pairs.RowPairs(rows.astype(np.float32), "rows", cosine=cosine)
        tile = look.tile(look.products(), slice(0, 60), slice(0, 60))
        i, j = np.divmod(np.arange(3600), 60)
        assert np.abs(tile.ravel() - look.exact(i, j)).max() <= look.margin


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 9999), n=st.integers(4096, 5000))
def test_sorting_by_packed_keys(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    row, column = rng.integers(0, 50, n), rng.integers(0, 10**6, n)
    scores = (rng.integers(-5, 6, n) / 4).astype(np.float32) * rng.choice([0, 1, -1, 1e-40], n).astype(
        np.float32
    )
    order = best_first(row, column, scores)
    expected = np.lexsort((column, -scores, row))
    for values in (row, scores, column):
        assert values[order].tolist() == values[expected].tolist()
