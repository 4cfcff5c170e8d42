"""``SentenceTransformer.fit``: examples become features and labels, losses become objectives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vicinal.core.torch import to_device
from vicinal.errors import InputError, InputTypeError
from vicinal.nn.fit.loop import Objective, Settings
from vicinal.nn.fit.model import train
from vicinal.nn.losses.base import Loss, total
from vicinal.nn.training.refused import warn_of_zeros


def fit(model: Any, train_objectives: Iterable[tuple[Any, Any]], evaluator: Any, settings: Settings) -> None:
    """Train a SentenceTransformer; its method ``fit`` explains the arguments."""
    pairs = read_objectives(model, train_objectives)
    names = [f"train_objectives[{number}]" for number in range(len(pairs))]
    for (loader, loss), name in zip(pairs, names, strict=True):
        check_examples(loader, loss, name)
    objectives = [
        Objective(name, loader, loss, step_function(model, loss))
        for (loader, loss), name in zip(pairs, names, strict=True)
    ]
    train(model, objectives, evaluator, settings)


def read_objectives(model: Any, train_objectives: Any) -> list[tuple[Any, nn.Module]]:
    """The pairs of a loader and a loss.

    Raises:
        InputTypeError: something else.
        InputError: a loss was made for another model.
    """
    if isinstance(train_objectives, Mapping) or not isinstance(train_objectives, Iterable):
        raise InputTypeError(
            f"train_objectives is {type(train_objectives).__name__}: give a list, [(DataLoader(...), loss)]"
        )
    found: list[tuple[Any, nn.Module]] = []
    objectives = list(train_objectives)
    if len(objectives) == 2 and isinstance(objectives[1], nn.Module):
        raise InputTypeError("train_objectives is one pair: put it into a list, [(loader, loss)]")
    for number, each in enumerate(objectives):
        name = f"train_objectives[{number}]"
        if not isinstance(each, Sequence) or len(each) != 2:
            raise InputTypeError(f"{name} is {type(each).__name__}: give a pair of a DataLoader and a loss")
        loader, loss = each
        if not isinstance(loss, nn.Module):
            raise InputTypeError(
                f"{name}[1] is {type(loss).__name__}: give a loss, such as losses.CosineSimilarityLoss(model)"
            )
        if getattr(loss, "model", model) not in (model, model.module):
            raise InputError(
                f"{name}: its {type(loss).__name__} was made for another model; make it with this one"
            )
        found.append((loader, loss))
    return found


def check_examples(loader: Any, loss: nn.Module, name: str) -> None:
    """Refuse, before the first step, examples that the loss cannot mean; only lists are looked through.

    Raises:
        InputTypeError: an example without texts, or labels that are not numbers.
        InputError: a wrong number of texts, or an impossible label; the example is named.

    Warns:
        UserWarning: all labels are 0, as where none was given.
    """
    dataset = getattr(loader, "dataset", None)
    if not isinstance(dataset, (list, tuple)):
        return
    name = f"{name}[0].dataset"
    if not dataset:
        raise InputError(f"{name} is empty: give it some examples")
    columns = len(texts_of(dataset[0], f"{name}[0]"))
    for place, example in enumerate(dataset):
        count = len(texts_of(example, f"{name}[{place}]"))
        if count != columns:
            raise InputError(
                f"{name}[{place}] has {count} texts, but {name}[0] has {columns}: all need the same number"
            )
    if not isinstance(loss, Loss):
        return
    loss.check_columns(columns)
    if loss.labels != "none":
        labels = [label_of(example) for example in dataset]
        for place, label in enumerate(labels):
            if label is None or isinstance(label, (str, bytes)):
                raise InputTypeError(f"{name}[{place}].label is {label!r}, not a number or a list of numbers")
        values = _tensor_of(labels, name)
        loss.check_labels(values, columns, f"{name} labels")
        warn_of_zeros(values, name, loss.name)


def texts_of(example: Any, name: str) -> Sequence[str]:
    """The texts of an example.

    Raises:
        InputTypeError: it has none.
        InputError: the list of them is empty.
    """
    texts = getattr(example, "texts", None)
    if texts is None:
        raise InputTypeError(f"{name} is {type(example).__name__}: give InputExample(texts=[...], label=...)")
    if not len(texts):
        raise InputError(f"{name} has no texts")
    found: Sequence[str] = texts
    return found


def label_of(example: Any) -> Any:
    """The label of an example; 0 where it has none, as InputExample says it."""
    return getattr(example, "label", 0)


def collated(
    tokenize: Callable[[list[str]], dict[str, Any]], examples: Sequence[Any]
) -> tuple[list[dict[str, Any]], Tensor]:
    """Features of each column of texts, and the labels: (n,), or (n, k) where a label is a list.

    Args:
        tokenize: of the model's first module.
        examples: n of them, with as many texts each.
    """
    rows = [texts_of(example, f"example {place} of the batch") for place, example in enumerate(examples)]
    if len({len(row) for row in rows}) > 1:
        raise InputError(
            f"a batch holds examples with {sorted({len(row) for row in rows})} texts: all need the same number"
        )
    features = [tokenize(list(column)) for column in zip(*rows, strict=True)]
    return features, _tensor_of([label_of(example) for example in examples], "the batch")


def _tensor_of(labels: list[Any], name: str) -> Tensor:
    try:
        if labels and isinstance(labels[0], Tensor):
            return torch.stack(labels)
        if labels and hasattr(labels[0], "shape"):
            import numpy as np

            return torch.from_numpy(np.stack(labels))
        return torch.tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputTypeError(
            f"{name}: the labels are not numbers, or lists of one length ({error})"
        ) from error


def step_function(model: Any, loss: nn.Module) -> Callable[[Sequence[Any]], Tensor]:
    """Examples -> the loss."""
    device = str(model.device)

    def step(examples: Sequence[Any]) -> Tensor:
        features, labels = collated(model.module[0].tokenize, examples)
        found = loss([to_device(each, device) for each in features], labels.to(device))
        return total(found)

    return step
