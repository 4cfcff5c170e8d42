"""Losses of cross-encoders; ``vicinal.cross_encoder.losses`` is their public name."""

from __future__ import annotations

from vicinal.nn.cross_encoder.losses.base import CrossEncoderLoss
from vicinal.nn.cross_encoder.losses.margin import MarginMSELoss
from vicinal.nn.cross_encoder.losses.pairs import BinaryCrossEntropyLoss, CrossEntropyLoss, MSELoss
from vicinal.nn.cross_encoder.losses.ranking import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)

__all__ = [
    "BinaryCrossEntropyLoss",
    "CachedMultipleNegativesRankingLoss",
    "CrossEncoderLoss",
    "CrossEntropyLoss",
    "MSELoss",
    "MarginMSELoss",
    "MultipleNegativesRankingLoss",
]
