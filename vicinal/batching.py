"""Ragged token ids become padded batches of about equal work."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from vicinal.engine.base import Batch, Engine, RaggedEngine
from vicinal.errors import OutOfMemoryError
from vicinal.inputs import caller_level
from vicinal.tokens import Ragged


def plan(
    lengths: NDArray[np.int32], token_budget: int, batch_size: int | None = None
) -> list[NDArray[np.intp]]:
    """Group texts of similar length.

    Args:
        lengths: ``(n,)``, tokens of each text.
        token_budget: padded tokens a batch at most; a single text may exceed it.
        batch_size: texts a batch; None leaves it to the budget.

    Returns:
        Arrays of text numbers, longest texts first: if memory does not suffice, it shows at the start.
    """
    order = np.argsort(-lengths, kind="stable")
    groups: list[NDArray[np.intp]] = []
    first = 0
    while first < len(order):
        longest = max(int(lengths[order[first]]), 1)
        count = batch_size or max(token_budget // longest, 1)
        groups.append(order[first : first + count])
        first += count
    return groups


def pad(ragged: Ragged, rows: NDArray[np.intp], pad_id: int, prompt_length: int = 0) -> Batch:
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
    out: NDArray[np.float32],
    *,
    pad_id: int,
    token_budget: int,
    batch_size: int | None = None,
    prompt_length: int = 0,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Compute a row for every text of ``ragged`` and write it to its own place in ``out``.

    When a batch does not fit into memory, the rest goes on with batches of half as many texts.

    Args:
        out: ``(n, k)``; the first k numbers of each engine row are kept.
        progress: called with the number of texts that were just finished.

    Raises:
        OutOfMemoryError: a single text does not fit.
    """
    if isinstance(engine, RaggedEngine):
        engine.run_ragged(ragged, out, progress)
        return
    lengths = ragged.lengths
    todo = np.arange(len(ragged), dtype=np.intp)
    done = np.zeros(len(ragged), dtype=bool)
    while len(todo):
        groups = [todo[group] for group in plan(lengths[todo], token_budget, batch_size)]
        try:
            for rows, values in _run(engine, ragged, groups, pad_id, prompt_length):
                out[rows] = values[:, : out.shape[1]]
                done[rows] = True
                if progress is not None:
                    progress(len(rows))
        except (OutOfMemoryError, MemoryError) as error:
            largest = max((len(group) for group in groups if not done[group].all()), default=1)
            if largest == 1:
                raise OutOfMemoryError(
                    f"a single text of {int(lengths[todo].max())} tokens does not fit into memory; "
                    "lower model.max_seq_length, or give the process more memory"
                ) from error
            batch_size = largest // 2
            warnings.warn(
                f"out of memory with {largest} texts a batch; going on with {batch_size}",
                RuntimeWarning,
                stacklevel=caller_level(),
            )
        todo = np.flatnonzero(~done)


def _run(
    engine: Engine, ragged: Ragged, groups: list[NDArray[np.intp]], pad_id: int, prompt_length: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    if len(groups) <= 2:  # too few to give every core work of its own
        for rows in groups:
            yield rows, engine.run(pad(ragged, rows, pad_id, prompt_length))
        return
    yield from engine.run_many((rows, pad(ragged, rows, pad_id, prompt_length)) for rows in groups)
