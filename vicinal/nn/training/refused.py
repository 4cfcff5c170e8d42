"""Runs that would go to their end and train nothing are refused, or warned about, before or at their first step."""

from __future__ import annotations

import warnings

from torch import Tensor, nn

from vicinal.core.inputs import caller_level
from vicinal.errors import InputError


def check_weights(model: nn.Module | None, losses: nn.Module | None = None) -> None:
    """Refuse a model without a weight to train, and warn of weights that training hardly changes.

    Raises:
        InputError: ``requires_grad`` is False for all weights of the model and of its losses.

    Warns:
        UserWarning: it is for all of the model's, so that only the losses' own, which are not saved, would change;
            or weights to train are float16 or bfloat16.
    """
    if model is None:
        return
    kinds = {str(each.dtype).removeprefix("torch.") for each in model.parameters() if each.requires_grad}
    if kinds:
        if short := kinds & {"float16", "bfloat16"}:
            warnings.warn(
                f"the weights to train are {max(short)}, in which small steps are lost: call model.float() before "
                "training, and half() or bfloat16() after it; bf16=True computes in bfloat16 with weights in float32",
                UserWarning,
                stacklevel=caller_level(),
            )
        return
    if losses is None or not any(each.requires_grad for each in losses.parameters()):
        raise InputError(
            "the model has no weight that is to be trained: requires_grad is False for all of them, and for those of "
            "the loss; set it for some, e.g. model.requires_grad_(True)"
        )
    warnings.warn(
        "the model has no weight that is to be trained, requires_grad is False for all of them: only the loss's own "
        "weights change, and the model stays as it is",
        UserWarning,
        stacklevel=caller_level(),
    )


def warn_of_no_rate(rate: float, argument: str) -> None:
    """Warn of a learning rate with which no step changes anything.

    Warns:
        UserWarning: the rate is 0.
    """
    if rate == 0:
        warnings.warn(
            f"{argument}={rate!r}: no step will change a weight; 2e-5 is usual",
            UserWarning,
            stacklevel=caller_level(),
        )


def warn_of_zeros(labels: Tensor, name: str, loss: str) -> None:
    """Warn of examples that seem to have no labels: 0 is the default of ``InputExample``.

    Warns:
        UserWarning: there are two or more, and all are 0.
    """
    if len(labels) > 1 and not labels.any():
        warnings.warn(
            f"{name}: the labels of all {len(labels)} examples are 0, which is what InputExample(texts=...) has "
            f"without label=, and {loss} learns from labels",
            UserWarning,
            stacklevel=caller_level(),
        )


def refuse_constant(loss: Tensor, name: str) -> None:
    """Refuse the loss of a batch that no weight has a part in.

    Raises:
        InputError: it has no gradient.
    """
    if not loss.requires_grad:
        raise InputError(
            f"the loss of {name} has no gradient, so that nothing can be trained with it: it is computed of numbers "
            "(item(), numpy(), encode()) or without a graph (detach(), no_grad())"
        )


def refuse_unreached(model: nn.Module, name: str) -> None:
    """Refuse a loss whose gradient reached no weight of the model; to be called after the first backward pass.

    Raises:
        InputError: none of the weights that are to be trained has a gradient.
    """
    trained = [each for each in model.parameters() if each.requires_grad]
    if trained and all(each.grad is None for each in trained):
        raise InputError(
            f"the gradient of {name} reaches no weight of the model that is to be trained: the loss reads another "
            "model, or embeddings without a graph (encode(), detach(), no_grad())"
        )
