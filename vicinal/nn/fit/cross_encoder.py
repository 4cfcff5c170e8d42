"""``CrossEncoder.fit``: what the training loop of ``vicinal.nn.fit.loop`` needs to know of a cross-encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vicinal.errors import InputError, InputTypeError
from vicinal.nn.fit.loop import Objective, Settings
from vicinal.nn.fit.model import train
from vicinal.nn.losses.cross_encoder import (
    BinaryCrossEntropyLoss,
    CrossEncoderLoss,
    CrossEntropyLoss,
    ListwiseLoss,
)
from vicinal.nn.training.refused import warn_of_zeros


class LogitsLoss(CrossEncoderLoss):
    """A loss in the old style: a function of raw scores and labels, ``torch.nn.BCEWithLogitsLoss()`` for one.

    Args:
        model: the ``CrossEncoder`` to train.
        function: ``(n,)`` scores (``(n, labels)`` for several labels) and ``(n,)`` labels -> a scalar.
        activation_fn: what raw scores go through first.
    """

    labels = "any"
    one_label = False

    def __init__(
        self, model: Any, function: Callable[[Tensor, Tensor], Tensor], activation_fn: Any = None
    ) -> None:
        super().__init__(model, activation_fn)
        self.function = function

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        assert labels is not None
        scores = embeddings[0]
        if scores.shape[1] == 1:
            return self.function(scores[:, 0], labels.to(scores.dtype))
        return self.function(scores, labels if labels.ndim > 1 else labels.long())


def loss_of(model: Any, loss_fct: Any, activation_fct: Any) -> CrossEncoderLoss:
    """The loss that ``fit`` was given, in any of its forms.

    Raises:
        InputError: it was made for another model, or takes lists of documents.
        InputTypeError: it is no function.
    """
    if loss_fct is None:
        default = BinaryCrossEntropyLoss if model.num_labels == 1 else CrossEntropyLoss
        return default(model, activation_fct)
    if isinstance(loss_fct, ListwiseLoss):
        raise InputError(
            f"loss_fct is a {loss_fct.name}, which needs a list of documents per query; fit takes pairs of texts: "
            "train with CrossEncoderTrainer(model, train_dataset=..., loss=...)"
        )
    if isinstance(loss_fct, CrossEncoderLoss):
        if loss_fct.model is not model:
            raise InputError(
                f"loss_fct was made for another model, which it would train in place of this one: "
                f"{loss_fct.name}(model, ...) with the same model"
            )
        return loss_fct
    if not callable(loss_fct):
        raise InputTypeError(
            f"loss_fct is {type(loss_fct).__name__}; give a loss of vicinal.cross_encoder.losses"
        )
    return LogitsLoss(model, loss_fct, activation_fct)


def columns_of(examples: Sequence[Any]) -> tuple[list[list[str]], Tensor]:
    """The columns of texts and the labels of some InputExample.

    Raises:
        InputTypeError: something without ``texts`` and ``label``, or labels that are no numbers.
        InputError: examples with different numbers of texts.
    """
    for place, example in enumerate(examples):
        if not hasattr(example, "texts") or not hasattr(example, "label"):
            raise InputTypeError(
                f"train_dataloader gave {type(example).__name__} (example {place}); fit takes a DataLoader over "
                "InputExample(texts=[a, b], label=x)"
            )
        if len(example.texts) != len(examples[0].texts):
            raise InputError(
                f"example {place} has {len(example.texts)} texts, example 0 has {len(examples[0].texts)}: give as many"
            )
    columns = [list(column) for column in zip(*(example.texts for example in examples), strict=True)]
    try:
        labels = torch.as_tensor(np.asarray([example.label for example in examples], dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"the labels are not all numbers, or not all of one shape: {error}") from error
    return columns, labels


def check_examples(dataset: Any, loss: CrossEncoderLoss) -> None:
    """Refuse examples that the loss cannot mean, and warn where all labels are 0, before the first step."""
    if not isinstance(dataset, Sequence) or not len(dataset):
        return
    columns, labels = columns_of(dataset)
    loss.check_columns(len(columns))
    loss.check_labels(labels.numpy(), len(columns), "label")
    if loss.labels != "none":
        warn_of_zeros(labels, "train_dataloader.dataset", loss.name)


def fit(model: Any, loader: Any, loss: CrossEncoderLoss, evaluator: Any, settings: Settings) -> None:
    """Train; see ``CrossEncoder.fit``."""
    if not hasattr(loader, "collate_fn"):
        raise InputTypeError(
            f"train_dataloader is {type(loader).__name__}; give a torch.utils.data.DataLoader"
        )
    check_examples(getattr(loader, "dataset", None), loss)

    def step(examples: list[Any]) -> Tensor:
        columns, labels = columns_of(examples)
        value: Tensor = loss(columns, labels)
        return value

    train(model, [Objective("train_dataloader", loader, loss, step)], evaluator, settings)
