"""What every loss of lists has: a query's documents are scored, and the loss is a function of the lists' scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vicinal.core.arrays import as_array
from vicinal.errors import InputError, InputTypeError
from vicinal.nn.losses.base import LABEL_MEANING, LabelKind
from vicinal.nn.losses.cross_encoder.base import Activation, CrossEncoderLoss, Pair


class ListwiseLoss(CrossEncoderLoss):
    """Base of the losses of a query and its list of documents, of any length, with a relevance for each.

    A loss computes in :meth:`_list_loss` from padded matrices and a mask. No value of a padded place reaches the
    loss or a gradient, so that lists of different lengths can share a batch.

    Args:
        model: the ``CrossEncoder`` to train, with one label.
        activation_fn: what the raw scores go through first, one by one; None for nothing.
        mini_batch_size: pairs that go through the model at a time. None takes as many as the batch has queries, 0
            or less takes all at once. It changes neither the loss nor the gradients.
    """

    columns = (2, 2)
    labels: LabelKind = "list"

    def __init__(
        self,
        model: Any,
        activation_fn: Activation | None = None,
        mini_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, activation_fn)
        if mini_batch_size is not None and (
            isinstance(mini_batch_size, bool) or not isinstance(mini_batch_size, int)
        ):
            raise InputTypeError(
                f"mini_batch_size={mini_batch_size!r} is {type(mini_batch_size).__name__}: give an int or None"
            )
        self.mini_batch_size = mini_batch_size

    def forward(self, inputs: Iterable[Any], labels: Any = None) -> Tensor:
        """The loss of a batch.

        Args:
            inputs: the queries, a list of n texts; and the documents, n lists of texts.
            labels: a list of n lists or tensors, one number per document; or an (n, k) tensor.

        Returns:
            A scalar, float32.

        Raises:
            InputError: a query without documents, or labels that do not fit the documents.
            InputTypeError: the documents of a query are not a list.
        """
        columns = [list(column) for column in inputs]
        self.check_columns(len(columns))
        queries, lists = columns
        if len(queries) != len(lists):
            raise InputError(
                f"{self.name} got {len(queries)} queries and {len(lists)} lists of documents: give as many"
            )
        if not queries:
            raise InputError(f"{self.name} got a batch without queries")
        rows = self._relevances(labels, len(queries))
        self.check_lists(lists, rows)
        lengths = [len(texts) for texts in lists]
        pairs = [(query, text) for query, texts in zip(queries, lists, strict=True) for text in texts]
        size = len(queries) if self.mini_batch_size is None else self.mini_batch_size
        scores = self._score_in_parts(pairs, size if size > 0 else len(pairs)).reshape(-1)
        device = scores.device
        # (rows, most documents): the places that hold a document
        mask = torch.arange(max(lengths), device=device) < torch.tensor(lengths, device=device)[:, None]
        with torch.autocast(device.type, enabled=False):
            scores = self.activation_fn(scores if scores.dtype == torch.float64 else scores.float())
            padded = scores.new_zeros(mask.shape).masked_scatter(mask, scores)
            relevances = torch.cat([row.to(scores) for row in rows])
            if not bool(torch.isfinite(relevances).all()):
                self.check_labels([row.tolist() for row in rows])  # names the row
            wanted = scores.new_zeros(mask.shape).masked_scatter(mask, relevances)
            return self._loss([padded, mask], wanted)

    def _relevances(self, labels: Any, rows: int) -> list[Tensor]:
        """The labels of each row."""
        if labels is None:
            raise InputError(f"{self.name} got no labels: it needs {LABEL_MEANING['list']}, for each row")
        found = [torch.as_tensor(row) for row in labels]
        if len(found) != rows:
            raise InputError(f"{self.name} got {len(found)} labels for {rows} rows: give one per row")
        for place, row in enumerate(found):
            if row.ndim != 1:
                raise InputError(
                    f"{self.name} got a label of shape {tuple(row.shape)} in row {place}: give {LABEL_MEANING['list']}"
                )
        return found

    def _score_in_parts(self, pairs: list[Pair], size: int) -> Tensor:
        """``(pairs, 1)`` raw scores, ``size`` pairs at a time, in the order of the pairs."""
        if size >= len(pairs):
            return self.score(pairs)
        # Pairs of similar length together need little padding.
        order = sorted(range(len(pairs)), key=lambda place: -len(pairs[place][0]) - len(pairs[place][1]))
        parts = [
            self.score([pairs[place] for place in order[at : at + size]]) for at in range(0, len(order), size)
        ]
        joined = torch.cat(parts)
        return joined[torch.tensor(order).argsort().to(joined.device)]

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        scores, mask = embeddings
        assert labels is not None
        return self._list_loss(scores, labels, mask)

    @abstractmethod
    def _list_loss(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """The mathematics. All are (rows, documents); where ``mask`` is False, the others hold 0."""

    def check_labels(
        self, labels: Any, columns: int | None = None, name: str = "labels", first: int = 0
    ) -> None:
        """As in the base; the lists may differ in length."""
        if labels is None:
            raise InputError(f"{self.name} needs labels, and there are none: {LABEL_MEANING['list']}")
        for row, each in enumerate(labels, first):
            if np.ndim(each) != 1:
                raise InputError(f"{name}[{row}] is {each!r}, but {self.name} needs {LABEL_MEANING['list']}")
            if not len(each):
                continue  # check_lists says what is wrong
            values = as_array(each, f"{name}[{row}]").reshape(-1)
            bad = ~np.isfinite(values)
            if bad.any():
                raise InputError(
                    f"{name}[{row}] holds {values[bad][0]:g}, but {self.name} needs {LABEL_MEANING['list']}; drop "
                    "the row"
                )

    def check_lists(
        self, lists: Sequence[Any], labels: Sequence[Any], name: str = "documents", first: int = 0
    ) -> None:
        """Refuse documents that are no list of texts, or not as many as the labels; before the first step.

        Args:
            lists: the documents of each query.
            labels: a list of numbers for each.
            name: what the documents are called in errors.
            first: number of the first row in errors, for a part of a longer column.

        Raises:
            InputError: a list is empty, or has more or fewer documents than labels; its row is named.
            InputTypeError: it is not a list, or holds something that is not a text.
        """
        for row, (texts, relevances) in enumerate(zip(lists, labels, strict=True), first):
            if isinstance(texts, str) or not isinstance(texts, Sequence):
                raise InputTypeError(
                    f"{name}[{row}] is {texts!r}, but {self.name} needs a list of documents for each query"
                )
            if not len(texts):
                raise InputError(f"{name}[{row}] has no documents: drop the row")
            wrong = [text for text in texts if not isinstance(text, str)]
            if wrong:
                raise InputTypeError(
                    f"{name}[{row}] holds {wrong[0]!r}, which is not a text: drop it and its label"
                )
            if len(texts) != len(relevances):
                raise InputError(
                    f"{name}[{row}] has {len(texts)} documents and {len(relevances)} labels: give one per document"
                )

    def get_config_dict(self) -> dict[str, Any]:
        return {**super().get_config_dict(), "mini_batch_size": self.mini_batch_size}


def as_labels(values: Sequence[Any]) -> Tensor | list[Tensor]:
    """The labels of a batch: one tensor, or one for each row where the rows are lists of different lengths."""
    if len({np.shape(value) for value in values}) > 1:
        return [torch.as_tensor(value) for value in values]
    return torch.stack(list(values)) if isinstance(values[0], Tensor) else torch.as_tensor(values)


def mean_of(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of the values where ``mask`` is True; 0, with a graph, where it never is."""
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)


#: What makes a weight or a discount of ranks; see PListMLELambdaWeight.
OfRanks = Callable[[Tensor], Tensor]
