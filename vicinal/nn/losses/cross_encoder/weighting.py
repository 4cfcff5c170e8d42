"""How much each pair of documents counts in LambdaLoss: the weighting schemes."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from vicinal.core.inputs import as_number


class BaseWeightingScheme(nn.Module):  # type: ignore[misc, unused-ignore]
    """Base of the weighting schemes of LambdaLoss; a custom one overrides :meth:`forward`.

    ``all_pairs`` says whether all pairs of documents count, or only those of which the first is the more relevant.
    """

    all_pairs = False

    @abstractmethod
    def forward(self, gain: Tensor, discount: Tensor, true_sorted: Tensor) -> Tensor:
        """The weights of pairs of documents; the documents are sorted by their scores, best first.

        Args:
            gain: (rows, documents) ``2 ** relevance - 1``, divided by the list's ideal DCG.
            discount: (1, documents) ``log2(1 + rank)``.
            true_sorted: (rows, documents) relevances, those below 0 as 0, as are padded places.

        Returns:
            (rows, documents, documents), or what broadcasts to it: the weight of document i before document j.
        """
        raise NotImplementedError


class NoWeightingScheme(BaseWeightingScheme):
    """All pairs count the same: RankNet."""

    def forward(self, gain: Tensor, discount: Tensor, true_sorted: Tensor) -> Tensor:
        return gain.new_ones(())


class NDCGLoss1Scheme(BaseWeightingScheme):
    """NDCG-Loss1: the discounted gain of the first document, in all pairs; a loose bound on NDCG."""

    all_pairs = True

    def forward(self, gain: Tensor, discount: Tensor, true_sorted: Tensor) -> Tensor:
        return (gain / discount).unsqueeze(2)


class NDCGLoss2Scheme(BaseWeightingScheme):
    """NDCG-Loss2: the difference of the gains times ``|1 / D(d) - 1 / D(d + 1)|``, where d is the distance of the
    ranks; a tighter bound on NDCG than NDCG-Loss1.
    """

    def forward(self, gain: Tensor, discount: Tensor, true_sorted: Tensor) -> Tensor:
        inverse = 1 / discount[0]
        steps = (inverse[:-1] - inverse[1:]).abs()
        # By distance of the ranks; a document with itself has none.
        steps = torch.cat([steps.new_zeros(1), steps])
        places = torch.arange(gain.shape[1], device=gain.device)
        return steps[(places[:, None] - places).abs()] * _differences(gain)


class LambdaRankScheme(BaseWeightingScheme):
    """LambdaRank: how much NDCG changes when the two documents swap their ranks; a coarse bound on NDCG."""

    def forward(self, gain: Tensor, discount: Tensor, true_sorted: Tensor) -> Tensor:
        return _differences(1 / discount) * _differences(gain)


class NDCGLoss2PPScheme(BaseWeightingScheme):
    """NDCG-Loss2++: ``mu`` times NDCG-Loss2, plus LambdaRank; the best of them in the paper, and the default.

    Args:
        mu: how much NDCG-Loss2 counts; 0 or more.
    """

    def __init__(self, mu: float = 10.0) -> None:
        super().__init__()
        self.mu = as_number(mu, "mu", 0.0, float("inf"), "the weight of NDCG-Loss2")
        self.ndcg_loss2 = NDCGLoss2Scheme()
        self.lambda_rank = LambdaRankScheme()

    def forward(self, gain: Tensor, discount: Tensor, true_sorted: Tensor) -> Tensor:
        weights: Tensor = self.mu * self.ndcg_loss2(gain, discount, true_sorted)
        return weights + self.lambda_rank(gain, discount, true_sorted)


def _differences(values: Tensor) -> Tensor:
    """(rows, n) -> (rows, n, n): absolute differences of each two."""
    return (values.unsqueeze(2) - values.unsqueeze(1)).abs()
