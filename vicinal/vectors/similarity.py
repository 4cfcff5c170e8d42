"""How alike two vectors are: cosine, dot product, Euclidean and Manhattan, every row against every row.

Every function takes numpy arrays, torch tensors, lists of numbers and lists of vectors, also mixed. If any
input is a tensor, the answer is a tensor on its device and gradients flow through it; otherwise the answer
is a numpy array. Half precision and small integers are computed, and answered, in float32; float64 and wide
integers in float64. A larger score always means more alike: distances are negated.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from vicinal.core.arrays import (
    Embeddings,
    Matrix,
    as_array,
    check_finite,
    first_tensor,
    loaded_torch,
    product,
)
from vicinal.core.inputs import shown
from vicinal.errors import InputError, InputTypeError
from vicinal.vectors.pairwise import (
    pairwise_cos_sim,
    pairwise_dot_score,
    pairwise_euclidean_sim,
    pairwise_manhattan_sim,
)
from vicinal.vectors.rows import (
    checked,
    dot_rows,
    in_reach,
    scaled_rows,
    two_matrices,
    two_tensors,
    unit_tensor,
)

SimilarityCallable: TypeAlias = Callable[[Any, Any], Any]

#: Attribute of a function that only changes the form of what another one answers: itself, and that other one.
ANSWERS_FOR = "_vicinal_answers_for"

# Elements of the largest temporary of the blocked distances: 64 MiB of float64.
_BLOCK_ELEMENTS = 1 << 23


def cos_sim(a: Embeddings, b: Embeddings) -> Any:
    """Cosine of every row of ``a`` with every row of ``b``.

    Args:
        a: (n, dim), or one vector (dim,).
        b: (m, dim), or one vector (dim,).

    Returns:
        (n, m) scores in -1..1. A row of zeros has no direction: its cosine is 0.

    Raises:
        InputError: different dimensions, or a NaN or infinity (the row is named).
        InputTypeError: not numbers.
    """
    tensor = first_tensor(a, b)
    if tensor is not None:
        x, y = two_tensors(a, b, tensor)
        return checked(unit_tensor(x) @ unit_tensor(y).T, x, y)
    p, q = two_matrices(a, b)
    (p, inverse_p), (q, inverse_q) = scaled_rows(p, "a"), scaled_rows(q, "b")
    # The norms are folded into the scores, so that no operand is copied.
    scores = product(p, q.T)
    scores *= inverse_p[:, np.newaxis]
    scores *= inverse_q
    return scores


def pytorch_cos_sim(a: Embeddings, b: Embeddings) -> Any:
    """The old name of :func:`cos_sim`."""
    return cos_sim(a, b)


def dot_score(a: Embeddings, b: Embeddings) -> Any:
    """Dot product of every row of ``a`` with every row of ``b``.

    Args, shapes and errors are those of :func:`cos_sim`; the scores have no bounds, and favour long vectors
    where these are not normalised.
    """
    tensor = first_tensor(a, b)
    if tensor is not None:
        x, y = two_tensors(a, b, tensor)
        return checked(x @ y.T, x, y)
    p, q = two_matrices(a, b)
    with np.errstate(invalid="ignore", over="ignore"):
        scores = product(p, q.T)
    # A bad row spoils all its products, so one row and one column of the scores show every one.
    if not (np.isfinite(scores[:1]).all() and np.isfinite(scores[:, :1]).all()):
        check_finite(p, "a")
        check_finite(q, "b")
    return scores


def euclidean_sim(a: Embeddings, b: Embeddings) -> Any:
    """Negative Euclidean distance of every row of ``a`` to every row of ``b``.

    Args, shapes and errors are those of :func:`cos_sim`; the scores are 0 (equal) or less.
    """
    tensor = first_tensor(a, b)
    if tensor is not None:
        return _tensor_distance(a, b, tensor, 2.0)
    p, q = two_matrices(a, b)
    check_finite(p, "a")
    check_finite(q, "b")
    scores = np.empty((len(p), len(q)), dtype=p.dtype)
    if not scores.size:
        return scores
    # Squares of float64 overflow from 1e154 on: then both sides are made smaller by a power of two.
    largest = max(float(np.abs(p).max(initial=0)), float(np.abs(q).max(initial=0)))
    unscale = 2.0**560 if largest > 1e150 else 1.0
    wide_q = q.astype(np.float64, copy=False)
    if unscale != 1.0:
        p, wide_q = p / unscale, wide_q / unscale
    square_q = dot_rows(wide_q, wide_q)
    step = max(1, _BLOCK_ELEMENTS // max(len(q), p.shape[1]))
    for start in range(0, len(p), step):
        wide_p = p[start : start + step].astype(np.float64, copy=False)
        # |x - y|^2 = |x|^2 + |y|^2 - 2 x.y in float64; where almost everything cancels, the difference
        # itself is squared, so that near-identical rows keep all their digits.
        lengths = dot_rows(wide_p, wide_p)[:, np.newaxis] + square_q
        squares = lengths - 2.0 * product(wide_p, wide_q.T)
        rows, columns = np.nonzero(squares <= 1e-6 * lengths)
        for at in range(0, len(rows), 4096):
            i, j = rows[at : at + 4096], columns[at : at + 4096]
            difference = wide_p[i] - wide_q[j]
            squares[i, j] = dot_rows(difference, difference)
        with np.errstate(over="ignore"):  # a distance beyond the type is infinite
            scores[start : start + step] = -np.sqrt(squares) * unscale
    return scores


def manhattan_sim(a: Embeddings, b: Embeddings) -> Any:
    """Negative Manhattan distance (sum of absolute differences) of every row of ``a`` to every row of ``b``.

    Args, shapes and errors are those of :func:`cos_sim`; the scores are 0 (equal) or less.
    """
    tensor = first_tensor(a, b)
    if tensor is not None:
        return _tensor_distance(a, b, tensor, 1.0)
    p, q = two_matrices(a, b)
    check_finite(p, "a")
    check_finite(q, "b")
    scores = np.empty((len(p), len(q)), dtype=p.dtype)
    # Small enough for the difference to stay in the processor's cache.
    step = max(1, (_BLOCK_ELEMENTS >> 5) // max(1, q.shape[1]))
    for start in range(0, len(q), step):
        block = q[start : start + step]
        for i, row in enumerate(p):
            with np.errstate(over="ignore"):  # a distance beyond the type is infinite
                difference = block - row
                np.abs(difference, out=difference)
                scores[i, start : start + step] = -difference.sum(axis=1)
    return scores


def _tensor_distance(a: Embeddings, b: Embeddings, reference: Any, power: float) -> Any:
    torch: Any = loaded_torch()
    x, y = two_tensors(a, b, reference)
    # Not by the matrix product: it loses the digits of near-identical rows.
    distance = partial(torch.cdist, p=power, compute_mode="donot_use_mm_for_euclid_dist")
    return checked(-in_reach(distance, x, y), x, y)


class SimilarityFunction(Enum):
    """The similarity that a model's vectors are meant for, as stored in its configuration."""

    COSINE = "cosine"
    DOT_PRODUCT = "dot"
    DOT = "dot"  # noqa: PIE796 - an alias: the same member
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"

    @classmethod
    def _missing_(cls, value: object) -> SimilarityFunction:
        raise InputError(f"{shown(value)} is no similarity function: choose one of {cls.possible_values()}")

    @staticmethod
    def to_similarity_fn(similarity_function: str | SimilarityFunction) -> SimilarityCallable:
        """The all-against-all function of a name or member.

        Raises:
            InputError: the name is unknown.
        """
        return all_pairs_function(similarity_function)

    @staticmethod
    def to_similarity_pairwise_fn(similarity_function: str | SimilarityFunction) -> SimilarityCallable:
        """The row-by-row function of a name or member.

        Raises:
            InputError: the name is unknown.
        """
        return pairwise_function(similarity_function)

    @staticmethod
    def possible_values() -> list[str]:
        """The names that the other methods and model folders take."""
        return [member.value for member in SimilarityFunction]


def as_similarity(value: object) -> SimilarityFunction:
    """The member of a name; the class itself answers an array with numpy's error.

    Raises:
        InputTypeError: neither a name nor a member.
        InputError: the name is unknown.
    """
    if not isinstance(value, (str, SimilarityFunction)):
        raise InputTypeError(
            f"{shown(value)} is {type(value).__name__}, no similarity function: choose one of "
            f"{SimilarityFunction.possible_values()}"
        )
    return SimilarityFunction(value)


def all_pairs_function(similarity_function: str | SimilarityFunction) -> SimilarityCallable:
    """The all-against-all function of a name or member.

    Raises:
        InputError: the name is unknown.
    """
    return {
        SimilarityFunction.COSINE: cos_sim,
        SimilarityFunction.DOT_PRODUCT: dot_score,
        SimilarityFunction.EUCLIDEAN: euclidean_sim,
        SimilarityFunction.MANHATTAN: manhattan_sim,
    }[as_similarity(similarity_function)]


def pairwise_function(similarity_function: str | SimilarityFunction) -> SimilarityCallable:
    """The row-by-row function of a name or member.

    Raises:
        InputError: the name is unknown.
    """
    return {
        SimilarityFunction.COSINE: pairwise_cos_sim,
        SimilarityFunction.DOT_PRODUCT: pairwise_dot_score,
        SimilarityFunction.EUCLIDEAN: pairwise_euclidean_sim,
        SimilarityFunction.MANHATTAN: pairwise_manhattan_sim,
    }[as_similarity(similarity_function)]


def scores_by(function: SimilarityCallable, a: Matrix, b: Matrix) -> Matrix:
    """The (n, m) scores of any score function, as an array.

    It gets arrays, and tensors in their place if it is made for these alone.
    """
    try:
        return as_array(function(a, b), "scores")
    except (TypeError, AttributeError):
        torch = loaded_torch()
        if torch is None:
            raise
        return as_array(function(torch.from_numpy(a), torch.from_numpy(b)), "scores")
