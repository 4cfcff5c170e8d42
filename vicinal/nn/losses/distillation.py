"""Losses that learn a teacher's scores: MarginMSELoss, DistillKLDivLoss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import kl_div, mse_loss

from vicinal.errors import InputError
from vicinal.nn.losses.base import Loss, function_name, needs_callable
from vicinal.nn.losses.distances import Similarity, pairwise_dot_score, plain


class MarginMSELoss(Loss):
    """The lead of the positive over a negative shall be the teacher's:
    ``mean((sim(query, positive) - sim(query, negative) - margin)^2)``.

    Inputs: (query, positive, negative, ...) tuples. The label is the teacher's margin of each negative: a number,
    or a list where there are several; or its scores of all documents, the positive's first.

    Args:
        model: the model to train.
        similarity_fct: (n, dim), (n, dim) -> (n,) similarities; None is the dot product.

    Relation to the others: DistillKLDivLoss learns the order rather than the values, and does not ask the
    model's scores to have the range of the teacher's.

    Reference: Hofstätter et al., 2020, arXiv:2010.02666.

    Example::

        scores = teacher.predict([(query, positive), (query, negative)])
        examples = [InputExample(texts=[query, positive, negative], label=float(scores[0] - scores[1]))]
        model.fit([(DataLoader(examples, batch_size=32, shuffle=True), losses.MarginMSELoss(model))])
    """

    columns = (3, None)
    labels = "margin"
    citation = """@misc{hofstatter2021improving, title={Improving Efficient Neural Ranking Models with
Cross-Architecture Knowledge Distillation},
author={Sebastian Hofstätter and Sophia Althammer and Michael Schröder and Mete Sertkan and
Allan Hanbury}, year={2021}, eprint={2010.02666}, archivePrefix={arXiv}}"""

    def __init__(self, model: Any, similarity_fct: Similarity | None = None) -> None:
        super().__init__(model)
        similarity_fct = pairwise_dot_score if similarity_fct is None else similarity_fct
        needs_callable(similarity_fct, "similarity_fct")
        self.similarity_fct = similarity_fct

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        assert labels is not None
        scores = document_scores(embeddings, plain(self.similarity_fct))
        margins = scores[:, :1] - scores[:, 1:]
        target = labels.to(scores.dtype).reshape(len(scores), -1)
        if target.shape[1] == scores.shape[1]:
            target = target[:, :1] - target[:, 1:]
        elif target.shape[1] != margins.shape[1]:
            raise InputError(_count_message("MarginMSELoss", labels.shape, scores.shape[1]))
        return mse_loss(margins, target)

    def _check_shape(self, values: Any, columns: int | None, name: str) -> None:
        if columns is not None and values[0].size not in (columns - 2, columns - 1):
            raise InputError(_count_message(f"{name}: MarginMSELoss", values.shape, columns - 1))

    def get_config_dict(self) -> dict[str, Any]:
        return {"similarity_fct": function_name(self.similarity_fct)}


class DistillKLDivLoss(Loss):
    """The documents of a query shall have the teacher's distribution: the Kullback-Leibler divergence of
    ``softmax(sim(query, documents) / T)`` from ``softmax(label / T)``, times ``T^2``.

    Inputs: (query, positive, negative, ...) tuples; the teacher's scores of all documents each, a list of numbers
    with the positive's first.

    Args:
        model: the model to train.
        similarity_fct: (n, dim), (n, dim) -> (n,) similarities; None is the dot product.
        temperature: ``T``; a higher one spreads the distributions and shows more of the teacher's doubts.
        student_temperature: ``T`` of the model alone; None is ``temperature``. Its square is the factor.
        teacher_temperature: ``T`` of the teacher alone; None is ``temperature``.

    Relation to the others: MarginMSELoss learns the differences of the scores themselves.

    Reference: Lin et al., 2020, arXiv:2010.11386; Hinton et al., 2015, arXiv:1503.02531.

    Example::

        scores = teacher.predict([(query, positive), (query, negative)])
        examples = [InputExample(texts=[query, positive, negative], label=scores.tolist())]
        model.fit([(DataLoader(examples, batch_size=32, shuffle=True), losses.DistillKLDivLoss(model))])

    Raises:
        InputError: a temperature is not positive.
    """

    columns = (3, None)
    labels = "margin"
    citation = """@misc{lin2020distilling, title={Distilling Dense Representations for Ranking using Tightly-Coupled
Teachers}, author={Sheng-Chieh Lin and Jheng-Hong Yang and Jimmy Lin}, year={2020}, eprint={2010.11386},
archivePrefix={arXiv}}"""

    def __init__(
        self,
        model: Any,
        similarity_fct: Similarity | None = None,
        temperature: float = 1.0,
        student_temperature: float | None = None,
        teacher_temperature: float | None = None,
    ) -> None:
        super().__init__(model)
        similarity_fct = pairwise_dot_score if similarity_fct is None else similarity_fct
        needs_callable(similarity_fct, "similarity_fct")
        self.similarity_fct = similarity_fct
        self.temperature = temperature
        self.student_temperature = temperature if student_temperature is None else student_temperature
        self.teacher_temperature = temperature if teacher_temperature is None else teacher_temperature
        for value in (self.temperature, self.student_temperature, self.teacher_temperature):
            if value <= 0:
                raise InputError(f"temperature={value!r} is not positive: 1 leaves the scores as they are")

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        assert labels is not None
        scores = document_scores(embeddings, plain(self.similarity_fct))
        if labels.shape != scores.shape:
            raise InputError(_count_message("DistillKLDivLoss", labels.shape, scores.shape[1], margins=False))
        student = (scores / self.student_temperature).log_softmax(dim=1)
        teacher = (labels.to(scores.dtype) / self.teacher_temperature).log_softmax(dim=1)
        return kl_div(student, teacher, log_target=True, reduction="batchmean") * self.student_temperature**2

    def _check_shape(self, values: Any, columns: int | None, name: str) -> None:
        if columns is not None and values[0].size != columns - 1:
            raise InputError(
                _count_message(f"{name}: DistillKLDivLoss", values.shape, columns - 1, margins=False)
            )

    def get_config_dict(self) -> dict[str, Any]:
        config = {"similarity_fct": function_name(self.similarity_fct), "temperature": self.temperature}
        if self.student_temperature != self.temperature or self.teacher_temperature != self.temperature:
            config["student_temperature"] = self.student_temperature
            config["teacher_temperature"] = self.teacher_temperature
        return config


def document_scores(embeddings: list[Tensor], similarity: Similarity) -> Tensor:
    """(n, documents) similarities of each row's query, the first column, to its documents, the others."""
    return torch.stack([similarity(embeddings[0], each) for each in embeddings[1:]], dim=1)


def _count_message(who: str, shape: Any, documents: int, margins: bool = True) -> str:
    also = f", or its {documents - 1} margin{'s' * (documents > 2)}" if margins else ""
    return (
        f"{who} got labels of shape {tuple(shape)} for {documents} documents a row: "
        f"give the teacher's {documents} scores{also}, for each row"
    )
