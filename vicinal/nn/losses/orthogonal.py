"""GlobalOrthogonalRegularizationLoss: embeddings that spread over the whole space."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from vicinal.core.inputs import check_choice
from vicinal.errors import InputError
from vicinal.nn.losses.base import Loss, function_name, needs_callable
from vicinal.nn.losses.distances import Similarity, cos_sim, plain


class GlobalOrthogonalRegularizationLoss(Loss):
    """Texts that do not belong together shall be as orthogonal as random vectors of the sphere: ``mean_weight * M1^2 +
    second_moment_weight * max(0, M2 - 1 / dim)``, with the mean M1 and the mean square M2 of the similarities
    of each text with the others of its column.

    Inputs: one text or several per row; no labels. All texts of a column count as different ones.

    Args:
        model: the model to train.
        similarity_fct: (n, dim), (m, dim) -> (n, m) similarities; None is the cosine.
        mean_weight: weight of the first term; None leaves it out.
        second_moment_weight: weight of the second; None leaves it out.
        aggregation: the columns' ``"mean"`` or ``"sum"``.

    The result is a dictionary, ``"gor_mean"`` and ``"gor_second_moment"``, whose values the trainer adds up.

    Relation to the others: a regulariser, to be added to another loss such as MultipleNegativesRankingLoss; alone it
    teaches nothing about meaning.

    Reference: Zhang, Yu, Kumar and Chang, 2017, "Learning Spread-out Local Feature Descriptors", arXiv:1708.06320.

    Example::

        class SpreadLoss(losses.Loss):
            columns = (2, None)

            def __init__(self, model):
                super().__init__(model)
                self.ranking = losses.MultipleNegativesRankingLoss(model)
                self.spread = losses.GlobalOrthogonalRegularizationLoss(model)

            def _loss(self, embeddings, labels):
                spread = self.spread.compute_loss_from_embeddings(embeddings)
                return {"ranking": self.ranking.compute_loss_from_embeddings(embeddings), **spread}

    Raises:
        InputError: both weights are None, or a batch has a single row.
    """

    columns = (1, None)
    citation = """@misc{zhang2017learning, title={Learning Spread-out Local Feature Descriptors},
author={Xu Zhang and Felix X. Yu and Sanjiv Kumar and Shih-Fu Chang}, year={2017}, eprint={1708.06320},
archivePrefix={arXiv}}"""

    def __init__(
        self,
        model: Any,
        similarity_fct: Similarity | None = None,
        mean_weight: float | None = 1.0,
        second_moment_weight: float | None = 1.0,
        aggregation: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(model)
        similarity_fct = cos_sim if similarity_fct is None else similarity_fct
        needs_callable(similarity_fct, "similarity_fct")
        check_choice(aggregation, ("mean", "sum"), "aggregation")
        if mean_weight is None and second_moment_weight is None:
            raise InputError(
                "mean_weight and second_moment_weight are both None: nothing is left of the loss"
            )
        self.similarity_fct = similarity_fct
        self.mean_weight = mean_weight
        self.second_moment_weight = second_moment_weight
        self.aggregation = aggregation

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Any:
        moments = torch.stack([torch.stack(self.compute_gor(each)) for each in embeddings])
        mean, second = moments.mean(dim=0) if self.aggregation == "mean" else moments.sum(dim=0)
        terms = {}
        if self.mean_weight is not None:
            terms["gor_mean"] = self.mean_weight * mean
        if self.second_moment_weight is not None:
            terms["gor_second_moment"] = self.second_moment_weight * second
        return terms

    def compute_gor(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """The two terms of one column, (n, dim), without their weights.

        Raises:
            InputError: it has a single row.
        """
        rows, dim = embeddings.shape
        if rows < 2:
            raise InputError(f"{self.name} got a batch of {rows} row: it compares texts, so give 2 or more")
        similarities = plain(self.similarity_fct)(embeddings, embeddings)
        others = similarities[~torch.eye(rows, dtype=torch.bool, device=embeddings.device)]
        return others.mean().square(), (others.square().mean() - 1 / dim).relu()

    def get_config_dict(self) -> dict[str, Any]:
        return {
            "similarity_fct": function_name(self.similarity_fct),
            "mean_weight": self.mean_weight,
            "second_moment_weight": self.second_moment_weight,
            "aggregation": self.aggregation,
        }
