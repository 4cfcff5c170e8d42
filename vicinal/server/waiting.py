"""What waits for one lane, and what of it makes a good batch."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count

from vicinal.server.jobs import Key, Unit
from vicinal.server.lanes import Lane

# How much shorter or longer than the first text of a batch the others may be: padding is work.
_SHORTER, _LONGER = 0.5, 1.5


class Waiting:
    """The units of one lane that may share a batch.

    The unit whose turn it is comes first, always: so nothing waits for ever. It is joined by those of about its
    length, whenever their own turn is, as far as the budget goes.

    Args:
        lane: what computes them.
        key: what they share.
    """

    def __init__(self, lane: Lane, key: Key) -> None:
        self.lane, self.key = lane, key
        self._by_due: list[tuple[float, int, Unit]] = []
        self._by_length: dict[int, deque[Unit]] = {}
        self._number = count()
        self.tokens = 0

    def add(self, unit: Unit) -> None:
        """Let a unit wait."""
        heapq.heappush(self._by_due, (unit.due, next(self._number), unit))
        self._by_length.setdefault(unit.length, deque()).append(unit)
        self.tokens += unit.tokens

    def drop(self, unit: Unit) -> None:
        """A unit is wanted no more."""
        if not unit.taken:
            unit.taken = True
            unit.content = None
            self.tokens -= unit.tokens

    @property
    def due(self) -> float | None:
        """When the turn of the first unit is; None where nothing waits."""
        while self._by_due and self._by_due[0][2].taken:
            heapq.heappop(self._by_due)
        return self._by_due[0][0] if self._by_due else None

    def take(self) -> list[Unit]:
        """The units of the next batch; none where nothing waits."""
        if self.due is None:
            return []
        first = self._by_due[0][2]
        picked = [first]
        self._take(first)
        longest, total = max(first.length, 1), len(first.rows)
        for length in self._near(first.length):
            waiting = self._by_length.get(length)
            while waiting:
                unit = waiting[0]
                if not unit.taken:
                    width = max(longest, length)
                    if (total + len(unit.rows)) * width > self.lane.budget:
                        break
                    picked.append(unit)
                    self._take(unit)
                    longest, total = width, total + len(unit.rows)
                waiting.popleft()
            if waiting is not None and not waiting:
                del self._by_length[length]
            if (total + 1) * longest > self.lane.budget:
                break
        return picked

    def _take(self, unit: Unit) -> None:
        unit.taken = True
        self.tokens -= unit.tokens

    def _near(self, length: int) -> list[int]:
        """The lengths that wait, the nearest first."""
        low, high = int(_SHORTER * length), int(_LONGER * length) + 8
        return sorted(
            (each for each in self._by_length if low <= each <= high), key=lambda each: abs(each - length)
        )
