"""Losses of single texts with classes, whose triplets are made within the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import softplus

from vicinal.nn.losses.base import Loss, function_name, needs_callable
from vicinal.nn.losses.distances import BatchHardTripletLossDistanceFunction

Distances: TypeAlias = Callable[[Tensor], Tensor]

_EUCLIDEAN = BatchHardTripletLossDistanceFunction.euclidean_distance


class _BatchTripletLoss(Loss):
    """What the four have in common."""

    columns = (1, 1)
    labels = "class"

    def __init__(self, model: Any, distance_metric: Distances = _EUCLIDEAN, margin: float = 5) -> None:
        super().__init__(model)
        needs_callable(distance_metric, "distance_metric")
        self.distance_metric = distance_metric
        self.margin = margin

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        assert labels is not None
        same = labels[:, None] == labels[None, :]
        other_self = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        return self._triplets(self.distance_metric(embeddings[0]), same & other_self, ~same)

    def _triplets(self, distances: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss of (n, n) distances; which of them are of a class, and which of two."""
        raise NotImplementedError

    def get_config_dict(self) -> dict[str, Any]:
        return {"distance_metric": function_name(self.distance_metric), "margin": self.margin}


class BatchAllTripletLoss(_BatchTripletLoss):
    """The triplet loss of all triplets in the batch that break the margin, averaged over those:
    ``max(0, d(anchor, positive) - d(anchor, negative) + margin)``.

    Inputs: single texts; the number of a class each. Every batch should hold two texts or more of several
    classes (batch sampler "group by label").

    Args:
        model: the model to train.
        distance_metric: (n, dim) -> (n, n) distances, as in BatchHardTripletLossDistanceFunction.
        margin: the margin; less than 1 for cosine distances.

    Relation to the others: uses every triplet where BatchHardTripletLoss takes the hardest; calmer with noisy
    labels. Its memory grows with the cube of the batch.

    Reference: Hermans, Beyer and Leibe, 2017, arXiv:1703.07737.

    Example::

        loss = losses.BatchAllTripletLoss(model)
        examples = [InputExample(texts=["Who won the match?"], label=0), InputExample(texts=["Boil it."], label=1)]
        model.fit([(DataLoader(examples, batch_size=32, shuffle=True), loss)])
    """

    def _triplets(self, distances: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        losses = distances[:, :, None] - distances[:, None, :] + self.margin
        losses = (losses * (positive[:, :, None] & negative[:, None, :])).relu()
        return losses.sum() / ((losses > 1e-16).sum() + 1e-16)


class BatchHardTripletLoss(_BatchTripletLoss):
    """The triplet loss of the furthest positive and the nearest negative of each text:
    ``mean(max(0, d(anchor, furthest) - d(anchor, nearest) + margin))``.

    Inputs: single texts; the number of a class each. Every batch should hold two texts or more of several
    classes (batch sampler "group by label").

    Args:
        model: the model to train.
        distance_metric: (n, dim) -> (n, n) distances, as in BatchHardTripletLossDistanceFunction.
        margin: the margin; less than 1 for cosine distances.

    Relation to the others: the usual choice for classes with many texts; BatchSemiHardTripletLoss is milder where
    labels are noisy, BatchHardSoftMarginTripletLoss needs no margin.

    Reference: Hermans, Beyer and Leibe, 2017, arXiv:1703.07737.

    Example::

        loss = losses.BatchHardTripletLoss(model)
        examples = [InputExample(texts=["Who won the match?"], label=0), InputExample(texts=["Boil it."], label=1)]
        model.fit([(DataLoader(examples, batch_size=32, shuffle=True), loss)])
    """

    def _triplets(self, distances: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        furthest, nearest = hardest(distances, positive, negative)
        return (furthest - nearest + self.margin).relu().mean()


class BatchHardSoftMarginTripletLoss(_BatchTripletLoss):
    """BatchHardTripletLoss with a soft margin: ``mean(log(1 + exp(d(anchor, furthest) - d(anchor, nearest))))``.

    Inputs: single texts; the number of a class each, as for BatchHardTripletLoss.

    Args:
        model: the model to train.
        distance_metric: (n, dim) -> (n, n) distances, as in BatchHardTripletLossDistanceFunction.

    Relation to the others: as BatchHardTripletLoss, with no margin to tune; pairs never stop to count.

    Reference: Hermans, Beyer and Leibe, 2017, arXiv:1703.07737.

    Example::

        loss = losses.BatchHardSoftMarginTripletLoss(model)
        examples = [InputExample(texts=["Who won the match?"], label=0), InputExample(texts=["Boil it."], label=1)]
        model.fit([(DataLoader(examples, batch_size=32, shuffle=True), loss)])
    """

    def __init__(self, model: Any, distance_metric: Distances = _EUCLIDEAN) -> None:
        super().__init__(model, distance_metric)

    def _triplets(self, distances: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        furthest, nearest = hardest(distances, positive, negative)
        return softplus(furthest - nearest).mean()

    def get_config_dict(self) -> dict[str, Any]:
        return {"distance_metric": function_name(self.distance_metric)}


class BatchSemiHardTripletLoss(_BatchTripletLoss):
    """The triplet loss with semi-hard negatives: for each (anchor, positive), the nearest negative that is
    further than the positive; if there is none, the furthest negative.

    Inputs: single texts; the number of a class each, as for BatchHardTripletLoss.

    Args:
        model: the model to train.
        distance_metric: (n, dim) -> (n, n) distances, as in BatchHardTripletLossDistanceFunction.
        margin: the margin; less than 1 for cosine distances.

    Relation to the others: BatchHardTripletLoss takes the hardest negatives, which at the start of training, or
    with wrong labels, may collapse the embeddings; this one avoids them.

    Reference: Schroff, Kalenichenko and Philbin, 2015, "FaceNet", arXiv:1503.03832.

    Example::

        loss = losses.BatchSemiHardTripletLoss(model)
        examples = [InputExample(texts=["Who won the match?"], label=0), InputExample(texts=["Boil it."], label=1)]
        model.fit([(DataLoader(examples, batch_size=32, shuffle=True), loss)])
    """

    def _triplets(self, distances: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        # [anchor, positive, negative]
        beyond = negative[:, None, :] & (distances[:, None, :] > distances[:, :, None])
        nearest_beyond = distances[:, None, :].masked_fill(~beyond, float("inf")).amin(dim=2)
        least = distances.amin(dim=1, keepdim=True)
        furthest = ((distances - least) * negative).amax(dim=1, keepdim=True) + least
        chosen = torch.where(beyond.any(dim=2), nearest_beyond, furthest)
        losses = (distances - chosen + self.margin).relu() * positive
        return losses.sum() / positive.sum().clamp_min(1)


def hardest(distances: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """(n,) distances to the furthest positive (0 if there is none) and to the nearest negative of each row.

    Where a row has no negative, its greatest distance stands in, so that nothing is pushed far away.
    """
    furthest = (distances * positive).amax(dim=1)
    nearest = (distances + distances.amax(dim=1, keepdim=True) * ~negative).amin(dim=1)
    return furthest, nearest
