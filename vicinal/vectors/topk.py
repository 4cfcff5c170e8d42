"""The best few of very many scores, found by threshold instead of by sorting.

:class:`TopK` is for many queries whose scores come block by block. Once some thousands of scores of a query are
seen, almost no later one can enter its best k. So each block of scores is compared with the k-th best so far,
which is one pass at the speed of the cache, and only what passes is collected and sorted. Over n scores that is
about k * log(n / block) per query.

:func:`largest` and :class:`GroupMaxima` are for one array that is there as a whole, as the scores of one query.

Both start from the same fact: of the maxima of groups of scores, the k-th largest is at most the k-th largest
score. Both keep the lower id first among equal scores.
"""

from __future__ import annotations

import numpy as np

from vicinal.core.arrays import Matrix

# The largest of so many scores stands for all of them in a first look at one array.
_SPAN = 64
# So few are sorted by three keys.
_SORTED_BY_KEYS = 4096
# So few numbers are sorted at once.
_FEW = 512


class TopK:
    """Keeps the k best (score, id) of each query; among equal scores the lower id wins.

    Blocks must come in ascending order of their ids, unless the ids are given with each. NaN scores are never kept.
    """

    def __init__(
        self,
        queries: int,
        k: int,
        dtype: np.dtype[np.generic] | type = np.float32,
        slack: float = 0.0,
        floor: Matrix | None = None,
    ) -> None:
        """Start empty.

        Args:
            queries: number of rows of every block of scores.
            k: how many to keep for each.
            dtype: type of the scores.
            slack: keep more: all that score less than this below the k-th best.
            floor: (queries,) only scores above these are kept.
        """
        self._k, self._slack = k, slack
        # Only scores above the threshold can still enter.
        self._threshold = np.full(queries, -np.inf, dtype=dtype)
        if floor is not None:
            self._threshold[:] = floor
        self.kept = 0
        """Candidates that the last sorting has kept, of all queries."""
        self._pending = 0
        self._above = np.empty(
            0, dtype=bool
        )  # kept, as so much memory asked for anew costs more than to compare
        self._parts: list[tuple[Matrix, Matrix, Matrix]] = []

    def update(self, scores: Matrix, first_id: int, first_query: int = 0, ids: Matrix | None = None) -> None:
        """Offer a block of scores.

        Args:
            scores: (q, b); column j belongs to id ``first_id + j``. It is read only during the call.
            first_id: id of the first column.
            first_query: query of the first row.
            ids: (b,) the id of each column, in any order, in place of those counted from ``first_id``.
        """
        rows, width = scores.shape
        if not rows or not width:
            return
        span = slice(first_query, first_query + rows)
        threshold = self._threshold[span]
        if not np.isfinite(threshold).all():
            threshold = np.maximum(threshold, floor_of_best(scores, self._k) - self._slack)
        if ids is not None:  # a score equal to the k-th best enters, if its id is lower
            threshold = np.nextafter(threshold, np.array(-np.inf, dtype=threshold.dtype))
        if len(self._above) < scores.size:
            self._above = np.empty(scores.size, dtype=bool)
        above = self._above[: scores.size].reshape(scores.shape)
        hits = np.flatnonzero(np.greater(scores, threshold[:, np.newaxis], out=above))
        if not hits.size:
            return
        query, column = np.divmod(hits, width)
        found = column + first_id if ids is None else ids[column]
        self.add(query + first_query, found, scores[query, column])

    def add(self, query: Matrix, ids: Matrix, scores: Matrix) -> None:
        """Offer single scores: three arrays of one length."""
        self._parts.append((query, ids, scores))
        self._pending += len(query)
        # As many new candidates as kept ones have come: the threshold is about one doubling of the
        # corpus old, and sorting costs little beside what finding them took.
        if self._pending > max(4096, self.kept, len(self._threshold) * self._k):
            self._compact()

    def empty_like(self) -> TopK:
        """An empty one for the same queries, for a thread of its own; it takes what can still enter this one."""
        self._compact()
        other = TopK(len(self._threshold), self._k, self._threshold.dtype, self._slack)
        other._threshold[:] = self._threshold
        return other

    def merge(self, other: TopK) -> None:
        """Take over what another one, for the same queries and other ids, has kept."""
        for query, ids, scores in other._parts:
            self.add(query, ids, scores)

    def _compact(self) -> None:
        if not self._pending:
            return
        query, ids, scores = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        order = best_first(query, ids, scores)
        query, ids, scores = query[order], ids[order], scores[order]
        starts = np.searchsorted(query, np.arange(len(self._threshold) + 1))
        rank = np.arange(len(query)) - starts[query]
        full = np.flatnonzero(np.diff(starts) >= self._k)
        lowest = scores[starts[full] + self._k - 1] - self._threshold.dtype.type(self._slack)
        self._threshold[full] = np.maximum(self._threshold[full], lowest)
        best = rank < self._k
        if self._slack:
            best |= scores > self._threshold[query]
        self._parts = [(query[best], ids[best], scores[best])]
        self.kept, self._pending = int(best.sum()), 0

    def lowest(self) -> Matrix:
        """(queries,) the k-th best score so far, -inf where there are fewer."""
        self._compact()
        return self._threshold

    def candidates(self) -> tuple[Matrix, Matrix]:
        """Queries and ids of the best and of some others, in no order: less work than :meth:`result`."""
        if self.kept:
            self._compact()
        empty = np.empty(0, np.int64)
        query, ids, _ = zip((empty, empty, empty), *self._parts, strict=True)
        return np.concatenate(query), np.concatenate(ids)

    def result(self) -> tuple[Matrix, Matrix, Matrix]:
        """The best, ordered by query, then descending score, then ascending id.

        Returns:
            ids and scores, concatenated over the queries, and (queries + 1,) offsets into them.
        """
        self._compact()
        if not self._parts:
            return np.empty(0, np.int64), self._threshold[:0], np.zeros(len(self._threshold) + 1, np.int64)
        query, ids, scores = self._parts[0]
        return ids, scores, np.searchsorted(query, np.arange(len(self._threshold) + 1))


def best_first(query: Matrix, ids: Matrix, scores: Matrix) -> Matrix:
    """The order by query, then descending score, then ascending id.

    Query and score of float32 make one integer, and numpy sorts integers many times faster than by three keys; only
    where that leaves equals are the ids looked at. The scores must not be NaN.
    """
    if scores.dtype != np.float32 or len(query) < _SORTED_BY_KEYS:
        return np.lexsort((ids, -scores, query))
    bits = (scores + np.float32(0)).view(np.int32)  # the sum makes 0 of -0
    # As integers, negative floats ascend the other way round; the complement turns all around.
    falling = ~np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    key = (query.astype(np.int64) << 32) + (falling.astype(np.int64) + (1 << 31))
    order: Matrix = np.argsort(key)
    key = key[order]
    same = np.zeros(len(key) + 1, dtype=bool)
    same[1:-1] = key[1:] == key[:-1]
    equal = np.flatnonzero(same[1:] | same[:-1])
    if len(equal):
        some = order[equal]
        order[equal] = some[np.lexsort((ids[some], key[equal]))]
    return order


def floor_of_best(scores: Matrix, k: int) -> Matrix:
    """A value that the k best scores of each row all exceed, without sorting the row.

    The columns are dealt into a few groups; the k-th largest of the groups' maxima cannot exceed the k-th
    largest score. That takes one pass at the speed of the cache, and a sort of a few maxima.

    Args:
        scores: (q, b).
        k: 1 or more.

    Returns:
        (q,) values strictly below the k-th best, not far below; -inf where there are fewer than k.
    """
    rows, width = scores.shape
    groups = max(64, 8 * k)
    if width < k:
        return np.full(rows, -np.inf, dtype=scores.dtype)
    if width >= 2 * groups:
        depth = width // groups
        scores = scores[:, : groups * depth].reshape(rows, depth, groups).max(axis=1)
        width = groups
    # NaN would sort as the largest.
    scores = np.where(np.isnan(scores), -np.inf, scores)
    lowest: Matrix = np.partition(scores, width - k, axis=1)[:, width - k]
    # Strictly below, so that "greater than" keeps scores equal to it.
    below: Matrix = np.nextafter(lowest, np.array(-np.inf, dtype=scores.dtype))
    return below


class GroupMaxima:
    """Numbers of which only the largest are looked for: the largest of every group is found first.

    Args:
        values: ``(n,)``.
    """

    def __init__(self, values: Matrix) -> None:
        self._values = values
        self._groups = len(values) // _SPAN
        self._whole = values[: self._groups * _SPAN].reshape(_SPAN, self._groups)
        self._maxima = self._whole.max(axis=0)  # of every _groups-th number, which needs no shuffling

    def reaching(self, least: float) -> Matrix:
        """Indices, ascending, of the values that are at least ``least``."""
        high = np.flatnonzero(self._maxima >= least)
        if 4 * len(high) > self._groups:
            return np.flatnonzero(self._values >= least)
        spots, columns = np.nonzero(self._whole[:, high] >= least)
        found = spots * self._groups + high[columns]
        at = self._groups * _SPAN
        return np.concatenate([found, at + np.flatnonzero(self._values[at:] >= least)])

    def some(self, k: int) -> Matrix:
        """Indices, ascending, of ``k`` large values, if not just the largest."""
        if k < self._groups:
            columns = np.argpartition(self._maxima, -k)[-k:]
            if self._maxima[columns].min() > -np.inf:
                return np.sort(self._whole[:, columns].argmax(axis=0) * self._groups + columns)
        return np.sort(self.largest(k))

    def largest(self, k: int) -> Matrix:
        """Indices of the ``k`` largest, descending; equal ones ascending by index."""
        near = None
        if k < self._groups:
            # The k-th largest of the maxima is at most the k-th largest of all.
            near = self.reaching(np.partition(self._maxima, -k)[-k])
        values = self._values if near is None else self._values[near]
        if k < len(values):
            best = np.flatnonzero(values >= np.partition(values, -k)[-k])
            near, values = best if near is None else near[best], values[best]
        order = np.argsort(-values, kind="stable")[:k]
        return order if near is None else near[order]


def largest(values: Matrix, k: int) -> Matrix:
    """Indices of the ``k`` largest values, descending; equal ones ascending by index."""
    if len(values) <= _FEW:
        return np.argsort(-values, kind="stable")[:k]
    return GroupMaxima(values).largest(k)
