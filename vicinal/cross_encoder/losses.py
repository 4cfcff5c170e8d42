"""The losses that a cross-encoder is trained with; see ``docs/train-cross-encoder.md`` for which to take.

They need PyTorch (``pip install 'vicinal[train]'``), which is imported when a name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vicinal.nn.cross_encoder.losses import BinaryCrossEntropyLoss as BinaryCrossEntropyLoss
    from vicinal.nn.cross_encoder.losses import (
        CachedMultipleNegativesRankingLoss as CachedMultipleNegativesRankingLoss,
    )
    from vicinal.nn.cross_encoder.losses import CrossEncoderLoss as CrossEncoderLoss
    from vicinal.nn.cross_encoder.losses import CrossEntropyLoss as CrossEntropyLoss
    from vicinal.nn.cross_encoder.losses import MarginMSELoss as MarginMSELoss
    from vicinal.nn.cross_encoder.losses import MSELoss as MSELoss
    from vicinal.nn.cross_encoder.losses import MultipleNegativesRankingLoss as MultipleNegativesRankingLoss

__all__ = [
    "BinaryCrossEntropyLoss",
    "CachedMultipleNegativesRankingLoss",
    "CrossEncoderLoss",
    "CrossEntropyLoss",
    "MSELoss",
    "MarginMSELoss",
    "MultipleNegativesRankingLoss",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'vicinal.cross_encoder.losses' has no attribute {name!r}")
    from vicinal.nn.tensors import require_torch

    require_torch(f"losses.{name}")
    return getattr(import_module("vicinal.nn.cross_encoder.losses"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
