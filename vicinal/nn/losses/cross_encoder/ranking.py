"""MultipleNegativesRankingLoss: the positive shall be scored above texts of the batch; and its kin of little memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from tqdm import tqdm

from vicinal.core.inputs import check_positive
from vicinal.nn.losses.base import LabelKind
from vicinal.nn.losses.cross_encoder.base import Activation, CrossEncoderLoss, Pair


class MultipleNegativesRankingLoss(CrossEncoderLoss):
    """Each query shall score its own positive above other texts: the cross-entropy of
    ``softmax(scale * activation(score))`` over the positive and its negatives.

    The negatives of a row are its own hard ones, if any, and ``num_negatives`` texts drawn without repetition
    from the positives and negatives of the other rows.

    Inputs: (query, positive) pairs, or (query, positive, negative, ...) tuples; no labels. A batch should not hold
    the same text twice.

    Args:
        model: the ``CrossEncoder`` to train, with one label.
        num_negatives: texts drawn for each row, by torch's random numbers; None takes all.
        scale: what the scores are multiplied by; the inverse of the temperature.
        activation_fn: what raw scores go through first; default a sigmoid.

    Relation to the others: needs no labels, unlike BinaryCrossEntropyLoss. A row costs ``1 + num_negatives`` pairs
    and its hard negatives; the cached variant does it in the memory of a few.

    Reference: Henderson et al., 2017, arXiv:1705.00652 (section 4.4); van den Oord et al., 2018, arXiv:1807.03748.

    Example::

        loss = losses.MultipleNegativesRankingLoss(model)
        examples = [InputExample(texts=["How to boil eggs?", "Cook the eggs for 8 minutes."])]
        model.fit(DataLoader(examples, batch_size=16, shuffle=True), loss_fct=loss)
    """

    columns = (2, None)
    labels: LabelKind = "none"
    citation = """@misc{henderson2017efficient, title={Efficient Natural Language Response Suggestion for Smart Reply},
author={Matthew Henderson and Rami Al-Rfou and Brian Strope and Yun-hsuan Sung and Laszlo Lukacs and Ruiqi Guo and
Sanjiv Kumar and Balint Miklos and Ray Kurzweil}, year={2017}, eprint={1705.00652}, archivePrefix={arXiv}}"""

    def __init__(
        self,
        model: Any,
        num_negatives: int | None = 4,
        scale: float = 10.0,
        activation_fn: Activation | None = torch.sigmoid,
    ) -> None:
        super().__init__(model, activation_fn)
        check_positive(num_negatives, "num_negatives")
        self.num_negatives = num_negatives
        self.scale = scale

    def _pairs(self, columns: list[list[str]]) -> list[Pair]:
        """Row by row: the positive, the drawn texts, the hard negatives."""
        queries, *documents = columns
        rows = len(queries)
        # (rows, rows - 1): the numbers of the other rows
        others = (
            torch.arange(rows).repeat(rows, 1)[~torch.eye(rows, dtype=torch.bool)].reshape(rows, rows - 1)
        )
        # (rows, others of all columns), as places in the documents laid end to end
        drawn = torch.cat([others + number * rows for number in range(len(documents))], dim=1)
        if self.num_negatives is not None and self.num_negatives < drawn.shape[1]:
            chosen = torch.rand(drawn.shape).topk(self.num_negatives, dim=1).indices
            drawn = drawn.gather(1, chosen)
        flat = [text for column in documents for text in column]
        return [
            (query, flat[place])
            for row, query in enumerate(queries)
            for place in [row, *drawn[row].tolist(), *range(row + rows, len(flat), rows)]
        ]

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        logits = embeddings[0] * self.scale  # the positive's place is 0
        return (logits.logsumexp(dim=1) - logits[:, 0]).mean()

    def get_config_dict(self) -> dict[str, Any]:
        return {"scale": self.scale, "num_negatives": self.num_negatives, **super().get_config_dict()}


class CachedMultipleNegativesRankingLoss(MultipleNegativesRankingLoss):
    """MultipleNegativesRankingLoss with the same value and gradients in the memory of a few pairs.

    Pairs are scored in mini-batches of which nothing but the scores is kept; ``backward`` scores each mini-batch
    once more, with the same dropout, and hands its gradients on. That costs about a third more time.

    Inputs: (query, positive) pairs, or (query, positive, negative, ...) tuples; no labels.

    Args:
        model, num_negatives, scale, activation_fn: as in MultipleNegativesRankingLoss.
        mini_batch_size: pairs that are scored at a time: what bounds the memory.
        show_progress_bar: show the mini-batches of each step.

    Relation to the others: take the plain loss while the batch fits into memory.

    Reference: Gao, Zhang, Han and Callan, 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited
    Setup", arXiv:2101.06983; Chen et al., 2016, "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174.

    Example::

        loss = losses.CachedMultipleNegativesRankingLoss(model, num_negatives=16, mini_batch_size=32)
        examples = [InputExample(texts=["How to boil eggs?", "Cook the eggs for 8 minutes."])]
        model.fit(DataLoader(examples, batch_size=256, shuffle=True), loss_fct=loss)
    """

    citation = """@misc{gao2021scaling, title={Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup},
author={Luyu Gao and Yunyi Zhang and Jiawei Han and Jamie Callan}, year={2021}, eprint={2101.06983},
archivePrefix={arXiv}}"""

    def __init__(
        self,
        model: Any,
        num_negatives: int | None = 4,
        scale: float = 10.0,
        activation_fn: Activation | None = torch.sigmoid,
        mini_batch_size: int = 32,
        show_progress_bar: bool = False,
    ) -> None:
        super().__init__(model, num_negatives, scale, activation_fn)
        check_positive(mini_batch_size, "mini_batch_size")
        self.mini_batch_size = mini_batch_size
        self.show_progress_bar = show_progress_bar

    def score(self, pairs: Any) -> Tensor:
        """As the base's, in mini-batches, longest pairs first, that are computed again in ``backward``."""
        order = sorted(range(len(pairs)), key=lambda place: -len(pairs[place][0]) - len(pairs[place][1]))
        starts: Any = range(0, len(pairs), self.mini_batch_size)
        if self.show_progress_bar:
            starts = tqdm(starts, desc="score", leave=False)
        score = super().score
        scored = [
            checkpoint(
                score,
                [pairs[place] for place in order[at : at + self.mini_batch_size]],
                use_reentrant=False,
            )
            for at in starts
        ]
        places = torch.tensor(order).argsort()
        joined = torch.cat(scored)
        return joined[places.to(joined.device)]

    def get_config_dict(self) -> dict[str, Any]:
        return {**super().get_config_dict(), "mini_batch_size": self.mini_batch_size}
