"""What turns a cross-encoder's raw scores into those that it reports."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vicinal.core.arrays import is_tensor, loaded_torch
from vicinal.core.inputs import caller_level, shown
from vicinal.errors import InputError, InputTypeError, UnsupportedModelError

Scores: TypeAlias = NDArray[np.float32]
Activation: TypeAlias = Callable[[Scores], Scores]


def identity(scores: Scores) -> Scores:
    """The scores as they are."""
    return scores


def sigmoid(scores: Scores) -> Scores:
    """``1 / (1 + exp(-x))``, written so that exp never overflows."""
    small = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)


def softmax(scores: Scores) -> Scores:
    """Shares that add up to 1 over the labels."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True, initial=-np.inf))
    shares: Scores = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def relu(scores: Scores) -> Scores:
    """``max(x, 0)``."""
    return np.maximum(scores, 0)


_BY_NAME: dict[str, Activation] = {
    "Identity": identity,
    "Sigmoid": sigmoid,
    "Softmax": softmax,
    "Tanh": np.tanh,
    "ReLU": relu,
}

# Where torch keeps those that a folder may name; torch's other ones lie in the second.
_HOMES = {"Identity": "torch.nn.modules.linear"}
_HOME = "torch.nn.modules.activation"


def named_activation(name: str, source: str) -> Activation:
    """The activation that a folder or caller names, by its class (``torch.nn.modules.activation.Sigmoid``).

    Raises:
        UnsupportedModelError: the name is not known; ``source`` says where it stands.
    """
    package, _, short = name.rpartition(".")
    found = _BY_NAME.get(short)
    if found is None or package.split(".")[0] not in (
        "",
        "torch",
    ):  # another package's Sigmoid is another one
        raise UnsupportedModelError(
            f"{source}: the activation {name!r} is not known; known: {', '.join(_BY_NAME)}. "
            "Give activation_fn= a function of an array instead"
        )
    return found


def name_of(activation: Activation) -> str | None:
    """The name of torch's class that computes the same, such as ``"Sigmoid"``; None for a custom function."""
    return next((name for name, each in _BY_NAME.items() if each is activation), None)


def written_name(activation: Activation, folder: Path) -> str | None:
    """How a folder names an activation, so that every reader finds it; None for a custom function.

    Warns:
        UserWarning: a custom function has no name that ``folder`` could hold.
    """
    found = name_of(activation)
    if found is None:
        warnings.warn(
            f"activation_fn={getattr(activation, 'value', activation)!r} has no name that a folder could hold; "
            f"pass it again when {folder} is loaded",
            UserWarning,
            stacklevel=caller_level(),
        )
        return None
    return f"{_HOMES.get(found, _HOME)}.{found}"


def folder_activation(written: str | None, config: Mapping[str, Any], labels: int, source: str) -> Activation:
    """The activation of a folder, wherever its year kept it.

    Args:
        written: ``activation_fn`` of ``config_sentence_transformers.json``.
        config: ``config.json``, which older folders put it in under two names.
        labels: one label defaults to sigmoid, several to none.
        source: named in errors.
    """
    nested = config.get("sentence_transformers")
    older = nested.get("activation_fn") if isinstance(nested, Mapping) else None
    name = written or older or config.get("sbert_ce_default_activation_function")
    if name:
        return named_activation(str(name), source)
    return sigmoid if labels == 1 else identity


class GivenActivation:
    """A caller's own function, called as it wants to be.

    Args:
        value: a function of an array, or one of torch's, or a torch module.
        gets_tensors: the scores are given as a tensor, whatever it is.
    """

    def __init__(self, value: Callable[..., Any], gets_tensors: bool) -> None:
        self.value = value
        self.gets_tensors = gets_tensors

    def __call__(self, scores: Scores) -> Scores:
        value = self.value
        torch = loaded_torch()
        kind = value if isinstance(value, type) else type(value)
        home = str(getattr(value, "__module__", None) or getattr(kind, "__module__", ""))
        wants = torch is not None and (
            self.gets_tensors or home.startswith("torch") or isinstance(value, torch.nn.Module)
        )
        given = torch.from_numpy(scores) if wants and torch is not None else scores
        try:
            result = value(given)
        except TypeError as error:
            raise InputTypeError(
                f"activation_fn={shown(value)} cannot be called with the scores ({error})"
            ) from error
        array = result.detach().numpy() if is_tensor(result) else np.asarray(result)
        if array.shape != scores.shape:
            raise InputError(
                f"activation_fn={shown(value)} made {array.shape} of {scores.shape}; the shape must stay"
            )
        return array.astype(np.float32)


def given_activation(value: Any, gets_tensors: bool = False) -> Activation:
    """The activation that a caller passed: a name, a function of an array, or a torch module.

    Args:
        value: what the caller passed.
        gets_tensors: a function of the caller's gets tensors in place of arrays.

    Raises:
        InputTypeError: it is none of these.
    """
    if isinstance(value, str):
        return named_activation(value, "activation_fn")
    if not callable(value):
        raise InputTypeError(f"activation_fn={shown(value)} is {type(value).__name__}, not a function")
    if value in _BY_NAME.values() or isinstance(value, GivenActivation):
        known: Activation = value
        return known
    kind = value if isinstance(value, type) else type(value)
    module = str(getattr(kind, "__module__", ""))
    over_labels = getattr(value, "dim", None) in (None, 1, -1)  # a Softmax may be over the pairs
    if module.startswith("torch.nn") and kind.__name__ in _BY_NAME and over_labels:
        return _BY_NAME[kind.__name__]
    if isinstance(value, type):
        try:
            value = value()
        except TypeError as error:
            raise InputTypeError(f"activation_fn={shown(value)} cannot be made without arguments") from error

    return GivenActivation(value, gets_tensors)
