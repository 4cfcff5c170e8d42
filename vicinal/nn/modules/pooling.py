"""Pooling: the vectors of a text's tokens become one vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from vicinal.core.inputs import check_choice, check_positive
from vicinal.errors import InputError, InputTypeError
from vicinal.folder.specs import POOLING_FLAGS
from vicinal.nn.modules.base import Features, Module

_SPELLINGS = {"mean_sqrt_len_tokens": "mean_sqrt_len"}


class Pooling(Module):
    """Pools token vectors.

    Args:
        embedding_dimension: width of a token's vector; ``word_embedding_dimension`` is its old name.
        pooling_mode: one mode or several, whose vectors are concatenated in this order: ``"mean"`` (default),
            ``"cls"`` (first token), ``"max"``, ``"mean_sqrt_len"`` (sum over the square root of the count),
            ``"weightedmean"`` (token i weighs i; Muennighoff 2022, SGPT), ``"lasttoken"``.
        include_prompt: whether a prompt's tokens take part.
        pooling_mode_cls_token, ...: the old switches, one a mode; they win over ``pooling_mode``.

    Reads ``token_embeddings`` ``(n, length, width)``, ``attention_mask``, ``token_weights_sum`` if there is one
    and, where prompts are left out, ``prompt_length``; writes ``sentence_embedding`` ``(n, width * modes)``. A
    text without tokens pools to 0.
    """

    #: the modes, as ``pooling_mode`` takes them
    POOLING_MODES: ClassVar[Sequence[str]] = (
        "cls",
        "max",
        "mean",
        "mean_sqrt_len_tokens",
        "weightedmean",
        "lasttoken",
    )

    def __init__(
        self,
        embedding_dimension: int | None = None,
        pooling_mode: str | Sequence[str] | None = None,
        include_prompt: bool = True,
        *,
        word_embedding_dimension: int | None = None,
        pooling_mode_cls_token: bool | None = None,
        pooling_mode_max_tokens: bool | None = None,
        pooling_mode_mean_tokens: bool | None = None,
        pooling_mode_mean_sqrt_len_tokens: bool | None = None,
        pooling_mode_weightedmean_tokens: bool | None = None,
        pooling_mode_lasttoken: bool | None = None,
    ) -> None:
        super().__init__()
        width = embedding_dimension if embedding_dimension is not None else word_embedding_dimension
        if width is None:
            raise InputTypeError("embedding_dimension is missing: give the width of a token's vector")
        check_positive(width, "embedding_dimension")
        self.embedding_dimension = int(width)
        self.include_prompt = include_prompt
        switches = {
            "cls": pooling_mode_cls_token,
            "max": pooling_mode_max_tokens,
            "mean": pooling_mode_mean_tokens,
            "mean_sqrt_len": pooling_mode_mean_sqrt_len_tokens,
            "weightedmean": pooling_mode_weightedmean_tokens,
            "lasttoken": pooling_mode_lasttoken,
        }
        self.modes = _modes(pooling_mode, switches)

    @property
    def pooling_mode(self) -> str | tuple[str, ...]:
        """The mode, or the modes in order."""
        return self.modes[0] if len(self.modes) == 1 else self.modes

    @pooling_mode.setter
    def pooling_mode(self, value: str | Sequence[str]) -> None:
        self.modes = _modes(value, dict.fromkeys(POOLING_FLAGS))

    @property
    def pooling_output_dimension(self) -> int:
        """Length of the pooled vector, as :meth:`get_embedding_dimension` says."""
        return self.get_embedding_dimension()

    @property
    def word_embedding_dimension(self) -> int:
        """The old name of ``embedding_dimension``."""
        return self.embedding_dimension

    def get_embedding_dimension(self) -> int:
        """Length of the pooled vector."""
        return self.embedding_dimension * len(self.modes)

    get_sentence_embedding_dimension = get_embedding_dimension

    def get_pooling_mode_str(self) -> str:
        """The modes with ``+`` between them."""
        return "+".join(self.modes)

    def forward(self, features: Features) -> Features:
        """Add ``sentence_embedding``."""
        tokens: Tensor = features["token_embeddings"]
        mask = features.get("attention_mask")
        mask = torch.ones(tokens.shape[:2], device=tokens.device) if mask is None else mask
        mask = mask.to(device=tokens.device)
        places = (mask.cumsum(1) - 1).clamp(min=0)  # of each token among the text's own, padding aside
        counts = mask > 0
        prompt = features.get("prompt_length")
        if not self.include_prompt and prompt is not None:
            length = int(prompt.flatten()[0]) if isinstance(prompt, Tensor) else int(prompt)
            counts = counts & (places >= length)
        pooled = [_POOLINGS[mode](tokens, counts, places) for mode in self.modes]
        total = features.get("token_weights_sum")
        if total is not None:  # WordWeights: the mean is weighted, so weights are what it is divided by
            ratio = _total(counts, tokens) / total.to(tokens.dtype)[:, None].clamp(min=1e-9)
            scales = {"mean": ratio, "mean_sqrt_len": ratio.sqrt()}
            pooled = [each * scales.get(mode, 1) for each, mode in zip(pooled, self.modes, strict=True)]
        features["sentence_embedding"] = pooled[0] if len(pooled) == 1 else torch.cat(pooled, 1)
        return features

    def get_config_dict(self) -> dict[str, Any]:
        """The spelling that readers of all years understand, as far as it can say the order of modes."""
        if tuple(mode for mode in POOLING_FLAGS if mode in self.modes) != self.modes:
            names = {"mean_sqrt_len": "mean_sqrt_len_tokens"}
            return {
                "embedding_dimension": self.embedding_dimension,
                "pooling_mode": [names.get(mode, mode) for mode in self.modes],
                "include_prompt": self.include_prompt,
            }
        return {
            "word_embedding_dimension": self.embedding_dimension,
            **{flag: mode in self.modes for mode, flag in POOLING_FLAGS.items()},
            "include_prompt": self.include_prompt,
        }


def _modes(named: str | Sequence[str] | None, switches: dict[str, bool | None]) -> tuple[str, ...]:
    switched = tuple(mode for mode in POOLING_FLAGS if switches[mode])
    if switched:
        return switched
    if named is None and any(value is not None for value in switches.values()):
        # Only the mean is on by default, so switching it off alone leaves nothing.
        if switches["mean"] is False:
            raise InputError(
                f"no pooling mode is switched on; set one of {', '.join(POOLING_FLAGS.values())}"
            )
        return ("mean",)
    wanted = [named] if isinstance(named, str) else list(named if named is not None else ["mean"])
    modes = tuple(_SPELLINGS.get(mode, mode) for mode in wanted)
    for mode in modes:
        check_choice(mode, tuple(POOLING_FLAGS), "pooling_mode")
    if not modes or len(set(modes)) < len(modes):
        raise InputError(f"pooling_mode={named!r}: give one mode or several different ones")
    return modes


def _weighted(tokens: Tensor, weight: Tensor) -> Tensor:
    """Sum of the token vectors with ``(n, length)`` weights."""
    return torch.einsum("nlw,nl->nw", tokens, weight.to(tokens.dtype))


def _total(weight: Tensor, tokens: Tensor) -> Tensor:
    return weight.sum(1, keepdim=True).to(tokens.dtype).clamp(min=1e-9)


def _mean(tokens: Tensor, counts: Tensor, places: Tensor) -> Tensor:
    return _weighted(tokens, counts) / _total(counts, tokens)


def _mean_sqrt_len(tokens: Tensor, counts: Tensor, places: Tensor) -> Tensor:
    return _weighted(tokens, counts) / _total(counts, tokens).sqrt()


def _weightedmean(tokens: Tensor, counts: Tensor, places: Tensor) -> Tensor:
    weight = (places + 1) * counts
    return _weighted(tokens, weight) / _total(weight, tokens)


def _max(tokens: Tensor, counts: Tensor, places: Tensor) -> Tensor:
    highest = tokens.masked_fill(~counts[:, :, None], -1e9 if tokens.dtype != torch.float16 else -6e4).amax(1)
    return highest * counts.any(1, keepdim=True)


def _cls(tokens: Tensor, counts: Tensor, places: Tensor) -> Tensor:
    first = counts & (counts.cumsum(1) == 1)
    return _weighted(tokens, first)


def _lasttoken(tokens: Tensor, counts: Tensor, places: Tensor) -> Tensor:
    last = counts & (counts.cumsum(1) == counts.sum(1, keepdim=True))
    return _weighted(tokens, last)


_POOLINGS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len": _mean_sqrt_len,
    "weightedmean": _weightedmean,
    "lasttoken": _lasttoken,
}
