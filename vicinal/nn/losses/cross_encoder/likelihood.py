"""Losses of the probability of a whole list: ListNetLoss, ListMLELoss and PListMLELoss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vicinal.errors import InputError, InputTypeError
from vicinal.nn.losses.cross_encoder.base import Activation
from vicinal.nn.losses.cross_encoder.lists import ListwiseLoss, OfRanks

# Far below any score, and finite: gradients of logcumsumexp at -inf are not a number.
_LOWEST = -1e30
# 2 ** 64 is exact and far from overflow in float32.
_LARGEST_EXPONENT = 64


class ListNetLoss(ListwiseLoss):
    """The softmax of a list's scores shall be the softmax of its labels: the cross-entropy of the two, averaged over
    the lists.

    Inputs: (query, [document, ...]) with a relevance for each document.

    Args:
        model: the ``CrossEncoder`` to train, with one label.
        activation_fn: what raw scores go through first; default nothing.
        mini_batch_size: pairs that go through the model at a time; None for as many as there are queries, 0 or less
            for all. It changes neither the loss nor the gradients.

    Relation to the others: fits where labels are scores of a teacher, whose differences mean something. For grades of
    relevance take LambdaLoss.

    Reference: Cao, Qin, Liu, Tsai and Li, 2007, "Learning to Rank: From Pairwise Approach to Listwise Approach", ICML.

    Example::

        documents = ["Cook the eggs for 8 minutes.", "Eggs come from hens."]
        rows = [{"query": "How to boil eggs?", "documents": documents, "labels": [1.0, 0.0]}]
        trainer = CrossEncoderTrainer(model, train_dataset=rows, loss=losses.ListNetLoss(model))
        trainer.train()
    """

    citation = """@inproceedings{cao2007learning, title={Learning to Rank: From Pairwise Approach to Listwise Approach},
author={Zhe Cao and Tao Qin and Tie-Yan Liu and Ming-Feng Tsai and Hang Li}, booktitle={Proceedings of the 24th
International Conference on Machine Learning}, pages={129--136}, year={2007}}"""

    def _list_loss(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        nothing = -torch.inf
        wanted = labels.masked_fill(~mask, nothing).softmax(dim=1)
        logs = scores.masked_fill(~mask, nothing).log_softmax(dim=1).masked_fill(~mask, 0.0)
        return -(wanted * logs).sum(dim=1).mean()


class PListMLELambdaWeight(nn.Module):  # type: ignore[misc, unused-ignore]
    """How much each rank of a list counts in PListMLELoss: ``2 ** (n - rank) - 1`` in a list of n documents.

    Args:
        rank_discount_fn: a function of the ranks, a float tensor of 1, 2, 3, ... in each row, to take instead.
    """

    def __init__(self, rank_discount_fn: OfRanks | None = None) -> None:
        super().__init__()
        if rank_discount_fn is not None and not callable(rank_discount_fn):
            raise InputTypeError(
                f"rank_discount_fn={rank_discount_fn!r} is {type(rank_discount_fn).__name__}: give a function of ranks"
            )
        self.rank_discount_fn = rank_discount_fn

    def forward(self, mask: Tensor) -> Tensor:
        """The weights of lists, each up to a factor of its own that PListMLELoss divides by.

        Args:
            mask: (rows, documents), True where there is a document.

        Returns:
            (rows, documents) float32; 0 where there is none.
        """
        ranks = torch.arange(1, mask.shape[1] + 1, device=mask.device, dtype=torch.float32).expand(mask.shape)
        if self.rank_discount_fn is not None:
            weights = torch.as_tensor(self.rank_discount_fn(ranks), device=mask.device)
            if weights.shape != mask.shape:
                raise InputError(
                    f"rank_discount_fn gave shape {tuple(weights.shape)} for ranks of shape {tuple(mask.shape)}: it "
                    "shall give a weight for each rank"
                )
        else:
            count = mask.sum(dim=1, keepdim=True)
            # Long lists are scaled down as a whole, by a power of two.
            top = count.clamp(max=_LARGEST_EXPONENT)
            weights = torch.exp2(top - ranks) - torch.exp2((top - count).float())
        return weights.masked_fill(~mask, 0.0)


_BY_RANK = PListMLELambdaWeight()


class PListMLELoss(ListwiseLoss):
    """The right order of a list shall be likely, and its first ranks count more: the negative log-likelihood of the
    Plackett-Luce model, rank by rank, times weights that sum to 1 in each list; averaged over the lists.

    Inputs: (query, [document, ...]) with a relevance for each document.

    Args:
        model: the ``CrossEncoder`` to train, with one label.
        lambda_weight: how much each rank counts, default PListMLELambdaWeight(); None for 1 each, unscaled, which is
            ListMLELoss.
        activation_fn: what raw scores go through first; default nothing.
        mini_batch_size: pairs that go through the model at a time; None for as many as there are queries, 0 or less
            for all. It changes neither the loss nor the gradients.
        respect_input_order: the documents come in the right order, the most relevant first, and labels are not looked
            at. False sorts them by their labels; documents with equal labels stay in the order in which they come.

    Relation to the others: ListMLELoss gives all ranks the same weight. LambdaLoss leaves ties open.

    Reference: Lan, Zhu, Guo, Niu and Cheng, 2014, "Position-Aware ListMLE: A Sequential Learning Process for Ranking",
    UAI.

    Example::

        documents = ["Cook the eggs for 8 minutes.", "Eggs come from hens."]
        rows = [{"query": "How to boil eggs?", "documents": documents, "labels": [1.0, 0.0]}]
        trainer = CrossEncoderTrainer(model, train_dataset=rows, loss=losses.PListMLELoss(model))
        trainer.train()
    """

    citation = """@inproceedings{lan2014position, title={Position-Aware ListMLE: A Sequential Learning Process for
Ranking}, author={Yanyan Lan and Yadong Zhu and Jiafeng Guo and Shuzi Niu and Xueqi Cheng}, booktitle={Proceedings of
the 30th Conference on Uncertainty in Artificial Intelligence}, pages={449--458}, year={2014}}"""

    def __init__(
        self,
        model: Any,
        lambda_weight: PListMLELambdaWeight | None = _BY_RANK,
        activation_fn: Activation | None = None,
        mini_batch_size: int | None = None,
        respect_input_order: bool = True,
    ) -> None:
        super().__init__(model, activation_fn, mini_batch_size)
        if lambda_weight is not None and not callable(lambda_weight):
            raise InputTypeError(
                f"lambda_weight={lambda_weight!r} is {type(lambda_weight).__name__}: give a PListMLELambdaWeight"
            )
        self.lambda_weight = lambda_weight
        self.respect_input_order = respect_input_order

    def _list_loss(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        if not self.respect_input_order:
            # Padded places stay behind all others.
            order = labels.masked_fill(~mask, -torch.inf).argsort(dim=1, descending=True, stable=True)
            scores = scores.gather(1, order)
        # The loss looks at differences alone, and the gradients of logcumsumexp are exact near 0.
        scores = scores.masked_fill(~mask, _LOWEST)
        scores = scores - scores.amax(dim=1, keepdim=True).detach()
        # Of each rank: the log of the sum over the documents that are left.
        left = scores.flip(1).logcumsumexp(dim=1).flip(1)
        losses = (left - scores).masked_fill(~mask, 0.0)
        if self.lambda_weight is not None:
            weights = self.lambda_weight(mask).to(losses)
            total = weights.sum(dim=1, keepdim=True)
            losses = losses * (weights / torch.where(total == 0, 1.0, total))
        return losses.sum(dim=1).mean()

    def get_config_dict(self) -> dict[str, Any]:
        weight = None if self.lambda_weight is None else type(self.lambda_weight).__name__
        return {
            "lambda_weight": weight,
            **super().get_config_dict(),
            "respect_input_order": self.respect_input_order,
        }


class ListMLELoss(PListMLELoss):
    """The right order of a list shall be likely: the negative log-likelihood of the Plackett-Luce model, averaged over
    the lists.

    Inputs: (query, [document, ...]) with a relevance for each document.

    Args:
        model: the ``CrossEncoder`` to train, with one label.
        activation_fn, mini_batch_size, respect_input_order: as in PListMLELoss.

    Relation to the others: PListMLELoss, which counts the first ranks more, is usually better.

    Reference: Xia, Liu, Wang, Zhang and Li, 2008, "Listwise Approach to Learning to Rank: Theory and Algorithm", ICML.

    Example::

        documents = ["Cook the eggs for 8 minutes.", "Eggs come from hens."]
        rows = [{"query": "How to boil eggs?", "documents": documents, "labels": [1.0, 0.0]}]
        trainer = CrossEncoderTrainer(model, train_dataset=rows, loss=losses.ListMLELoss(model))
        trainer.train()
    """

    citation = """@inproceedings{xia2008listwise, title={Listwise Approach to Learning to Rank: Theory and Algorithm},
author={Fen Xia and Tie-Yan Liu and Jue Wang and Wensheng Zhang and Hang Li}, booktitle={Proceedings of the 25th
International Conference on Machine Learning}, pages={1192--1199}, year={2008}}"""

    def __init__(
        self,
        model: Any,
        activation_fn: Activation | None = None,
        mini_batch_size: int | None = None,
        respect_input_order: bool = True,
    ) -> None:
        super().__init__(model, None, activation_fn, mini_batch_size, respect_input_order)

    def get_config_dict(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config_dict().items() if key != "lambda_weight"}
