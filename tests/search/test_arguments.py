"""Arguments that are no numbers, or numbers at the end of their type, have a right answer or an error of Vicinal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vicinal import util
from vicinal.errors import InputError, InputTypeError
from vicinal.vectors.quantization import quantize_embeddings

ROWS = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)

COUNTED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "semantic_search": ("top_k", lambda n: util.semantic_search(ROWS, ROWS, top_k=n)),
    "query_chunk_size": ("query_chunk_size", lambda n: util.semantic_search(ROWS, ROWS, n)),
    "information_retrieval": ("top_k", lambda n: util.information_retrieval(ROWS, ROWS, top_k=n)),
    "CorpusMatrix": ("top_k", lambda n: util.CorpusMatrix(ROWS).search(ROWS, top_k=n)),
    "paraphrase_mining": ("max_pairs", lambda n: util.paraphrase_mining_embeddings(ROWS, max_pairs=n)),
    "communities": ("min_community_size", lambda n: util.community_detection(ROWS, min_community_size=n)),
    "truncate": ("truncate_dim", lambda n: util.truncate_embeddings(ROWS, n)),
}


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("value", [1.5, 2.0, "2", None, True, np.array([1, 2]), np.float32(2), float("nan")])
def test_counts_are_integers(name: str, value: Any) -> None:
    argument, call = COUNTED[name]
    if name == "truncate" and value is None:
        assert util.truncate_embeddings(ROWS, None).shape == ROWS.shape
        return
    with pytest.raises(InputTypeError, match=f"^{argument}=.* is {type(value).__name__}, not an integer"):
        call(value)


@pytest.mark.parametrize("name", COUNTED)
def test_counts_are_one_or_more_and_may_exceed_everything(name: str) -> None:
    argument, call = COUNTED[name]
    for few in (0, -1, -(10**30)):
        with pytest.raises(InputError, match=f"^{argument} is {few}: it must be 1 or more"):
            call(few)
    if name != "communities":
        assert len(call(10**30)) == len(call(np.int8(100)))


def test_a_top_k_of_all_sizes_gives_the_whole_corpus() -> None:
    exact = np.argsort(-(util.cos_sim(ROWS[0], ROWS)[0]), kind="stable").tolist()
    for top_k in (6, 7, 2**31, 2**63, 10**40):
        assert [hit["corpus_id"] for hit in util.semantic_search(ROWS[0], ROWS, top_k=top_k)[0]] == exact


@pytest.mark.parametrize("function", [3, None, "cos_sim", np.eye(2), ["x"]])
def test_a_score_function_is_a_function(function: Any) -> None:
    with pytest.raises(InputTypeError, match=r"score_function=.*util\.cos_sim"):
        util.semantic_search(ROWS, ROWS, score_function=function)
    with pytest.raises(InputTypeError, match=r"score_function=.*util\.cos_sim"):
        util.paraphrase_mining_embeddings(ROWS, score_function=function)


@pytest.mark.parametrize("threshold", ["0.5", None, [0.5], np.ones(3)])
def test_a_threshold_is_a_number(threshold: Any) -> None:
    with pytest.raises(InputTypeError, match=r"threshold=.*give a cosine"):
        util.community_detection(ROWS, threshold=threshold)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("precision", ["int8", "uint8", "binary", "ubinary"])
def test_the_ends_of_the_type_are_quantised(dtype: type[np.floating[Any]], precision: Any) -> None:
    """As the same values a millionth as large: steps depend on ratios alone."""
    signs = np.random.default_rng(1).uniform(-1, 1, (300, 5))
    signs[0], signs[1] = -1, 1
    large = (signs * (0.99 * float(np.finfo(dtype).max))).astype(dtype)
    small = (large.astype(np.float64) * 2.0**-20).astype(np.float64)
    quantised = quantize_embeddings(large, precision)
    difference = np.abs(quantised.astype(int) - quantize_embeddings(small, precision).astype(int))
    assert difference.max() <= (1 if "int8" in precision else 0)  # a value on the edge of two steps


def test_an_overflowing_copy_in_float32_is_refused() -> None:
    rows = np.ones((3, 2))
    rows[1, 0] = 1e300
    with pytest.raises(InputError, match="as float32,: row 1 contains infinity"):
        quantize_embeddings(rows, "float32")


def test_distances_of_float64_do_not_overflow_on_the_way() -> None:
    a = np.array([[3e200, 0.0], [1.0, 2.0]])
    b = np.array([[0.0, 4e200], [3e200, 0.0]])
    found = util.euclidean_sim(a, b)
    np.testing.assert_allclose(found, [[-5e200, 0], [-4e200, -3e200]], rtol=1e-12)
    assert util.euclidean_sim(np.array([[1.7e308]]), np.array([[-1.7e308]])) == -np.inf
    assert util.manhattan_sim(np.float32([[3e38]]), np.float32([[-3e38]])) == -np.inf


def test_a_matrix_is_multiplied_as_an_array() -> None:
    plain = util.cos_sim(ROWS, ROWS)
    np.testing.assert_array_equal(util.cos_sim(ROWS.view(np.matrix), ROWS.view(np.matrix)), plain)
    assert type(util.normalize_embeddings(ROWS.view(np.matrix))) is np.ndarray
    np.testing.assert_array_equal(
        util.normalize_embeddings(ROWS.view(np.matrix)), util.normalize_embeddings(ROWS)
    )
    np.testing.assert_array_equal(
        util.euclidean_sim(ROWS.view(np.matrix), ROWS), util.euclidean_sim(ROWS, ROWS)
    )


def test_masked_values_are_not_taken_for_numbers() -> None:
    masked = np.ma.masked_array(ROWS, mask=np.eye(6, 8))
    with pytest.raises(InputError, match="masked values"):
        util.cos_sim(masked, ROWS)
    np.testing.assert_array_equal(util.cos_sim(np.ma.masked_array(ROWS), ROWS), util.cos_sim(ROWS, ROWS))
