"""What a store can hold, and the arguments that say how much of something: checked, with the name in the error."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

from vicinal.core.inputs import as_integer, shown
from vicinal.errors import InputError, InputTypeError

INT64 = 2**63
# Levels of dictionaries and lists inside one another, in metadata and in filters. Reading and writing JSON
# recurses, and a dictionary that holds itself has no end.
DEEPEST = 100
# SQLite counts milliseconds in 32 bits: 23 days stand for any longer wait.
LONGEST_SECONDS = 2_000_000.0
_SCALARS = (str, int, float, type(None))


def check_number(value: float, what: str) -> float:
    """Refuse the numbers that a store cannot hold.

    Args:
        value: a number.
        what: the subject of the error's sentence.

    Returns:
        The number.

    Raises:
        InputError: it is not finite, or an integer beyond 64 bits.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{what}: {value!r} is no JSON number: use None or leave the field out")
    if isinstance(value, int) and not -INT64 <= value < INT64:
        raise InputError(f"{what}: {value!r} does not fit into 64 bits: store it as a string")
    return value


def check_depth(value: Any, where: str, deepest: int = DEEPEST) -> None:
    """Refuse dictionaries and lists that lie too deep inside one another, or inside themselves.

    Args:
        value: anything.
        where: what it is, for the error.
        deepest: how many levels it may have.
    """
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return
    if not deepest:
        raise InputError(
            f"{where} is nested more than {DEEPEST} levels deep, or holds itself: make it flatter"
        )
    for part in value:
        if not isinstance(part, _SCALARS):  # most are, in a long list of $in
            check_depth(part, where, deepest - 1)


def check_flag(value: Any, name: str) -> None:
    """Refuse what is neither True nor False.

    Raises:
        InputTypeError: names the argument.
    """
    if not isinstance(value, bool):
        raise InputTypeError(f"{name} must be True or False, got {shown(value)}")


def integer_from(least: int, value: Any, name: str) -> int:
    """An integer argument, numpy's included.

    Args:
        least: the smallest that makes sense.
        value: what was given.
        name: the argument, for the error.

    Raises:
        InputTypeError: it is no integer.
        InputError: it is too small.
    """
    given = as_integer(value, name)
    if given < least:
        raise InputError(f"{name} must be at least {least}, got {value!r}")
    return given


def seconds(value: Any, name: str) -> float:
    """An argument in seconds, not negative; infinite means :data:`LONGEST_SECONDS`.

    Raises:
        InputTypeError: it is no number.
        InputError: it is negative or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InputTypeError(
            f"{name} must be a number of seconds, got {shown(value)} ({type(value).__name__})"
        )
    try:
        given = float(value)
    except OverflowError:  # an integer beyond the type
        number: Any = value
        given = math.copysign(math.inf, (number > 0) - 0.5)
    if not given >= 0:
        raise InputError(f"{name} must be at least 0, got {shown(value)}")
    return min(given, LONGEST_SECONDS)
