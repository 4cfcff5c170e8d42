"""The losses. Public as :mod:`vicinal.losses`."""

from __future__ import annotations

from vicinal.nn.losses.base import LABEL_MEANING, LabelKind, Loss
from vicinal.nn.losses.batch_triplets import (
    BatchAllTripletLoss,
    BatchHardSoftMarginTripletLoss,
    BatchHardTripletLoss,
    BatchSemiHardTripletLoss,
)
from vicinal.nn.losses.cached import (
    CachedMultipleNegativesRankingLoss,
    CachedMultipleNegativesSymmetricRankingLoss,
)
from vicinal.nn.losses.classes import SoftmaxLoss
from vicinal.nn.losses.distances import (
    BatchHardTripletLossDistanceFunction,
    SiameseDistanceMetric,
    TripletDistanceMetric,
)
from vicinal.nn.losses.distillation import DistillKLDivLoss, MarginMSELoss, MSELoss
from vicinal.nn.losses.matryoshka import MatryoshkaLoss
from vicinal.nn.losses.pairs import ContrastiveLoss, OnlineContrastiveLoss, TripletLoss
from vicinal.nn.losses.ranking import MultipleNegativesRankingLoss, MultipleNegativesSymmetricRankingLoss
from vicinal.nn.losses.scores import AnglELoss, CoSENTLoss, CosineSimilarityLoss

__all__ = [
    "LABEL_MEANING",
    "AnglELoss",
    "BatchAllTripletLoss",
    "BatchHardSoftMarginTripletLoss",
    "BatchHardTripletLoss",
    "BatchHardTripletLossDistanceFunction",
    "BatchSemiHardTripletLoss",
    "CachedMultipleNegativesRankingLoss",
    "CachedMultipleNegativesSymmetricRankingLoss",
    "CoSENTLoss",
    "ContrastiveLoss",
    "CosineSimilarityLoss",
    "DistillKLDivLoss",
    "LabelKind",
    "Loss",
    "MSELoss",
    "MarginMSELoss",
    "MatryoshkaLoss",
    "MultipleNegativesRankingLoss",
    "MultipleNegativesSymmetricRankingLoss",
    "OnlineContrastiveLoss",
    "SiameseDistanceMetric",
    "SoftmaxLoss",
    "TripletDistanceMetric",
    "TripletLoss",
]
