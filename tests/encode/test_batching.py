"""Batches: every text once, in its place, within the budget; and what happens when memory runs out."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vicinal.engine.base import Batch, Output
from vicinal.engine.batching import pad, plan, run_all
from vicinal.engine.sinks import DenseRows
from vicinal.errors import OutOfMemoryError
from vicinal.tokens.text import Ragged


def ragged_of(rows: list[list[int]], types: bool = False) -> Ragged:
    starts = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    ids = np.array([each for row in rows for each in row], dtype=np.int32)
    lengths = np.array([len(row) for row in rows], dtype=np.int32)
    return Ragged(ids, starts, lengths, ids % 2 if types else None)


class SumEngine:
    """Gives each text the sum and the number of its tokens; refuses what is too large."""

    dimension = 2

    def __init__(self, texts: int = 10**9, tokens: int = 10**9, error: type[Exception] = MemoryError) -> None:
        self.texts, self.tokens, self.error = texts, tokens, error
        self.seen: list[tuple[int, int]] = []

    def run(self, batch: Batch, output: Output = "sentence") -> NDArray[np.float32]:
        if len(batch.lengths) > self.texts or batch.input_ids.size > self.tokens:
            raise self.error("too much")
        self.seen.append((batch.input_ids.shape[0], batch.input_ids.shape[1]))
        sums = (batch.input_ids * batch.attention_mask).sum(1)
        return np.stack([sums, batch.lengths], axis=1).astype(np.float32)

    def run_many(
        self, batches: Iterable[tuple[Any, Batch]], output: Output = "sentence"
    ) -> Iterator[tuple[Any, NDArray[np.float32]]]:
        waiting = list(batches)
        for tag, batch in waiting[::-1]:  # any order is allowed
            yield tag, self.run(batch)


ROWS = st.lists(st.lists(st.integers(1, 99), max_size=20), max_size=40)


def expected(rows: list[list[int]]) -> NDArray[np.float32]:
    return np.array([[sum(row), len(row)] for row in rows], dtype=np.float32).reshape(-1, 2)


@given(lengths=st.lists(st.integers(0, 60), max_size=60), budget=st.integers(1, 200))
@settings(deadline=None)
def test_plan_by_budget(lengths: list[int], budget: int) -> None:
    groups = plan(np.array(lengths, dtype=np.int32), budget)
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    longest = [max(lengths[place] for place in group) for group in groups]
    assert longest == sorted(longest, reverse=True)
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[place] for place in group) <= budget


@given(lengths=st.lists(st.integers(0, 60), max_size=60), size=st.integers(1, 70))
@settings(deadline=None)
def test_plan_by_size(lengths: list[int], size: int) -> None:
    groups = plan(np.array(lengths, dtype=np.int32), 100, size)
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    assert [len(group) for group in groups[:-1]] == [size] * (len(groups) - 1)


@given(rows=ROWS.filter(len), types=st.booleans(), data=st.data())
@settings(deadline=None)
def test_pad(rows: list[list[int]], types: bool, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=10))
    batch = pad(ragged_of(rows, types), np.array(chosen), pad_id=-7, prompt_length=3)
    width = max(1, *(len(rows[place]) for place in chosen))
    assert batch.input_ids.tolist() == [rows[place] + [-7] * (width - len(rows[place])) for place in chosen]
    assert batch.attention_mask.sum(1).tolist() == [len(rows[place]) for place in chosen]
    assert batch.input_ids.dtype == batch.attention_mask.dtype == np.int32
    assert batch.prompt_length == 3
    if types:
        assert batch.token_type_ids is not None
        assert (batch.token_type_ids == np.where(batch.attention_mask == 1, batch.input_ids % 2, 0)).all()
    else:
        assert batch.token_type_ids is None


@given(rows=ROWS, budget=st.integers(1, 80), size=st.none() | st.integers(1, 50))
@settings(deadline=None)
def test_every_text_in_its_place(rows: list[list[int]], budget: int, size: int | None) -> None:
    out, finished = np.full((len(rows), 2), np.nan, dtype=np.float32), []
    ragged = ragged_of(rows)
    run_all(
        SumEngine(),
        ragged,
        DenseRows(out),
        pad_id=0,
        token_budget=budget,
        batch_size=size,
        progress=finished.append,
    )
    np.testing.assert_array_equal(out, expected(rows))
    assert sum(finished) == len(rows)


@given(rows=ROWS, order=st.randoms(use_true_random=False))
@settings(deadline=None)
def test_order_does_not_matter(rows: list[list[int]], order: Any) -> None:
    places = list(range(len(rows)))
    order.shuffle(places)
    out = np.empty((len(rows), 2), dtype=np.float32)
    run_all(
        SumEngine(), ragged_of([rows[place] for place in places]), DenseRows(out), pad_id=0, token_budget=50
    )
    np.testing.assert_array_equal(out, expected(rows)[places])


@pytest.mark.filterwarnings("ignore:out of memory:RuntimeWarning")
@pytest.mark.parametrize("error", [MemoryError, OutOfMemoryError])
@given(rows=ROWS, most=st.integers(1, 10), size=st.none() | st.integers(1, 50))
@settings(deadline=None)
def test_out_of_memory_halves(
    error: type[Exception], rows: list[list[int]], most: int, size: int | None
) -> None:
    engine, finished = SumEngine(texts=most, error=error), []
    out = np.full((len(rows), 2), np.nan, dtype=np.float32)
    ragged = ragged_of(rows)
    run_all(
        engine, ragged, DenseRows(out), pad_id=0, token_budget=99, batch_size=size, progress=finished.append
    )
    np.testing.assert_array_equal(out, expected(rows))
    assert sum(finished) == len(rows)  # nothing twice, nothing lost
    assert sum(texts for texts, _ in engine.seen) == len(rows)


def test_out_of_memory_is_said_where_the_caller_is() -> None:
    rows = [[1, 2, 3]] * 64
    out = np.empty((64, 2), dtype=np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run_all(SumEngine(texts=20), ragged_of(rows), DenseRows(out), pad_id=0, token_budget=1024)
    assert [str(each.message) for each in caught] == [
        "out of memory with a batch of 64 texts of up to 3 tokens; a batch of 16 texts of up to 3 tokens "
        "fitted, and nothing was lost"
    ]
    assert caught[0].category is RuntimeWarning
    assert caught[0].filename == __file__


def test_one_text_too_large() -> None:
    rows = [[1] * 5, [1] * 50, [2] * 5]
    out = np.empty((3, 2), dtype=np.float32)
    with pytest.raises(OutOfMemoryError, match=r"single text of 50 tokens.*max_seq_length") as caught:
        run_all(
            SumEngine(tokens=20), ragged_of(rows), DenseRows(out), pad_id=0, token_budget=1024, batch_size=1
        )
    assert isinstance(caught.value, MemoryError)


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError):
        run_all(
            SumEngine(texts=0, error=KeyError),
            ragged_of([[1]]),
            DenseRows(np.empty((1, 2), np.float32)),
            pad_id=0,
            token_budget=9,
        )


def test_leading_columns() -> None:
    out = np.empty((2, 1), dtype=np.float32)
    run_all(SumEngine(), ragged_of([[1, 2], [3]]), DenseRows(out), pad_id=0, token_budget=9)
    assert out.tolist() == [[3], [3]]
