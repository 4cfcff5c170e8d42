"""What a request finds in the embedding cache, and what it leaves there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vicinal.models.steps import Reading
from vicinal.server.cache import EmbeddingCache, Kept, keys_of
from vicinal.server.catalog import Served
from vicinal.server.jobs import Job
from vicinal.server.lanes import RaggedLane
from vicinal.server.metrics import Metrics


class Lookup:
    """The texts of one job in the cache.

    Args:
        cache: the cache.
        metrics: hits are counted there.
        keys: of the texts.
        out: ``(n, d)`` float32, where their vectors come.
        refuse_cut: whether texts that are too long are refused; they are then not taken from the cache, which does
            not know how long they are.
    """

    def __init__(
        self,
        cache: EmbeddingCache,
        metrics: Metrics,
        keys: list[bytes],
        out: NDArray[np.float32],
        refuse_cut: bool = False,
    ) -> None:
        self._cache, self._metrics, self._keys, self._out = cache, metrics, keys, out
        self._refuse_cut = refuse_cut
        self._new: list[int] = []

    def missing(self, job: Job) -> list[int]:
        """Write the vectors that are known; gives the rows that have to be computed."""
        found = self._cache.get(self._keys)
        for row, key in enumerate(self._keys):
            known = found.get(key)
            if known is None or (known.cut and self._refuse_cut):
                self._new.append(row)
                continue
            self._out[row] = known.vector
            job.tokens[row] = known.tokens
            job.cut += known.cut
            job.left -= 1
        self._metrics.cache_hits.inc(len(self._keys) - len(self._new))
        self._metrics.cache_misses.inc(len(self._new))
        return self._new

    def keep(self, job: Job) -> None:
        """Leave what is new in the cache."""
        if self._new:
            self._cache.put(
                [self._keys[row] for row in self._new],
                [Kept(self._out[row], int(job.tokens[row]), row in job.cut_rows) for row in self._new],
            )


def keys_for(served: Served, reading: Reading, texts: Sequence[str], role: str | None) -> list[bytes] | None:
    """The keys of texts; None for a model that computes faster than a cache answers."""
    if isinstance(served.lane(reading), RaggedLane):
        return None
    limits = reading.texts.max_length, reading.texts.truncation_side
    return keys_of(texts, served.entry.fingerprint, served.entry.dtype, reading.prompt, role, *limits)
