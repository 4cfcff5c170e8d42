"""The way of all texts: admitted, split into tokens, put into batches with those of others, computed."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from vicinal.core.cores import available_cores
from vicinal.errors import InputError, InputTypeError, VicinalError
from vicinal.models.steps import Reading, Role, pair_reading, text_reading
from vicinal.server.batching import Scheduler
from vicinal.server.cache import EmbeddingCache
from vicinal.server.call import current_call, late, outcome
from vicinal.server.catalog import Served
from vicinal.server.errors import Refused
from vicinal.server.jobs import Job, Key, Unit
from vicinal.server.lookup import Lookup, keys_for
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
# Of 16 tokens or more in any vocabulary.
_LINE = ["one two three four five six seven eight nine ten eleven twelve one two"]


class Pipeline:
    """The threads that split and compute texts, for all models.

    Args:
        settings: the limits.
        metrics: what is counted.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.scheduler = Scheduler(settings.max_waiting_tokens, self._on_batch)
        metrics.queue_size.set_function(lambda: self.scheduler.waiting_tokens)
        self.tokenizing = Tokenizing(settings.threads or available_cores())
        self.cache = None
        if settings.cache_path is not None:
            self.cache = EmbeddingCache(settings.cache_path, settings.cache_bytes)

    def close(self) -> None:
        """End the threads."""
        self.tokenizing.close()
        self.scheduler.close()
        if self.cache is not None:
            self.cache.close()

    def warm_up(self, served: Served) -> None:
        """Compute something with a model, in each of the ways that requests will: compiling takes seconds."""
        scores = served.entry.kind != "embedding"
        reading = pair_reading(served.model) if scores else text_reading(served.model)
        budget = served.lane(reading).budget
        for texts in (["warm"], _LINE * (3 * budget // 16 + 1)):
            seconds = texts if scores else None
            self.run_blocking(served, reading, Texts(texts, seconds), lambda rows, values: None)

    def lookup(
        self,
        served: Served,
        reading: Reading,
        texts: Sequence[str],
        role: Role | None,
        out: NDArray[np.float32],
        truncate: bool | None = True,
    ) -> Lookup | None:
        """Texts in the cache; None where there is no cache for them."""
        keys = None if self.cache is None else keys_for(served, reading, texts, role)
        if keys is None or self.cache is None:
            return None
        cut = self.settings.auto_truncate if truncate is None else truncate
        return Lookup(self.cache, self.metrics, keys, out, refuse_cut=not cut)

    async def run(
        self,
        served: Served,
        reading: Reading,
        texts: Texts,
        put: Callable[[Any, Any], None],
        truncate: bool | None,
        output: Literal["sentence", "tokens"] = "sentence",
        lookup: Lookup | None = None,
        most_tokens: int | None = None,
    ) -> Job:
        """Have texts tokenised and computed; ``put`` takes the results, those aside that ``lookup`` knows.

        More than ``most_tokens`` in all are refused.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def done(error: BaseException | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody is there
                loop.call_soon_threadsafe(_settle, future, error)

        calls = self.metrics.embed if served.entry.kind == "embedding" else self.metrics.predict
        calls.count.inc()
        job = self._begin(served, reading, texts, put, truncate, output, done, lookup, most_tokens)
        await outcome(future, lambda: self.scheduler.drop(job))
        self.metrics.observe(calls, timings_of(job), job.tokens)
        _count_cut(job)
        return job

    def run_blocking(
        self,
        served: Served,
        reading: Reading,
        texts: Texts,
        put: Callable[[Any, Any], None],
        lookup: Lookup | None = None,
    ) -> Job:
        """:meth:`run` for a thread that may wait; what is too long is cut."""
        future: Future[None] = Future()

        def done(error: BaseException | None) -> None:
            _settle(future, error)

        job = self._begin(served, reading, texts, put, True, "sentence", done, lookup)
        try:
            left = job.deadline - time.monotonic()
            future.result(None if left == float("inf") else max(0.0, left))
        except (FutureTimeout, TimeoutError):
            self.scheduler.drop(job)
            raise late() from None
        _count_cut(job)
        return job

    def _begin(
        self,
        served: Served,
        reading: Reading,
        texts: Texts,
        put: Callable[[Any, Any], None],
        truncate: bool | None,
        output: Literal["sentence", "tokens"],
        done: Callable[[BaseException | None], None],
        lookup: Lookup | None,
        most_tokens: int | None = None,
    ) -> Job:
        lane = served.lane(reading)
        key = Key(output, reading.prompt, reading.prompt_length)
        call = current_call.get()
        deadline = call.deadline if call else time.monotonic() + self.settings.request_timeout
        job = Job(lane, key, len(texts), put, done, deadline)
        rows = list(range(job.count))
        if lookup is not None:
            job.done = _keeping(lookup, job, done)
        cut = self.settings.auto_truncate if truncate is None else truncate
        self.scheduler.admit(job, _estimate(texts, served.entry.max_length))

        def missing() -> Texts:
            nonlocal rows
            if job.dead:  # nobody waits for it: it is not even split
                return Texts([])
            if lookup is None:
                return texts
            rows = lookup.missing(job)
            if not rows:
                self.scheduler.finish(job)
            return Texts([texts.firsts[row] for row in rows])

        def tokenized(found: Ragged | Exception) -> None:
            job.tokenized = time.monotonic()
            try:
                if isinstance(found, Exception):
                    raise found
                if not job.dead:
                    units = _units(job, found, texts, rows, cut)
                    if most_tokens is not None and job.tokens.sum() > most_tokens:
                        raise Refused(
                            "too_large",
                            f"{job.tokens.sum()} tokens are too many for one answer, {most_tokens} are not: send "
                            "fewer texts at once",
                        )
                    self.scheduler.add(job, units)
            except Exception as error:
                self.scheduler.finish(job, as_refused(error))

        limits = reading.texts.max_length, reading.texts.truncation_side
        same = (id(lane), reading.prompt, limits, texts.seconds is None)
        self.tokenizing.ask(Asked(same, reading, texts, tokenized, missing))
        return job

    async def in_thread(self, work: Callable[[], Made], pool: Executor | None = None) -> Made:
        """Do something in a thread, with errors made Refused; the call's context goes along."""
        context = contextvars.copy_context()
        future = asyncio.get_running_loop().run_in_executor(pool or self.tokenizing.pool, context.run, work)
        try:
            return await outcome(future, lambda: None)
        except VicinalError as error:
            raise as_refused(error) from error

    def _on_batch(self, texts: int, tokens: int) -> None:
        self.metrics.batch_texts.observe(texts)
        self.metrics.batch_tokens.observe(tokens)


def _count_cut(job: Job) -> None:
    """Tell the request how many of its texts were cut."""
    call = current_call.get()
    if call is not None:
        call.cut += job.cut


def _settle(future: Any, error: BaseException | None) -> None:
    """Give a future, of either kind, its end, unless it has one."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _keeping(
    lookup: Lookup, job: Job, done: Callable[[BaseException | None], None]
) -> Callable[[BaseException | None], None]:
    """``done``, after what is new was left in the cache."""

    def kept(error: BaseException | None) -> None:
        if error is None:
            lookup.keep(job)
        done(error)

    return kept


def _units(job: Job, ragged: Ragged, texts: Texts, rows: list[int], cut: bool) -> list[Unit]:
    """What is to be computed, after a look at what is too long."""
    too_long = ragged.truncated
    if len(too_long) and not cut:
        place = int(too_long[0])
        raise Refused(
            "validation",
            f"text {rows[place]} has {int(ragged.full_lengths[place])} tokens, {int(ragged.lengths[place])} are read: "
            "shorten it, or have it truncated",
            param="input",
        )
    job.cut += len(too_long)
    job.cut_rows = frozenset(rows[place] for place in too_long.tolist())
    job.tokens[rows] = ragged.lengths
    kept = texts.firsts if len(rows) == job.count else [texts.firsts[row] for row in rows]
    units: list[Unit] = job.lane.units(job, rows, ragged, kept)
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
