"""Ten times what the server takes, half of the clients hanging up: it stays healthy, and nothing accepted is lost."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicinal import SentenceTransformer

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

import liveserver as live  # noqa: E402

WORDS = ["the", "a", "cat", "dog", "bird", "fish", "sat", "ran", "flew", "swam", "on", "under", "mat", "tree"]
WAITING = 4000  # tokens that may wait
CLIENTS = 250  # of 16 texts of 4 to 24 words: ten times as much


def test_overload(tiny_folder: Path) -> None:
    draw = random.Random(5)
    model = SentenceTransformer(tiny_folder, dtype="float32")
    asked = [
        [" ".join(draw.choices(WORDS, k=draw.randint(4, 24))) for _ in range(16)] for _ in range(CLIENTS)
    ]
    assert sum(sum(model.count_tokens(texts)) for texts in asked) > 10 * WAITING
    ends: list[Any] = []

    with live.live(models=(str(tiny_folder),), max_waiting_tokens=WAITING) as server:

        async def ask(number: int) -> None:
            raw = json.dumps({"input": asked[number], "model": "tiny"}).encode()
            head = f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(raw)}\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            try:
                writer.write(head.encode() + b"Connection: close\r\n\r\n" + raw)
                await writer.drain()
                if number % 2:
                    await asyncio.sleep(draw.random() * 0.3)
                    return
                answer = await reader.read()
            finally:
                writer.close()
            top, _, body = answer.partition(b"\r\n\r\n")
            ends.append((number, int(top.split()[1]), top.lower(), json.loads(body)))

        async def all_of_them() -> None:
            await asyncio.gather(*(ask(number) for number in range(CLIENTS)))

        asyncio.run(asyncio.wait_for(all_of_them(), 300))
        assert len(ends) == CLIENTS // 2
        accepted = [(number, body) for number, status, _, body in ends if status == 200]
        refused = [(status, top, body) for _, status, top, body in ends if status != 200]
        assert accepted and refused
        for status, top, body in refused:
            assert status in (429, 503) and b"retry-after" in top
            assert body["error"]["type"] in ("rate_limit_error", "server_error")
        for number, body in accepted:
            right = model.encode(asked[number], normalize_embeddings=True)
            np.testing.assert_allclose([each["embedding"] for each in body["data"]], right, atol=1e-5)

        async def settled() -> None:
            async with httpx.AsyncClient(base_url=server.url) as session:
                while "vicinal_requests_active 1.0" not in (await session.get("/metrics")).text:
                    await asyncio.sleep(0.05)
                assert (await session.get("/health")).status_code == 200
                assert (await session.post("/v1/embeddings", json={"input": "a cat"})).status_code == 200

        asyncio.run(asyncio.wait_for(settled(), 60))
        assert server.service._pipeline.scheduler.waiting_tokens == 0
