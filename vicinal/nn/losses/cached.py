"""Ranking losses of any batch size in constant memory, by a gradient cache (Gao et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from vicinal.nn.losses.distances import Similarity
from vicinal.nn.losses.gradient_cache import GradientCache, by_blocks
from vicinal.nn.losses.ranking import Direction, Hardness, MultipleNegativesRankingLoss, Partition


class CachedMultipleNegativesRankingLoss(GradientCache, MultipleNegativesRankingLoss):
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
    uncached = "MultipleNegativesRankingLoss"

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
        self._set_mini_batches(mini_batch_size, mini_batch_num_tokens, show_progress_bar)

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        everything, first = self._gathered(embeddings)

        def losses_of(block: slice) -> Tensor:
            return self._row_losses(
                embeddings[0][block], embeddings[1][block], everything, first + block.start
            )

        return by_blocks(losses_of, len(embeddings[0]), self.mini_batch_size).mean()

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
