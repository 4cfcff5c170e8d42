"""Similarities and distances of tensors, as losses need them: differentiable, and without a check of values.

:mod:`vicinal.vectors.similarity` refuses a NaN; a loss must let it pass, as a gradient scaler (float16) expects now and
then, and a check would make the CPU wait for the accelerator at each step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize, pairwise_distance

from vicinal.vectors import pairwise, similarity

Similarity: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def cos_sim(a: Tensor, b: Tensor) -> Tensor:
    """(n, m) cosines of every row of ``a`` with every row of ``b``."""
    return normalize(a, dim=-1) @ normalize(b, dim=-1).T


def dot_score(a: Tensor, b: Tensor) -> Tensor:
    """(n, m) dot products of every row of ``a`` with every row of ``b``."""
    return a @ b.T


def pairwise_cos_sim(a: Tensor, b: Tensor) -> Tensor:
    """(n,) cosines of the rows."""
    return (normalize(a, dim=-1) * normalize(b, dim=-1)).sum(dim=-1)


def pairwise_dot_score(a: Tensor, b: Tensor) -> Tensor:
    """(n,) dot products of the rows."""
    return (a * b).sum(dim=-1)


def pairwise_angle_sim(a: Tensor, b: Tensor) -> Tensor:
    """(n,) similarities by the angles of the rows, read as complex vectors (Li and Li, 2023, arXiv:2309.12871).

    The first half of a row holds the real parts, the second the imaginary ones; the score is the absolute
    sum of the parts of the quotient, scaled to the rows' lengths.
    """
    (p, q), (r, s) = a.chunk(2, dim=-1), b.chunk(2, dim=-1)
    lengths = a.norm(dim=-1) * b.norm(dim=-1)
    # The quotient's denominator |b|^2 and the scaling |a| / |b| together are the product of the lengths.
    return ((p * r + q * s).sum(dim=-1) + (q * r - p * s).sum(dim=-1)).abs() / lengths.clamp_min(1e-12)


def plain(function: Similarity) -> Similarity:
    """The function of this module that computes what ``function`` of :mod:`vicinal.util` does; or itself."""
    plain_ones: dict[Similarity, Similarity] = {
        similarity.cos_sim: cos_sim,
        similarity.pytorch_cos_sim: cos_sim,
        similarity.dot_score: dot_score,
        pairwise.pairwise_cos_sim: pairwise_cos_sim,
        pairwise.pairwise_dot_score: pairwise_dot_score,
        pairwise.pairwise_angle_sim: pairwise_angle_sim,
    }
    return plain_ones.get(function, function)


def euclidean_distance(a: Tensor, b: Tensor) -> Tensor:
    """(n,) Euclidean distances of the rows; 1e-6 is added to each difference, so that the gradient is finite."""
    return pairwise_distance(a, b, p=2)


def manhattan_distance(a: Tensor, b: Tensor) -> Tensor:
    """(n,) Manhattan distances of the rows, as :func:`euclidean_distance`."""
    return pairwise_distance(a, b, p=1)


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """(n,) 1 - cosine of the rows, 0 to 2."""
    return 1 - cosine_similarity(a, b, dim=-1)


class SiameseDistanceMetric:
    """Distances of the rows of two tensors, for ContrastiveLoss and OnlineContrastiveLoss."""

    EUCLIDEAN = staticmethod(euclidean_distance)
    MANHATTAN = staticmethod(manhattan_distance)
    COSINE_DISTANCE = staticmethod(cosine_distance)


class TripletDistanceMetric:
    """Distances of the rows of two tensors, for TripletLoss."""

    COSINE = staticmethod(cosine_distance)
    EUCLIDEAN = staticmethod(euclidean_distance)
    MANHATTAN = staticmethod(manhattan_distance)


class BatchHardTripletLossDistanceFunction:
    """Distances of every row of one (n, dim) tensor to every row of it, (n, n), for the batch triplet losses."""

    @staticmethod
    def cosine_distance(embeddings: Tensor) -> Tensor:
        """1 - cosine."""
        return 1 - cos_sim(embeddings, embeddings)

    @staticmethod
    def euclidean_distance(embeddings: Tensor, squared: bool = False) -> Tensor:
        """The Euclidean distance, or its square."""
        products = embeddings @ embeddings.T
        squares = products.diagonal()
        distances = (squares[:, None] - 2 * products + squares[None, :]).clamp_min(0)
        if squared:
            return distances
        # The root's slope at 0 is infinite; there, and so on the diagonal, distance and gradient are 0.
        zero = distances == 0
        return torch.where(zero, 0.0, torch.where(zero, 1.0, distances).sqrt())

    eucledian_distance = euclidean_distance  # as it was once spelt


def metric_name(metrics: type, function: Similarity) -> str:
    """``"TripletDistanceMetric.COSINE"``, or the function's own name if ``metrics`` does not hold it."""
    for name in vars(metrics):
        if name.isupper() and getattr(metrics, name) is function:
            return f"{metrics.__name__}.{name}"
    return str(getattr(function, "__name__", function))
