"""The scheduler: texts of all requests, in batches, on the cores that there are.

One thread computes, with all cores, whatever the number of models: so models do not take each other's cores. A batch
belongs to one model. Models take turns by the time that each has had (start-time fair queueing, Goyal et al. 1996), so
a busy slow one does not hold up the others. Within a model each text has a turn: the moment at which its request came,
and for the later texts of a long request the time on top that the earlier ones take. So a long request does not hold up
short ones, and nothing waits for ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vicinal.errors import OutOfMemoryError, VicinalError
from vicinal.server.errors import Refused
from vicinal.server.jobs import Job, Key, Unit
from vicinal.server.lanes import Lane
from vicinal.server.waiting import Waiting

# Seconds by which a model may stay ahead of another one's turn before it makes room: changing costs little, but not
# nothing.
_SLICE = 0.05
# Tokens per second that are assumed before anything was measured.
_FIRST_RATE = 10_000.0
# How fast the measured rate follows.
_FOLLOW = 0.1


class Scheduler:
    """See above.

    Args:
        max_waiting_tokens: tokens that may wait for one model.
        on_batch: called with the texts and tokens of each batch that is computed, before it is delivered.
    """

    def __init__(
        self, max_waiting_tokens: int, on_batch: Callable[[int, int], None] = lambda texts, tokens: None
    ) -> None:
        self.max_waiting_tokens = max_waiting_tokens
        self._on_batch = on_batch
        self._groups: dict[tuple[int, Key], Waiting] = {}
        self._admitted: dict[int, int] = {}
        self._rates: dict[int, float] = {}
        # Seconds that each model has had. One that had nothing to do starts again where the others are: time that
        # nobody asked for is not saved up.
        self._used: dict[int, float] = {}
        self._clock = 0.0
        self._changed = threading.Condition()
        self._closed = False
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="vicinal-compute", daemon=True)
        self._thread.start()

    # -- from other threads ------------------------------------------------------------------------------

    def admit(self, job: Job, estimate: int) -> None:
        """Let a job in, if what waits for its model leaves room for it.

        A job that is larger than the whole queue is let in as soon as half of the queue is free.

        Raises:
            Refused: there is no room; says when there will be.
        """
        lane = id(job.lane)
        with self._changed:
            waiting = self._admitted.get(lane, 0)
            if waiting + min(estimate, self.max_waiting_tokens // 2) > self.max_waiting_tokens:
                rate = self._rates.get(lane, _FIRST_RATE)
                seconds = min(max(1.0, 0.5 * waiting / rate), 60.0)
                raise Refused(
                    "overloaded",
                    f"{waiting} tokens wait to be computed already; try again in {seconds:.0f} s",
                    retry_after=seconds,
                )
            job.estimate = estimate
            self._admitted[lane] = waiting + estimate

    def add(self, job: Job, units: list[Unit]) -> None:
        """Let the units of an admitted job wait."""
        lane = id(job.lane)
        rate = self._rates.get(lane, _FIRST_RATE)
        due = job.arrived
        for unit in units:
            unit.due = due
            due += unit.tokens / rate
        with self._changed:
            if job.dead:
                return
            tokens = sum(unit.tokens for unit in units)
            self._admitted[lane] = self._admitted.get(lane, 0) + tokens - job.estimate
            job.estimate = tokens
            job.units = units
            if not any(place == lane and other.due is not None for (place, _), other in self._groups.items()):
                self._used[lane] = max(self._used.get(lane, 0.0), self._clock)
            group = self._groups.get((lane, job.key))
            if group is None:
                group = self._groups[lane, job.key] = Waiting(job.lane, job.key)
            for unit in units:
                group.add(unit)
            self._changed.notify_all()

    def drop(self, job: Job) -> None:
        """Nobody wants a job any more: what is not being computed yet is left out."""
        with self._changed:
            self._drop(job)

    def _drop(self, job: Job) -> None:
        if job.dead:
            return
        job.dead = True
        group = self._groups.get((id(job.lane), job.key))
        for unit in job.units:
            if group is not None:
                group.drop(unit)
        job.units, job.put = [], _nowhere
        self._release(job, job.estimate)

    def _release(self, job: Job, tokens: int) -> None:
        tokens = min(tokens, job.estimate)
        job.estimate -= tokens
        self._admitted[id(job.lane)] -= tokens

    @property
    def waiting_tokens(self) -> int:
        """Tokens that wait or are computed, of all models."""
        with self._changed:
            return sum(self._admitted.values())

    def finish(self, job: Job, error: BaseException | None = None) -> None:
        """Tell whoever waits for a job that it is done, or failed."""
        with self._changed:
            if error is not None:
                self._drop(job)
            else:
                self._release(job, job.estimate)
                job.units = []
        job.ended = time.monotonic()
        job.done(error)

    def close(self) -> None:
        """End the thread; what waits is never computed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=10)

    # -- the computing thread ----------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (group := self._next()) is None:
                    self._changed.wait()
                    self._last = time.monotonic()
                if self._closed:
                    return
            assert group is not None
            self._compute(group)

    def _next(self) -> Waiting | None:
        """The group whose turn it is."""
        found, first = None, (float("inf"), float("inf"))
        for name, group in list(self._groups.items()):
            due = group.due
            if due is None:
                del self._groups[name]
            elif (turn := (self._used[name[0]], due)) < first:
                found, first = group, turn
        if found is not None:
            self._clock = first[0]
        return found

    def _makes_room(self, group: Waiting, due: float) -> bool:
        """Whether another group's turn comes before the next batch of this one."""
        lane = id(group.lane)
        latest = self._used[lane] - _SLICE
        for (place, _), other in self._groups.items():
            if other is group or other.due is None:
                continue
            if other.due + _SLICE < due if place == lane else self._used[place] < latest:
                return True
        return False

    def _compute(self, group: Waiting) -> None:
        """Compute batches of a group until another one's turn comes, or nothing is left."""
        running: list[list[Unit]] = []

        def batches() -> Iterator[list[Unit]]:
            first = True
            while units := self._take(group, first):
                first = False
                running.append(units)
                yield units

        lane, key = group.lane, group.key
        try:
            if lane.many and group.tokens > group.budget:
                for units, values in lane.compute_many(batches(), key):
                    running.remove(units)
                    self._deliver(units, values)
            else:
                for units in batches():
                    values = lane.compute(units, key)
                    running.remove(units)
                    self._deliver(units, values)
                    if group.tokens > group.budget:
                        break
        except Exception:
            for units in running:
                self._compute_carefully(lane, key, units)

    def _take(self, group: Waiting, first: bool) -> list[Unit]:
        now = time.monotonic()
        with self._changed:
            if self._closed:
                return []
            due = group.due
            if due is None:
                return []
            if not first and self._makes_room(group, due):
                return []
            while units := group.take():
                for unit in units:
                    if unit.job.deadline < now:
                        self._drop(unit.job)
                units = [unit for unit in units if not unit.job.dead]
                if units:
                    break
        for unit in units:
            if not unit.job.begun:
                unit.job.begun = now
        return units

    def _compute_carefully(self, lane: Lane, key: Key, units: list[Unit]) -> None:
        """Compute a batch that failed, in smaller parts: what is at fault fails alone."""
        units = [unit for unit in units if not unit.job.dead]
        if not units:
            return
        try:
            values = lane.compute(units, key)
        except Exception as error:
            if len(units) > 1:
                half = len(units) // 2
                if isinstance(error, (OutOfMemoryError, MemoryError)):
                    lane.budget = max(lane.budget // 2, 1)
                self._compute_carefully(lane, key, units[:half])
                self._compute_carefully(lane, key, units[half:])
                return
            self.finish(units[0].job, _as_refused(error))
        else:
            self._deliver(units, values)

    def _deliver(self, units: list[Unit], values: Any) -> None:
        # Counted first: whoever has the answer finds its batch in the metrics.
        tokens, texts = sum(unit.tokens for unit in units), sum(len(unit.rows) for unit in units)
        self._measure(id(units[0].job.lane), tokens, time.monotonic())
        self._on_batch(texts, tokens)
        for unit, rows in zip(units, values, strict=True):
            job = unit.job
            if job.dead:
                continue
            if not _finite(rows):
                self.finish(
                    job,
                    Refused(
                        "backend", "the model gave NaN or infinity: its weights are too large, or damaged"
                    ),
                )
                continue
            job.put(unit.rows, rows)
            unit.content = None
            job.left -= len(unit.rows)
            if job.left:
                with self._changed:
                    self._release(job, unit.tokens)
            else:
                self.finish(job)

    def _measure(self, lane: int, tokens: int, now: float) -> None:
        """Follow the time that a lane has had, and its rate, by the time between two batches without a pause."""
        took, self._last = now - self._last, now
        with self._changed:
            self._used[lane] += took
        if 0 < took < 1:
            rate = self._rates.get(lane)
            new = tokens / took
            self._rates[lane] = new if rate is None else rate + _FOLLOW * (new - rate)


def _nowhere(rows: Any, values: Any) -> None:
    """Where results go that nobody wants."""


def _finite(rows: Any) -> bool:
    if isinstance(rows, list):
        return all(_finite(each) for each in rows)
    return bool(np.isfinite(rows).all())


def _as_refused(error: BaseException) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, (OutOfMemoryError, MemoryError)):
        return Refused("overloaded", f"out of memory: {error}", retry_after=5, status=503)
    if isinstance(error, VicinalError):
        return Refused("backend", str(error))
    return Refused("backend", f"the model failed ({type(error).__name__}: {error})")
