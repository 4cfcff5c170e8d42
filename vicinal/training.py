"""The trainer of sentence models, its settings, samplers and collator; see ``docs/training.md``.

They need PyTorch and transformers (``pip install 'vicinal[train]'``), which are imported when a name is first
used. ``vicinal.trainer``, ``vicinal.training_args``, ``vicinal.sampler`` and ``vicinal.data_collator`` hold the
same names, for code that was written with those.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vicinal.nn.arguments import BatchSamplers as BatchSamplers
    from vicinal.nn.arguments import MultiDatasetBatchSamplers as MultiDatasetBatchSamplers
    from vicinal.nn.arguments import (
        SentenceTransformerTrainingArguments as SentenceTransformerTrainingArguments,
    )
    from vicinal.nn.collator import SentenceTransformerDataCollator as SentenceTransformerDataCollator
    from vicinal.nn.samplers import DefaultBatchSampler as DefaultBatchSampler
    from vicinal.nn.samplers import GroupByLabelBatchSampler as GroupByLabelBatchSampler
    from vicinal.nn.samplers import MultiDatasetDefaultBatchSampler as MultiDatasetDefaultBatchSampler
    from vicinal.nn.samplers import NoDuplicatesBatchSampler as NoDuplicatesBatchSampler
    from vicinal.nn.samplers import ProportionalBatchSampler as ProportionalBatchSampler
    from vicinal.nn.samplers import RoundRobinBatchSampler as RoundRobinBatchSampler
    from vicinal.nn.trainer import SentenceTransformerTrainer as SentenceTransformerTrainer

# name -> the file of vicinal.nn that holds it
_NAMES = {
    "BatchSamplers": "arguments",
    "DefaultBatchSampler": "samplers",
    "GroupByLabelBatchSampler": "samplers",
    "MultiDatasetBatchSamplers": "arguments",
    "MultiDatasetDefaultBatchSampler": "samplers",
    "NoDuplicatesBatchSampler": "samplers",
    "ProportionalBatchSampler": "samplers",
    "RoundRobinBatchSampler": "samplers",
    "SentenceTransformerDataCollator": "collator",
    "SentenceTransformerTrainer": "trainer",
    "SentenceTransformerTrainingArguments": "arguments",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'vicinal.training' has no attribute {name!r}")
    from vicinal.nn.tensors import require_torch

    require_torch(name)
    return getattr(import_module(f"vicinal.nn.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
