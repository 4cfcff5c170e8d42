"""Metadata filters: the field's dictionaries, made canonical once.

``{"year": {"$gte": 1950}, "$or": [{"lang": "en"}, {"tags": {"$in": ["a", "b"]}}]}``

Semantics (those of MongoDB, which the field copied):

* several conditions beside one another must all hold;
* ``{"field": value}`` is ``{"field": {"$eq": value}}``;
* a list in the metadata matches when **any** of its elements does;
* a dictionary in the metadata is reached with dots: ``{"author.name": "Ada"}``;
* ``$gt``, ``$gte``, ``$lt``, ``$lte`` compare numbers with numbers and strings with strings, nothing else;
* ``True`` equals neither 1 nor "true"; ``1`` equals ``1.0``; ``None`` equals a stored ``None`` only;
* ``$ne`` and ``$nin`` are the opposite of ``$eq`` and ``$in``: they hold for a document without the field.

A store answers single conditions (:class:`Condition`) with sets; :func:`evaluate` combines them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from vicinal.core.inputs import array_items, check_unicode, plain, shown
from vicinal.errors import InputError, InputTypeError
from vicinal.index.values import check_depth, check_number

Scalar = str | int | float | bool | None

COMPARISONS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$not")
LOGICAL = ("$and", "$or", "$not")

# The kind of a value decides what it may equal; a store keeps it beside the value.
KIND_NULL, KIND_BOOL, KIND_NUMBER, KIND_TEXT, KIND_CONTAINER = range(5)


@dataclass(frozen=True, slots=True)
class Condition:
    """One field, one positive comparison.

    Attributes:
        field: the field's dotted name.
        op: ``"$in"``, ``"$gt"``, ``"$gte"``, ``"$lt"``, ``"$lte"`` or ``"$exists"``; the others are
            written with these and :class:`Not`.
        values: the operands: any number for ``$in``, one for an order, none for ``$exists``.
    """

    field: str
    op: str
    values: tuple[Scalar, ...] = ()


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds; true without parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds; false without parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Node


Node = Condition | And | Or | Not


class _BooleanSet(Protocol):
    def __and__(self: Set, other: Set, /) -> Set: ...
    def __or__(self: Set, other: Set, /) -> Set: ...
    def __invert__(self: Set, /) -> Set: ...


Set = TypeVar("Set", bound=_BooleanSet)


def parse_filter(spec: Mapping[str, Any]) -> Node:
    """Read a filter dictionary.

    Args:
        spec: the filter, as in the module's description.

    Returns:
        Its canonical tree; an empty dictionary is an empty :class:`And`, which everything satisfies.

    Raises:
        InputTypeError: a part is not a dictionary, list or scalar where one is due.
        InputError: an operator is unknown, its operand cannot be meant, or it is nested too deep.
    """
    check_depth(spec, "filter")
    return _parsed(spec)


def _parsed(spec: Any) -> Node:
    if not isinstance(spec, Mapping):
        raise InputTypeError(
            f"filter must be a dictionary such as {{'year': {{'$gte': 1950}}}}, got {type(spec).__name__}"
        )
    parts: list[Node] = []
    for key, value in spec.items():
        if not isinstance(key, str):
            raise InputTypeError(f"filter: field names are strings, got {shown(key)} ({type(key).__name__})")
        check_unicode(key, "filter: a field name")
        key = plain(key)
        parts.append(_logical(key, value) if key.startswith("$") else _field(key, value))
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _logical(op: str, value: Any) -> Node:
    if op not in LOGICAL:
        raise InputError(
            f"filter: unknown operator {op!r}: at this place use one of {', '.join(LOGICAL)}, or a field name"
        )
    if op == "$not":
        return Not(_parsed(value))
    filters = array_items(value)
    if not filters:
        raise InputError(f"filter: {op} takes a non-empty list of filters, got {shown(value)}")
    parts = tuple(_parsed(part) for part in filters)
    return And(parts) if op == "$and" else Or(parts)


def _field(name: str, value: Any) -> Node:
    if not isinstance(value, Mapping):
        return Condition(name, "$in", (_scalar(name, "$eq", value),))
    if not value:
        raise InputError(
            f"filter: {name!r} has an empty condition {{}}: give it an operator such as {{'$exists': True}}"
        )
    parts = tuple(_comparison(name, op, operand) for op, operand in value.items())
    return parts[0] if len(parts) == 1 else And(parts)


def _comparison(name: str, op: Any, operand: Any) -> Node:
    if not isinstance(op, str) or op not in COMPARISONS:
        raise InputError(
            f"filter: unknown operator {shown(op)} for {name!r}: use one of {', '.join(COMPARISONS)}"
        )
    if op == "$not":
        return Not(_field(name, operand))
    if op == "$exists":
        operand = _item(operand)
        if not isinstance(operand, bool):
            raise InputError(f"filter: $exists for {name!r} takes True or False, got {shown(operand)}")
        found = Condition(name, "$exists")
        return found if operand else Not(found)
    if op in ("$in", "$nin"):
        items = array_items(operand)
        if items is None:
            raise InputError(f"filter: {op} for {name!r} takes a list of values, got {shown(operand)}")
        found = Condition(name, "$in", tuple(_scalar(name, op, item) for item in items))
        return found if op == "$in" else Not(found)
    value = _scalar(name, op, operand)
    if op in ("$eq", "$ne"):
        found = Condition(name, "$in", (value,))
        return found if op == "$eq" else Not(found)
    if value is None or isinstance(value, bool):
        raise InputError(f"filter: {op} for {name!r} compares numbers or strings, got {shown(operand)}")
    return Condition(name, op, (value,))


def _scalar(name: str, op: str, value: Any) -> Scalar:
    value = _item(value)
    if value is None or isinstance(value, bool):
        return value
    where = f"filter: {op} for {name!r}"
    if isinstance(value, str):
        check_unicode(value, where)
        return plain(value)
    if isinstance(value, (int, float)):
        return check_number(plain(value), where)
    raise InputTypeError(f"{where} takes a string, number, bool or None, got {type(value).__name__}")


def _item(value: Any) -> Any:
    """What an array or scalar of no dimensions holds; everything else as it is."""
    if hasattr(value, "item") and not isinstance(value, (str, int, float)) and getattr(value, "ndim", 1) == 0:
        return value.item()
    return value


def flatten(metadata: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, int, Scalar]]:
    """Every value that a filter can see, as ``(dotted field, kind, value)``.

    A list gives its elements under the list's own name. A dictionary or an empty list gives one row of
    kind ``KIND_CONTAINER`` so that ``$exists`` sees it.

    Args:
        metadata: a document's metadata, JSON types only.
        prefix: the dotted name in front, for the recursion.

    Returns:
        An iterator of rows; a row may come twice when a list repeats an element.
    """
    for name, value in metadata.items():
        yield from _flatten_value(prefix + name, value)


def _flatten_value(name: str, value: Any) -> Iterator[tuple[str, int, Scalar]]:
    if isinstance(value, Mapping):
        yield name, KIND_CONTAINER, 0
        yield from flatten(value, name + ".")
    elif isinstance(value, (list, tuple)):
        yield name, KIND_CONTAINER, 0
        for item in value:
            yield from _flatten_value(name, item)
    else:
        yield name, kind_of(value), 0 if value is None else value


def kind_of(value: Scalar) -> int:
    """The kind of a scalar: ``KIND_NULL``, ``KIND_BOOL``, ``KIND_NUMBER`` or ``KIND_TEXT``."""
    if value is None:
        return KIND_NULL
    if isinstance(value, bool):
        return KIND_BOOL
    return KIND_TEXT if isinstance(value, str) else KIND_NUMBER


def evaluate(node: Node, answer: Callable[[Condition], Set], everything: Callable[[], Set]) -> Set:
    """Combine the answers to single conditions.

    Args:
        node: the filter's tree.
        answer: gives the set of one condition; sets know ``&``, ``|`` and ``~`` (boolean arrays do).
        everything: gives the set of all documents, for a filter without conditions.

    Returns:
        The set of the whole filter. After a ``~`` it may hold what never existed; the caller cuts it to
        what lives.
    """
    if isinstance(node, Condition):
        return answer(node)
    if isinstance(node, Not):
        return ~evaluate(node.part, answer, everything)
    sets = [evaluate(part, answer, everything) for part in node.parts]
    if not sets:
        return everything() if isinstance(node, And) else ~everything()
    result = sets[0]
    for other in sets[1:]:
        result = result & other if isinstance(node, And) else result | other
    return result
