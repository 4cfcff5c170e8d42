"""Ranking losses of any batch size in constant memory, by a gradient cache (Gao et al., 2021)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from tqdm import tqdm

from vicinal.core.inputs import check_positive
from vicinal.errors import InputError
from vicinal.nn.losses.distances import Similarity
from vicinal.nn.losses.embed import Features
from vicinal.nn.losses.ranking import Direction, Hardness, MultipleNegativesRankingLoss, Partition


class CachedMultipleNegativesRankingLoss(MultipleNegativesRankingLoss):
    """MultipleNegativesRankingLoss with the same value and gradients in the memory of a small batch.

    The texts are embedded in mini-batches without a graph; the loss gives the gradient of each embedding;
    ``backward`` then embeds each mini-batch once more, with a graph and the same dropout, and hands its
    gradients on. So batches of thousands fit, for about 1.3 times the computation.

    Inputs: (query, positive) pairs or tuples with hard negatives; no labels.

    Args:
        model: the model to train.
        scale, similarity_fct, gather_across_devices, directions, partition_mode, hardness_mode,
            hardness_strength: as in MultipleNegativesRankingLoss.
        mini_batch_size: texts that are embedded, and rows that are compared, at a time: what bounds the memory.
        mini_batch_num_tokens: if given, texts are cut into mini-batches by this number of tokens instead.
        show_progress_bar: show the mini-batches of each step.

    Relation to the others: take the plain loss while the batch fits into memory.

    Reference: Gao, Zhang, Han and Callan, 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited
    Setup", arXiv:2101.06983.

    Example::

        loss = losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=32)
        examples = [InputExample(texts=["How to boil eggs?", "Cook the eggs for 8 minutes."])]
        model.fit([(DataLoader(examples, batch_size=2048, shuffle=True), loss)])
    """

    citation = """@misc{gao2021scaling, title={Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup},
author={Luyu Gao and Yunyi Zhang and Jiawei Han and Jamie Callan}, year={2021}, eprint={2101.06983},
archivePrefix={arXiv}}"""

    def __init__(
        self,
        model: Any,
        scale: float = 20.0,
        similarity_fct: Similarity | None = None,
        mini_batch_size: int = 32,
        mini_batch_num_tokens: int | None = None,
        gather_across_devices: bool = False,
        directions: Sequence[Direction] = ("query_to_doc",),
        partition_mode: Partition = "joint",
        show_progress_bar: bool = False,
        hardness_mode: Hardness | None = None,
        hardness_strength: float = 0.0,
    ) -> None:
        super().__init__(
            model,
            scale,
            similarity_fct,
            gather_across_devices,
            directions,
            partition_mode,
            hardness_mode,
            hardness_strength,
        )
        check_positive(mini_batch_size, "mini_batch_size")
        check_positive(mini_batch_num_tokens, "mini_batch_num_tokens")
        self.mini_batch_size = mini_batch_size
        self.mini_batch_num_tokens = mini_batch_num_tokens
        self.show_progress_bar = show_progress_bar

    def through(self, features: list[Features], function: Callable[[list[Tensor]], Tensor]) -> Tensor:
        """``function(embeddings)``; its ``backward`` fills the model's gradients, mini-batch by mini-batch."""
        passes = [each for i, column in enumerate(features) for each in self._cut(i, column)]
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

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        everything, first = self._gathered(embeddings)
        rows = []
        for start in range(0, len(embeddings[0]), self.mini_batch_size):
            block = slice(start, start + self.mini_batch_size)
            arguments = (embeddings[0][block], embeddings[1][block], everything, first + start)
            # The block's similarities are computed again in backward instead of being kept.
            rows.append(
                checkpoint(self._row_losses, *arguments, use_reentrant=False, preserve_rng_state=False)
            )
        return torch.cat(rows).mean()

    def _cut(self, column: int, features: Features) -> Iterator[_Pass]:
        """The mini-batches of a column, in order."""
        mask = features.get("attention_mask")
        if not isinstance(mask, Tensor) or mask.ndim != 2:
            raise InputError(
                f"{self.name} got a column without a 2-D attention_mask, which cannot be cut into mini-batches "
                "(static embeddings?): take MultipleNegativesRankingLoss"
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

    def get_config_dict(self) -> dict[str, Any]:
        return {
            **super().get_config_dict(),
            "mini_batch_size": self.mini_batch_size,
            "mini_batch_num_tokens": self.mini_batch_num_tokens,
        }


class CachedMultipleNegativesSymmetricRankingLoss(CachedMultipleNegativesRankingLoss):
    """MultipleNegativesSymmetricRankingLoss with the gradient cache.

    Inputs: (query, positive) pairs or tuples with hard negatives; no labels.

    Args:
        model: the model to train.
        scale, similarity_fct, gather_across_devices: as in MultipleNegativesSymmetricRankingLoss.
        mini_batch_size, mini_batch_num_tokens, show_progress_bar: as in CachedMultipleNegativesRankingLoss.

    Relation to the others: take the plain loss while the batch fits into memory.

    Reference: as for the two losses that it joins.

    Example::

        loss = losses.CachedMultipleNegativesSymmetricRankingLoss(model, mini_batch_size=32)
        examples = [InputExample(texts=["How old are you?", "What is your age?"])]
        model.fit([(DataLoader(examples, batch_size=2048, shuffle=True), loss)])
    """

    def __init__(
        self,
        model: Any,
        scale: float = 20.0,
        similarity_fct: Similarity | None = None,
        mini_batch_size: int = 32,
        mini_batch_num_tokens: int | None = None,
        gather_across_devices: bool = False,
        show_progress_bar: bool = False,
    ) -> None:
        super().__init__(
            model,
            scale,
            similarity_fct,
            mini_batch_size,
            mini_batch_num_tokens,
            gather_across_devices,
            directions=("query_to_doc", "doc_to_query"),
            partition_mode="per_direction",
            show_progress_bar=show_progress_bar,
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
