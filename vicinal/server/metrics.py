"""What the server counts, for Prometheus: under the names of text-embeddings-inference where it counts the same."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_POWERS = tuple(float(2**power) for power in range(15))


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        made = self.registry
        self.requests = Counter("te_request", "Requests.", ["method"], registry=made)
        # Prometheus' library ends every counter with _total; these have the names that dashboards of TEI ask for.
        self.success = Counter(
            "te_request_success", "Requests that got their answer.", ["method"], registry=made
        )
        self.failure = Counter(
            "te_request_failure", "Requests that were refused, by reason.", ["err"], registry=made
        )
        self.duration = Histogram(
            "te_request_duration", "Seconds until the answer.", ["method"], buckets=_SECONDS, registry=made
        )
        self.tokenization = Histogram(
            "te_request_tokenization_duration", "Seconds of tokenizing.", buckets=_SECONDS, registry=made
        )
        self.queue = Histogram(
            "te_request_queue_duration", "Seconds of waiting.", buckets=_SECONDS, registry=made
        )
        self.inference = Histogram(
            "te_request_inference_duration", "Seconds of computing.", buckets=_SECONDS, registry=made
        )
        self.length = Histogram(
            "te_request_input_length", "Tokens of a text.", buckets=_POWERS, registry=made
        )
        self.queue_size = Gauge("te_queue_size", "Tokens that wait to be computed.", registry=made)
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

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self.registry)
