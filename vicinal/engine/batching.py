"""Ragged token ids become padded batches of about equal work."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.inputs import caller_level
from vicinal.engine.base import Batch, Engine, Output, TextEngine, TextOutput, is_ragged_engine
from vicinal.engine.sinks import Rows, Sink
from vicinal.errors import OutOfMemoryError
from vicinal.tokens.text import Ragged


def plan(lengths: NDArray[np.int32], token_budget: int, batch_size: int | None = None) -> list[Rows]:
    """Group texts of similar length.

    Args:
        lengths: ``(n,)``, tokens of each text.
        token_budget: maximum of padded tokens per batch; a single text may exceed it.
        batch_size: texts per batch; None leaves it to the budget.

    Returns:
        Arrays of text numbers, longest texts first: if memory does not suffice, it shows at the start.
    """
    order = np.argsort(-lengths, kind="stable")
    groups: list[Rows] = []
    first = 0
    while first < len(order):
        longest = max(int(lengths[order[first]]), 1)
        count = batch_size or max(token_budget // longest, 1)
        groups.append(order[first : first + count])
        first += count
    return groups


def pad(ragged: Ragged, rows: Rows, pad_id: int, prompt_length: int = 0) -> Batch:
    """Put the rows of ``ragged`` into one rectangle, padded on the right to the longest of them."""
    lengths = ragged.lengths_of(rows)
    width = max(int(lengths.max(initial=0)), 1)
    columns = np.arange(width)
    inside = columns[None, :] < lengths[:, None]
    if not len(ragged.ids):  # nothing but texts without a token
        input_ids = np.full((len(rows), width), pad_id, dtype=np.int32)
        types = None if ragged.type_ids is None else np.zeros_like(input_ids)
        return Batch(input_ids, lengths, types, prompt_length)
    # Places beyond a row's end are read from somewhere and overwritten.
    places = np.minimum(ragged.starts[rows][:, None] + columns[None, :], len(ragged.ids) - 1)
    input_ids = np.where(inside, ragged.ids[places], np.int32(pad_id))
    types = None
    if ragged.type_ids is not None:
        types = np.where(inside, ragged.type_ids[places], np.int32(0))
    return Batch(input_ids, lengths, types, prompt_length)


def run_all(
    engine: Engine,
    ragged: Ragged,
    sink: Sink,
    *,
    pad_id: int,
    token_budget: int,
    output: Output = "sentence",
    batch_size: int | None = None,
    prompt_length: int = 0,
    progress: Callable[[int], None] | None = None,
) -> int | None:
    """Compute what ``output`` names for every text of ``ragged``, and hand it to ``sink``.

    When a batch does not fit into memory, the rest goes on with batches half as large, until they fit; a
    warning at the end names what fitted. An engine with a ``token_budget`` keeps the one that fitted.

    Args:
        engine: what computes.
        ragged: the texts.
        sink: what takes the results.
        pad_id: the id that fills up rows.
        token_budget: maximum of padded tokens per batch, for an engine that has no ``token_budget`` of its own.
        output: what to compute.
        batch_size: texts per batch; None leaves it to the budget.
        prompt_length: how many leading tokens of each text pooling leaves out.
        progress: called with the number of texts that were just finished.

    Returns:
        The ``batch_size`` that fitted, to go on with; None where it was None.

    Raises:
        OutOfMemoryError: a single text does not fit.
    """
    if output == "sentence" and is_ragged_engine(engine):
        engine.run_ragged(ragged, sink, progress)
        return batch_size
    budget = getattr(engine, "token_budget", None) or token_budget

    def compute(groups: list[Rows]) -> Iterator[tuple[Rows, NDArray[np.float32]]]:
        batches = ((rows, pad(ragged, rows, pad_id, prompt_length)) for rows in groups)
        if len(groups) > 2:
            yield from engine.run_many(batches, output)
        else:  # too few to give every core work of its own
            for rows, batch in batches:
                yield rows, engine.run(batch, output)

    return _run_batches(engine, ragged.lengths, sink, compute, budget, batch_size, progress)


def run_all_texts(
    engine: TextEngine,
    texts: Sequence[str],
    lengths: NDArray[np.int32],
    sink: Sink,
    *,
    prompt: str,
    batch_size: int,
    output: TextOutput = "sentence",
    progress: Callable[[int], None] | None = None,
) -> int | None:
    """What :func:`run_all` does, for an engine that splits texts itself.

    Args:
        lengths: ``(n,)``, by which the texts are sorted.

    Raises:
        OutOfMemoryError: a single text does not fit.
    """

    def compute(groups: list[Rows]) -> Iterator[tuple[Rows, Any]]:
        for rows in groups:
            yield rows, engine.run_texts([texts[row] for row in rows], prompt, output)

    return _run_batches(engine, lengths, sink, compute, 0, batch_size, progress)


def _run_batches(
    engine: Engine | TextEngine,
    lengths: NDArray[np.int32],
    sink: Sink,
    compute: Callable[[list[Rows]], Iterable[tuple[Rows, Any]]],
    token_budget: int,
    batch_size: int | None,
    progress: Callable[[int], None] | None,
) -> int | None:
    """Go through all texts in batches, in smaller ones where memory does not suffice."""
    todo = np.arange(len(lengths), dtype=np.intp)
    done = np.zeros(len(lengths), dtype=bool)
    failed, fitted = "", ""
    while len(todo):
        groups = [todo[group] for group in plan(lengths[todo], token_budget, batch_size)]
        try:
            for rows, values in compute(groups):
                sink.write(rows, values, lengths[rows])
                done[rows] = True
                if progress is not None:
                    progress(len(rows))
            fitted = _size(max(groups, key=lambda group: _tokens(group, lengths)), lengths)
        except (OutOfMemoryError, MemoryError) as error:
            left = [group for group in groups if not done[group].all()]
            largest = max((len(group) for group in left), default=1)
            if largest == 1:
                raise OutOfMemoryError(
                    f"a single text of {int(lengths[todo].max())} tokens does not fit into memory; "
                    "lower model.max_seq_length, or give the process more memory"
                ) from error
            failed = failed or _size(left[0], lengths)
            if batch_size is not None:
                batch_size = largest // 2
            else:
                token_budget = max(_tokens(group, lengths) for group in left if len(group) > 1) // 2
        todo = np.flatnonzero(~done)
    if failed:
        if batch_size is None and hasattr(engine, "token_budget"):
            engine.token_budget = token_budget
        warnings.warn(
            f"out of memory with a batch of {failed}; a batch of {fitted} fitted, and nothing was lost"
            + ("" if batch_size is None else f". batch_size={batch_size} saves the attempts"),
            RuntimeWarning,
            stacklevel=caller_level(),
        )
    return batch_size


def _tokens(rows: Rows, lengths: NDArray[np.int32]) -> int:
    """Padded tokens of a batch."""
    return len(rows) * max(int(lengths[rows].max()), 1)


def _size(rows: Rows, lengths: NDArray[np.int32]) -> str:
    return f"{len(rows)} text{'s' * (len(rows) > 1)} of up to {int(lengths[rows].max())} tokens"
