"""From the texts of requests to token ids, in threads, the texts of several requests at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vicinal.engine.base import is_text_engine
from vicinal.models.steps import Reading
from vicinal.tokens.text import Ragged

# Texts that are split in one call: of a longer request, others' texts come in between.
_MOST = 1024


class Texts(NamedTuple):
    """Texts, or pairs: ``seconds`` is None for single texts."""

    firsts: Sequence[str]
    seconds: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.firsts)


@dataclass
class Asked:
    """Texts of one request that are to be split.

    Attributes:
        key: what the texts of several requests must share to be split together.
        reading: how.
        texts: the texts.
        done: called in a thread with the ids, or with what was raised.
        prepare: called in a thread before; gives the texts that are left to be split. None for all.
    """

    key: Any
    reading: Reading
    texts: Texts
    done: Callable[[Ragged | Exception], None]
    prepare: Callable[[], Texts] | None = None


class Tokenizing:
    """Splits texts in threads of its own.

    Args:
        threads: how many.
    """

    def __init__(self, threads: int) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="vicinal-tokens")
        self._waiting: dict[Any, deque[Asked]] = {}
        self._lock = threading.Lock()

    def ask(self, asked: Asked) -> None:
        """Have texts split; ``asked.done`` is told."""
        with self._lock:
            waiting = self._waiting.get(asked.key)
            if waiting is not None:
                waiting.append(asked)
                return
            self._waiting[asked.key] = deque([asked])
        self.pool.submit(self._split, asked.key)

    def close(self) -> None:
        """End the threads when they have done what they do."""
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _split(self, key: Any) -> None:
        batch: list[Asked] = []
        count = 0
        with self._lock:
            waiting = self._waiting[key]
            while waiting and (not batch or count + len(waiting[0].texts) <= _MOST):
                batch.append(waiting.popleft())
                count += len(batch[-1].texts)
            if waiting:
                self.pool.submit(self._split, key)
            else:
                del self._waiting[key]
        batch = [asked for asked in batch if _prepared(asked)]
        if not batch:
            return
        try:
            found: list[Any] = _apart(_split(batch[0].reading, _joined(batch)), batch)
        except Exception as error:
            # One bad text fails alone: each request is split by itself.
            found = [error] if len(batch) == 1 else [_tried(each) for each in batch]
        for asked, result in zip(batch, found, strict=True):
            asked.done(result)


def _prepared(asked: Asked) -> bool:
    """Whether there is something to be split."""
    if asked.prepare is not None:
        try:
            asked.texts = asked.prepare()
        except Exception as error:
            asked.done(error)
            return False
    return len(asked.texts) > 0


def _joined(batch: list[Asked]) -> Texts:
    if len(batch) == 1:
        return batch[0].texts
    seconds = [each.texts.seconds for each in batch]
    return Texts(
        [text for each in batch for text in each.texts.firsts],
        None if seconds[0] is None else [text for each in seconds for text in each or ()],
    )


def _tried(asked: Asked) -> Ragged | Exception:
    try:
        return _split(asked.reading, asked.texts)
    except Exception as error:
        return error


def _split(reading: Reading, texts: Texts) -> Ragged:
    """The ids of texts, of at most 1024 at a time."""
    prompted = [reading.prompt + text for text in texts.firsts] if reading.prompt else list(texts.firsts)
    if texts.seconds is not None:
        return reading.texts.pairs(prompted, texts.seconds)
    engine: Any = reading.engine
    if is_text_engine(engine):
        return _counted(engine, prompted)
    return reading.texts(prompted)


def _counted(engine: Any, texts: list[str]) -> Ragged:
    """No ids, but how many there would be; 0 where nobody knows."""
    _, tokens = engine.lengths(texts)
    full = np.zeros(len(texts), dtype=np.int32) if tokens is None else np.asarray(tokens, dtype=np.int32)
    kept = full if engine.limit is None else np.minimum(full, engine.limit)
    starts = np.zeros(len(full) + 1, dtype=np.int64)
    np.cumsum(kept, out=starts[1:])
    return Ragged(np.zeros(0, dtype=np.int32), starts, full)


def _apart(ragged: Ragged, batch: list[Asked]) -> list[Ragged]:
    """What belongs to each request."""
    if len(batch) == 1:
        return [ragged]
    found, first = [], 0
    for asked in batch:
        last = first + len(asked.texts)
        start, stop = int(ragged.starts[first]), int(ragged.starts[last])
        found.append(
            Ragged(
                ragged.ids[start:stop],
                ragged.starts[first : last + 1] - start,
                ragged.full_lengths[first:last],
                None if ragged.type_ids is None else ragged.type_ids[start:stop],
                None if ragged.unknown is None else ragged.unknown[first:last],
            )
        )
        first = last
    return found
