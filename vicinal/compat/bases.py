"""The base classes of sentence-transformers by their names there, for ``isinstance``, annotations and subclasses."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from vicinal.core.torch import require_torch

# name there -> (module, name) here
_CLASSES = {
    "BaseDataCollator": ("vicinal.nn.training.collator", "BaseDataCollator"),
    "BaseTrainer": ("vicinal.nn.training.model_trainer", "ModelTrainer"),
    "BaseTrainingArguments": ("vicinal.nn.training.arguments", "ModelTrainingArguments"),
    "CrossEncoderDataCollator": ("vicinal.nn.training.cross_encoder", "CrossEncoderDataCollator"),
    "PeftAdapterMixin": ("vicinal.models.adapters", "Adapters"),
    "BaseModel": ("vicinal.models.base", "Model"),
}


def __getattr__(name: str) -> Any:
    if name not in _CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home, own = _CLASSES[name]
    if home.startswith("vicinal.nn."):
        require_torch(name)
    return getattr(import_module(home), own)
