"""What every loss of a cross-encoder has: pairs are scored, and the loss is a function of the scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from vicinal.errors import InputError, InputTypeError
from vicinal.nn.losses.base import Loss, function_name

Activation: TypeAlias = Callable[[Tensor], Tensor]
Pair: TypeAlias = tuple[str, str]


class CrossEncoderLoss(Loss):
    """Base of the losses: ``loss(columns_of_texts, labels)`` is a scalar to call ``backward`` on.

    A loss says in :meth:`_pairs` which pairs of a batch are scored, and computes in :meth:`_loss` from their
    scores, in float32, whatever the model's own type is, with autocast switched off.

    As with the losses for vectors, the model is held, but is no submodule: ``parameters()`` are those of the
    loss alone.

    Args:
        model: the ``CrossEncoder`` to train.
        activation_fn: what the raw scores go through first; None for nothing.

    Attributes:
        columns: the least and the greatest number of text columns; None where there is no greatest.
        labels: what a label is, one of the keys of ``LABEL_MEANING``.
        num_labels: the number of classes where ``labels`` is ``"class"``.
        one_label: whether the model must give one score a pair.
        citation: the paper, as BibTeX; empty if there is none.
    """

    one_label = True
    reads_vectors = False

    def __init__(self, model: Any, activation_fn: Activation | None = None) -> None:
        super().__init__(model)
        found = getattr(model, "num_labels", None)
        if found is None:
            raise InputTypeError(f"model is {type(model).__name__}; {self.name} trains a CrossEncoder")
        if self.one_label and found != 1:
            raise InputError(
                f"{self.name} needs a model with one score a pair, and this one gives {found}: load it with "
                "num_labels=1, or take CrossEntropyLoss"
            )
        if activation_fn is not None and not callable(activation_fn):
            raise InputTypeError(
                f"activation_fn={activation_fn!r} is {type(activation_fn).__name__}: give a function of a tensor"
            )
        self.activation_fn = nn.Identity() if activation_fn is None else activation_fn

    def forward(self, inputs: Iterable[Any], labels: Any = None) -> Tensor:
        """The loss of a batch.

        Args:
            inputs: the columns: a list of n texts each.
            labels: (n,) or (n, k); None for a loss without labels.

        Returns:
            A scalar, float32.

        Raises:
            InputError: the number of columns or the labels' shape cannot be meant for this loss.
        """
        columns = [list(column) for column in inputs]
        self.check_columns(len(columns))
        rows = len(columns[0])
        for place, column in enumerate(columns):
            if len(column) != rows:
                raise InputError(
                    f"column {place} has {len(column)} texts and column 0 has {rows}: give as many"
                )
        labels = self.labels_of(labels, rows)
        scores = self.score(self._pairs(columns))
        if labels is not None:
            labels = labels.to(scores.device)
        with torch.autocast(scores.device.type, enabled=False):
            scores = self.activation_fn(scores if scores.dtype == torch.float64 else scores.float())
            return self._loss([scores.reshape(rows, -1)], labels)

    def score(self, pairs: Sequence[Pair]) -> Tensor:
        """``(n, labels)`` raw scores of pairs, in one pass through the model, with gradients."""
        scores: Tensor = self.model(self.model.tokenize(list(pairs)))["scores"]
        return scores

    def _pairs(self, columns: list[list[str]]) -> list[Pair]:
        """The pairs of a batch that are scored, row by row, as many for each."""
        return list(zip(columns[0], columns[1], strict=True))

    @abstractmethod
    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        """The mathematics, of one tensor of scores: ``(rows, pairs a row)`` float32, or ``(rows, labels)``."""

    def get_config_dict(self) -> dict[str, Any]:
        """The loss's settings, for a model card."""
        return {"activation_fn": function_name(self.activation_fn)}


def one_number_a_row(labels: Tensor | None, rows: int, name: str) -> Tensor:
    """``(rows,)`` labels, also where they came as ``(rows, 1)``.

    Raises:
        InputError: another shape.
    """
    assert labels is not None
    if labels.numel() != rows:
        raise InputError(
            f"{name} got labels of shape {tuple(labels.shape)} for {rows} rows: give one number a row"
        )
    return labels.reshape(rows)
