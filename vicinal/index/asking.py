"""What a search is asked, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, cast

from vicinal.core.inputs import check_unicode, is_blank, plain, shown
from vicinal.errors import InputError, InputTypeError
from vicinal.index.filters import Node, parse_filter
from vicinal.index.reranking import Reranker, check_reranker
from vicinal.index.retrievers import MODES, Mode
from vicinal.index.values import check_flag, integer_from

# Candidates where no number is given: that a reranker reads; that it reads in mode best, where somebody may wait
# for it; and that it reads there at most where it has a budget.
USUAL, OF_BEST, MOST_OF_BEST = 100, 30, 100


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of a search, canonical.

    Attributes:
        query: the text.
        top_k: hits at most.
        where: the filter, None for none.
        mode: dense, lexical, hybrid or best.
        reranker: that was given.
        read: candidates for a reranker.
        merge: whether documents with the same passage become one hit.
        budget_ms: milliseconds for the search, None without a limit.
    """

    query: str
    top_k: int
    where: Node | None
    mode: Mode
    reranker: Reranker | None
    read: int
    merge: bool
    budget_ms: float | None

    @property
    def is_blank(self) -> bool:
        """Whether the query asks nothing."""
        return is_blank(self.query)


def asked(
    query: object,
    top_k: object,
    filter: Mapping[str, Any] | None,
    mode: object,
    reranker: object,
    candidates: object,
    merge_duplicates: object,
    budget_ms: object,
) -> Asked:
    """Check the arguments of a search.

    Raises:
        InputError: one of them is invalid.
    """
    if not isinstance(query, str):
        raise InputTypeError(f"query must be a string, got {type(query).__name__}")
    query = plain(query)
    check_unicode(query, "query")
    top_k = integer_from(1, top_k, "top_k")
    if not isinstance(mode, str) or mode not in MODES:
        raise InputError(f"mode must be one of {', '.join(map(repr, MODES))}, got {shown(mode)}")
    budget = None if budget_ms is None else _budget(mode, budget_ms)
    if candidates is None:
        read = USUAL if mode != "best" else OF_BEST if budget is None else MOST_OF_BEST
    else:
        read = integer_from(1, candidates, "candidates")
        if reranker is None and mode != "best":
            raise InputError(
                f"candidates={read} is what a reranker reads, and there is none: give reranker=, or mode='best'"
            )
    where = None if filter is None or (isinstance(filter, dict) and not filter) else parse_filter(filter)
    given: Reranker | None = None
    if reranker is not None:
        given = check_reranker(reranker)
    check_flag(merge_duplicates, "merge_duplicates")
    return Asked(query, top_k, where, cast("Mode", mode), given, read, bool(merge_duplicates), budget)


def _budget(mode: str, given: object) -> float:
    if mode != "best":
        raise InputError(f"budget_ms={shown(given)}: only mode='best' keeps to a budget; mode is {mode!r}")
    if isinstance(given, bool) or not isinstance(given, Real):
        raise InputTypeError(f"budget_ms must be a number of milliseconds or None, got {shown(given)}")
    try:
        budget = float(given)
    except OverflowError:
        budget = math.inf
    if not (math.isfinite(budget) and budget > 0):
        raise InputError(f"budget_ms must be above 0 and finite, got {shown(given)}")
    return budget
