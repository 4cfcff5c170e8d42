"""Batches of ``InputExample`` as features and labels, for data loaders of older code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vicinal.core.torch import to_device


def collated_columns(model: Any, batch: Sequence[Any]) -> tuple[list[dict[str, Any]], Tensor]:
    """Features of each column of texts, and the labels ``(n,)``; for losses on vectors."""
    columns = zip(*(example.texts for example in batch), strict=True)
    features = [model.tokenize(list(texts)) for texts in columns]
    return features, torch.tensor([example.label for example in batch])


def collated_pairs(model: Any, batch: Sequence[Any]) -> tuple[dict[str, Any], Tensor]:
    """Features of pairs, and the labels: ``(n,)`` float32 for one label per pair, else int64; on the model's device."""
    dtype = torch.float if model.num_labels == 1 else torch.long
    labels = torch.tensor([example.label for example in batch], dtype=dtype)
    return pair_features(model, [example.texts for example in batch]), labels.to(str(model.device))


def pair_features(model: Any, batch: Sequence[Any]) -> dict[str, Any]:
    """Features of pairs of texts, spaces around them left out; on the model's device."""
    pairs = [[text.strip() for text in pair] for pair in batch]
    features: dict[str, Any] = to_device(model.tokenize(pairs), str(model.device))
    return features
