"""What every loss has: facts that can be checked before the first step, embed, and a function of embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from vicinal.core.arrays import as_array
from vicinal.errors import InputError, InputTypeError
from vicinal.nn.losses.embed import Features, embed_columns

LabelKind: TypeAlias = Literal["none", "score01", "any", "class", "binary", "margin", "embedding", "list"]

LABEL_MEANING: dict[LabelKind, str] = {
    "none": "no labels",
    "score01": "a similarity from 0 to 1",
    "any": "a number; the larger, the more similar",
    "class": "the number of a class: 0, 1, 2, ...",
    "binary": "1 (similar) or 0 (not)",
    "margin": "the teacher's score of each document, or their margins: one number or a list",
    "embedding": "the teacher's embedding of the row: a list of numbers",
    "list": "the relevance of each document: a list of numbers, as many as there are documents",
}
"""What a label is, for each kind, as a table or an error would say it."""


def refuse_scorer(model: Any, argument: str, loss: str) -> None:
    """Refuse a cross-encoder where a model that gives vectors is meant.

    Raises:
        InputTypeError: it is one.
    """
    if hasattr(model, "predict") and not hasattr(model, "encode"):
        raise InputTypeError(
            f"{argument} is {type(model).__name__}, which scores pairs, and {loss} needs vectors: give a "
            "SentenceTransformer, or take a loss of vicinal.cross_encoder.losses"
        )


class Loss(nn.Module, ABC):  # type: ignore[misc, unused-ignore]
    """Base of the losses: ``loss(sentence_features, labels)`` is a scalar to call ``backward`` on.

    A loss is :meth:`embed`, then a pure function of embeddings. To write one, state ``columns`` and
    ``labels``, and compute in :meth:`_loss`; it is given float32, whatever the model's own type is, with
    autocast switched off.

    A model of :mod:`vicinal.torch` becomes a submodule of its loss, so that ``AdamW(loss.parameters())`` trains both.
    A plain model is no torch module: then ``parameters()`` and ``state_dict()`` are those of the loss alone (the
    classifier of a SoftmaxLoss, say), and the optimiser needs ``[*model.parameters(), *loss.parameters()]``.

    Attributes:
        columns: the least and the greatest number of text columns; None where there is no greatest.
        labels: what a label is, one of the keys of ``LABEL_MEANING``.
        num_labels: the number of classes where ``labels`` is ``"class"``; None if any number will do.
        citation: the paper, as BibTeX; empty if there is none.
    """

    columns: tuple[int, int | None] = (2, 2)
    labels: LabelKind = "none"
    num_labels: int | None = None
    citation: ClassVar[str] = ""
    #: of a model that gives vectors, not scores of pairs
    reads_vectors: ClassVar[bool] = True
    model: Any

    def __init__(self, model: Any) -> None:
        super().__init__()
        if self.reads_vectors:
            refuse_scorer(model, "model", type(self).__name__)
        self.model = model  # torch registers it where it is a module

    @classmethod
    def for_labels(cls, model: Any, labels: Sequence[Any]) -> Loss:
        """The loss with default settings, for training data that have these labels.

        A loss that needs to know something of the labels, such as how many classes there are, overrides this.
        """
        return cls(model)

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        """The loss of a batch.

        Args:
            sentence_features: a dictionary of tensors for each column of texts, as the model reads it.
            labels: (n,) or (n, k), also as an array or a list; None for a loss without labels.

        Returns:
            A scalar, float32 (float64 if the embeddings are).

        Raises:
            InputError: the number of columns or the labels' shape cannot be meant for this loss.
        """
        features = list(sentence_features)
        labels = self.completed_labels(features, labels)
        return self.through(
            features, lambda embeddings: self.compute_loss_from_embeddings(embeddings, labels)
        )

    def completed_labels(self, features: list[Features], labels: Any) -> Any:
        """The labels of a batch; a loss that can tell them from the texts overrides this."""
        return labels

    def embed(self, sentence_features: Iterable[Features]) -> list[Tensor]:
        """One (n, dim) tensor of embeddings for each column."""
        return embed_columns(self.model, list(sentence_features))

    def through(self, features: list[Features], function: Callable[[list[Tensor]], Tensor]) -> Tensor:
        """``function(embeddings)`` of the batch; a loss that embeds in another way overrides this."""
        return function(self.embed(features))

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | None = None) -> Tensor:
        """The loss as a function of embeddings: one (n, dim) tensor a column.

        Raises:
            InputError: the number of columns or the labels' shape cannot be meant for this loss.
        """
        self.check_columns(len(embeddings))
        embeddings = [torch.as_tensor(each) for each in embeddings]
        rows = len(embeddings[0])
        if any(len(each) != rows for each in embeddings):  # one row would be broadcast without a word
            counts = ", ".join(str(len(each)) for each in embeddings)
            raise InputError(f"{self.name} got columns of {counts} texts: give as many in each")
        labels = self.labels_of(labels, rows)
        if labels is not None:
            labels = labels.to(embeddings[0].device)
        if labels is not None and labels.ndim > 1 and self.labels in ("score01", "any", "class", "binary"):
            if labels.numel() != rows:
                raise InputError(
                    f"{self.name} got labels of shape {tuple(labels.shape)} for {rows} rows: give one number a row"
                )
            labels = labels.reshape(rows)
        # The exponentials and the cancellation of losses need float32.
        with torch.autocast(embeddings[0].device.type, enabled=False):
            return self._loss(
                [each if each.dtype == torch.float64 else each.float() for each in embeddings], labels
            )

    def labels_of(self, labels: Any, rows: int) -> Tensor | None:
        """The labels of a batch as a tensor; None for a loss without labels.

        Raises:
            InputError: they are missing, or more or fewer than ``rows``.
        """
        if self.labels == "none":
            return None
        if labels is None:
            raise InputError(
                f"{self.name} got no labels: it needs {LABEL_MEANING[self.labels]}, for each row"
            )
        found = torch.as_tensor(labels)
        if len(found) != rows:
            raise InputError(f"{self.name} got {len(found)} labels for {rows} rows: give one per row")
        return found

    @abstractmethod
    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        """The mathematics, in float32."""

    @property
    def name(self) -> str:
        """How errors call the loss."""
        return type(self).__name__

    def get_config_dict(self) -> dict[str, Any]:
        """The loss's settings, for a model card."""
        return {}

    def check_columns(self, count: int) -> None:
        """Refuse a number of text columns that this loss cannot work with.

        Raises:
            InputError: too few or too many.
        """
        least, most = self.columns
        if count < least or (most is not None and count > most):
            wanted = (
                f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            )
            raise InputError(
                f"{self.name} got {count} text column{'s' * (count != 1)}, but needs {wanted}: "
                + ("leave some out" if count > least else "add the missing ones, or choose another loss")
            )

    def check_labels(
        self, labels: Any, columns: int | None = None, name: str = "labels", first: int = 0
    ) -> None:
        """Refuse labels that this loss cannot mean; to be called on whole columns, before the first step.

        Args:
            labels: a list, array or tensor, (n,) or (n, k); None if there are none.
            columns: the number of text columns, where the shape of a label depends on it.
            name: what the labels are called in errors.
            first: number of the first row in errors, for a part of a longer column.

        Raises:
            InputError: labels are missing, or one has an impossible value; its row is named.
            InputTypeError: they are not numbers.
        """
        if self.labels == "none":
            return
        if labels is None:
            raise InputError(f"{self.name} needs labels, and there are none: {LABEL_MEANING[self.labels]}")
        values = as_array(labels, name)
        if not len(values):
            return
        self._check_shape(values, columns, name)
        rows = values.reshape(len(values), -1)
        bad, why = self._bad_labels(rows)
        if bad.any():
            row = int(np.flatnonzero(bad.any(axis=1))[0])
            value = rows[row][bad[row]][0]
            raise InputError(
                f"{name}[{first + row}] is {value:g}, but {self.name} needs {LABEL_MEANING[self.labels]}{why}"
            )

    def _check_shape(self, values: Any, columns: int | None, name: str) -> None:
        """Refuse labels with more or fewer numbers a row than the kind has."""
        wide = values.ndim > 1 and values[0].size > 1
        if wide and self.labels in ("score01", "any", "class", "binary"):
            raise InputError(
                f"{name} has shape {values.shape}, but {self.name} needs one number a row: "
                f"{LABEL_MEANING[self.labels]}"
            )
        if self.labels == "embedding" and values.ndim != 2:
            raise InputError(
                f"{name} has shape {values.shape}, but {self.name} needs {LABEL_MEANING['embedding']}"
            )

    def _bad_labels(self, values: Any) -> tuple[Any, str]:
        """Which of the (n, k) values are impossible, and the remedy."""
        finite = np.isfinite(values)
        if not finite.all():
            return ~finite, "; drop the row"
        if self.labels == "score01":
            bad = (values < 0) | (values > 1)
            low, high = values.min(), values.max()
            if low < 0:
                remedy = (
                    "; (label + 1) / 2 if these are cosines" if low >= -1 and high <= 1 else "; rescale them"
                )
            else:
                top = next((top for top in (5, 10, 100) if high <= top), None)
                remedy = f"; divide by {top}?" if top else "; divide by the greatest"
            return bad, remedy
        if self.labels == "binary":
            return (values != 0) & (values != 1), ""
        if self.labels == "class":
            bad = (values < 0) | (values != np.floor(values))
            if self.num_labels is None:
                return bad, ""
            return bad | (values >= self.num_labels), f" up to num_labels - 1 = {self.num_labels - 1}"
        return ~finite, ""


def total(loss: Tensor | Mapping[str, Tensor]) -> Tensor:
    """A loss, or the sum of its named terms."""
    if not isinstance(loss, Mapping):
        return loss
    return torch.stack(list(loss.values())).sum()


def function_name(function: Any) -> str:
    """The name of a function or module, for a configuration."""
    return str(getattr(function, "__name__", type(function).__name__))


def needs_callable(function: Any, argument: str) -> None:
    """Refuse what cannot be called.

    Raises:
        InputTypeError: names the argument and the value.
    """
    if not callable(function):
        raise InputTypeError(
            f"{argument}={function!r} is {type(function).__name__}: give a function of two tensors"
        )
