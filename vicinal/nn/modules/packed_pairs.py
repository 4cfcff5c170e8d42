"""Training without computing on padding: the pairs of a batch share rows, as in ``vicinal.nn.modules.packing``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vicinal.nn.modules.base import Features
from vicinal.nn.modules.customised import is_customised
from vicinal.nn.modules.packing import packed_vectors, packs


def _bert(model: Any, tokens: Tensor) -> Tensor:
    scores: Tensor = model.classifier(model.dropout(model.base_model.pooler(tokens)))
    return scores


def _distilbert(model: Any, tokens: Tensor) -> Tensor:
    scores: Tensor = model.classifier(model.dropout(torch.relu(model.pre_classifier(tokens[:, 0]))))
    return scores


def _roberta(model: Any, tokens: Tensor) -> Tensor:
    scores: Tensor = model.classifier(tokens)
    return scores


# Architecture -> (network, token vectors) -> scores; those that were tested to give the same with packed rows.
HEADS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "bert": _bert,
    "distilbert": _distilbert,
    "electra": _roberta,
    "mpnet": _roberta,
    "roberta": _roberta,
    "xlm-roberta": _roberta,
}


def packs_pairs(model: Any, inputs: Features) -> bool:
    """Whether packing keeps the scores of this batch, and pays."""
    known = model.config.model_type in HEADS and packs(model.config, inputs)
    return known and not is_customised(model)


def packed_scores(model: Any, inputs: Features) -> Tensor:
    """``(n, labels)`` raw scores of a network for which :func:`packs_pairs` holds."""
    return HEADS[model.config.model_type](model, packed_vectors(model.base_model, inputs))
