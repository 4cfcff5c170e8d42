"""``CrossEncoderTrainer``; it needs PyTorch and transformers, which are imported when the name is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vicinal.nn.cross_encoder.trainer import CrossEncoderDataCollator as CrossEncoderDataCollator
    from vicinal.nn.cross_encoder.trainer import CrossEncoderTrainer as CrossEncoderTrainer
    from vicinal.nn.cross_encoder.trainer import (
        CrossEncoderTrainingArguments as CrossEncoderTrainingArguments,
    )

__all__ = ["CrossEncoderDataCollator", "CrossEncoderTrainer", "CrossEncoderTrainingArguments"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'vicinal.cross_encoder.trainer' has no attribute {name!r}")
    from vicinal.nn.tensors import require_torch

    require_torch(name)
    from vicinal.nn.cross_encoder import trainer

    return getattr(trainer, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
