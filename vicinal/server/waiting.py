"""What waits for one lane, and what of it makes a good batch."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count

from vicinal.server.jobs import Key, Unit
from vicinal.server.lanes import Lane

# Tokens of padding, besides that of the lane's own widths, that a batch may hold: calling an engine costs about 50.
_PADDING = 32
# Batches' worth of tokens up to which little waits. Then batches are smaller, so that whatever comes next gets a core
# sooner; beyond, the larger ones get through a little more.
_LITTLE = 16


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
        self._by_width: dict[int, deque[Unit]] = {}
        self._number = count()
        self.tokens = 0

    def add(self, unit: Unit) -> None:
        """Let a unit wait."""
        heapq.heappush(self._by_due, (unit.due, next(self._number), unit))
        self._by_width.setdefault(self.lane.width(unit.length), deque()).append(unit)
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

    @property
    def budget(self) -> int:
        """Tokens of the next batch, with padding."""
        whole = self.lane.budget
        return max(2 * whole // 3, 1) if self.lane.many and self.tokens <= _LITTLE * whole else whole

    def take(self) -> list[Unit]:
        """The units of the next batch; none where nothing waits."""
        if self.due is None:
            return []
        first, budget = self._by_due[0][2], self.budget
        picked = [first]
        self._take(first)
        home = longest = max(self.lane.width(first.length), 1)
        total, filled = len(first.rows), self._weight(first, home)
        for width in sorted(self._by_width, key=lambda each: abs(each - home)):
            waiting, wide = self._by_width[width], max(longest, width)
            while waiting:
                unit = waiting[0]
                if not unit.taken:
                    weight = filled + self._weight(unit, width)
                    padded = (total + len(unit.rows)) * wide if self.lane.pads else weight
                    if padded > budget or padded - weight > _PADDING:
                        break
                    picked.append(unit)
                    self._take(unit)
                    longest, total, filled = wide, total + len(unit.rows), weight
                waiting.popleft()
            if not waiting:
                del self._by_width[width]
            elif width <= longest:  # those further away waste more
                break
        return self._even(picked, longest, budget)

    def _weight(self, unit: Unit, width: int) -> int:
        """Tokens that a unit takes in a batch of those of its width."""
        return len(unit.rows) * max(width, 1) if self.lane.pads else unit.tokens

    def _even(self, picked: list[Unit], width: int, budget: int) -> list[Unit]:
        """As many as make a batch of a usual size; the others wait on."""
        sizes, count = self.lane.sizes, len(picked)
        if sizes is None or count in sizes or count == budget // width:
            return picked
        kept = max(size for size in sizes if size <= count)
        for unit in reversed(picked[kept:]):
            unit.taken = False
            self.tokens += unit.tokens
            self._by_width.setdefault(self.lane.width(unit.length), deque()).appendleft(unit)
        return picked[:kept]

    def _take(self, unit: Unit) -> None:
        unit.taken = True
        self.tokens -= unit.tokens
