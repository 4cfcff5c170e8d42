"""Which rows make a batch, and from which data set the next batch comes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import BatchSampler, RandomSampler

from vicinal.core.inputs import check_positive
from vicinal.errors import InputError

_NOT_TEXTS = ("dataset_name",)
# Rows that are turned away, for each row of a batch, before it is left smaller: where most rows share a text,
# looking at all of them for every batch would take hours.
_PATIENCE = 25
# Orders that are tried for an epoch with as many batches as the first.
_ORDERS = 4


class DefaultBatchSampler(BatchSampler):
    """Rows in a random order, a new one each epoch.

    Base of the others, and of your own: override ``__iter__``, which yields lists of row numbers, and
    ``__len__``. The order depends on seed and epoch alone, so that a resumed run sees the same batches.

    Args:
        dataset: has a length; rows by number.
        batch_size: rows a batch.
        drop_last: leave out a last batch that is not full.
        valid_label_columns: columns that are labels and not texts.
        generator: what draws; it is seeded anew each epoch.
        seed: of the first epoch; each epoch adds 1.
        shuffle: False keeps the rows in their order.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool = False,
        valid_label_columns: Sequence[str] | None = None,
        generator: torch.Generator | None = None,
        seed: int = 0,
        *,
        shuffle: bool = True,
    ) -> None:
        check_positive(batch_size, "batch_size")
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.valid_label_columns = tuple(valid_label_columns or ())
        self.generator = generator or torch.Generator()
        self.seed = seed or 0
        self.shuffle = shuffle
        self.epoch = 0
        self._continues = False
        self._prepare(dataset, batch_size)

    def continue_draws(self, generator: torch.Generator) -> None:
        """Draw from a generator that others draw from too, and that one of them seeds each epoch."""
        self.generator, self._continues = generator, True

    def _prepare(self, dataset: Any, batch_size: int) -> None:
        """Look through the rows once, for a subclass that chooses by them."""

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next."""
        self.epoch = epoch

    def order(self) -> list[int]:
        """The row numbers of this epoch, in the order to visit them."""
        count = len(self.dataset)
        if not self.shuffle:
            return list(range(count))
        self.generator.manual_seed(self.seed + self.epoch)
        found: list[int] = torch.randperm(count, generator=self.generator).tolist()
        return found

    def __iter__(self) -> Iterator[list[int]]:
        if self._continues and self.shuffle:
            # torch's own, which draws when the first row is asked for, and again behind the last one.
            rows = RandomSampler(self.dataset, generator=self.generator)
            yield from BatchSampler(rows, self.batch_size, self.drop_last)
            return
        order = self.order()
        for place in range(len(self)):
            yield order[place * self.batch_size : (place + 1) * self.batch_size]

    def __len__(self) -> int:
        return _batches(len(self.dataset), self.batch_size, self.drop_last)


class NoDuplicatesBatchSampler(DefaultBatchSampler):
    """No text stands twice in a batch, in whichever columns.

    For losses that take the other rows of a batch as negatives: a text that stands twice would be its own
    negative. A row whose text is there already waits for the next batch. Within a row texts may be equal.

    Without ``drop_last`` every row comes once per epoch: where texts repeat often, in more and smaller batches.
    """

    def _prepare(self, dataset: Any, batch_size: int) -> None:
        skipped = {*self.valid_label_columns, *_NOT_TEXTS}
        # [:] fetches a column of an Arrow table in one piece, iterating does so row by row.
        columns = [dataset[name][:] for name in dataset.column_names if name not in skipped]
        # Hashes: 64 bits tell any number of texts apart that fits into memory, and take a tenth of the room.
        self._rows = [frozenset(map(_mark, row)) for row in zip(*columns, strict=True)]
        self._first_plan: list[list[int]] | None = None

    def __iter__(self) -> Iterator[list[int]]:
        if self.drop_last:
            yield from self._full_batches()
            return
        # Resuming counts steps by epochs, so that each epoch must have the batches that len() says. Some orders
        # need a batch more or less than the first: then another order is tried, or the first batches come mixed.
        order = self.order()
        for _ in range(_ORDERS):
            plan = self._plan(order)
            if len(plan) == len(self):
                yield from plan
                return
            order = [order[i] for i in torch.randperm(len(order), generator=self.generator).tolist()]
        plan = self._first()
        for place in torch.randperm(len(plan), generator=self.generator).tolist():
            yield plan[place]

    def __len__(self) -> int:
        return super().__len__() if self.drop_last else len(self._first())

    def _full_batches(self) -> Iterator[list[int]]:
        plan = self._plan(self.order(), len(self))
        if not plan and len(self):
            raise InputError(
                f"batch_size={self.batch_size}: there are too few different texts to fill one batch; "
                "take a smaller one"
            )
        for place in range(len(self)):
            yield plan[place % len(plan)]

    def _first(self) -> list[list[int]]:
        """The batches of the first epoch, whichever this one is."""
        if self._first_plan is None:
            epoch, self.epoch = self.epoch, 0
            try:
                self._first_plan = self._plan(self.order())
            finally:
                self.epoch = epoch
        return self._first_plan

    def _plan(self, order: Sequence[int], most: int | None = None) -> list[list[int]]:
        fresh, waiting = deque(order), deque[int]()
        plan: list[list[int]] = []
        while (fresh or waiting) and (most is None or len(plan) < most):
            batch: list[int] = []
            taken: set[int] = set()
            later: list[int] = []
            while len(batch) < self.batch_size and len(later) < _PATIENCE * self.batch_size:
                if not (waiting or fresh):
                    break
                row = waiting.popleft() if waiting else fresh.popleft()
                if taken.isdisjoint(self._rows[row]):
                    batch.append(row)
                    taken |= self._rows[row]
                else:
                    later.append(row)
            waiting.extendleft(reversed(later))
            if len(batch) == self.batch_size or not self.drop_last:
                plan.append(batch)
        return plan


class GroupByLabelBatchSampler(DefaultBatchSampler):
    """Every batch holds two labels or more, each of them twice or more: what triplets within a batch are made of.

    Rows are taken in pairs of one label, and all labels that are left have their turn before one comes again. What
    gives no such batch is left out for the epoch: an odd row of a label, pairs of the most frequent label when no
    other is left, and a last pair alone.
    """

    def _prepare(self, dataset: Any, batch_size: int) -> None:
        name = next((each for each in self.valid_label_columns if each in dataset.column_names), None)
        if name is None:
            raise InputError(
                f"batch_sampler='group_by_label' needs a label column; there are {', '.join(dataset.column_names)}"
            )
        if batch_size % 2 or batch_size < 4:
            raise InputError(
                f"batch_size={batch_size}: batch_sampler='group_by_label' puts two rows of each of two labels or "
                "more into a batch; make it even, and 4 or more"
            )
        self._labels = [_plain(label) for label in dataset[name][:]]
        pairs = sorted((count // 2 for count in Counter(self._labels).values()), reverse=True)
        if len(pairs) < 2 or not pairs[1]:
            raise InputError(
                f"batch_sampler='group_by_label': the column {name!r} has no two labels that stand there twice"
            )
        self._most_pairs = pairs[1]  # of a label: from then on the most frequent one would be alone
        self._count = 2 * sum(min(each, self._most_pairs) for each in pairs)

    def __iter__(self) -> Iterator[list[int]]:
        # The same draws as in sentence-transformers give the same batches.
        if self.shuffle:
            self.generator.manual_seed(self.seed + self.epoch)
        groups: dict[Any, list[int]] = {}
        for row, label in enumerate(self._labels):
            groups.setdefault(label, []).append(row)
        groups = {label: self._mixed(rows) for label, rows in groups.items() if len(rows) > 1}
        labels = list(groups)
        batch: list[int] = []
        last = None
        for turn in range(self._most_pairs):
            labels = self._mixed([label for label in labels if len(groups[label]) >= 2 * turn + 2])
            if batch and labels[0] == last:  # pairs beside each other in a batch are of two labels
                labels[0], labels[1] = labels[1], labels[0]
            last = labels[-1]
            for label in labels:
                batch += groups[label][2 * turn : 2 * turn + 2]
                if len(batch) == self.batch_size:
                    yield batch
                    batch = []
        if len(batch) >= 4 and not self.drop_last:
            yield batch

    def _mixed(self, values: list[Any]) -> list[Any]:
        if not self.shuffle:
            return values
        return [values[i] for i in torch.randperm(len(values), generator=self.generator).tolist()]

    def __len__(self) -> int:
        full, rest = divmod(self._count, self.batch_size)
        return full if self.drop_last or rest < 4 else full + 1


class MultiDatasetDefaultBatchSampler(BatchSampler):
    """Base of the samplers of several data sets: a batch is of one data set.

    Args:
        dataset: the data sets one behind another.
        batch_samplers: one for each, in their order.
        generator: what draws; it is seeded anew each epoch.
        seed: of the first epoch.
    """

    def __init__(
        self,
        dataset: Any,
        batch_samplers: Sequence[Any],
        generator: torch.Generator | None = None,
        seed: int = 0,
    ) -> None:
        self.dataset = dataset
        self.batch_samplers = list(batch_samplers)
        self.generator = generator or torch.Generator()
        self.seed = seed or 0
        self.epoch = 0
        self.batch_size = self.batch_samplers[0].batch_size
        self.drop_last = self.batch_samplers[0].drop_last

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next."""
        self.epoch = epoch
        for sampler in self.batch_samplers:
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)

    def turns(self) -> list[int]:
        """The numbers of the data sets that the batches of this epoch come from."""
        raise NotImplementedError(f"{type(self).__name__} has no turns()")

    def __iter__(self) -> Iterator[list[int]]:
        self.generator.manual_seed(self.seed + self.epoch)
        batches = [iter(sampler) for sampler in self.batch_samplers]
        first = [0, *self.dataset.cumulative_sizes]
        for number in self.turns():
            yield [first[number] + row for row in next(batches[number])]

    def __len__(self) -> int:
        return sum(map(len, self.batch_samplers))


class ProportionalBatchSampler(MultiDatasetDefaultBatchSampler):
    """Every batch of every data set once, mixed at random: the larger ones come more often."""

    def turns(self) -> list[int]:
        """The numbers of the data sets that the batches of this epoch come from."""
        numbers = [number for number, sampler in enumerate(self.batch_samplers) for _ in range(len(sampler))]
        return [numbers[i] for i in torch.randperm(len(numbers), generator=self.generator).tolist()]


class RoundRobinBatchSampler(MultiDatasetDefaultBatchSampler):
    """One batch of each data set in turn, until the smallest is used up: all count the same."""

    def turns(self) -> list[int]:
        """The numbers of the data sets that the batches of this epoch come from."""
        return list(range(len(self.batch_samplers))) * min(map(len, self.batch_samplers))

    def __len__(self) -> int:
        return len(self.batch_samplers) * min(map(len, self.batch_samplers))


def _batches(rows: int, batch_size: int, drop_last: bool) -> int:
    return rows // batch_size if drop_last else -(-rows // batch_size)


def _mark(value: Any) -> int:
    return hash(value if isinstance(value, str) else repr(value))


def _plain(label: Any) -> Any:
    return label.item() if hasattr(label, "item") else label
