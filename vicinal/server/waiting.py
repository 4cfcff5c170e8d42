"""What waits for one lane, and what of it makes a good batch."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count

from vicinal.server.jobs import Key, Unit
from vicinal.server.lanes import Lane

# Padding that a batch may hold, in tokens, and as a share of all. (Calling an engine costs about 50 tokens; more
# padding costs more than fuller batches save, by a simulation of mixed requests.)
_PADDING, _SHARE = 32, 0.03


class Waiting:
    """The units of one lane that may share a batch.

    The unit whose turn it is comes first, always: so nothing waits for ever. It is joined by those of about its
    length, whenever their own turn is, as far as the budget goes and little is lost to padding.

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
        longest, total, filled = max(first.length, 1), len(first.rows), first.tokens
        for length in sorted(self._by_length, key=lambda each: abs(each - first.length)):
            waiting, width = self._by_length[length], max(longest, length)
            while waiting:
                unit = waiting[0]
                if not unit.taken:
                    padded, tokens = (total + len(unit.rows)) * width, filled + unit.tokens
                    wasted = padded - tokens if self.lane.pads else 0
                    if padded > self.lane.budget or wasted > _PADDING + _SHARE * padded:
                        break
                    picked.append(unit)
                    self._take(unit)
                    longest, total, filled = width, total + len(unit.rows), tokens
                waiting.popleft()
            if not waiting:
                del self._by_length[length]
            elif length <= longest:  # those further away waste more
                break
        return picked

    def _take(self, unit: Unit) -> None:
        unit.taken = True
        self.tokens -= unit.tokens
