"""The embedding cache: right vectors, counted hits, a bounded file, and no text computed twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")

from vicinal.errors import StoreError
from vicinal.server.cache import EmbeddingCache, Kept, keys_of


def kept(value: float, size: int = 8) -> Kept:
    return Kept(np.full(size, value, dtype=np.float32), int(value), value > 5)


def test_what_was_put_is_got_and_survives_the_end(tmp_path: Path) -> None:
    keys = keys_of(["a", "b", "c"], "model")
    cache = EmbeddingCache(tmp_path / "deep" / "cache.db", 10**6)
    cache.put(keys[:2], [kept(3), kept(7)])
    cache.close()
    again = EmbeddingCache(tmp_path / "deep" / "cache.db", 10**6)
    found = again.get(keys)
    assert set(found) == set(keys[:2]) and len(again) == 2
    assert found[keys[1]].vector.tolist() == [7.0] * 8 and found[keys[1]].tokens == 7 and found[keys[1]].cut
    assert not found[keys[0]].cut
    again.close()


def test_keys_tell_apart_all_that_decides_a_vector() -> None:
    texts = ["a", "b"]
    sides = [(), ("m",), ("m", None), ("m", "None"), ("m", "q"), ("mq",), ("m", 1), ("m", "1"), ("", "m")]
    keys = [key for side in sides for key in keys_of(texts, *side)]
    assert len(set(keys)) == len(keys)
    assert keys_of(["a"], "m") == keys_of(["a"], "m")


def test_it_stays_small_and_keeps_what_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vicinal.server.cache._STEP", 10)
    cache = EmbeddingCache(tmp_path / "cache.db", 100 * (32 + 120))
    favourite = keys_of(["favourite"])
    cache.put(favourite, [kept(1)])
    for first in range(0, 1000, 10):
        cache.put(keys_of([str(first + n) for n in range(10)]), [kept(2)] * 10)
        cache.flush()
        assert favourite[0] in cache.get(favourite)
        cache.flush()
        assert len(cache) <= 100
    assert keys_of(["0"])[0] not in cache.get(keys_of(["0"]))
    cache.close()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(StoreError, match=r"x\.db cannot be used"):
        EmbeddingCache(tmp_path / "x.db", 1000)


def test_texts_are_computed_once(serve: Callable[..., Any], tiny_folder: Path, tmp_path: Path) -> None:
    server = serve(models=(str(tiny_folder),), cache_path=str(tmp_path / "cache.db"))
    texts = ["the cat", "a dog", "one two three " * 20]
    first = server.post("/v1/embeddings", {"input": texts}).json()
    cache = server.service._pipeline.cache
    cache.flush()
    batches = server.service.metrics.batch_texts
    before = sum(bucket.get() for bucket in batches._buckets)
    again = server.post("/v1/embeddings", {"input": [*texts, "a bird"]}).json()
    assert [each["embedding"] for each in again["data"][:3]] == [each["embedding"] for each in first["data"]]
    assert sum(bucket.get() for bucket in batches._buckets) == before + 1
    assert again["truncated"] == first["truncated"] == 1
    assert again["usage"]["prompt_tokens"] == first["usage"]["prompt_tokens"] + 4
    small = server.post("/v1/embeddings", {"input": texts, "dimensions": 4}).json()
    vector = np.array(first["data"][0]["embedding"][:4])
    np.testing.assert_allclose(small["data"][0]["embedding"], vector / np.linalg.norm(vector), atol=1e-6)
    metrics = server.get("/metrics").text
    assert "vicinal_cache_hits_total 6.0" in metrics and "vicinal_cache_misses_total 4.0" in metrics


def test_a_text_that_was_cut_is_refused_all_the_same(serve: Callable[..., Any], tiny_folder: Path) -> None:
    server = serve(models=(str(tiny_folder),), cache_path=":memory:")
    body = {"input": ["a dog", "one two three " * 20]}
    assert server.post("/v1/embeddings", body).status_code == 200
    server.service._pipeline.cache.flush()
    refused = server.post("/v1/embeddings", {**body, "truncate": False})
    assert refused.status_code == 400 and "text 1 has 62 tokens, 32 are read" in refused.text
