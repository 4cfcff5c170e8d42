"""Columns whose names say that they stand in another order than losses read them in."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from vicinal.core.inputs import caller_level

# Where a loss expects it: a query, what answers it, what doesn't.
_PLACES = {
    "anchor": 0,
    "query": 0,
    "question": 0,
    "hypothesis": 0,
    "positive": 1,
    "answer": 1,
    "response": 1,
    "document": 1,
    "passage": 1,
    "entailment": 1,
    "negative": 2,
    "contradiction": 2,
}
# Whatever stands before one of these stands in its place. A hypothesis may have its premise before it.
_FIRST = ("anchor", "query", "question")
_UNKNOWN = 3


def expected_order(names: Sequence[str]) -> list[str] | None:
    """The order that the names of text columns speak for; None where it is theirs, or they say nothing."""
    places = [_place(name) for name in names]
    known = [place for place in places if place != _UNKNOWN]
    first = next((i for i, name in enumerate(names) if name.lower() in _FIRST), 0)
    if first == 0 and known == sorted(known):
        return None
    return [name for _, name in sorted(zip(places, names, strict=True), key=lambda pair: pair[0])]


def warn_of_order(names: Sequence[str], dataset: str) -> None:
    """Warn of text columns that seem to stand in a wrong order.

    Args:
        names: the columns, in their order.
        dataset: what the warning calls the data set.

    Warns:
        UserWarning: a query stands behind its answer, say.
    """
    order = expected_order(names)
    if order is None:
        return
    warnings.warn(
        f"{dataset}: the columns {', '.join(map(repr, names))} go to the loss in this order, the first as the query or "
        f"anchor, the second as its positive, whatever they are called. If {order[0]!r} is the query: "
        f"select_columns({order!r}), or columns={order!r} for the trainer, which also silences this",
        UserWarning,
        stacklevel=caller_level(),
    )


def _place(name: str) -> int:
    """Where a column is expected by its name; ``negative_3`` is a negative."""
    return _PLACES.get(re.sub(r"_?\d+$", "", name.lower()), _UNKNOWN)
