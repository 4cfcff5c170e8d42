"""The losses that a model is trained with; see ``docs/losses.md`` for which to take.

They need PyTorch (``pip install 'vicinal[train]'``), which is imported when a name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vicinal.nn.losses import AnglELoss as AnglELoss
    from vicinal.nn.losses import BatchAllTripletLoss as BatchAllTripletLoss
    from vicinal.nn.losses import BatchHardSoftMarginTripletLoss as BatchHardSoftMarginTripletLoss
    from vicinal.nn.losses import BatchHardTripletLoss as BatchHardTripletLoss
    from vicinal.nn.losses import BatchHardTripletLossDistanceFunction as BatchHardTripletLossDistanceFunction
    from vicinal.nn.losses import BatchSemiHardTripletLoss as BatchSemiHardTripletLoss
    from vicinal.nn.losses import CachedMultipleNegativesRankingLoss as CachedMultipleNegativesRankingLoss
    from vicinal.nn.losses import (
        CachedMultipleNegativesSymmetricRankingLoss as CachedMultipleNegativesSymmetricRankingLoss,
    )
    from vicinal.nn.losses import ContrastiveLoss as ContrastiveLoss
    from vicinal.nn.losses import CoSENTLoss as CoSENTLoss
    from vicinal.nn.losses import CosineSimilarityLoss as CosineSimilarityLoss
    from vicinal.nn.losses import DistillKLDivLoss as DistillKLDivLoss
    from vicinal.nn.losses import Loss as Loss
    from vicinal.nn.losses import MarginMSELoss as MarginMSELoss
    from vicinal.nn.losses import MatryoshkaLoss as MatryoshkaLoss
    from vicinal.nn.losses import MSELoss as MSELoss
    from vicinal.nn.losses import MultipleNegativesRankingLoss as MultipleNegativesRankingLoss
    from vicinal.nn.losses import (
        MultipleNegativesSymmetricRankingLoss as MultipleNegativesSymmetricRankingLoss,
    )
    from vicinal.nn.losses import OnlineContrastiveLoss as OnlineContrastiveLoss
    from vicinal.nn.losses import SiameseDistanceMetric as SiameseDistanceMetric
    from vicinal.nn.losses import SoftmaxLoss as SoftmaxLoss
    from vicinal.nn.losses import TripletDistanceMetric as TripletDistanceMetric
    from vicinal.nn.losses import TripletLoss as TripletLoss

__all__ = [
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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'vicinal.losses' has no attribute {name!r}")
    from vicinal.nn.tensors import require_torch

    require_torch(f"losses.{name}")
    value = getattr(import_module("vicinal.nn.losses"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
