"""Cross-encoders: the model, and what it is trained and measured with.

``from vicinal.cross_encoder import CrossEncoder, losses``: losses and trainer need PyTorch
(``pip install 'vicinal[train]'``), which is imported when one of their names is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vicinal.cross_encoder import evaluation as evaluation
    from vicinal.cross_encoder import losses as losses
    from vicinal.cross_encoder import trainer as trainer
    from vicinal.models.cross_encoder import CrossEncoder as CrossEncoder
    from vicinal.nn.cross_encoder.trainer import CrossEncoderTrainer as CrossEncoderTrainer
    from vicinal.nn.cross_encoder.trainer import (
        CrossEncoderTrainingArguments as CrossEncoderTrainingArguments,
    )

# public name -> the module that holds it; a module of the same name is the value itself
_PUBLIC = {
    "CrossEncoder": "vicinal.models.cross_encoder",
    "CrossEncoderTrainer": "vicinal.cross_encoder.trainer",
    "CrossEncoderTrainingArguments": "vicinal.cross_encoder.trainer",
    "evaluation": "vicinal.cross_encoder.evaluation",
    "losses": "vicinal.cross_encoder.losses",
    "trainer": "vicinal.cross_encoder.trainer",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'vicinal.cross_encoder' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    return module if _PUBLIC[name] == f"vicinal.cross_encoder.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
