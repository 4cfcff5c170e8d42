"""A lane is a model as the scheduler sees it: what computes a batch of texts that wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.engine.base import Batch, Engine, is_ragged_engine, is_text_engine
from vicinal.engine.sinks import DenseRows
from vicinal.server.jobs import Job, Key, Unit
from vicinal.tokens.text import Ragged

# Padded tokens of a batch, as encode takes them.
_TOKENS = 768
# An engine keeps about a megabyte of compiled kernels for every shape of a batch. So widths go in steps of 1/16 to 1/8,
# and of texts there are so many in a batch, or as many as the budget allows.
_SIZES = (1, 2, 3, 4, 6, 8, 16, 32, 64, 128, 256, 512)
# Texts of a static model that are computed at once, and their tokens: an average costs next to nothing.
_STATIC_TEXTS, _STATIC_TOKENS = 512, 65_536
# Texts of a batch whose tokens nobody counts.
_TEXTS = 32


class TokenLane:
    """Padded token ids, for transformers.

    Args:
        engine: what computes.
        pad_id: the id that fills up rows.
        budget: padded tokens of a batch, None for what encode takes.
        longest: tokens that the model reads at most; None for no limit.
    """

    pads, many = True, True
    sizes: Sequence[int] | None = _SIZES

    def __init__(
        self, engine: Engine, pad_id: int, budget: int | None = None, longest: int | None = None
    ) -> None:
        self.engine, self.longest = engine, longest
        self.pad_id = pad_id
        self.budget = budget or getattr(engine, "token_budget", None) or _TOKENS

    @staticmethod
    def width(length: int) -> int:
        """The width of the batches that a text of this length comes into."""
        step = max((1 << max(length - 1, 0).bit_length()) >> 4, 2)
        return -(-length // step) * step

    def units(self, job: Job, rows: Sequence[int], ragged: Ragged, texts: Sequence[str]) -> list[Unit]:
        """What waits for some texts of a job, which ``ragged`` and ``texts`` hold."""
        starts, ids, types = ragged.starts.tolist(), ragged.ids, ragged.type_ids
        found = []
        for place, row in enumerate(rows):
            first, last = starts[place], starts[place + 1]
            content = ids[first:last], None if types is None else types[first:last]
            found.append(Unit(job, (row,), last - first, content))
        return found

    def compute(self, units: list[Unit], key: Key) -> Sequence[NDArray[np.float32]]:
        """The results of a batch: for each unit one array of rows."""
        return self._apart(units, self.engine.run(self._batch(units, key), key.output), key)

    def compute_many(
        self, batches: Iterator[list[Unit]], key: Key
    ) -> Iterator[tuple[list[Unit], Sequence[NDArray[np.float32]]]]:
        """The same for a stream of batches, of which each core takes one at a time."""
        stream = ((units, self._batch(units, key)) for units in batches)
        for units, values in self.engine.run_many(stream, key.output):
            yield units, self._apart(units, values, key)

    @staticmethod
    def _apart(units: list[Unit], values: NDArray[np.float32], key: Key) -> list[NDArray[np.float32]]:
        if key.output == "tokens":
            return [values[place, : unit.length].copy() for place, unit in enumerate(units)]
        return [values[place : place + 1] for place in range(len(units))]

    def _batch(self, units: list[Unit], key: Key) -> Batch:
        lengths = np.array([unit.length for unit in units], dtype=np.int32)
        width = max(int(lengths.max()), 1)
        if self.longest is None or width < self.longest:
            width = min(self.width(width), self.longest or width * 2)
        ids = np.full((len(units), width), self.pad_id, dtype=np.int32)
        types = None
        if units[0].content[1] is not None:
            types = np.zeros_like(ids)
        for place, unit in enumerate(units):
            ids[place, : unit.length] = unit.content[0]
            if types is not None:
                types[place, : unit.length] = unit.content[1]
        return Batch(ids, lengths, types, key.prompt_length)


class RaggedLane:
    """Static models: no padding, and many texts at once.

    Args:
        engine: what computes.
    """

    pads, many = False, False
    sizes: Sequence[int] | None = None

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.budget = _STATIC_TOKENS

    @staticmethod
    def width(length: int) -> int:
        """Every text may share a batch with every other."""
        return 1

    def units(self, job: Job, rows: Sequence[int], ragged: Ragged, texts: Sequence[str]) -> list[Unit]:
        """See :class:`TokenLane`; some hundred texts are one unit."""
        found = []
        for first in range(0, len(rows), _STATIC_TEXTS):
            last = min(first + _STATIC_TEXTS, len(rows))
            part = _part(ragged, first, last)
            mean = -(-len(part.ids) // (last - first))
            found.append(Unit(job, rows[first:last], mean, part))
        return found

    def compute(self, units: list[Unit], key: Key) -> Sequence[NDArray[np.float32]]:
        """See :class:`TokenLane`."""
        if key.output == "tokens":
            return [self._tokens(unit.content) for unit in units]
        whole = _joined([unit.content for unit in units])
        out = np.empty((len(whole), self.engine.dimension), dtype=np.float32)
        self.engine.run_ragged(whole, DenseRows(out))
        ends = np.cumsum([len(unit.rows) for unit in units]).tolist()
        return [out[end - len(unit.rows) : end] for end, unit in zip(ends, units, strict=True)]

    def compute_many(
        self, batches: Iterator[list[Unit]], key: Key
    ) -> Iterator[tuple[list[Unit], Sequence[NDArray[np.float32]]]]:
        """See :class:`TokenLane`."""
        for units in batches:
            yield units, self.compute(units, key)

    def _tokens(self, ragged: Ragged) -> Any:
        lengths = ragged.lengths
        values = self.engine.run(Batch(ragged.ids[None, :], np.array([len(ragged.ids)], np.int32)), "tokens")[
            0
        ]
        return [
            values[end - length : end].copy() for end, length in zip(np.cumsum(lengths), lengths, strict=True)
        ]


class TextLane:
    """Models that split texts themselves.

    Args:
        engine: what computes.
    """

    pads, many = True, False
    sizes: Sequence[int] | None = None

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.budget = _TEXTS

    @staticmethod
    def width(length: int) -> int:
        """Every text may share a batch with every other."""
        return 1

    def units(self, job: Job, rows: Sequence[int], ragged: Ragged, texts: Sequence[str]) -> list[Unit]:
        """See :class:`TokenLane`."""
        prompt = job.key.prompt
        return [Unit(job, (row,), 1, prompt + text) for row, text in zip(rows, texts, strict=True)]

    def compute(self, units: list[Unit], key: Key) -> Sequence[NDArray[np.float32]]:
        """See :class:`TokenLane`."""
        texts = [unit.content for unit in units]
        if key.output == "tokens":
            return [
                np.asarray(each["token_embeddings"])
                for each in self.engine.run_texts(texts, key.prompt, "features")
            ]
        return [row[None, :] for row in self.engine.run_texts(texts, key.prompt, "sentence")]

    def compute_many(
        self, batches: Iterator[list[Unit]], key: Key
    ) -> Iterator[tuple[list[Unit], Sequence[NDArray[np.float32]]]]:
        """See :class:`TokenLane`."""
        for units in batches:
            yield units, self.compute(units, key)


Lane = TokenLane | RaggedLane | TextLane


def lane_for(engine: Any, pad_id: int, budget: int | None = None, longest: int | None = None) -> Lane:
    """The lane that suits an engine."""
    if is_text_engine(engine):
        return TextLane(engine)
    if is_ragged_engine(engine):
        return RaggedLane(engine)
    return TokenLane(engine, pad_id, budget, longest)


def _part(ragged: Ragged, first: int, last: int) -> Ragged:
    start, stop = int(ragged.starts[first]), int(ragged.starts[last])
    unknown = None if ragged.unknown is None else ragged.unknown[first:last]
    return Ragged(
        ragged.ids[start:stop],
        ragged.starts[first : last + 1] - start,
        ragged.full_lengths[first:last],
        unknown=unknown,
    )


def _joined(parts: list[Ragged]) -> Ragged:
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([part.lengths for part in parts])
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    unknown = None
    if any(part.unknown is not None for part in parts):
        unknown = np.concatenate(
            [np.zeros(len(part), dtype=bool) if part.unknown is None else part.unknown for part in parts]
        )
    return Ragged(
        np.concatenate([part.ids for part in parts]),
        starts,
        np.concatenate([part.full_lengths for part in parts]),
        unknown=unknown,
    )
