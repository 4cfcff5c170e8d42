"""Load on a server: requests that come when they come, whether earlier ones are answered or not."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# Connections at most; beyond, requests wait in the client, and that is part of their time.
_CONNECTIONS = 256


@dataclass
class Outcome:
    """What came of some load.

    Attributes:
        seconds: from the first request to the last answer.
        texts: texts of the requests that were answered.
        latencies: seconds of each answered request, from the moment at which it was due.
        refused: requests that got another status than 200, by status.
    """

    seconds: float = 0.0
    texts: int = 0
    latencies: list[float] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Texts per second."""
        return self.texts / max(self.seconds, 1e-9)

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the requests was answered."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def requests_of(texts: Sequence[str], count: int, seed: int = 0, largest: int = 8) -> list[list[str]]:
    """Requests of 1 to ``largest`` texts each, drawn at random; each text a little different from all others.

    So no cache, of whichever server, has anything to say.
    """
    draw = random.Random(seed)
    made = []
    for number in range(count):
        size = draw.choice([1, 1, 1, 2, 4, largest])
        made.append([f"{draw.choice(texts)} {number}-{place}" for place in range(size)])
    return made


class Target:
    """A server that answers OpenAI's embeddings.

    Args:
        url: of the route.
        model: the name that it knows its model by.
    """

    def __init__(self, url: str, model: str) -> None:
        parts = urlsplit(url)
        self.host, self.port, self.path = parts.hostname or "127.0.0.1", parts.port or 80, parts.path
        self.model = model
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    def raw(self, texts: list[str]) -> bytes:
        """A request, byte by byte."""
        body = json.dumps({"input": texts, "model": self.model, "encoding_format": "base64"}).encode()
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def ask(self, raw: bytes) -> tuple[int, bytes]:
        """Status and body of an answer."""
        if self._idle:
            reader, writer = self._idle.pop()
            try:
                return await self._on(reader, writer, raw)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass  # the server had closed it in the meantime
        return await self._on(*await asyncio.open_connection(self.host, self.port, limit=1 << 20), raw)

    async def _on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes
    ) -> tuple[int, bytes]:
        try:
            writer.write(raw)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
        except BaseException:
            writer.close()
            raise
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(head.split()[1]), body

    async def close(self) -> None:
        """Let go of the connections."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()


async def one_by_one(target: Target, asked: Sequence[list[str]]) -> Outcome:
    """Each request after the answer to the one before."""
    found, start = Outcome(), time.perf_counter()
    for texts in asked:
        raw, began = target.raw(texts), time.perf_counter()
        status, _ = await target.ask(raw)
        _note(found, status, len(texts), time.perf_counter() - began)
    found.seconds = time.perf_counter() - start
    await target.close()
    return found


async def as_fast_as_it_takes(target: Target, asked: Sequence[list[str]], clients: int = 128) -> Outcome:
    """Some clients, each of which asks again once it has its answer: what the server can do at most."""
    found, left = Outcome(), iter(asked)

    async def client() -> None:
        for texts in left:
            began = time.perf_counter()
            status, _ = await target.ask(target.raw(texts))
            _note(found, status, len(texts), time.perf_counter() - began)

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    found.seconds = time.perf_counter() - start
    await target.close()
    return found


async def open_loop(
    target: Target, asked: Sequence[list[str]], texts_per_second: float, seed: int = 0
) -> Outcome:
    """Requests at random moments, so many texts per second on average, however long the answers take."""
    found, draw, room = Outcome(), random.Random(seed), asyncio.Semaphore(_CONNECTIONS)
    mean = sum(len(texts) for texts in asked) / max(len(asked), 1) / texts_per_second
    start = time.perf_counter()

    async def one(texts: list[str], due: float) -> None:
        async with room:
            status, _ = await target.ask(target.raw(texts))
        _note(found, status, len(texts), time.perf_counter() - due)

    running, due = [], start
    for texts in asked:
        due += draw.expovariate(1 / mean)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        running.append(asyncio.ensure_future(one(texts, due)))
    await asyncio.gather(*running)
    found.seconds = time.perf_counter() - start
    await target.close()
    return found


def _note(found: Outcome, status: int, texts: int, seconds: float) -> None:
    if status == 200:
        found.texts += texts
        found.latencies.append(seconds)
    else:
        found.refused[status] = found.refused.get(status, 0) + 1
