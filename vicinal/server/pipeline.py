"""The way of all texts: admitted, split into tokens, put into batches with those of others, computed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from vicinal.core.cores import available_cores
from vicinal.errors import InputError, InputTypeError, VicinalError
from vicinal.models.steps import Reading
from vicinal.server.batching import Scheduler
from vicinal.server.call import current_call, outcome
from vicinal.server.catalog import Served
from vicinal.server.errors import Refused
from vicinal.server.jobs import Job, Key, Unit
from vicinal.server.metrics import Metrics
from vicinal.server.records import Timings
from vicinal.server.settings import Settings
from vicinal.server.tokenizing import Asked, Texts, Tokenizing
from vicinal.tokens.text import Ragged

Made = TypeVar("Made")

# What a text counts beside its characters, in estimated tokens: thousands of short texts are work too.
_PER_TEXT = 4
# Characters of a token, about.
_CHARS = 4


class Pipeline:
    """The threads that split and compute texts, for all models.

    Args:
        settings: the limits.
        metrics: what is counted.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.scheduler = Scheduler(settings.max_waiting_tokens, self._on_batch)
        self.tokenizing = Tokenizing(settings.threads or available_cores())

    def close(self) -> None:
        """End the threads."""
        self.tokenizing.close()
        self.scheduler.close()

    async def run(
        self,
        served: Served,
        reading: Reading,
        texts: Texts,
        put: Callable[[Any, Any], None],
        truncate: bool | None,
        output: Literal["sentence", "tokens"] = "sentence",
    ) -> Job:
        """Have texts tokenised and computed; ``put`` takes the results."""
        loop = asyncio.get_running_loop()
        lane = served.lane(reading)
        key = Key(output, reading.prompt, reading.prompt_length)
        call = current_call.get()
        deadline = call.deadline if call else time.monotonic() + self.settings.request_timeout
        future: asyncio.Future[None] = loop.create_future()
        job = Job(lane, key, len(texts), put, future, loop, deadline)
        cut = self.settings.auto_truncate if truncate is None else truncate
        self.scheduler.admit(job, _estimate(texts, served.entry.max_length))

        def tokenized(found: Ragged | Exception) -> None:
            job.tokenized = time.monotonic()
            try:
                if isinstance(found, Exception):
                    raise found
                if not job.dead:
                    self.scheduler.add(job, _units(job, found, texts, cut))
            except Exception as error:
                self.scheduler.finish(job, as_refused(error))

        limits = reading.texts.max_length, reading.texts.truncation_side
        self.tokenizing.ask(
            Asked((id(lane), reading.prompt, limits, texts.seconds is None), reading, texts, tokenized)
        )
        await outcome(future, lambda: self.scheduler.drop(job))
        if call is not None:
            call.cut += job.cut
        return job

    async def in_thread(self, work: Callable[[], Made]) -> Made:
        """Do something in a thread, with errors made Refused."""
        future = asyncio.get_running_loop().run_in_executor(self.tokenizing.pool, work)
        try:
            return await outcome(future, lambda: None)
        except VicinalError as error:
            raise as_refused(error) from error

    def _on_batch(self, texts: int, tokens: int) -> None:
        self.metrics.batch_texts.observe(texts)
        self.metrics.batch_tokens.observe(tokens)
        self.metrics.queue_size.set(self.scheduler.waiting_tokens)


def _units(job: Job, ragged: Ragged, texts: Texts, cut: bool) -> list[Unit]:
    """What is to be computed, after a look at what is too long."""
    too_long = ragged.truncated
    if len(too_long) and not cut:
        place = int(too_long[0])
        raise Refused(
            "validation",
            f"text {place} has {int(ragged.full_lengths[place])} tokens, {int(ragged.lengths[place])} are read: "
            "shorten it, or have it truncated",
            param="input",
        )
    job.cut = len(too_long)
    job.tokens = ragged.lengths
    units: list[Unit] = job.lane.units(job, range(job.count), ragged, texts.firsts)
    return units


def _estimate(texts: Texts, limit: int | None) -> int:
    """Tokens that texts have, about."""
    most = limit or 1 << 30
    firsts, seconds = texts
    if seconds is None:
        return sum(min(len(text) // _CHARS + _PER_TEXT, most) for text in firsts)
    return sum(
        min((len(first) + len(second)) // _CHARS + _PER_TEXT, most)
        for first, second in zip(firsts, seconds, strict=True)
    )


def timings_of(job: Job) -> Timings:
    now = job.ended or time.monotonic()
    tokenized = job.tokenized or job.arrived
    begun = job.begun or tokenized
    return Timings(
        now - job.arrived, tokenized - job.arrived, max(0.0, begun - tokenized), max(0.0, now - begun)
    )


def asked(make: Callable[[], Made]) -> Made:
    try:
        return make()
    except VicinalError as error:
        raise as_refused(error) from error


def as_refused(error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, (InputError, InputTypeError)):
        return Refused("validation", str(error))
    if isinstance(error, VicinalError):
        return Refused("backend", str(error))
    return Refused("internal", f"{type(error).__name__}: {error}")
