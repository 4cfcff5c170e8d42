"""The vectors of an index in memory, and the exact scan over them.

Everything only grows at its end: a :class:`View` handed out stays true while newer rows are appended
behind it, so readers need no lock while they scan. Deleting replaces the array of living rows by a
changed copy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vicinal.index.bounds import Bounds, Ceilings, dots
from vicinal.index.segments import Bools, Floats, Ints, Rows, Small, decode_vectors
from vicinal.vectors.topk import GroupMaxima, largest

# A block is this large so that growing never copies vectors; untouched memory of it costs nothing.
BLOCK_BYTES = 32 << 20
# Below this share of a block's rows, gathering them is quicker than multiplying all.
GATHER_SHARE = 0.08
# With a larger share of rows whose bounds are too high to leave them out, all are multiplied.
SURVIVORS_SHARE = 0.06
# Rows gathered at a time: their copy stays in the cache.
_GATHERED = 256
# Vectors that their mean is taken of: with more, a dot product with it would not change by a hundredth of its spread.
_MIDDLE_ROWS = 4096
# From so many bytes of vectors on, bounds are worth their memory.
BOUNDS_FROM = 16 << 20

# How many -> so many best rows and their scores, best first; equal scores ascending by row.
Ranking = Callable[[int], tuple[Ints, Floats]]


@dataclass(frozen=True)
class View:
    """All living chunks at one version of the file.

    Attributes:
        generation: raised by compaction; views of two generations share no row numbers.
        version: raised by every commit.
        blocks: ``(block_rows, d)`` arrays; only the first ``n`` rows of all of them together count.
        n: number of chunks, dead ones included.
        docs: ``(n,)`` document numbers, ascending.
        starts: ``(n,)`` offsets of the chunks in their texts.
        ends: ``(n,)`` offsets after the chunks.
        alive: ``(n,)`` False for chunks of deleted documents, or None if nothing is deleted.
        bounds: of scores, from 4-bit sketches of the rows; None where there are few.
    """

    generation: int
    version: int
    blocks: tuple[Floats, ...]
    n: int
    docs: Ints
    starts: Small
    ends: Small
    alive: Bools | None
    bounds: Bounds | None = None

    @cached_property
    def last_chunks(self) -> Ints:
        """Row of the last chunk of each living document, ascending."""
        last = np.ones(self.n, dtype=bool)
        last[:-1] = self.docs[1:] != self.docs[:-1]
        if self.alive is not None:
            last &= self.alive
        return np.flatnonzero(last)

    @cached_property
    def lengths(self) -> tuple[Ints, Floats, float]:
        """Living document numbers, their lengths in characters, and the mean length (at least 1)."""
        rows = self.last_chunks
        lengths = self.ends[rows].astype(np.float32)
        return self.docs[rows], lengths, max(1.0, float(lengths.mean())) if len(rows) else 1.0

    @cached_property
    def doc_lengths(self) -> Floats:
        """``(doc_limit,)`` lengths in characters by document number; 0 where none lives."""
        by_number = np.zeros(self.doc_limit, np.float32)
        by_number[self.lengths[0]] = self.lengths[1]
        return by_number

    @cached_property
    def middle(self) -> NDArray[np.float64]:
        """``(d,)`` mean of the living chunks' vectors; of many, of some thousands that lie evenly among them."""
        living = np.arange(self.n) if self.alive is None else np.flatnonzero(self.alive)
        if not len(living):
            return np.zeros(self.blocks[0].shape[1] if self.blocks else 0)
        some = min(len(living), _MIDDLE_ROWS)
        rows = living[np.arange(some) * len(living) // some]
        middle: NDArray[np.float64] = self.vectors(rows).mean(axis=0, dtype=np.float64)
        return middle

    @property
    def doc_limit(self) -> int:
        """One more than the highest document number."""
        return int(self.docs[-1]) + 1 if self.n else 0

    def rows_of(self, mask: Bools) -> Bools:
        """Which living chunks belong to the documents of a mask over document numbers."""
        rows = mask[self.docs]
        return rows if self.alive is None else rows & self.alive

    def chunks_of(self, doc: int) -> range:
        """The rows of one document."""
        return range(
            int(np.searchsorted(self.docs, doc, "left")), int(np.searchsorted(self.docs, doc, "right"))
        )

    def prepare(self) -> None:
        """Make now what would be made while queries come."""
        if self.bounds is not None:
            self.bounds.make(self.blocks, self.n)

    def top(self, query: Floats, k: int, mask: Bools | None = None) -> tuple[Ints, Floats]:
        """The best chunk of each of the ``k`` best documents, by dot product, exactly.

        Args:
            query: ``(d,)`` float32.
            k: how many documents.
            mask: over document numbers; None for all.

        Returns:
            Rows and scores, best first; equal scores keep the order of adding.
        """
        allowed = self.alive if mask is None else self.rows_of(mask)
        living = self.n if allowed is None else int(np.count_nonzero(allowed))
        if not living:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        several = len(self.last_chunks) != self.n  # chunks of one document, or deleted ones
        take = min(living, 3 * k + 16 if several else k)
        ranking = self._ranking(query, allowed, living)
        while True:
            found, scores = ranking(take)
            if not several:
                return found, scores
            _, firsts = np.unique(self.docs[found], return_index=True)
            if len(firsts) >= k or take == living:
                firsts = np.sort(firsts)[:k]
                return found[firsts], scores[firsts]
            take = min(living, 4 * take)

    def _ranking(self, query: Floats, allowed: Bools | None, living: int) -> Ranking:
        """What gives the best rows among those allowed; looks at as few vectors as it can."""
        if allowed is not None and living < GATHER_SHARE * self.n:
            rows = np.flatnonzero(allowed)
            return _ranked(rows, self._scores_of(query, rows))
        ceilings = None if self.bounds is None else self.bounds.upper(query, self.blocks, self.n)
        if ceilings is None:
            return _ranked(None, self._scores(query, allowed))
        if allowed is not None:
            ceilings.values[~allowed] = -np.inf
        highest = GroupMaxima(ceilings.values)
        scores: list[Floats] = []

        def ranking(take: int) -> tuple[Ints, Floats]:
            if not scores:
                rows = self._survivors(query, ceilings, highest, take)
                if rows is not None:
                    return _ranked(rows, self._scores_of(query, rows))(take)
                scores.append(self._scores(query, allowed))
            return _ranked(None, scores[0])(take)

        return ranking

    def _survivors(self, query: Floats, ceilings: Ceilings, highest: GroupMaxima, take: int) -> Ints | None:
        """Rows, ascending, that hold the ``take`` best; None if they would be too many to gather."""
        assert self.bounds is not None
        few = SURVIVORS_SHARE * self.n
        if take > few:
            return None
        likely = highest.some(take)
        scores = self._scores_of(query, likely)
        lowest = float(scores.min())
        if not (ceilings.values[likely] >= [ceilings.of(score) for score in scores.tolist()]).all():
            self.bounds.distrust()  # this machine's kernel does not keep its promise
            return None
        rows = highest.reaching(ceilings.of(lowest))
        self.bounds.judge(useful=len(rows) < few)
        return rows if len(rows) < few else None

    def _scores(self, query: Floats, allowed: Bools | None) -> Floats:
        """Scores of all rows, -inf where a row is out."""
        scores = np.empty(self.n, np.float32)
        at = 0
        for block in self.blocks:
            stop = min(self.n, at + len(block))
            dots(block[: stop - at], query, scores[at:stop])
            at = stop
        if allowed is not None:
            scores[~allowed] = -np.inf
        return scores

    def _scores_of(self, query: Floats, rows: Ints) -> Floats:
        """Scores of some rows, given in ascending order."""
        scores = np.empty(len(rows), np.float32)
        for at in range(0, len(rows), _GATHERED):
            some = rows[at : at + _GATHERED]
            dots(self.vectors(some), query, scores[at : at + len(some)])
        return scores

    def vectors(self, rows: Ints) -> Floats:
        """Copies of some rows' vectors, ``(len(rows), d)``; rows ascending."""
        size, width = self.blocks[0].shape
        copies = np.empty((len(rows), width), np.float32)
        edges = np.searchsorted(rows, np.arange(len(self.blocks) + 1) * size).tolist()
        for number, (start, stop) in enumerate(itertools.pairwise(edges)):
            if stop > start:
                self.blocks[number].take(
                    rows[start:stop] - number * size, axis=0, out=copies[start:stop], mode="clip"
                )
        return copies


def _ranked(rows: Ints | None, scores: Floats) -> Ranking:
    """The best of some rows (None: all) whose scores are known."""

    def ranking(take: int) -> tuple[Ints, Floats]:
        best = largest(scores, take)
        return best if rows is None else rows[best], scores[best]

    return ranking


@dataclass
class Memory:
    """The growing arrays behind the views. Not thread-safe: its owner holds a lock to append or delete.

    Attributes:
        dimension: of the vectors.
        storage: how the rows that come are encoded.
    """

    dimension: int
    storage: str
    n: int = 0
    _blocks: list[Floats] = field(default_factory=list)
    _docs: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    _starts: Small = field(default_factory=lambda: np.empty(0, np.int32))
    _ends: Small = field(default_factory=lambda: np.empty(0, np.int32))
    _alive: Bools | None = None
    _bounds: Bounds | None = None

    def append(self, rows: Rows, skip: int = 0) -> None:
        """Add rows at the end, without the first ``skip``."""
        added = len(rows) - skip
        total = self.n + added
        if total > len(self._docs):
            room = max(total, 1024, len(self._docs) + len(self._docs) // 4)
            self._docs = _grown(self._docs, room)
            self._starts = _grown(self._starts, room)
            self._ends = _grown(self._ends, room)
        self._docs[self.n : total] = rows.docs[skip:]
        self._starts[self.n : total] = rows.starts[skip:]
        self._ends[self.n : total] = rows.ends[skip:]
        if self._alive is not None:
            self._alive = np.concatenate([self._alive, np.ones(added, bool)])
        width = len(rows.vectors) // len(rows)
        data = memoryview(rows.vectors)[skip * width :]
        size = max(1024, BLOCK_BYTES // (4 * self.dimension))
        at = 0
        while at < added:
            inside = (self.n + at) % size
            if inside == 0:
                self._blocks.append(np.empty((size, self.dimension), np.float32))
            count = min(added - at, size - inside)
            out = self._blocks[-1][inside : inside + count]
            decode_vectors(data[at * width : (at + count) * width], self.storage, out)
            at += count
        self.n = total

    def delete(self, docs: Ints) -> None:
        """Mark documents dead; numbers that are not there are passed over."""
        if not self.n or not len(docs):
            return
        alive = np.ones(self.n, bool) if self._alive is None else self._alive.copy()
        own = self._docs[: self.n]
        lows = np.searchsorted(own, docs, "left")
        highs = np.searchsorted(own, docs, "right")
        for low, high in zip(lows.tolist(), highs.tolist(), strict=True):
            alive[low:high] = False
        self._alive = alive

    def close(self) -> None:
        """End what goes on beside; views stay usable."""
        if self._bounds is not None:
            self._bounds.close()

    def view(self, generation: int, version: int) -> View:
        """What is there now, as an immutable view."""
        n = self.n
        if self._bounds is None and 4 * n * self.dimension >= BOUNDS_FROM:
            self._bounds = Bounds(self.dimension)
        return View(
            generation=generation,
            version=version,
            blocks=tuple(self._blocks),
            n=n,
            docs=self._docs[:n],
            starts=self._starts[:n],
            ends=self._ends[:n],
            alive=self._alive,
            bounds=self._bounds,
        )


Number = TypeVar("Number", np.int32, np.int64)


def _grown(array: NDArray[Number], room: int) -> NDArray[Number]:
    larger = np.empty(room, array.dtype)
    larger[: len(array)] = array
    return larger
