"""Losses of pairs of texts with a similarity score: CosineSimilarityLoss, CoSENTLoss, AnglELoss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vicinal.nn.losses.base import Loss, function_name, needs_callable
from vicinal.nn.losses.distances import Similarity, pairwise_angle_sim, pairwise_cos_sim, plain


class CosineSimilarityLoss(Loss):
    """The cosine of two texts shall be their score: ``mean((score - f(cos(u, v)))^2)``.

    Inputs: (text, text) pairs; a score from 0 to 1 each.

    Args:
        model: the model to train.
        loss_fct: what compares cosines and scores; the mean squared error if None.
        cos_score_transformation: ``f``, applied to the cosines; nothing if None.

    Relation to the others: CoSENTLoss and AnglELoss take the same data and use only the order of the scores;
    they often end higher on rank correlation. Take this one where the cosine's value itself shall mean something.

    Reference: Reimers and Gurevych, 2019, "Sentence-BERT", arXiv:1908.10084 (section 3, regression).

    Example::

        model = SentenceTransformer("all-MiniLM-L6-v2")
        examples = [InputExample(texts=["A plane takes off.", "A plane is leaving."], label=0.9)]
        loader = DataLoader(examples, batch_size=16, shuffle=True)
        model.fit([(loader, losses.CosineSimilarityLoss(model))])
    """

    labels = "score01"

    def __init__(
        self, model: Any, loss_fct: nn.Module | None = None, cos_score_transformation: nn.Module | None = None
    ) -> None:
        super().__init__(model)
        self.loss_fct = nn.MSELoss() if loss_fct is None else loss_fct
        self.cos_score_transformation = (
            nn.Identity() if cos_score_transformation is None else cos_score_transformation
        )

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        assert labels is not None
        scores = self.cos_score_transformation(pairwise_cos_sim(*embeddings))
        loss: Tensor = self.loss_fct(scores, labels.to(scores.dtype))
        return loss

    def get_config_dict(self) -> dict[str, Any]:
        return {
            "loss_fct": _full_name(self.loss_fct),
            "cos_score_transformation": _full_name(self.cos_score_transformation),
        }


class CoSENTLoss(Loss):
    """Pairs shall be ordered by similarity as by score: ``log(1 + sum exp(scale * (s_j - s_i)))`` over all two
    pairs i and j of the batch with ``score_i > score_j``, where ``s`` is the similarity.

    Inputs: (text, text) pairs; a number each, in any range, as only its order within the batch counts. Larger
    batches compare more pairs; a batch of equal scores teaches nothing.

    Args:
        model: the model to train.
        scale: steepness, the inverse of a temperature.
        similarity_fct: (n, dim), (n, dim) -> (n,) similarities; None is the cosine.

    Relation to the others: a stronger signal than CosineSimilarityLoss on the same data, as each pair is
    compared with all others. AnglELoss is this loss with another similarity.

    Reference: Su, 2022, "CoSENT", https://kexue.fm/archives/8847.

    Example::

        loss = losses.CoSENTLoss(model)
        loader = DataLoader(examples, batch_size=32, shuffle=True)  # as for CosineSimilarityLoss
        model.fit([(loader, loss)], epochs=1)
    """

    labels = "any"
    citation = """@online{kexuefm-8847, title={CoSENT: A more efficient sentence vector scheme than Sentence-BERT},
author={Su, Jianlin}, year={2022}, month={Jan}, url={https://kexue.fm/archives/8847}}"""

    def __init__(self, model: Any, scale: float = 20.0, similarity_fct: Similarity | None = None) -> None:
        super().__init__(model)
        similarity_fct = pairwise_cos_sim if similarity_fct is None else similarity_fct
        needs_callable(similarity_fct, "similarity_fct")
        self.scale = scale
        self.similarity_fct = similarity_fct

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        assert labels is not None
        return order_loss(plain(self.similarity_fct)(*embeddings) * self.scale, labels)

    def get_config_dict(self) -> dict[str, Any]:
        return {"scale": self.scale, "similarity_fct": function_name(self.similarity_fct)}


class AnglELoss(CoSENTLoss):
    """CoSENTLoss by the angle of the embeddings in the complex plane instead of their cosine.

    The cosine is flat near -1 and 1, so that pairs there get hardly a gradient; the angle is not.

    Inputs: (text, text) pairs; a number each, in any range. Or (anchor, positive, negative, ...) texts: each text is
    a pair with its anchor, of which the positive's label is 1 and that of the negatives 0; a label of the row, if
    there is one, is the positive's, and the negatives' is one minus it. The dimension must be even.

    Args:
        model: the model to train.
        scale: steepness, the inverse of a temperature.

    Relation to the others: same data and cost as CoSENTLoss; measure which is better for you.

    Reference: Li and Li, 2023, "AnglE-optimized Text Embeddings", arXiv:2309.12871.

    Example::

        loss = losses.AnglELoss(model)
        loader = DataLoader(examples, batch_size=32, shuffle=True)  # as for CosineSimilarityLoss
        model.fit([(loader, loss)], epochs=1)
    """

    columns = (2, None)
    citation = """@misc{li2023angleoptimized, title={AnglE-optimized Text Embeddings},
author={Xianming Li and Jing Li}, year={2023}, eprint={2309.12871}, archivePrefix={arXiv}}"""

    def __init__(self, model: Any, scale: float = 20.0) -> None:
        super().__init__(model, scale, pairwise_angle_sim)

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | None = None) -> Tensor:
        negatives = len(embeddings) - 2
        if negatives > 0:
            anchors, rows = embeddings[0], len(embeddings[0])
            positive = anchors.new_ones(rows) if labels is None else self.labels_of(labels, rows)
            assert positive is not None
            positive = positive.reshape(rows, -1)[:, 0].to(anchors.device)
            labels = torch.cat([positive, (1 - positive).repeat(negatives)])
            embeddings = [anchors.repeat(negatives + 1, 1), torch.cat(embeddings[1:])]
        return super().compute_loss_from_embeddings(embeddings, labels)

    def check_labels(
        self, labels: Any, columns: int | None = None, name: str = "labels", first: int = 0
    ) -> None:
        if labels is not None or columns is None or columns == 2:
            super().check_labels(labels, columns, name, first)


def order_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """``log(1 + sum exp(scores[j] - scores[i]))`` over all i, j with ``labels[i] > labels[j]``; both (n,)."""
    differences = scores[None, :] - scores[:, None]
    wrong = differences[labels[:, None] > labels[None, :]]
    return torch.cat([wrong.new_zeros(1), wrong]).logsumexp(dim=0)


def _full_name(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"
