"""Losses of the pairs of documents in a list: LambdaLoss and RankNetLoss."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from vicinal.core.inputs import as_number, check_choice, check_positive
from vicinal.errors import InputTypeError
from vicinal.nn.losses.cross_encoder.base import Activation
from vicinal.nn.losses.cross_encoder.lists import ListwiseLoss, mean_of
from vicinal.nn.losses.cross_encoder.weighting import (
    BaseWeightingScheme,
    NDCGLoss2PPScheme,
    NoWeightingScheme,
)

_INFINITY = float("inf")
_NDCG_LOSS2PP = NDCGLoss2PPScheme()


class LambdaLoss(ListwiseLoss):
    """The more relevant of two documents shall have the higher score: the log-loss of ``sigmoid(sigma * difference)``,
    times a weight that says how much the pair matters for NDCG; the mean over the pairs of the batch.

    Inputs: (query, [document, ...]) with a relevance for each document: 0, 1, 2, ... or any number from 0 on.

    Args:
        model: the ``CrossEncoder`` to train, with one label.
        weighting_scheme: NDCGLoss2PPScheme (default), NDCGLoss2Scheme, NDCGLoss1Scheme, LambdaRankScheme, or
            NoWeightingScheme (also None); or a BaseWeightingScheme of your own.
        k: only pairs with one of the k best scored documents count, and gains are divided by the ideal DCG@k; None for
            all pairs.
        sigma: what differences of scores are multiplied by.
        eps: the least ideal DCG that gains are divided by: lists without anything relevant stay without weight.
        reduction_log: base of the logarithm: 2 for ``"binary"``, e for ``"natural"``.
        activation_fn: what raw scores go through first; default nothing.
        mini_batch_size: pairs that go through the model at a time; None for as many as there are queries, 0 or less
            for all. It changes neither the loss nor the gradients.

    Relation to the others: the first choice for grades of relevance. RankNetLoss is this one without weights.

    Reference: Wang, Li, Golbandi, Bendersky and Najork, 2018, "The LambdaLoss Framework for Ranking Metric
    Optimization", CIKM.

    Example::

        documents = ["Cook the eggs for 8 minutes.", "Eggs come from hens."]
        rows = [{"query": "How to boil eggs?", "documents": documents, "labels": [1.0, 0.0]}]
        trainer = CrossEncoderTrainer(model, train_dataset=rows, loss=losses.LambdaLoss(model))
        trainer.train()
    """

    citation = """@inproceedings{wang2018lambdaloss, title={The LambdaLoss Framework for Ranking Metric Optimization},
author={Xuanhui Wang and Cheng Li and Nadav Golbandi and Michael Bendersky and Marc Najork}, booktitle={Proceedings of
the 27th ACM International Conference on Information and Knowledge Management}, pages={1313--1322}, year={2018}}"""

    def __init__(
        self,
        model: Any,
        weighting_scheme: BaseWeightingScheme | None = _NDCG_LOSS2PP,
        k: int | None = None,
        sigma: float = 1.0,
        eps: float = 1e-10,
        reduction_log: Literal["natural", "binary"] = "binary",
        activation_fn: Activation | None = None,
        mini_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, activation_fn, mini_batch_size)
        if weighting_scheme is None:
            weighting_scheme = NoWeightingScheme()
        if not callable(weighting_scheme) or isinstance(weighting_scheme, type):
            raise InputTypeError(
                f"weighting_scheme={weighting_scheme!r} is {type(weighting_scheme).__name__}: give a "
                "BaseWeightingScheme, such as NDCGLoss2PPScheme()"
            )
        check_positive(k, "k")
        check_choice(reduction_log, ("natural", "binary"), "reduction_log")
        self.weighting_scheme = weighting_scheme
        self.k = k
        self.sigma = as_number(sigma, "sigma", 0.0, _INFINITY, "what differences are multiplied by")
        self.eps = as_number(eps, "eps", 0.0, _INFINITY, "the least ideal DCG")
        self.reduction_log = reduction_log

    def _list_loss(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        # Padded places stay behind all others.
        order = scores.masked_fill(~mask, -torch.inf).argsort(dim=1, descending=True, stable=True)
        scores, labels = scores.gather(1, order), labels.gather(1, order)
        # (rows, i, j): pairs of documents at ranks i and j
        pairs = mask.unsqueeze(2) & mask.unsqueeze(1)
        if not getattr(self.weighting_scheme, "all_pairs", False):
            pairs &= labels.unsqueeze(2) > labels.unsqueeze(1)
        if self.k is not None:
            pairs[:, self.k :, self.k :] = False
        weights = self._weights(labels.clamp(min=0).masked_fill(~mask, 0.0))
        logs = functional.logsigmoid(self.sigma * (scores.unsqueeze(2) - scores.unsqueeze(1)))
        loss = -mean_of(weights * logs, pairs)
        return loss / math.log(2) if self.reduction_log == "binary" else loss

    def _weights(self, labels: Tensor) -> Tensor:
        """Of (rows, documents) relevances in the order of the scores, 0 or more."""
        ranks = torch.arange(1, labels.shape[1] + 1, device=labels.device, dtype=labels.dtype)
        discount = torch.log2(1 + ranks).unsqueeze(0)
        gain = torch.exp2(labels) - 1
        best = gain.sort(dim=1, descending=True).values / discount
        ideal = best[:, : self.k].sum(dim=1, keepdim=True).clamp(min=self.eps)
        weights: Tensor = self.weighting_scheme(gain / ideal, discount, labels)
        return weights

    def get_config_dict(self) -> dict[str, Any]:
        return {
            "weighting_scheme": type(self.weighting_scheme).__name__,
            "k": self.k,
            "sigma": self.sigma,
            "eps": self.eps,
            "reduction_log": self.reduction_log,
            **super().get_config_dict(),
        }


class RankNetLoss(LambdaLoss):
    """The more relevant of two documents shall have the higher score: the log-loss of ``sigmoid(sigma * difference)``,
    the mean over the pairs of the batch.

    Inputs: (query, [document, ...]) with a relevance for each document.

    Args:
        model: the ``CrossEncoder`` to train, with one label.
        k, sigma, eps, reduction_log, activation_fn, mini_batch_size: as in LambdaLoss; nothing depends on ``eps``.

    Relation to the others: LambdaLoss counts the pairs by what they matter for NDCG.

    Reference: Burges, Shaked, Renshaw, Lazier, Deeds, Hamilton and Hullender, 2005, "Learning to Rank using Gradient
    Descent", ICML.

    Example::

        documents = ["Cook the eggs for 8 minutes.", "Eggs come from hens."]
        rows = [{"query": "How to boil eggs?", "documents": documents, "labels": [1.0, 0.0]}]
        trainer = CrossEncoderTrainer(model, train_dataset=rows, loss=losses.RankNetLoss(model))
        trainer.train()
    """

    citation = """@inproceedings{burges2005learning, title={Learning to Rank using Gradient Descent}, author={Chris
Burges and Tal Shaked and Erin Renshaw and Ari Lazier and Matt Deeds and Nicole Hamilton and Greg Hullender},
booktitle={Proceedings of the 22nd International Conference on Machine Learning}, pages={89--96}, year={2005}}"""

    def __init__(
        self,
        model: Any,
        k: int | None = None,
        sigma: float = 1.0,
        eps: float = 1e-10,
        reduction_log: Literal["natural", "binary"] = "binary",
        activation_fn: Activation | None = None,
        mini_batch_size: int | None = None,
    ) -> None:
        super().__init__(
            model, NoWeightingScheme(), k, sigma, eps, reduction_log, activation_fn, mini_batch_size
        )

    def get_config_dict(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config_dict().items() if key != "weighting_scheme"}
