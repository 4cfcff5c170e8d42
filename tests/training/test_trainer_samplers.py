"""Batches: every row once, no text twice, labels in company, data sets in their shares."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

torch = pytest.importorskip("torch")
datasets = pytest.importorskip("datasets")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from vicinal.errors import InputError  # noqa: E402
from vicinal.nn.training.rows import Rows  # noqa: E402
from vicinal.nn.training.samplers import (  # noqa: E402
    DefaultBatchSampler,
    GroupByLabelBatchSampler,
    NoDuplicatesBatchSampler,
    ProportionalBatchSampler,
    RoundRobinBatchSampler,
)

pytestmark = pytest.mark.torch


class Table:
    """As much of a data set as samplers use."""

    def __init__(self, **columns: list[Any]) -> None:
        self.columns = columns
        self.column_names = list(columns)

    def __len__(self) -> int:
        return len(self.columns[self.column_names[0]])

    def __getitem__(self, name: str) -> list[Any]:
        return self.columns[name]


@given(st.integers(1, 40), st.integers(1, 9), st.booleans(), st.integers(0, 5))
def test_every_row_once_an_epoch(rows: int, size: int, drop_last: bool, epoch: int) -> None:
    sampler = DefaultBatchSampler(Table(a=list(range(rows))), size, drop_last, seed=3)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert batches == list(sampler)
    assert len(batches) == len(sampler)
    flat = [row for batch in batches for row in batch]
    assert len(set(flat)) == len(flat) == (rows // size * size if drop_last else rows)
    assert all(len(batch) == size for batch in batches[: -1 if not drop_last else None])


def test_epochs_and_seeds_change_the_order() -> None:
    sampler = DefaultBatchSampler(Table(a=list(range(50))), 50, seed=3)
    orders = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        orders.append(next(iter(sampler)))
    assert len(set(map(tuple, orders))) == 3
    # What sentence-transformers 6.2 visits first with seed 3 and ten rows.
    first = DefaultBatchSampler(Table(a=list("abcdefghij")), 3, seed=3)
    assert list(first) == [[6, 0, 3], [7, 8, 5], [1, 9, 2], [4]]
    still = DefaultBatchSampler(Table(a=list("abcd")), 3, shuffle=False)
    assert list(still) == [[0, 1, 2], [3]]


_pairs = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("efghijkl")), min_size=1, max_size=40
)


@settings(max_examples=200)
@given(_pairs, st.integers(1, 6), st.integers(0, 3))
def test_no_text_twice_in_a_batch(rows: list[tuple[str, str]], size: int, epoch: int) -> None:
    table = Table(first=[a for a, _ in rows], second=[b for _, b in rows], label=[1] * len(rows))
    sampler = NoDuplicatesBatchSampler(table, size, valid_label_columns=["label"], seed=1)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    seen: list[int] = []
    for batch in batches:
        texts = [text for row in batch for text in set(rows[row])]
        assert len(texts) == len(set(texts))
        assert 0 < len(batch) <= size
        seen += batch
    assert sorted(seen) == list(range(len(rows)))


def test_without_duplicates_nothing_is_left_out() -> None:
    table = Table(a=[f"a{i}" for i in range(23)], b=[f"b{i}" for i in range(23)])
    sampler = NoDuplicatesBatchSampler(table, 5)
    assert sorted(row for batch in sampler for row in batch) == list(range(23))
    full = NoDuplicatesBatchSampler(table, 5, True)
    assert [len(batch) for batch in full] == [5] * 4
    same = NoDuplicatesBatchSampler(Table(a=["x"] * 9, b=["y"] * 9), 3, True)
    with pytest.raises(InputError, match="too few different texts"):
        list(same)


def test_all_rows_come_also_where_texts_repeat() -> None:
    """The last rows share a text: each has a batch to itself, and the length says so in every epoch."""
    rows = [*range(8), 0, 0, 0]
    table = Table(first=[f"a{row}" for row in rows], second=[f"b{i}" for i in range(len(rows))])
    sampler = NoDuplicatesBatchSampler(table, 4, seed=3)
    assert len(sampler) >= 4, "row 0's text stands in four rows"
    for epoch in range(6):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert sorted(row for batch in batches for row in batch) == list(range(len(rows)))
    same = NoDuplicatesBatchSampler(Table(a=["x"] * 5), 3)
    assert sorted(same) == [[0], [1], [2], [3], [4]]


@given(st.lists(st.integers(0, 4), min_size=2, max_size=50), st.integers(2, 5), st.booleans(), st.booleans())
def test_batches_of_several_labels(labels: list[int], half: int, shuffle: bool, drop_last: bool) -> None:
    table = Table(text=[str(i) for i in range(len(labels))], label=labels)
    pairs = sorted((count // 2 for count in Counter(labels).values()), reverse=True)
    if len(pairs) < 2 or not pairs[1]:
        with pytest.raises(InputError, match="no two labels that stand there twice"):
            GroupByLabelBatchSampler(table, 2 * half, valid_label_columns=["label"])
        return
    sampler = GroupByLabelBatchSampler(
        table, 2 * half, drop_last, valid_label_columns=["label"], shuffle=shuffle
    )
    # The numbers of sentence-transformers 6.2: a label comes no oftener than the second most frequent one.
    rows = 2 * sum(min(each, pairs[1]) for each in pairs)
    left = rows % (2 * half)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler) == rows // (2 * half) + (left >= 4 and not drop_last)
        assert sum(map(len, batches)) == rows - (left if drop_last or left < 4 else 0)
        seen = [row for batch in batches for row in batch]
        assert len(set(seen)) == len(seen)
        for batch in batches:
            counts = Counter(labels[row] for row in batch)
            assert len(counts) >= 2 and min(counts.values()) >= 2 and len(batch) <= 2 * half


def test_group_by_label_says_what_it_needs() -> None:
    with pytest.raises(InputError, match="needs a label column; there are a"):
        GroupByLabelBatchSampler(Table(a=["x"]), 4, valid_label_columns=["label"])
    for size in (2, 5):
        with pytest.raises(InputError, match=rf"batch_size={size}.*even, and 4 or more"):
            GroupByLabelBatchSampler(Table(a=["x"], label=[1]), size, valid_label_columns=["label"])


def test_several_data_sets() -> None:
    rows = Rows(
        {
            name: datasets.Dataset.from_dict({"a": [f"{name}{i}" for i in range(n)]})
            for name, n in (("x", 7), ("y", 4))
        }
    )
    samplers = [DefaultBatchSampler(each, 2, seed=5) for each in rows.datasets]
    proportional = ProportionalBatchSampler(rows, samplers, seed=5)
    assert len(list(proportional)) == len(proportional) == 6
    assert sorted(row for batch in proportional for row in batch) == list(range(11))
    robin = RoundRobinBatchSampler(rows, samplers, seed=5)
    sides = ["x" if batch[0] < 7 else "y" for batch in robin]
    assert sides == ["x", "y"] * 2 and len(robin) == 4
    for sampler in (proportional, robin):
        for batch in sampler:
            assert len({row["dataset_name"] for row in rows.__getitems__(batch)}) == 1
    before = list(proportional)
    proportional.set_epoch(1)
    assert samplers[0].epoch == 1
    assert before != list(proportional)


def test_batches_are_those_of_sentence_transformers() -> None:
    """What the samplers of sentence-transformers 6.2 give with seed 3, in the epochs 0 and 1."""
    table = Table(t=[str(i) for i in range(14)], label=[0, 1, 2, 0, 1, 1, 1, 0, 2, 2, 1, 1, 0, 2])
    groups = GroupByLabelBatchSampler(table, 4, valid_label_columns=["label"], seed=3)
    assert list(groups) == [[7, 12, 8, 9], [6, 4, 2, 13], [5, 1, 3, 0]]
    groups.set_epoch(1)
    assert list(groups) == [[9, 8, 7, 3], [11, 1, 12, 0], [2, 13, 5, 4]]
    rows = Rows({name: datasets.Dataset.from_dict({"a": list(name)}) for name in ("abcdefg", "hijkl")})
    expected = {
        ProportionalBatchSampler: (
            [[7, 9], [6, 4], [10, 11], [8], [2, 1], [3, 0], [5]],
            [[2, 5], [4, 0], [1, 3], [7, 9], [6], [10, 11], [8]],
        ),
        RoundRobinBatchSampler: (
            [[5, 3], [7, 9], [4, 6], [10, 11], [0, 2], [8]],
            [[3, 1], [11, 8], [0, 4], [9, 7], [2, 5], [10]],
        ),
    }
    for kind, epochs in expected.items():
        generator = torch.Generator()
        samplers = [DefaultBatchSampler(each, 2) for each in rows.datasets]
        for each in samplers:
            each.continue_draws(generator)
        sampler = kind(rows, samplers, generator, 3)
        for epoch, batches in enumerate(epochs):
            sampler.set_epoch(epoch)
            assert list(sampler) == batches


def test_rows_come_in_the_order_that_is_asked_for() -> None:
    rows = Rows(
        {name: datasets.Dataset.from_dict({"a": list(range(s, s + 5))}) for name, s in (("x", 0), ("y", 5))}
    )
    assert [row["a"] for row in rows.__getitems__([9, 0, 5, 4])] == [9, 0, 5, 4]
    assert rows[6] == {"a": 6, "dataset_name": "y"}
    assert len(rows) == 10
