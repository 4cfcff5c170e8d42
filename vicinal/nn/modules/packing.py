"""Packing: short texts share the rows of a batch, so that training does not compute on padding.

Sixteen pairs of STS-B are 450 tokens in a table of 32 x 40 places. Laid one behind another they fill 12 rows;
a mask keeps the texts of a row apart, and each keeps its own positions. Per token the result is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from vicinal.nn.modules.base import Features

# Architectures that were tested to give the same with packed rows, and how they number positions: from 0, or
# behind the id of their padding.
FROM_ZERO = frozenset({"albert", "bert", "distilbert", "electra"})
BEHIND_PADDING = frozenset({"camembert", "mpnet", "roberta", "xlm-roberta"})
# Their attention takes a mask of its own for each pair of tokens.
_ATTENTIONS = frozenset({"eager", "sdpa"})
_INPUTS = frozenset({"attention_mask", "input_ids", "token_type_ids"})
# Rows are this wide or a multiple of it. oneDNN makes and keeps a kernel for every shape it meets: with rows as
# long as the longest text each batch brought a new one, and memory grew by 5 MiB a step. Few tokens would not
# fill such rows.
_WIDTH, _NARROW = 64, 8
_FEW = 4 * _WIDTH
# Rows that are filled more than this are left as they are: the sorting would cost what it saves.
_FULL = 0.85


@dataclass(frozen=True)
class Packing:
    """Where each token goes.

    Attributes:
        sources: (tokens,) places in the flattened (n, length) table.
        targets: (tokens,) places in the flattened (rows, length) one.
        texts: (rows, length) number of the text at each place; -1 at empty ones.
        positions: (rows, length) number of the token in its text; 0 at empty places.
    """

    sources: Tensor
    targets: Tensor
    texts: Tensor
    positions: Tensor

    def packed(self, table: Tensor, fill: int) -> Tensor:
        """A (n, length) table of ids as (rows, length)."""
        flat = table.new_full((self.texts.numel(),), fill)
        flat[self.targets] = table.flatten()[self.sources]
        return flat.view_as(self.texts)

    def unpacked(self, tokens: Tensor, shape: torch.Size) -> Tensor:
        """(rows, length, width) vectors as (n, length, width), 0 at padding."""
        width = tokens.shape[-1]
        flat = tokens.new_zeros(shape.numel(), width)
        return flat.index_copy(0, self.sources, tokens.reshape(-1, width)[self.targets]).view(*shape, width)


def packs(config: Any, inputs: Features) -> bool:
    """Whether packing keeps the results of this batch, and pays.

    Args:
        config: of a transformers model.
        inputs: what it would be called with.
    """
    ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
    if ids is None or mask is None or ids.device.type != "cpu" or not torch.is_grad_enabled():
        return False
    if (
        not inputs.keys() <= _INPUTS
        or mask.ndim != 2
        or config.output_hidden_states
        or config.output_attentions
    ):
        return False
    if config.model_type == "mpnet" and not _mpnet_takes_pairs():
        return False
    if config.model_type not in FROM_ZERO | BEHIND_PADDING or config._attn_implementation not in _ATTENTIONS:
        return False
    if getattr(config, "is_decoder", False) or getattr(config, "position_embedding_type", None) not in (
        None,
        "absolute",
    ):
        return False
    real = mask != 0
    count = int(real.sum())
    width = _width(int(real.sum(1).max()), count)
    # Left padding shifts the positions of some architectures.
    return (
        bool(real[:, 0].all())
        and bool((real[:, 1:] <= real[:, :-1]).all())
        and -(-count // width) * width < _FULL * real.numel()
    )


@cache
def _mpnet_takes_pairs() -> bool:
    """Whether MPNet's network takes a mask of pairs, which in transformers 5.0 it does not."""
    from transformers.models.mpnet import modeling_mpnet

    return hasattr(modeling_mpnet, "create_bidirectional_mask")


def _width(longest: int, tokens: int) -> int:
    step = _WIDTH if tokens >= _FEW else _NARROW
    return -(-longest // step) * step


def packed_vectors(model: Any, inputs: Features) -> Tensor:
    """``last_hidden_state`` (n, length, width) of a transformers model, computed on packed rows.

    Args:
        model: of a family for which :func:`packs` holds.
        inputs: ``input_ids``, ``attention_mask``, maybe ``token_type_ids``.
    """
    ids, config = inputs["input_ids"], model.config
    packing = pack(inputs["attention_mask"])
    first = config.pad_token_id + 1 if config.model_type in BEHIND_PADDING else 0
    # Empty places look at each other: a row of the mask without any token would make NaN.
    mask = packing.texts[:, None, :, None] == packing.texts[:, None, None, :]
    if config._attn_implementation == "eager":
        mask = torch.where(mask, 0.0, torch.finfo(model.dtype).min).to(model.dtype)
    extra = {}
    if "token_type_ids" in inputs:
        extra["token_type_ids"] = packing.packed(inputs["token_type_ids"], 0)
    outputs = model(
        input_ids=packing.packed(ids, config.pad_token_id or 0),
        attention_mask=mask,
        position_ids=packing.positions + first,
        return_dict=True,
        **extra,
    )
    return packing.unpacked(outputs.last_hidden_state, ids.shape)


def pack(mask: Tensor) -> Packing:
    """Lay texts into as few rows as first fit, longest first, finds.

    Args:
        mask: (n, length), 1 at the tokens of each text, which start at the left.
    """
    lengths = mask.sum(1).tolist()
    width = _width(max(lengths), sum(lengths))
    room: list[int] = []
    starts = [0] * len(lengths)
    for text in sorted(range(len(lengths)), key=lambda text: -lengths[text]):
        row = next((row for row, left in enumerate(room) if left >= lengths[text]), len(room))
        if row == len(room):
            room.append(width)
        starts[text] = row * width + width - room[row]
        room[row] -= lengths[text]
    counts = torch.tensor(lengths)
    numbers = torch.arange(len(lengths)).repeat_interleave(counts)
    places = torch.arange(len(numbers)) - (counts.cumsum(0) - counts)[numbers]
    targets = torch.tensor(starts)[numbers] + places
    texts = torch.full((len(room) * width,), -1)
    positions = torch.zeros(len(room) * width, dtype=torch.long)
    texts[targets], positions[targets] = numbers, places
    return Packing(
        mask.flatten().nonzero().flatten(), targets, texts.view(-1, width), positions.view(-1, width)
    )
