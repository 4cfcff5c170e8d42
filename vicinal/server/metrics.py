"""What the server counts, for Prometheus: under the names of text-embeddings-inference where it counts the same."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from vicinal.server.records import Timings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TOTAL = re.compile(r"\b(te_\w+?)_total\b")
_POWERS = tuple(float(2**power) for power in range(15))


class _Work:
    """What is counted of texts that go one way: ``embed`` or ``predict``, and ``request`` for both."""

    def __init__(self, name: str, registry: CollectorRegistry) -> None:
        def seconds(part: str, what: str) -> Histogram:
            return Histogram(f"te_{name}_{part}", what, buckets=_SECONDS, registry=registry)

        self.tokenization = seconds("tokenization_duration", "Seconds of tokenizing.")
        self.queue = seconds("queue_duration", "Seconds of waiting to be computed.")
        self.inference = seconds("inference_duration", "Seconds of computing.")

    def observe(self, timings: Timings) -> None:
        """Count one call."""
        self.tokenization.observe(timings.tokenization)
        self.queue.observe(timings.queue)
        self.inference.observe(timings.inference)


class _Calls(_Work):
    """The same, with how often and how long in all."""

    def __init__(self, name: str, registry: CollectorRegistry) -> None:
        super().__init__(name, registry)
        self.count = Counter(f"te_{name}_count", "Calls that were begun.", registry=registry)
        self.success = Counter(f"te_{name}_success", "Calls that ended well.", registry=registry)
        self.duration = Histogram(
            f"te_{name}_duration", "Seconds of a call.", buckets=_SECONDS, registry=registry
        )

    def observe(self, timings: Timings) -> None:
        """Count one call that ended well."""
        super().observe(timings)
        self.success.inc()
        self.duration.observe(timings.total)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = made = CollectorRegistry()
        self.requests = Counter("te_request_count", "Requests.", ["method"], registry=made)
        self.success = Counter(
            "te_request_success", "Requests that got their answer.", ["method"], registry=made
        )
        self.failure = Counter(
            "te_request_failure", "Requests that were refused, by status.", ["err"], registry=made
        )
        self.duration = Histogram(
            "te_request_duration", "Seconds until the answer.", ["method"], buckets=_SECONDS, registry=made
        )
        self.work, self.embed, self.predict = (
            _Work("request", made),
            _Calls("embed", made),
            _Calls("predict", made),
        )
        self.length = Histogram(
            "te_request_input_length", "Tokens of a text.", buckets=_POWERS, registry=made
        )
        self.queue_size = Gauge(
            "te_queue_size", "Tokens that wait to be computed, or are computed.", registry=made
        )
        self.batch_texts = Histogram(
            "te_batch_next_size", "Texts of a batch.", buckets=_POWERS, registry=made
        )
        self.batch_tokens = Histogram(
            "te_batch_next_tokens", "Tokens of a batch.", buckets=_POWERS, registry=made
        )
        self.cut = Counter("vicinal_texts_cut", "Texts that were longer than the model reads.", registry=made)
        self.cache_hits = Counter("vicinal_cache_hits", "Texts found in the embedding cache.", registry=made)
        self.cache_misses = Counter(
            "vicinal_cache_misses", "Texts not found in the embedding cache.", registry=made
        )
        self.active = Gauge("vicinal_requests_active", "Requests that are being answered.", registry=made)

    def observe(self, calls: _Calls, timings: Timings, lengths: NDArray[np.int32]) -> None:
        """Count a call that ended well.

        Args:
            calls: :attr:`embed` or :attr:`predict`.
            timings: where its time went.
            lengths: ``(n,)`` tokens of its texts.
        """
        calls.observe(timings)
        self.work.observe(timings)
        for length in lengths.tolist():  # a microsecond each
            self.length.observe(length)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        lines = generate_latest(self.registry).decode().splitlines(keepends=True)
        # The library ends the name of each counter with _total, which dashboards of TEI do not know.
        kept = [_TOTAL.sub(r"\1", line) for line in lines if "_created" not in line.partition("{")[0]]
        return "".join(kept).encode()
