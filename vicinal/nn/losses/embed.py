"""The columns of a batch become embeddings, in as few forward passes as pay."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

Features: TypeAlias = dict[str, Any]

# A joint pass may compute this many times the tokens of separate ones: it saves the cost of a pass, not more.
_GROWTH = 1.3


def embed_columns(model: Any, columns: list[Features]) -> list[Tensor]:
    """One (n, dim) tensor for each column of features.

    Columns of token ids with the same keys go through the model together, padded to one length, unless that
    padding costs more than it saves. All others go one by one. In eval mode the result is that of separate
    passes, up to rounding.

    Args:
        model: called with a features dictionary, answers one with ``"sentence_embedding"``.
        columns: features, one dictionary a column; they are not changed.
    """
    embeddings: dict[int, Tensor] = {}
    for group in _groups(columns):
        features = dict(columns[group[0]]) if len(group) == 1 else _joined(model, [columns[i] for i in group])
        answer = model(features)["sentence_embedding"]
        rows = [len(columns[i]["input_ids"]) for i in group] if len(group) > 1 else [len(answer)]
        embeddings.update(zip(group, answer.split(rows), strict=True))
    return [embeddings[i] for i in range(len(columns))]


def _groups(columns: list[Features]) -> list[list[int]]:
    """The numbers of the columns that share a pass."""
    alike: dict[Any, list[int]] = {}
    for i, features in enumerate(columns):
        alike.setdefault(_kind(features, i), []).append(i)
    groups = []
    for members in alike.values():
        members.sort(key=lambda i: -_width(columns[i]))
        group: list[int] = []
        for i in members:
            rows = sum(len(columns[j]["input_ids"]) for j in [*group, i]) if len(members) > 1 else 0
            apart = sum(columns[j]["input_ids"].numel() for j in [*group, i]) if rows else 0
            if group and rows * _width(columns[group[0]]) > _GROWTH * apart:
                groups.append(group)
                group = []
            group.append(i)
        groups.append(group)
    return groups


def _width(features: Features) -> int:
    ids = features.get("input_ids")
    return int(ids.shape[-1]) if isinstance(ids, Tensor) and ids.ndim else 0


def _kind(features: Features, number: int) -> Any:
    """Equal for columns that may share a pass."""
    ids, mask = features.get("input_ids"), features.get("attention_mask")
    if not isinstance(ids, Tensor) or not isinstance(mask, Tensor) or ids.ndim != 2:
        return number
    shared = []
    for key, value in sorted(features.items()):
        if isinstance(value, Tensor):
            if value.shape != ids.shape:
                return number
            shared.append((key, value.dtype))
        elif isinstance(value, (int, float, str, bool)) or value is None:
            shared.append((key, value))
        else:
            return number
    return tuple(shared)


def _joined(model: Any, columns: list[Features]) -> Features:
    """One dictionary that holds the rows of all columns."""
    width = max(map(_width, columns))
    uneven = any(_width(features) < width for features in columns)
    left, pad_id = _padding(model, columns) if uneven else (False, 0)
    joined = dict(columns[0])
    for key, value in columns[0].items():
        if isinstance(value, Tensor):
            fill = pad_id if key == "input_ids" else 0
            parts = []
            for features in columns:
                missing = width - _width(features)
                parts.append(
                    pad(features[key], (missing, 0) if left else (0, missing), value=fill)
                    if missing
                    else features[key]
                )
            joined[key] = torch.cat(parts)
    return joined


def _padding(model: Any, columns: list[Features]) -> tuple[bool, int]:
    """Whether the columns are padded on the left, and with which token id.

    The id matters to models that count positions by comparing ids with that of their padding.
    """
    tokenizer = getattr(model, "tokenizer", None)
    for features in columns:
        ids, mask = features["input_ids"], features["attention_mask"]
        padded = (mask == 0).nonzero()
        if len(padded):
            row, column = padded[0].tolist()
            # A padded row of any kind is empty at the one end and full at the other.
            left = bool(mask[row, 0] == 0) and bool(mask[row, -1] != 0)
            return left, int(ids[row, column])
    # As transformers call it, and as vicinal.tokens.text does.
    pad_id = getattr(tokenizer, "pad_token_id", getattr(tokenizer, "pad_id", None))
    return getattr(tokenizer, "padding_side", "right") == "left", pad_id if isinstance(pad_id, int) else 0
