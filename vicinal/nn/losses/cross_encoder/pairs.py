"""Losses of single pairs: BinaryCrossEntropyLoss, CrossEntropyLoss and MSELoss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vicinal.errors import InputError
from vicinal.nn.losses.base import LabelKind
from vicinal.nn.losses.cross_encoder.base import Activation, CrossEncoderLoss, one_number_a_row


class BinaryCrossEntropyLoss(CrossEncoderLoss):
    """The score of a pair, through a sigmoid, shall be its label: the cross-entropy of the two.

    Inputs: pairs with a label from 0 to 1, be it yes or no, or a similarity.

    Args:
        model: the ``CrossEncoder`` to train, with one label.
        activation_fn: what raw scores go through before the sigmoid; default nothing.
        pos_weight: how many times a positive counts; the number of negatives to one positive balances them.

    Relation to the others: the first choice for rerankers and for similarity scores. MSELoss compares with scores
    that have no bounds; MultipleNegativesRankingLoss needs no labels.

    Example::

        loss = losses.BinaryCrossEntropyLoss(model)
        examples = [InputExample(texts=["How to boil eggs?", "Cook the eggs for 8 minutes."], label=1.0)]
        model.fit(DataLoader(examples, batch_size=16, shuffle=True), loss_fct=loss)
    """

    labels: LabelKind = "score01"

    def __init__(
        self, model: Any, activation_fn: Activation | None = None, pos_weight: Tensor | float | None = None
    ) -> None:
        super().__init__(model, activation_fn)
        self.pos_weight = None if pos_weight is None else torch.as_tensor(pos_weight, dtype=torch.float32)
        if self.pos_weight is not None and not bool((self.pos_weight > 0).all()):
            raise InputError(f"pos_weight={pos_weight!r} must be greater than 0")

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        scores = embeddings[0][:, 0]
        wanted = one_number_a_row(labels, len(scores), self.name).to(scores.dtype)
        weight = None if self.pos_weight is None else self.pos_weight.to(scores)
        return functional.binary_cross_entropy_with_logits(scores, wanted, pos_weight=weight)

    def get_config_dict(self) -> dict[str, Any]:
        weight = None if self.pos_weight is None else self.pos_weight.tolist()
        return {**super().get_config_dict(), "pos_weight": weight}


class CrossEntropyLoss(CrossEncoderLoss):
    """The class of a pair shall be its label: the cross-entropy of the softmax of its scores.

    Inputs: pairs with the number of a class: 0, 1, ..., ``model.num_labels - 1``.

    Args:
        model: the ``CrossEncoder`` to train, with a label for each class.
        activation_fn: what raw scores go through before the softmax; default nothing.
        weight: (classes,) how much each class counts.
        label_smoothing: share of a label that is spread over all classes.

    Relation to the others: for kinds of relation between two texts (entailment, contradiction, neither);
    BinaryCrossEntropyLoss is for one score.

    Example::

        model = CrossEncoder(name, num_labels=3)
        loss = losses.CrossEntropyLoss(model)
        examples = [InputExample(texts=["A man sleeps.", "Nobody sleeps."], label=0)]
        model.fit(DataLoader(examples, batch_size=16, shuffle=True), loss_fct=loss)
    """

    labels: LabelKind = "class"
    one_label = False

    def __init__(
        self,
        model: Any,
        activation_fn: Activation | None = None,
        *,
        weight: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(model, activation_fn)
        self.num_labels = int(model.num_labels)
        if self.num_labels < 2:
            raise InputError(
                f"{self.name} needs a model with two labels or more, and this one gives {self.num_labels}: load it "
                "with num_labels=..., or take BinaryCrossEntropyLoss"
            )
        if not 0 <= label_smoothing < 1:
            raise InputError(f"label_smoothing={label_smoothing!r} must be at least 0 and less than 1")
        self.weight = weight
        self.label_smoothing = label_smoothing

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        scores = embeddings[0]
        wanted = one_number_a_row(labels, len(scores), self.name).long()
        weight = None if self.weight is None else self.weight.to(scores)
        return functional.cross_entropy(scores, wanted, weight, label_smoothing=self.label_smoothing)

    def get_config_dict(self) -> dict[str, Any]:
        weight = None if self.weight is None else self.weight.tolist()
        return {**super().get_config_dict(), "weight": weight, "label_smoothing": self.label_smoothing}


class MSELoss(CrossEncoderLoss):
    """The score of a pair shall be its label: the mean of the squared differences.

    Inputs: pairs with a number, such as the score that a larger cross-encoder gave.

    Args:
        model: the ``CrossEncoder`` to train, with one label.
        activation_fn: what raw scores go through first; default nothing. A model that reports its scores through a
            sigmoid is compared before it: give ``torch.nn.Sigmoid()`` if your labels lie behind one.

    Relation to the others: distils a teacher's scores; MarginMSELoss distils differences of scores alone.

    Reference: Hofstätter et al., 2020, arXiv:2010.02666 (the pointwise teacher that it is compared with).

    Example::

        loss = losses.MSELoss(model)
        examples = [InputExample(texts=["How to boil eggs?", "Cook the eggs for 8 minutes."], label=9.2)]
        model.fit(DataLoader(examples, batch_size=16, shuffle=True), loss_fct=loss)
    """

    labels: LabelKind = "any"

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        scores = embeddings[0][:, 0]
        return functional.mse_loss(scores, one_number_a_row(labels, len(scores), self.name).to(scores.dtype))
