"""What a request wants of a model, and the parts of it that wait to be computed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vicinal.engine.base import Output


class Key(NamedTuple):
    """What texts must share to be computed in one batch."""

    output: Output
    prompt: str
    prompt_length: int


@dataclass(slots=True)
class Unit:
    """What waits to be computed: one text or pair, or several short ones of a job.

    Attributes:
        job: whose it is.
        rows: their places in the job.
        length: tokens, of the longest.
        content: what the engine reads, as the lane has made it.
        due: when its turn is, on the clock of :func:`time.monotonic`.
        taken: whether it waits no more.
    """

    job: Job
    rows: Sequence[int]
    length: int
    content: Any
    due: float = 0.0
    taken: bool = field(default=False)

    @property
    def tokens(self) -> int:
        """Tokens of all of them."""
        return max(self.length, 1) * len(self.rows)


@dataclass(eq=False)
class Job:
    """What one request wants of one model.

    Attributes:
        lane: the model, a :data:`vicinal.server.lanes.Lane`.
        key: what its texts share.
        count: texts.
        put: takes the result of some rows.
        done: called, in any thread, when all results are there, or with what went wrong.
        deadline: when nobody wants it any more.
        estimate: tokens that it counts for among those that wait.
        cut: texts that were longer than the model reads.
        cut_rows: which ones, of those that are computed.
        tokens: ``(count,)``, of each text.
        left: texts without a result.
        dead: whether nobody wants it.
        arrived, tokenized, begun, ended: when, on the clock of :func:`time.monotonic`; 0 for not yet.
        units: what of it waits, or was computed.
    """

    lane: Any
    key: Key
    count: int
    put: Callable[[Any, Any], None]
    done: Callable[[BaseException | None], None]
    deadline: float
    estimate: int = 0
    cut: int = 0
    cut_rows: frozenset[int] = frozenset()
    left: int = 0
    dead: bool = False
    tokens: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    arrived: float = field(default_factory=time.monotonic)
    tokenized: float = 0.0
    begun: float = 0.0
    ended: float = 0.0
    units: list[Unit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left = self.count
        self.tokens = np.zeros(self.count, dtype=np.int32)
