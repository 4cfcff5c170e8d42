"""``CrossEncoderTrainingArguments`` under the path that the field knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vicinal.nn.cross_encoder.trainer import (
        CrossEncoderTrainingArguments as CrossEncoderTrainingArguments,
    )

__all__ = ["CrossEncoderTrainingArguments"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'vicinal.cross_encoder.training_args' has no attribute {name!r}")
    from vicinal.cross_encoder import trainer

    return getattr(trainer, name)
