"""ADRMSELoss: the ranks of a list shall be the right ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vicinal.core.inputs import as_number
from vicinal.nn.losses.cross_encoder.base import Activation
from vicinal.nn.losses.cross_encoder.lists import ListwiseLoss, mean_of


class ADRMSELoss(ListwiseLoss):
    """The rank of each document shall be the one that its label gives: the squared difference, divided by
    ``log2(1 + right rank)``; the mean over the documents of the batch.

    A rank is made differentiable as 1 plus, for each other document, ``sigmoid(alpha * (its score - this score))``.
    Documents with equal labels share the mean of their ranks.

    Inputs: (query, [document, ...]) with a relevance for each document.

    Args:
        model: the ``CrossEncoder`` to train, with one label.
        alpha: the larger, the closer the ranks are to whole ones, and the smaller the gradients of clear cases.
        activation_fn: what raw scores go through first; default nothing.
        mini_batch_size: pairs that go through the model at a time; None for as many as there are queries, 0 or less
            for all. It changes neither the loss nor the gradients.

    Relation to the others: made to distil the order that a large language model gives; RankNetLoss is about as good.

    Reference: Schlatt, Fröbe, Scells, Zhuang, Koopman, Zuccon, Stein, Potthast and Hagen, 2025, "Rank-DistiLLM: Closing
    the Effectiveness Gap Between Cross-Encoders and LLMs for Passage Re-Ranking", arXiv:2405.07920.

    Example::

        documents = ["Cook the eggs for 8 minutes.", "Eggs come from hens."]
        rows = [{"query": "How to boil eggs?", "documents": documents, "labels": [1.0, 0.0]}]
        trainer = CrossEncoderTrainer(model, train_dataset=rows, loss=losses.ADRMSELoss(model))
        trainer.train()
    """

    citation = """@inproceedings{schlatt2025rank, title={Rank-DistiLLM: Closing the Effectiveness Gap Between
Cross-Encoders and LLMs for Passage Re-Ranking}, author={Ferdinand Schlatt and Maik Fr{\\"o}be and Harrisen Scells and
Shengyao Zhuang and Bevan Koopman and Guido Zuccon and Benno Stein and Martin Potthast and Matthias Hagen},
booktitle={Advances in Information Retrieval}, year={2025}, eprint={2405.07920}, archivePrefix={arXiv}}"""

    def __init__(
        self,
        model: Any,
        alpha: float = 1.0,
        activation_fn: Activation | None = None,
        mini_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, activation_fn, mini_batch_size)
        self.alpha = as_number(alpha, "alpha", 0.0, float("inf"), "the steepness of the ranks")

    def approximate_ranks(self, scores: Tensor, mask: Tensor) -> Tensor:
        """(rows, documents) differentiable ranks of scores; what stands in padded places means nothing."""
        above = torch.sigmoid(self.alpha * (scores.unsqueeze(1) - scores.unsqueeze(2)))
        itself = torch.eye(scores.shape[1], dtype=torch.bool, device=scores.device)
        return 1 + above.masked_fill(~mask.unsqueeze(1) | itself, 0.0).sum(dim=2)

    def _list_loss(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        others = mask.unsqueeze(1)
        above = (labels.unsqueeze(1) > labels.unsqueeze(2)) & others
        tied = (labels.unsqueeze(1) == labels.unsqueeze(2)) & others  # with itself among them
        wanted = above.sum(dim=2) + (tied.sum(dim=2) + 1) / 2
        errors = (self.approximate_ranks(scores, mask) - wanted) ** 2
        return mean_of(errors / torch.log2(1 + wanted), mask)

    def get_config_dict(self) -> dict[str, Any]:
        return {"alpha": self.alpha, **super().get_config_dict()}
