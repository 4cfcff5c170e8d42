"""Losses of pairs and triplets by distance: ContrastiveLoss, OnlineContrastiveLoss, TripletLoss."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from vicinal.nn.losses.base import Loss, needs_callable
from vicinal.nn.losses.distances import (
    SiameseDistanceMetric,
    Similarity,
    TripletDistanceMetric,
    cosine_distance,
    euclidean_distance,
    metric_name,
)


class ContrastiveLoss(Loss):
    """Similar texts are pulled together, others pushed apart up to a margin:
    ``mean(y * d^2 + (1 - y) * max(0, margin - d)^2) / 2`` with the distance ``d``.

    Inputs: (text, text) pairs; 1 (similar) or 0 each.

    Args:
        model: the model to train.
        distance_metric: (n, dim), (n, dim) -> (n,) distances, as in SiameseDistanceMetric.
        margin: the distance beyond which dissimilar pairs no longer count.
        size_average: the mean over the batch; the sum if False.

    Relation to the others: OnlineContrastiveLoss uses only the hard pairs of a batch and is often better. With
    similar pairs alone take MultipleNegativesRankingLoss.

    Reference: Hadsell, Chopra and LeCun, 2006, "Dimensionality Reduction by Learning an Invariant Mapping".

    Example::

        loss = losses.ContrastiveLoss(model)
        examples = [InputExample(texts=["How old are you?", "What is your age?"], label=1)]
        model.fit([(DataLoader(examples, batch_size=16, shuffle=True), loss)])
    """

    labels = "binary"
    citation = """@inproceedings{hadsell2006dimensionality, author={Hadsell, R. and Chopra, S. and LeCun, Y.},
title={Dimensionality Reduction by Learning an Invariant Mapping}, booktitle={CVPR}, year={2006}}"""

    def __init__(
        self,
        model: Any,
        distance_metric: Similarity = cosine_distance,
        margin: float = 0.5,
        size_average: bool = True,
    ) -> None:
        super().__init__(model)
        needs_callable(distance_metric, "distance_metric")
        self.distance_metric = distance_metric
        self.margin = margin
        self.size_average = size_average

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        assert labels is not None
        distances = self.distance_metric(*embeddings)
        similar = labels.to(distances.dtype)
        losses = 0.5 * (similar * distances**2 + (1 - similar) * (self.margin - distances).relu() ** 2)
        return losses.mean() if self.size_average else losses.sum()

    def get_config_dict(self) -> dict[str, Any]:
        return {
            "distance_metric": metric_name(SiameseDistanceMetric, self.distance_metric),
            "margin": self.margin,
            "size_average": self.size_average,
        }


class OnlineContrastiveLoss(Loss):
    """ContrastiveLoss of the hard pairs of a batch only, summed: the similar pairs that are further apart than
    the closest dissimilar pair, and the dissimilar ones that are closer than the furthest similar pair.

    Where a batch holds one similar pair or none, dissimilar pairs closer than their own mean are hard; and the
    other way round.

    Inputs: (text, text) pairs; 1 (similar) or 0 each.

    Args:
        model: the model to train.
        distance_metric: (n, dim), (n, dim) -> (n,) distances, as in SiameseDistanceMetric.
        margin: the distance beyond which dissimilar pairs no longer count.

    Relation to the others: often better than ContrastiveLoss; being a sum, it grows with the batch.

    Reference: Hadsell, Chopra and LeCun, 2006, for the loss; hard pairs as in sentence-transformers.

    Example::

        loss = losses.OnlineContrastiveLoss(model, margin=0.5)
        examples = [InputExample(texts=["How old are you?", "What is your age?"], label=1)]
        model.fit([(DataLoader(examples, batch_size=32, shuffle=True), loss)])
    """

    labels = "binary"

    def __init__(
        self, model: Any, distance_metric: Similarity = cosine_distance, margin: float = 0.5
    ) -> None:
        super().__init__(model)
        needs_callable(distance_metric, "distance_metric")
        self.distance_metric = distance_metric
        self.margin = margin

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        assert labels is not None
        distances = self.distance_metric(*embeddings)
        near, far = distances[labels == 1], distances[labels == 0]
        limit = near.max() if len(near) > 1 else far.mean()
        floor = far.min() if len(far) > 1 else near.mean()
        return (near[near > floor] ** 2).sum() + ((self.margin - far[far < limit]).relu() ** 2).sum()

    def get_config_dict(self) -> dict[str, Any]:
        return {
            "distance_metric": metric_name(SiameseDistanceMetric, self.distance_metric),
            "margin": self.margin,
        }


class TripletLoss(Loss):
    """The anchor shall be nearer to the positive than to the negative, by a margin:
    ``mean(max(0, d(anchor, positive) - d(anchor, negative) + margin))``.

    Inputs: (anchor, positive, negative) triplets; no labels.

    Args:
        model: the model to train.
        distance_metric: (n, dim), (n, dim) -> (n,) distances, as in TripletDistanceMetric.
        triplet_margin: the margin. 5 suits Euclidean distances of vectors that are not normalised; take less
            than 1 for unit vectors or cosine distances, which end at 2.

    Relation to the others: MultipleNegativesRankingLoss takes the same triplets and also uses the other rows of
    the batch as negatives: mostly better. BatchHardTripletLoss makes triplets from labelled texts.

    Reference: Hermans, Beyer and Leibe, 2017, "In Defense of the Triplet Loss", arXiv:1703.07737.

    Example::

        loss = losses.TripletLoss(model, losses.TripletDistanceMetric.COSINE, triplet_margin=0.3)
        examples = [InputExample(texts=["How to boil eggs?", "Cook eggs 8 minutes.", "Eggs are laid by hens."])]
        model.fit([(DataLoader(examples, batch_size=16, shuffle=True), loss)])
    """

    columns = (3, 3)
    citation = """@misc{hermans2017defense, title={In Defense of the Triplet Loss for Person Re-Identification},
author={Alexander Hermans and Lucas Beyer and Bastian Leibe}, year={2017}, eprint={1703.07737},
archivePrefix={arXiv}}"""

    def __init__(
        self, model: Any, distance_metric: Similarity = euclidean_distance, triplet_margin: float = 5
    ) -> None:
        super().__init__(model)
        needs_callable(distance_metric, "distance_metric")
        self.distance_metric = distance_metric
        self.triplet_margin = triplet_margin

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        anchor, positive, negative = embeddings
        nearer, further = self.distance_metric(anchor, positive), self.distance_metric(anchor, negative)
        return (nearer - further + self.triplet_margin).relu().mean()

    def get_config_dict(self) -> dict[str, Any]:
        return {
            "distance_metric": metric_name(TripletDistanceMetric, self.distance_metric),
            "triplet_margin": self.triplet_margin,
        }
