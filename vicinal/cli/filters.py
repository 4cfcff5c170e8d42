"""``--filter``: metadata filters as they are typed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any, TypeAlias

import typer

from vicinal.cli.texts import check_argument
from vicinal.errors import InputError, InputTypeError

Filters: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="JSON",
        help="""Only documents whose metadata fit, e.g. '{"year": {"$gte": 1950}}'; of several all must fit.""",
        show_default=False,
    ),
]


def read_filters(texts: Sequence[str] | None) -> dict[str, Any] | None:
    """What ``--filter`` was given, each time, as one filter; None where it was not given.

    Raises:
        InputError: one is no JSON, or no filter.
    """
    if not texts:
        return None
    filters = [read_filter(check_argument(text, "--filter"), "--filter") for text in texts]
    asking = [each for each in filters if each]  # an empty one fits everything
    return {"$and": asking} if len(asking) > 1 else next(iter(asking), {})


def read_filter(text: str, option: str) -> dict[str, Any]:
    """A filter as it is typed.

    Raises:
        InputError: it is no JSON, or no filter.
    """
    from vicinal.index.filters import parse_filter

    try:
        where = json.loads(text, object_pairs_hook=partial(_once, option))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        place = ""
        if isinstance(error, json.JSONDecodeError):
            place = f" ({error.msg.removesuffix(' at')} at character {error.pos + 1})"
        raise InputError(
            f"""{option} {text!r} is no JSON{place}: write it like '{{"year": {{"$gte": 1950}}}}'"""
        ) from None
    if not isinstance(where, dict):
        raise InputError(f"""{option} {text!r} is no object: write it like '{{"year": {{"$gte": 1950}}}}'""")
    try:
        parse_filter(where)
    except (InputError, InputTypeError) as error:
        raise InputError(f"{option} {text!r}: {str(error).removeprefix('filter: ')}") from None
    return where


def _once(option: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of a name that stands twice in it, JSON keeps the last value in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(
            f"{option}: {twice!r} stands twice in one object; put both conditions into one, or use $and"
        )
    return found


def fields_of(where: object) -> Iterator[str]:
    """Names of the fields that a filter asks for."""
    if isinstance(where, list):
        for part in where:
            yield from fields_of(part)
    elif isinstance(where, dict):
        for name, value in where.items():
            if not name.startswith("$"):
                yield name
            elif name in ("$and", "$or", "$not"):
                yield from fields_of(value)
