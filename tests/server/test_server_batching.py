"""The scheduler: whose turn it is, what shares a batch, what is refused, dropped, and fails alone."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")

from vicinal.errors import OutOfMemoryError
from vicinal.server.batching import Scheduler
from vicinal.server.errors import Refused
from vicinal.server.jobs import Job, Key, Unit
from vicinal.server.lanes import TokenLane
from vicinal.server.waiting import Waiting

KEY = Key("sentence", "", 0)
WAIT = 30


@dataclass
class FakeLane:
    """Computes ten times each unit's content, when it is let; writes down what came together."""

    budget: int = 12
    many: bool = False
    pads: bool = True
    sizes: Any = None
    open: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)
    batches: list[list[int]] = field(default_factory=list)
    fails: Callable[[list[int]], None] = lambda contents: None

    @staticmethod
    def width(length: int) -> int:
        return length

    def compute(self, units: list[Unit], key: Key) -> Any:
        contents = [unit.content for unit in units]
        self.batches.append(contents)
        self.began.set()
        assert self.open.wait(WAIT)
        self.fails(contents)
        return [np.full((1, 1), 10.0 * each, dtype=np.float32) for each in contents]

    def compute_many(self, batches: Iterator[list[Unit]], key: Key) -> Iterator[Any]:
        for units in batches:
            yield units, self.compute(units, key)


class Asked:
    """A job of some numbers, each of a length, and what comes of it."""

    def __init__(
        self, lane: FakeLane, contents: list[int], lengths: list[int], deadline: float = 1e18
    ) -> None:
        self.out = np.zeros(len(contents))
        self.future: Future[None] = Future()
        self.job = Job(lane, KEY, len(contents), self._put, self._done, deadline)
        self.units = [
            Unit(self.job, (row,), length, content)
            for row, (content, length) in enumerate(zip(contents, lengths, strict=True))
        ]

    def _put(self, rows: Any, values: Any) -> None:
        self.out[list(rows)] = values[:, 0]

    def _done(self, error: BaseException | None) -> None:
        if not self.future.done():
            if error is None:
                self.future.set_result(None)
            else:
                self.future.set_exception(error)

    def start(self, scheduler: Scheduler) -> Asked:
        scheduler.admit(self.job, sum(unit.tokens for unit in self.units))
        scheduler.add(self.job, self.units)
        return self

    def result(self) -> list[float]:
        self.future.result(WAIT)
        return self.out.tolist()


@pytest.fixture
def lane() -> FakeLane:
    return FakeLane()


@pytest.fixture
def scheduler(lane: FakeLane) -> Iterator[Scheduler]:
    made = Scheduler(100)
    yield made
    lane.open.set()
    made.close()


def held(scheduler: Scheduler, lane: FakeLane) -> Asked:
    """Something that is being computed, so that what comes after it waits."""
    first = Asked(lane, [0], [1]).start(scheduler)
    assert lane.began.wait(WAIT)
    return first


def test_each_request_gets_its_own_results(scheduler: Scheduler, lane: FakeLane) -> None:
    held(scheduler, lane)
    asked = [Asked(lane, [i, i + 100], [2, 3]).start(scheduler) for i in range(5)]
    lane.open.set()
    assert [each.result() for each in asked] == [[10.0 * i, 10.0 * (i + 100)] for i in range(5)]
    assert scheduler.waiting_tokens == 0


def test_texts_of_like_length_come_together_within_the_budget(scheduler: Scheduler, lane: FakeLane) -> None:
    held(scheduler, lane)
    asked = [Asked(lane, [n], [length]).start(scheduler) for n, length in enumerate([2, 6, 2, 6, 2, 2, 2, 2])]
    lane.open.set()
    for each in asked:
        each.result()
    lengths = [[[2, 6, 2, 6, 2, 2, 2, 2][n] for n in batch] for batch in lane.batches[1:]]
    assert lengths == [[2] * 6, [6, 6]]
    assert lane.batches[1:] == [[0, 2, 4, 5, 6, 7], [1, 3]]


def test_the_oldest_is_in_the_next_batch_whatever_its_length() -> None:
    lane = FakeLane()
    waiting = Waiting(lane, KEY)  # type: ignore[arg-type]
    for due, length in [(5.0, 2), (1.0, 9), (4.0, 2), (3.0, 2), (2.0, 8)]:
        unit = Unit(None, (0,), length, due)  # type: ignore[arg-type]
        unit.due = due
        waiting.add(unit)
    taken = []
    while batch := waiting.take():
        taken.append([unit.due for unit in batch])
    assert taken == [[1.0], [2.0], [3.0, 5.0, 4.0]]
    assert waiting.tokens == 0 and waiting.due is None


def test_a_long_request_lets_short_ones_in(scheduler: Scheduler, lane: FakeLane) -> None:
    held(scheduler, lane)
    scheduler._rates[id(lane)] = 10.0  # tokens per second: the long one takes 5 s
    long = Asked(lane, list(range(50)), [1] * 50)
    short = Asked(lane, [777], [1])
    short.job.arrived = long.job.arrived + 2.0
    long.start(scheduler)
    short.start(scheduler)
    lane.open.set()
    long.result(), short.result()
    place = next(n for n, batch in enumerate(lane.batches) if 777 in batch)
    assert place < len(lane.batches) - 1  # neither first nor last, by its turn
    assert 777 not in lane.batches[1]


def test_too_much_is_refused_until_there_is_room(scheduler: Scheduler, lane: FakeLane) -> None:
    held(scheduler, lane)
    Asked(lane, [1], [60]).start(scheduler)
    with pytest.raises(Refused, match="tokens wait") as caught:
        Asked(lane, [2], [45]).start(scheduler)
    assert (caught.value.kind, caught.value.status) == ("overloaded", 429)
    assert caught.value.retry_after and "Retry-After" in caught.value.headers
    last = Asked(lane, [3], [39]).start(scheduler)
    lane.open.set()
    last.result()
    assert Asked(lane, [4], [45]).start(scheduler).result() == [40.0]


def test_a_request_larger_than_the_queue_is_split_and_not_refused(
    scheduler: Scheduler, lane: FakeLane
) -> None:
    lane.open.set()
    asked = Asked(lane, list(range(500)), [1] * 500).start(scheduler)
    assert asked.result() == [10.0 * i for i in range(500)]
    assert max(len(batch) for batch in lane.batches) <= lane.budget


def test_what_nobody_wants_is_not_computed(scheduler: Scheduler, lane: FakeLane) -> None:
    first = held(scheduler, lane)
    gone, late = Asked(lane, [1, 2], [3, 3]), Asked(lane, [3], [3], deadline=monotonic() - 1)
    kept = Asked(lane, [4], [3])
    for each in (gone, late, kept):
        each.start(scheduler)
    scheduler.drop(gone.job)
    lane.open.set()
    assert kept.result() == [40.0] and first.result() == [0.0]
    assert lane.batches == [[0], [4]]
    assert scheduler.waiting_tokens == 0


def test_one_bad_text_fails_alone(scheduler: Scheduler, lane: FakeLane) -> None:
    def fails(contents: list[int]) -> None:
        if 13 in contents:
            raise RuntimeError("bad luck")

    lane.fails = fails
    held(scheduler, lane)
    asked = [Asked(lane, [n], [3]).start(scheduler) for n in (11, 12, 13, 14)]
    lane.open.set()
    assert [asked[n].result() for n in (0, 1, 3)] == [[110.0], [120.0], [140.0]]
    with pytest.raises(Refused, match="bad luck") as caught:
        asked[2].result()
    assert caught.value.kind == "backend" and scheduler.waiting_tokens == 0


@pytest.mark.parametrize("many", [False, True])
def test_without_memory_batches_become_smaller(scheduler: Scheduler, lane: FakeLane, many: bool) -> None:
    def fails(contents: list[int]) -> None:
        if len(contents) > 2:
            raise OutOfMemoryError("too large")

    lane.fails, lane.many = fails, many
    lane.open.set()
    asked = Asked(lane, list(range(40)), [1] * 40).start(scheduler)
    assert asked.result() == [10.0 * i for i in range(40)]
    assert lane.budget < 12


def test_results_that_are_no_numbers_are_refused(scheduler: Scheduler, lane: FakeLane) -> None:
    lane.open.set()
    bad = Asked(lane, [float("nan"), 1], [1, 1])  # type: ignore[list-item]
    with pytest.raises(Refused, match="NaN or infinity"):
        bad.start(scheduler).result()


def test_padding_and_shapes_are_bounded() -> None:
    lane = TokenLane(None, 0)  # type: ignore[arg-type]
    waiting = Waiting(lane, KEY)
    draw = np.random.default_rng(0)
    lengths = [int(each) for each in draw.integers(4, 256, 3000)]
    arriving, batches, shapes = iter(lengths), [], set()
    while True:
        for length in itertools.islice(arriving, int(draw.integers(0, 40))):
            unit = Unit(None, (0,), length, length)  # type: ignore[arg-type]
            unit.due = float(draw.random())
            waiting.add(unit)
        batch = waiting.take()
        if not batch and len(batches) > 100:
            break
        if batch:
            batches.append([unit.length for unit in batch])
            shapes.add((len(batch), lane.width(max(batches[-1]))))
    assert sorted(itertools.chain(*batches)) == sorted(lengths)
    padded = [len(batch) * lane.width(max(batch)) for batch in batches]
    assert max(padded) <= 1024
    assert sum(padded) <= 1.1 * sum(lengths)
    assert len(shapes) < 150
    assert waiting.tokens == 0


def test_widths_are_close_and_few() -> None:
    lane = TokenLane(None, 0)  # type: ignore[arg-type]
    widths = [lane.width(length) for length in range(1, 513)]
    assert all(
        length <= width <= max(length * 1.125 + 1, length + 1) for length, width in enumerate(widths, 1)
    )
    assert widths == sorted(widths) and len(set(widths)) < 60


def test_a_busy_model_does_not_hold_up_another(scheduler: Scheduler, lane: FakeLane) -> None:
    """Whoever came first: the model that has had less time is next, after the slice of the one at work."""
    held(scheduler, lane)
    waiting = [Asked(lane, [n], [12]).start(scheduler) for n in range(1, 8)]
    order: list[str] = []
    other = FakeLane()
    other.open.set()
    other.fails = lambda contents: order.append(f"other {contents[0]}")
    lane.fails = lambda contents: (order.append(f"busy {contents[0]}"), sleep(0.06))[0]
    late = Asked(other, [9], [1]).start(scheduler)
    lane.open.set()
    for each in (*waiting, late):
        each.result()
    assert order.index("other 9") <= 2
    assert len(order) == 9


def test_time_that_a_model_did_not_use_is_not_saved_up(scheduler: Scheduler, lane: FakeLane) -> None:
    """Two models that are busy from now on take turns, also where one was busy before and the other was not."""
    lane.open.set()
    lane.fails = lambda contents: sleep(0.06)
    for n in range(6):
        Asked(lane, [n], [12]).start(scheduler).result()
    order: list[str] = []
    other = FakeLane()
    other.fails = lambda contents: (order.append("other"), sleep(0.06))[0]
    lane.fails = lambda contents: (order.append("busy"), sleep(0.06))[0]
    begun = Asked(other, [0], [12]).start(scheduler)
    assert other.began.wait(WAIT)
    asked = [Asked(each, [n], [12]).start(scheduler) for n in range(6) for each in (lane, other)]
    other.open.set()
    for each in (begun, *asked):
        each.result()
    assert sorted(order[:6]).count("busy") >= 2


def test_a_batch_is_counted_before_its_results_are_given(lane: FakeLane) -> None:
    """Whoever has an answer finds its batch in the metrics."""
    counted: list[tuple[int, int]] = []
    seen: list[list[tuple[int, int]]] = []
    scheduler = Scheduler(100, lambda texts, tokens: counted.append((texts, tokens)))
    try:
        lane.open.set()
        asked = Asked(lane, [1, 2], [3, 3])
        asked.job.done = lambda error: (seen.append(list(counted)), asked._done(error))[1]
        asked.start(scheduler).result()
        assert seen == [[(2, 6)]]
    finally:
        scheduler.close()
