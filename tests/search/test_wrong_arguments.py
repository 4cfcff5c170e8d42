"""Numbers, functions and arrays that cannot be meant: each is refused by name, or has the right answer."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vicinal import util
from vicinal.errors import InputError, InputTypeError
from vicinal.vectors.corpus import CorpusMatrix
from vicinal.vectors.keywords import keywords
from vicinal.vectors.maps import flat_map

ROWS = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)

COUNTS = [
    (util.semantic_search, (ROWS, ROWS), ["top_k", "query_chunk_size", "corpus_chunk_size"]),
    (
        util.paraphrase_mining_embeddings,
        (ROWS,),
        ["top_k", "max_pairs", "query_chunk_size", "corpus_chunk_size"],
    ),
    (util.community_detection, (ROWS,), ["min_community_size", "batch_size"]),
    (CorpusMatrix(ROWS).search, (ROWS,), ["top_k", "oversample"]),
    (keywords, (["a"] * 30, [0] * 30), ["top"]),
    (util.truncate_embeddings, (ROWS,), ["truncate_dim"]),
]
CASES = [(function, args, name) for function, args, names in COUNTS for name in names]


@pytest.mark.parametrize(("function", "args", "name"), CASES)
def test_counts(function: Any, args: Any, name: str) -> None:
    for wrong in (1.5, "3", math.nan, math.inf, np.array([1, 2]), [], True, 1e30, 2.0):
        with pytest.raises(InputTypeError, match=rf"{name}=.* not an integer"):
            function(*args, **{name: wrong})
    for wrong in (0, -1, np.int64(-5)):
        with pytest.raises(InputError, match=rf"{name} is {wrong}\b"):
            function(*args, **{name: wrong})
    function(*args, **{name: np.int64(2)})
    many = function(*args, **{name: 10**30})
    assert repr(many) == repr(function(*args, **{name: 10**4})), "more than there are is all"


@pytest.mark.parametrize("function", [util.semantic_search, util.paraphrase_mining_embeddings])
def test_score_functions(function: Any) -> None:
    args = (ROWS, ROWS) if function is util.semantic_search else (ROWS,)
    for wrong in (1.5, "cos_sim", None, np.array([1, 2]), []):
        with pytest.raises(InputTypeError, match=r"score_function=.* give a function such as util\.cos_sim"):
            function(*args, score_function=wrong)


def test_thresholds() -> None:
    for wrong in ("0.5", None, [0.5], np.array([1, 2]), True):
        with pytest.raises(InputTypeError, match=r"threshold=.*give a cosine"):
            util.community_detection(ROWS, threshold=wrong)
    for wrong in (math.nan, math.inf):
        with pytest.raises(InputError, match="threshold is"):
            util.community_detection(ROWS, threshold=wrong)
    assert util.community_detection(ROWS, threshold=np.float32(0.9), min_community_size=1)


def test_settings_of_clusters() -> None:
    pytest.importorskip("sklearn")
    for name in ("n_clusters", "min_cluster_size", "restarts", "seed"):
        for wrong in (1.5, "3", [], np.array([1, 2])):
            with pytest.raises(InputTypeError, match=rf"{name}=.* not an integer"):
                util.cluster(ROWS, **{"n_clusters": 2, name: wrong})
    with pytest.raises(InputError, match="seed is -1"):
        util.cluster(ROWS, 2, seed=-1)
    with pytest.raises(InputError, match=r"method=.*is not one of"):
        util.cluster(ROWS, 2, method=np.array(["kmeans", "hdbscan"]))
    for few in (1, 2, 9):
        assert util.cluster(ROWS[:few], method="hdbscan").tolist() == [-1] * few, "none is large enough"


def exact(rows: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The steps in long doubles."""
    wide, low, high = (each.astype(np.longdouble) for each in (rows, low, high))
    step = (high - low) / 255
    return np.clip(np.floor(np.where(step > 0, (wide - low) / np.where(step > 0, step, 1), 0)), 0, 255)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None)
@given(st.sampled_from([np.float32, np.float64]), st.floats(0.1, 1.0), st.integers(0, 9), st.booleans())
def test_quantising_near_the_limit_of_the_type(kind: Any, share: float, seed: int, ranges: bool) -> None:
    rows = np.random.default_rng(seed).uniform(-1, 1, (20, 5)).astype(kind)
    rows[0], rows[1] = -1, 1
    rows *= kind(share * float(np.finfo(kind).max))
    given = np.stack([rows.min(axis=0), rows.max(axis=0)]) if ranges else None
    found = util.quantize_embeddings(rows, "uint8", ranges=given).astype(float)
    wanted = exact(rows, rows.min(axis=0), rows.max(axis=0)).astype(float)
    assert np.abs(found - wanted).max() <= 1, "a value at an edge may be rounded to either side"
    assert (found == wanted).mean() > 0.9
    assert set(found[0]) == {0} and set(found[1]) <= {254, 255}
    np.testing.assert_array_equal(util.quantize_embeddings(rows, "int8", ranges=given), found - 128)


def test_what_float32_does_not_hold() -> None:
    with pytest.raises(InputError, match="embeddings, as float32,: row 1 contains infinity"):
        util.quantize_embeddings(np.array([[1.0, 2.0], [1e300, 0.0]]), "float32")
    with pytest.raises(InputError, match="too large for a map"):
        flat_map(np.array([[3e38] * 8, [-3e38] * 8], dtype=np.float32))


@pytest.mark.parametrize("precision", [np.array(["int8", "int8"]), np.array([1]), None, 3, []])
def test_precisions(precision: Any) -> None:
    with pytest.raises(InputError, match="precision="):
        util.quantize_embeddings(ROWS, precision)


NO_EMBEDDINGS = {
    "NaN": np.full((3, 8), np.nan),
    "infinity": np.full((3, 8), np.inf),
    "texts": ["a", "b"],
    "objects": np.array([[None] * 8]),
    "three axes": np.ones((2, 2, 8)),
    "complex": np.ones((2, 8), complex),
    "a number": 3.0,
    "nothing": None,
    "a dictionary": {},
    "ragged": [[1.0, 2.0], [1.0]],
    "other dimensions": np.ones((3, 5)),
}


@pytest.mark.parametrize("what", NO_EMBEDDINGS)
def test_no_embeddings(what: str) -> None:
    wrong = NO_EMBEDDINGS[what]
    for function in (
        util.cos_sim,
        util.dot_score,
        util.euclidean_sim,
        util.manhattan_sim,
        util.pairwise_cos_sim,
        util.pairwise_dot_score,
        util.pairwise_euclidean_sim,
        util.pairwise_manhattan_sim,
        util.semantic_search,
    ):
        assert len(inspect.signature(function).parameters) >= 2
        for pair in ((ROWS[:3], wrong), (wrong, ROWS[:3])):
            with pytest.raises((InputError, InputTypeError)):
                function(*pair)
    if what == "other dimensions":
        return
    for alone in (util.paraphrase_mining_embeddings, util.community_detection, flat_map):
        with pytest.raises((InputError, InputTypeError)):
            alone(wrong)
