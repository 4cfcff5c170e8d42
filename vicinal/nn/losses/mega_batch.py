"""MegaBatchMarginLoss: a margin to the hardest negative of a large batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vicinal.errors import InputError
from vicinal.nn.losses.embed import Features
from vicinal.nn.losses.gradient_cache import GradientCache, by_blocks


class MegaBatchMarginLoss(GradientCache):
    """A pair shall have a high cosine, and the anchor a low one with the most similar of all other positives:
    ``mean(max(0, positive_margin - cos(a_i, p_i)) + max(0, max_j!=i cos(a_i, p_j) - negative_margin))``.

    Inputs: (anchor, positive) pairs; no labels. Batches should be large (500 and more), without repeated texts.

    Args:
        model: the model to train.
        positive_margin: pairs need no higher cosine than this.
        negative_margin: others need no lower cosine than this.
        use_mini_batched_version: embed in mini-batches, with the same value and gradients in the memory of one; False
            embeds all at once.
        mini_batch_size: texts that are embedded, and rows that are compared, at a time.
        mini_batch_num_tokens: if given, texts are cut into mini-batches by this number of tokens instead.
        show_progress_bar: show the mini-batches of each step.

    Relation to the others: for paraphrases. MultipleNegativesRankingLoss learns from all negatives of the batch, and
    takes hard ones of the data.

    Reference: Wieting and Gimpel, 2018, "ParaNMT-50M", https://aclanthology.org/P18-1042 (section 4.2).

    Example::

        loss = losses.MegaBatchMarginLoss(model)
        examples = [InputExample(texts=["How old are you?", "What is your age?"])]
        model.fit([(DataLoader(examples, batch_size=500, shuffle=True), loss)])

    Raises:
        InputError: a batch has a single row.
    """

    citation = """@inproceedings{wieting-gimpel-2018-paranmt, title={{P}ara{NMT}-50{M}: Pushing the Limits of
Paraphrastic Sentence Embeddings with Millions of Machine Translations}, author={Wieting, John and Gimpel, Kevin},
booktitle={Proceedings of the 56th Annual Meeting of the Association for Computational Linguistics}, year={2018},
pages={451--462}, url={https://aclanthology.org/P18-1042}}"""
    uncached = "MegaBatchMarginLoss(use_mini_batched_version=False)"

    def __init__(
        self,
        model: Any,
        positive_margin: float = 0.8,
        negative_margin: float = 0.3,
        use_mini_batched_version: bool = True,
        mini_batch_size: int = 50,
        mini_batch_num_tokens: int | None = None,
        show_progress_bar: bool = False,
    ) -> None:
        super().__init__(model)
        self.positive_margin = positive_margin
        self.negative_margin = negative_margin
        self.use_mini_batched_version = use_mini_batched_version
        self._set_mini_batches(mini_batch_size, mini_batch_num_tokens, show_progress_bar)

    def through(self, features: list[Features], function: Callable[[list[Tensor]], Tensor]) -> Tensor:
        if self.use_mini_batched_version:
            return super().through(features, function)
        return function(self.embed(features))

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        anchors, positives = (normalize(each, dim=-1) for each in embeddings)
        rows = len(anchors)
        if rows < 2:
            raise InputError(
                f"{self.name} got a batch of {rows} row: an anchor's negatives are other rows, so give 2 or more"
            )

        def losses_of(block: slice) -> Tensor:
            cosines = anchors[block] @ positives.T
            own = torch.arange(block.start, block.start + len(cosines), device=cosines.device)[:, None]
            positive = cosines.gather(1, own)[:, 0]
            hardest = cosines.scatter(1, own, float("-inf")).amax(dim=1)
            return (self.positive_margin - positive).relu() + (hardest - self.negative_margin).relu()

        size = self.mini_batch_size if self.use_mini_batched_version else rows
        return by_blocks(losses_of, rows, size).mean()

    def get_config_dict(self) -> dict[str, Any]:
        return {
            "positive_margin": self.positive_margin,
            "negative_margin": self.negative_margin,
            "use_mini_batched_version": self.use_mini_batched_version,
            "mini_batch_size": self.mini_batch_size,
            "mini_batch_num_tokens": self.mini_batch_num_tokens,
        }
