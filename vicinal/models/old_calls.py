"""Calls as older code writes them: former names of arguments, and their former order."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from vicinal.core.inputs import caller_level

#: What stood behind the texts before there were prompts.
ENCODE_ORDER = (
    "batch_size",
    "show_progress_bar",
    "output_value",
    "convert_to_numpy",
    "convert_to_tensor",
    "device",
    "normalize_embeddings",
)
PREDICT_ORDER = (
    "batch_size",
    "show_progress_bar",
    "activation_fn",
    "apply_softmax",
    "convert_to_numpy",
    "convert_to_tensor",
)
RANK_ORDER = ("batch_size", "show_progress_bar", "activation_fn", "apply_softmax")

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def takes_old_calls(
    *,
    renamed: Mapping[str, str] | None = None,
    without_effect: Sequence[str] = (),
    order: Sequence[str] = (),
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Let a method be called as it once was.

    Args:
        renamed: former name of an argument -> its name; a ``DeprecationWarning`` says so.
        without_effect: arguments that had an effect once; they are accepted with a ``DeprecationWarning``.
        order: the positional arguments of old, from where ``prompt_name`` stands today. They are meant where a number
            of texts stands for the prompt's name, or a boolean for the prompt.
    """
    renamed = renamed or {}

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        names = [name for name in inspect.signature(function).parameters if name != "self"]
        place = names.index("prompt_name") + 1 if order else 0  # with self

        @wraps(function)
        def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            given: dict[str, Any] = kwargs
            for old in [name for name in given if name in renamed]:
                value = given.pop(old)
                _warn(f"{old}= is called {renamed[old]}= today")
                given.setdefault(renamed[old], value)
            for old in [name for name in given if name in without_effect]:
                given.pop(old)
                _warn(f"{old}= has no effect any more; leave it out")
            later = _without_workers(args[place:], order)
            if order and _is_old_order(later) and len(later) <= len(order):
                old_names = order[: len(later)]
                if not any(name in given for name in old_names):
                    given.update(zip(old_names, later, strict=True))
                    return function(*args[:place], **given)  # type: ignore[arg-type]
            return function(*args, **given)

        return wrapper

    return decorate


def _is_old_order(values: tuple[Any, ...]) -> bool:
    """Whether ``batch_size, show_progress_bar, ...`` stand where ``prompt_name, prompt`` do today."""
    if not values:
        return False
    if not isinstance(values[0], (str, bool)) and hasattr(values[0], "__index__"):
        return True
    return values[0] is None and len(values) > 1 and isinstance(values[1], bool)


def _without_workers(values: tuple[Any, ...], order: Sequence[str]) -> tuple[Any, ...]:
    """The arguments by position, without the number of workers that once stood before the activation."""
    if len(values) > 2 and order[2:3] == ("activation_fn",) and isinstance(values[2], int):
        return (*values[:2], *values[3:])
    return values


def _warn(message: str) -> None:
    warnings.warn(message, DeprecationWarning, stacklevel=caller_level())
