"""Data sets and loaders of old code, for ``fit``."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vicinal.errors import InputError
from vicinal.inputs import check_positive
from vicinal.parallel_sentences import ParallelSentencesDataset

__all__ = ["NoDuplicatesDataLoader", "ParallelSentencesDataset", "SentencesDataset"]


class SentencesDataset:
    """A list of examples, as a data set for a torch ``DataLoader``.

    Args:
        examples: InputExample objects.
        model: not used; old code gives it.
    """

    def __init__(self, examples: Sequence[Any], model: Any = None) -> None:
        self.examples = examples

    def __getitem__(self, place: int) -> Any:
        return self.examples[place]

    def __len__(self) -> int:
        return len(self.examples)


class NoDuplicatesDataLoader:
    """Batches in which no text comes twice, for MultipleNegativesRankingLoss: a second copy of a text would
    be a negative that is none.

    Each round is in a new random order, drawn from Python's generator, and has as many batches as the examples
    fill. An example whose text is in the batch already waits for the next one. Texts that differ only in case or
    in outer white space count as the same.

    Args:
        train_examples: InputExample objects.
        batch_size: examples a batch.

    Raises:
        InputError: there are fewer examples than one batch takes; or, while batches are drawn, too few that
            share no text.
    """

    def __init__(self, train_examples: Sequence[Any], batch_size: int) -> None:
        check_positive(batch_size, "batch_size")
        if len(train_examples) < batch_size:
            raise InputError(
                f"train_examples holds {len(train_examples)}, fewer than batch_size={batch_size}: take a smaller one"
            )
        self.train_examples = train_examples
        self.batch_size = int(batch_size)
        self.collate_fn: Callable[[list[Any]], Any] | None = None

    @property
    def dataset(self) -> Sequence[Any]:
        """The examples, under the name that torch's loader gives them."""
        return self.train_examples

    def __len__(self) -> int:
        return len(self.train_examples) // self.batch_size

    def __iter__(self) -> Iterator[Any]:
        waiting: deque[int] = deque()
        for _ in range(len(self)):
            batch = self._batch(waiting)
            yield batch if self.collate_fn is None else self.collate_fn(batch)

    def _batch(self, waiting: deque[int]) -> list[Any]:
        """Take examples from ``waiting``; those that must wait longer keep their order."""
        batch: list[Any] = []
        seen: set[str] = set()
        refilled, again = False, deque[int]()
        while len(batch) < self.batch_size:
            if not waiting:
                if refilled:
                    raise InputError(
                        f"no {self.batch_size} examples can be found that share no text (only {len(batch)}): "
                        "take a smaller batch_size, or examples with fewer repeated texts"
                    )
                refilled = True
                waiting.extend(random.sample(range(len(self.train_examples)), len(self.train_examples)))
            place = waiting.popleft()
            texts = {text.strip().lower() for text in self.train_examples[place].texts}
            if texts & seen:
                again.append(place)
            else:
                seen |= texts
                batch.append(self.train_examples[place])
        waiting.extendleft(reversed(again))
        return batch
