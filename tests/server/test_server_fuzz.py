"""Requests that nobody would send on purpose; `python -m tests.server.requestfuzz 100000` sends more of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

import liveserver as live  # noqa: E402
import requestfuzz  # noqa: E402


def test_no_request_makes_the_server_fail(tiny_folder: Path, scorer_folder: Path, tmp_path: Path) -> None:
    settings = live.everything(tmp_path, tiny_folder, scorer_folder, requestfuzz.KEY)
    with live.live(**settings, cache_path=":memory:") as server:
        fuzzer = requestfuzz.Fuzzer(requestfuzz.routes_of(server.server.config.app), seed=1)
        tally = asyncio.run(requestfuzz.send(server.port, fuzzer, 600))
        assert not tally.failures, tally.failures[0]
        assert tally.statuses["200"] > 20 and tally.statuses["422"] > 20
        key = {"x-api-key": requestfuzz.KEY}
        assert httpx.get(server.url + "/health").status_code == 200
        body = {"input": "a cat", "model": "tiny"}
        assert httpx.post(server.url + "/v1/embeddings", json=body, headers=key).status_code == 200


def test_every_route_with_a_body_is_fuzzed(tiny_folder: Path) -> None:
    from vicinal.server.app import create_app
    from vicinal.server.settings import Settings

    app = create_app(Settings(models=(str(tiny_folder),), api_keys=("k",), writable=True))
    posts = {path for method, path in requestfuzz.routes_of(app) if method == "POST"}
    app.state.service.close()
    aliases = {path for path in posts if path not in requestfuzz.BODIES}
    assert set(requestfuzz.BODIES) <= posts
    assert len(aliases) <= 12, aliases
