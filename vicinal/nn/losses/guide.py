"""A model whose vectors a loss reads and does not train."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vicinal.errors import InputTypeError
from vicinal.nn.losses.embed import Features, embed_columns


class GuideModel:
    """Embeds what another model reads, without dropout and without gradients.

    No torch module, so that a loss that holds one neither trains, nor saves, nor moves it.

    Args:
        model: the guide.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._compared: tuple[Any, bool] = (None, False)

    def embed(self, reader: Any, columns: list[Features]) -> list[Tensor]:
        """(n, dim) of each column of features that ``reader`` tokenized."""
        module = self.model if isinstance(self.model, torch.nn.Module) else self.model.module
        if module.training:
            module.eval()
        given = [_first_tensor(each).device for each in columns]
        with torch.no_grad():
            if self._reads_like(reader):
                read = columns
            else:
                read = [self._tokenized(reader, each) for each in columns]
            moved = [_to(each, getattr(self.model, "device", None)) for each in read]
            found = embed_columns(self.model, moved)
        return [each.to(device) for each, device in zip(found, given, strict=True)]

    def _reads_like(self, reader: Any) -> bool:
        """Whether the guide reads what ``reader`` does; vocabularies are compared once, and when one grew."""
        sizes = [_size_of(getattr(each, "tokenizer", None)) for each in (reader, self.model)]
        lengths = [getattr(each, "max_seq_length", None) for each in (reader, self.model)]
        key = (id(getattr(reader, "tokenizer", None)), *sizes, *lengths)
        if self._compared[0] != key:
            self._compared = (key, _same_tokens(reader, self.model))
        return self._compared[1]

    def _tokenized(self, reader: Any, features: Features) -> Features:
        texts = _texts(reader, features)
        read: Features = self.model.tokenize(texts)
        return read


def _size_of(tokenizer: Any) -> int | None:
    """Its words: transformers' tokenizers have a length, and those of tokenizers say a size."""
    if hasattr(tokenizer, "get_vocab_size"):
        return int(tokenizer.get_vocab_size())
    return len(tokenizer) if hasattr(tokenizer, "__len__") else None


def _same_tokens(reader: Any, guide: Any) -> bool:
    """Whether the guide reads the same ids, and as many of them."""
    one: Any
    other: Any
    one, other = (getattr(each, "tokenizer", None) for each in (reader, guide))
    if reader is guide or (one is None and other is None):
        return True
    if not (hasattr(one, "get_vocab") and hasattr(other, "get_vocab")):
        return False
    lengths = [getattr(each, "max_seq_length", None) for each in (reader, guide)]
    shorter = lengths[1] is not None and (lengths[0] is None or lengths[1] < lengths[0])
    return not shorter and bool(one.get_vocab() == other.get_vocab())


def _texts(reader: Any, features: Features) -> list[str]:
    """The texts of token ids, without padding and special tokens.

    Raises:
        InputTypeError: they cannot be read back.
    """
    tokenizer: Any = getattr(reader, "tokenizer", None)
    mask = features.get("attention_mask")
    if not hasattr(tokenizer, "decode") or not isinstance(mask, Tensor) or mask.ndim != 2:
        raise InputTypeError(
            "the guide has another tokenizer than the model, whose texts cannot be read back from its tokens: take a "
            "guide with the same tokenizer"
        )
    ids = [row[kept.bool()].tolist() for row, kept in zip(features["input_ids"], mask, strict=True)]
    return [tokenizer.decode(row, skip_special_tokens=True) for row in ids]


def _first_tensor(features: Features) -> Tensor:
    return next(value for value in features.values() if isinstance(value, Tensor))


def _to(features: Features, device: Any) -> Features:
    if device is None:
        return dict(features)
    return {
        key: value.to(str(device)) if isinstance(value, Tensor) else value for key, value in features.items()
    }
