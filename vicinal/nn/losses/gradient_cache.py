"""Losses of large batches in the memory of small ones, by a gradient cache (Gao et al., 2021)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from tqdm import tqdm

from vicinal.core.inputs import check_positive
from vicinal.errors import InputError
from vicinal.nn.losses.base import Loss
from vicinal.nn.losses.embed import Features


class GradientCache(Loss):
    """Base of the cached losses: texts are embedded in mini-batches, twice, and only one holds a graph at a time.

    The embeddings are computed without a graph; the loss gives the gradient of each; ``backward`` then embeds each
    mini-batch once more, with a graph and the same dropout, and hands its gradients on.
    """

    #: what to take where texts cannot be cut into mini-batches, for the error
    uncached: ClassVar[str]
    mini_batch_size: int
    mini_batch_num_tokens: int | None
    show_progress_bar: bool

    def _set_mini_batches(self, size: int, tokens: int | None, show_progress_bar: bool) -> None:
        check_positive(size, "mini_batch_size")
        check_positive(tokens, "mini_batch_num_tokens")
        self.mini_batch_size = size
        self.mini_batch_num_tokens = tokens
        self.show_progress_bar = show_progress_bar

    def through(self, features: list[Features], function: Callable[[list[Tensor]], Tensor]) -> Tensor:
        """``function(embeddings)``; its ``backward`` fills the model's gradients, mini-batch by mini-batch."""
        passes = self.mini_batches(features)
        states: list[_Randomness] = []
        parts: list[list[Tensor]] = [[] for _ in features]
        setting = _autocast_setting(features)
        with torch.no_grad(), torch.autocast(**setting):
            for each in self._shown(passes, "embed"):
                states.append(_Randomness())
                parts[each.column].append(self.model(each.of(features))["sentence_embedding"])
        embeddings = [torch.cat(part) for part in parts]
        if not torch.is_grad_enabled():
            return function(embeddings)
        leaves = [each.requires_grad_() for each in embeddings]
        own = [each for each in self.parameters() if each.requires_grad]
        loss = function(leaves)
        gradients = torch.autograd.grad(loss, [*leaves, *own], allow_unused=True)
        answer = loss.detach().requires_grad_()

        def backward(upstream: Tensor) -> None:
            for parameter, gradient in zip(own, gradients[len(leaves) :], strict=True):
                if gradient is not None:
                    step = gradient * upstream
                    parameter.grad = step if parameter.grad is None else parameter.grad + step
            for each, state in self._shown(list(zip(passes, states, strict=True)), "backward"):
                gradient = gradients[each.column]
                if gradient is None:  # the column has no part in the loss
                    continue
                with torch.enable_grad(), torch.autocast(**setting), state:
                    again = self.model(each.of(features))["sentence_embedding"]
                if again.requires_grad:
                    again.backward((gradient[each.start : each.stop] * upstream).to(again.dtype))

        answer.register_hook(backward)
        return answer

    def mini_batches(self, features: list[Features]) -> list[_Pass]:
        """The mini-batches of all columns, in order."""
        return [each for i, column in enumerate(features) for each in self._cut(i, column)]

    def _cut(self, column: int, features: Features) -> Iterator[_Pass]:
        """The mini-batches of a column, in order."""
        mask = features.get("attention_mask")
        if not isinstance(mask, Tensor) or mask.ndim != 2:
            raise InputError(
                f"{self.name} got a column without a 2-D attention_mask, which cannot be cut into mini-batches "
                f"(static embeddings?): take {self.uncached}"
            )
        counts = mask.sum(dim=1).tolist() if self.mini_batch_num_tokens else []
        start = tokens = 0
        for row in range(len(mask)):
            if self.mini_batch_num_tokens:
                full = tokens + counts[row] > self.mini_batch_num_tokens
                tokens = counts[row] if full else tokens + counts[row]
            else:
                full = row - start == self.mini_batch_size
            if full and row > start:
                yield _Pass(column, start, row)
                start = row
        yield _Pass(column, start, len(mask))

    def _shown(self, items: list[Any], what: str) -> Any:
        return tqdm(items, desc=what, leave=False) if self.show_progress_bar else items


def by_blocks(losses_of: Callable[[slice], Tensor], rows: int, size: int) -> Tensor:
    """(rows,) losses, of ``size`` rows at a time; what a block holds is computed again in backward, not kept."""
    blocks = [slice(start, start + size) for start in range(0, rows, size)]
    return torch.cat(
        [checkpoint(losses_of, each, use_reentrant=False, preserve_rng_state=False) for each in blocks]
    )


class _Pass(NamedTuple):
    """Rows of a column that go through the model together."""

    column: int
    start: int
    stop: int

    def of(self, features: list[Features]) -> Features:
        """Their features, without the padding on the right that they do not need."""
        mask = features[self.column]["attention_mask"]
        shape = mask.shape
        used = mask[self.start : self.stop].any(dim=0).nonzero()
        width = int(used[-1]) + 1 if len(used) else shape[1]
        return {
            key: value[self.start : self.stop, :width]
            if isinstance(value, Tensor) and value.shape == shape
            else value[self.start : self.stop]
            if isinstance(value, Tensor) and value.ndim and len(value) == len(mask)
            else value
            for key, value in features[self.column].items()
        }


class _Randomness:
    """The state of the random numbers when it was made; as a context, that state again, for a while."""

    def __init__(self) -> None:
        self.cpu = torch.get_rng_state()
        used = torch.cuda.is_available() and torch.cuda.is_initialized()
        self.cuda = torch.cuda.get_rng_state_all() if used else []

    def __enter__(self) -> None:
        self.outside = _Randomness()
        self._restore()

    def __exit__(self, *error: object) -> None:
        self.outside._restore()

    def _restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)


def _autocast_setting(features: list[Features]) -> dict[str, Any]:
    """The present autocast, for both embeddings: ``backward`` runs outside of the caller's.

    Without its cache, in which the weights cast by the pass without a graph would hide the weights themselves.
    """
    kind = next((value.device.type for value in features[0].values() if isinstance(value, Tensor)), "cpu")
    return {
        "device_type": kind,
        "dtype": torch.get_autocast_dtype(kind),
        "enabled": torch.is_autocast_enabled(kind),
        "cache_enabled": False,
    }
