"""Every accepted form of input becomes canonical once, here."""

from __future__ import annotations

import difflib
import inspect
import math
import numbers
import operator
import reprlib
import sys
from collections.abc import Callable, Iterable, KeysView, Mapping, Sequence, ValuesView
from enum import Enum
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from vicinal.core.media import refuse_media
from vicinal.errors import InputError, InputTypeError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Value = TypeVar("Value")

# Stands for every larger count: products with it stay within 64 bits.
_MOST = 2**40


def explains_keywords(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Make an unknown keyword a TypeError that lists the valid ones and the one probably meant.

    ``inputs``, as the newest code of the field writes it, is taken for ``sentences``.
    """
    valid = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self"
        and parameter.kind is not parameter.VAR_KEYWORD
        and parameter.kind is not parameter.VAR_POSITIONAL
    ]

    @wraps(function)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if "inputs" in kwargs and "sentences" in valid and "sentences" not in kwargs:
            kwargs["sentences"] = kwargs.pop("inputs")
        for name in kwargs:
            if name not in valid:
                near = difflib.get_close_matches(name, valid, 1)
                raise InputTypeError(
                    f"{_shown(function, args)}() has no argument {name!r}"
                    + (f"; did you mean {near[0]!r}?" if near else ".")
                    + f" Valid: {', '.join(valid)}"
                )
        return function(*args, **kwargs)

    return wrapper


def _shown(function: Callable[..., Any], args: tuple[object, ...]) -> str:
    """A function as its user knows it: a method by the class of its object, not by the base that defines it."""
    owner, _, name = function.__qualname__.rpartition(".")
    if owner and args and any(each.__name__ == owner for each in type(args[0]).__mro__):
        owner = type(args[0]).__name__
    return owner if name == "__init__" else f"{owner}.{name}".lstrip(".")


def as_texts(sentences: object, argument: str = "sentences", first: int = 0) -> tuple[list[str], bool]:
    """A list of texts, and whether a single string was given.

    Args:
        sentences: a string, or an iterable of strings (list, tuple, array, Series, generator, ...).
        argument: its name in errors.
        first: number of the first text in errors, for a part of a longer input.

    Raises:
        InputTypeError: it is something else, or one of its items is; the item's position is named.
        InputError: a text holds what is no character.
    """
    if isinstance(sentences, str):
        check_unicode(sentences, argument)
        return [plain(sentences)], True
    if not isinstance(sentences, (list, tuple)):
        refuse_media(sentences, argument)
    texts = listed(sentences, argument, "a text or a list of texts")
    subclasses = False
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            refuse_media(text, f"{argument}[{first + place}]")
            raise InputTypeError(f"{argument}[{first + place}] is {_name(text)}, not a text{_remedy(text)}")
        if not text.isascii():
            check_unicode(text, f"{argument}[{first + place}]")
        subclasses = subclasses or type(text) is not str
    return [plain(text) for text in texts] if subclasses else texts, False


def listed(values: object, argument: str, wanted: str = "a list") -> list[Any]:
    """A list of what an iterable holds: a list, tuple, array, Series, column, generator, ...

    Raises:
        InputTypeError: it is a table, a dictionary, bytes, or cannot be gone through.
    """
    if isinstance(values, list):
        return values
    refuse_table(values, argument)
    if isinstance(values, (bytes, bytearray)):
        raise InputTypeError(
            f"{argument} is {type(values).__name__}, not text: decode it first, .decode('utf-8')"
        )
    if getattr(values, "shape", None) == ():
        raise InputTypeError(f"{argument} is an array of no dimensions, not {wanted}: give [array.item()]")
    if not isinstance(values, Iterable):
        raise InputTypeError(f"{argument} is {_name(values)}, not {wanted}")
    # Arrow hands out scalars of its own where it is gone through.
    return list(values.to_pylist() if hasattr(values, "to_pylist") else values)


def array_items(values: object) -> list[Any] | None:
    """The items of what stands for a list: a list, tuple, set, range, view of a dictionary, array, Series, column.

    Returns:
        None for everything else: a scalar, a text, a dictionary, a table.
    """
    if isinstance(values, (list, tuple, set, frozenset, range, KeysView, ValuesView)):
        return list(values)
    if isinstance(values, (str, bytes, bytearray, Mapping)) or _columns(values) is not None:
        return None
    for name in ("tolist", "to_pylist", "to_list"):
        if hasattr(type(values), name):
            items = getattr(values, name)()
            return items if isinstance(items, list) else None
    return None


def plain(value: Value) -> Value:
    """A text or number as what it equals: enums and other subclasses of ``str``, ``int`` and ``float`` lose their type.

    Their own ``str()`` may be something else: that of an enum is its name. Everything else is returned as it is.
    """
    if isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind) and type(value) is not kind:
            return _CONVERSIONS[kind](value)  # type: ignore[no-any-return]
    return value


# Those of the built-in types themselves, which a subclass cannot change.
_CONVERSIONS: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
}


def check_options(**options: object) -> None:
    """Refuse dictionaries of options, given under their names, that are something else.

    Raises:
        InputTypeError: one is neither a dictionary nor None.
    """
    for name, value in options.items():
        if value is not None and not isinstance(value, Mapping):
            raise InputTypeError(f"{name} is {_name(value)}; give a dictionary of options and values")


def refuse_table(values: object, argument: str, columns: int = 1) -> None:
    """Refuse a table, of which a loop gives the names of its columns, or a dictionary.

    Args:
        values: anything.
        argument: its name in errors.
        columns: how many of the columns are wanted.

    Raises:
        InputTypeError: tells how to choose the columns.
    """
    names = list(values) if isinstance(values, Mapping) else _columns(values)
    if names is None:
        return
    what = "dictionary with the keys" if isinstance(values, Mapping) else "table with the columns"
    held = ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "") if names else "none"
    # Texts have usual names; where none of them is there, one stands for the others.
    names.sort(key=lambda name: _TEXTS.index(name) if name in _TEXTS else len(_TEXTS))
    chosen = [f"{argument}[{name!r}]" for name in [*names, "text", "other"][:columns]]
    remedy = chosen[0] if columns == 1 else f"list(zip({', '.join(chosen)}))"
    raise InputTypeError(
        f"{argument} is {type(values).__name__}, a {what} {held}: choose "
        f"{'one' if columns == 1 else columns}, e.g. {remedy}"
    )


_TEXTS = ("text", "texts", "sentence", "sentences", "content", "document", "body")


def _columns(values: object) -> list[Any] | None:
    """The names of a table's columns (pandas, polars, pyarrow, datasets); None if it is none."""
    names = getattr(
        values, "column_names", None
    )  # of pyarrow and datasets, which give a dictionary for splits
    if names is None and (hasattr(values, "dtypes") or hasattr(values, "collect_schema")):
        names = getattr(values, "columns", None)
    if names is None or isinstance(names, str) or not isinstance(names, Iterable):
        return None
    return list(names)


def shown(value: object, longest: int = 40) -> str:
    """``repr()`` for messages: short, and something whatever the value is, also nested without end."""
    try:
        text = reprlib.repr(value) if isinstance(value, (list, tuple, set, dict)) else repr(value)
        text = " ".join(text.split())
    except Exception as error:  # somebody else's code
        return f"<{type(value).__name__}, whose repr() fails with {type(error).__name__}>"
    return text if len(text) <= longest else text[: longest - 3] + "..."


def is_blank(text: str) -> bool:
    """Whether a text holds nothing that can be seen: blanks, zero-width spaces, soft hyphens, control characters."""
    return not any(char.isprintable() and not char.isspace() for char in text)


def check_unicode(text: str, name: str) -> None:
    """Refuse half characters, which JSON such as ``"\\ud800"`` and broken decoders leave behind."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{name} holds the lone surrogate {text[error.start]!r} at place {error.start}, which is no "
            "character; replace such with text.encode('utf-8', 'replace').decode()"
        ) from error


def caller_level() -> int:
    """The ``stacklevel`` with which a warning points at the line outside of Vicinal that led to it."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "vicinal":
        level, frame = level + 1, frame.f_back
    return level


def _name(value: object) -> str:
    if value is None:
        return "None"
    return f"{type(value).__name__} ({shown(value)})"


def _remedy(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        return ": decode it first, .decode('utf-8')"
    if isinstance(value, Enum):
        return ": give its .value or .name"
    if value is None or isinstance(value, (int, float)):
        return ": drop it, or replace it by a text, e.g. ''"
    if isinstance(value, (list, tuple)):
        return ": pairs of texts go to CrossEncoder.predict"
    return ""


def as_prompts(prompts: object) -> dict[str, str]:
    """Prompts by name; None is none.

    Raises:
        InputTypeError: not a mapping of names to texts.
    """
    if prompts is None:
        return {}
    if not isinstance(prompts, Mapping):
        raise InputTypeError(f"prompts is {_name(prompts)}; give a dictionary of names and texts")
    for name, text in prompts.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise InputTypeError(f"prompts[{name!r}] is {_name(text)}; names and prompts are texts")
    return {plain(name): plain(text) for name, text in prompts.items()}


def check_choice(value: Any, choices: Sequence[Any], argument: str) -> None:
    """Refuse a value that is not one of ``choices``.

    Raises:
        InputError: names the argument, the value and the choices.
    """
    try:
        known = (
            hash(value) is not None and value in choices
        )  # an array has no hash, and answers == with an array
    except TypeError:
        known = False
    if not known:
        raise InputError(f"{argument}={shown(value)} is not one of {', '.join(map(repr, choices))}")


def check_flag(value: Any, argument: str) -> None:
    """Refuse what is neither true nor false: ``"false"`` would count as true, and an array as neither.

    None and numbers pass, which old code uses for a flag.

    Raises:
        InputTypeError: names the argument and the value.
    """
    if not (value is None or isinstance(value, int) or type(value).__name__ in ("bool", "bool_")):  # numpy's
        raise InputTypeError(f"{argument}={shown(value)} is {type(value).__name__}; give True or False")


def check_positive(value: int | None, argument: str) -> None:
    """Refuse a count that is not a positive integer (None is allowed).

    Raises:
        InputTypeError: not an integer.
        InputError: zero or negative.
    """
    if value is None:
        return
    if as_integer(value, argument) < 1:
        raise InputError(f"{argument}={shown(value)} must be 1 or more")


def as_integer(value: object, argument: str) -> int:
    """An integer, numpy's included.

    Raises:
        InputTypeError: not an integer.
    """
    try:
        if not isinstance(value, bool):
            return operator.index(value)  # type: ignore[arg-type]
    except TypeError:  # some types have __index__ and refuse it: an array of floats
        pass
    raise InputTypeError(f"{argument}={shown(value)} is {type(value).__name__}, not an integer")


def as_count(value: object, argument: str, smallest: int = 1) -> int:
    """A number of things; more than memory could hold means all there are.

    Raises:
        InputTypeError: not an integer.
        InputError: less than ``smallest``.
    """
    count = as_integer(value, argument)
    if count < smallest:
        raise InputError(f"{argument} is {shown(count)}: it must be {smallest} or more")
    return min(count, _MOST)


def as_number(value: object, argument: str, low: float, high: float, what: str) -> float:
    """A number within bounds.

    Args:
        value: what was given; numpy's numbers too.
        argument: its name in errors.
        low: the smallest that is allowed.
        high: the largest.
        what: what to give instead, for errors: ``"a cosine, -1..1"``.

    Raises:
        InputTypeError: not a number.
        InputError: NaN, or out of bounds.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InputTypeError(f"{argument}={shown(value)} is {type(value).__name__}: give {what}")
    try:
        number = float(value)
    except (OverflowError, ValueError):  # an integer or a fraction beyond the type
        number = math.inf
    if not low <= number <= high:
        raise InputError(f"{argument} is {shown(value)}: give {what}")
    return number
