"""Does the classifier of a SoftmaxLoss give pairs the right class?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from vicinal.core.arrays import as_array
from vicinal.core.inputs import explains_keywords
from vicinal.core.torch import require_torch, to_device
from vicinal.errors import InputError, InputTypeError
from vicinal.evaluation.base import Measured, SentenceEvaluator, file_name


class LabelAccuracyEvaluator(SentenceEvaluator):
    """Share of examples whose class a classifier on top of the model's vectors predicts right, as SoftmaxLoss
    trains one.

    The metric is ``accuracy``.

    Args:
        dataloader: gives batches of InputExample objects with a class as their label, such as a torch
            ``DataLoader`` of them; of one that has a ``collate_fn``, that is not used.
        name: stands before the metric's name and in the file's.
        softmax_model: the loss that was trained, or any function of features per column and ``labels=None`` that
            gives the vectors of each column and (n, classes) logits.
        write_csv: append to ``accuracy_evaluation_{name}_results.csv`` where ``output_path`` is given.

    Raises:
        InputTypeError: no batches, or nothing that gives logits.
        InputError: when called, there are no examples, or one has no class.
        MissingExtraError: when called, torch is not installed.
    """

    primary_metric = "accuracy"
    csv_headers = ("epoch", "steps", "accuracy")

    @explains_keywords
    def __init__(
        self, dataloader: Iterable[Any], name: str = "", softmax_model: Any = None, write_csv: bool = True
    ) -> None:
        if not isinstance(dataloader, Iterable) or isinstance(dataloader, str):
            raise InputTypeError(
                f"dataloader is {type(dataloader).__name__}: give batches of InputExample, such as a DataLoader"
            )
        if not callable(softmax_model):
            raise InputTypeError(
                f"softmax_model is {type(softmax_model).__name__}: give the SoftmaxLoss that was trained"
            )
        self.dataloader = dataloader
        self.name = name
        self.softmax_model = softmax_model
        self.write_csv = write_csv
        self.csv_file = file_name("accuracy_evaluation", name)

    def _measure(self, model: Any) -> Measured:
        torch = require_torch("LabelAccuracyEvaluator")
        right = count = 0
        with _evaluating(model), _evaluating(self.softmax_model), torch.no_grad():
            for batch in filter(len, _batches(self.dataloader)):
                columns, classes = _columns(batch, count)
                features = [to_device(model.tokenize(texts), str(model.device)) for texts in columns]
                _, logits = self.softmax_model(features, labels=None)
                right += int((as_array(logits).argmax(axis=1) == classes).sum())
                count += len(batch)
        if not count:
            raise InputError("dataloader gave no examples: there is nothing to evaluate")
        return Measured({"accuracy": right / count}, "accuracy", {"accuracy": right / count})


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Without dropout inside, and as it was afterwards."""
    training = bool(getattr(module, "training", False))
    if training:
        module.eval()
    try:
        yield
    finally:
        if training:
            module.train()


def _batches(dataloader: Iterable[Any]) -> Iterator[Sequence[Any]]:
    """Batches as lists of examples, whatever the loader would make of them for training."""
    before = getattr(dataloader, "collate_fn", None)
    loader: Any = dataloader
    if hasattr(dataloader, "collate_fn"):
        loader.collate_fn = _as_they_are
    try:
        yield from dataloader
    finally:
        if hasattr(dataloader, "collate_fn"):
            loader.collate_fn = before


def _as_they_are(batch: Any) -> Any:
    return batch


def _columns(batch: Sequence[Any], first: int) -> tuple[list[list[str]], Any]:
    """The columns of texts, and (n,) classes."""
    for place, example in enumerate(batch, first):
        if not hasattr(example, "texts") or not hasattr(example, "label"):
            raise InputTypeError(
                f"example {place} of dataloader is {type(example).__name__}: give InputExample objects, or a "
                "DataLoader of them"
            )
        label = example.label
        if label is None or isinstance(label, str) or float(label) != int(label):
            raise InputError(
                f"example {place} of dataloader has the label {label!r}: a class is 0, 1, 2, ..."
            )
        if len(example.texts) != len(batch[0].texts):
            raise InputError(
                f"example {place} of dataloader has {len(example.texts)} texts, others {len(batch[0].texts)}"
            )
    columns = [list(texts) for texts in zip(*(example.texts for example in batch), strict=True)]
    return columns, np.array([int(example.label) for example in batch])
