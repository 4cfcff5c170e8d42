"""Requests that nobody would send on purpose, to every route: none may kill the server, hang it, or make it fail.

    python -m tests.server.requestfuzz 100000 [--seed 0]

starts a server of small models and an index on loopback, sends it so many, and tells the statuses. Any 500, any answer
that is no HTTP, and a server that is not healthy at the end are failures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

KEY = "fuzz"
_TEXTS = [
    "the cat sat", "", " ", "a" * 2000, "\ud800", "\x00", "é\u0301", "你好", "🙂" * 50, "\u202e", "\n", "' OR 1=1 --",
    "<script>", "../../etc/passwd", "%00", "null", "one two three " * 200, "\ufeff", "a\u0000b", "\\u0000",
]  # fmt: skip
_ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**70), 10**400, 1.5, -0.0, 1e308, 1e-320, [], {}, [[]], [{}],
    [None], {"": ""}, {"$gte": 1}, {"a": {"$in": []}}, [1, 2, 3], [[1], [2]], ["a", 1], ["a", "b", "c"], [["a", "b"]],
    float("nan"), float("inf"),
]  # fmt: skip
# What each route takes, about; they are sent as they are now and then, and changed otherwise.
BODIES: dict[str, list[Any]] = {
    "/v1/embeddings": [
        {"input": ["a cat", "a dog"], "encoding_format": "base64", "dimensions": 4, "model": "tiny"}
    ],
    "/v1/search": [
        {"query": "a cat", "top_k": 3, "filter": {"n": {"$gte": 1}}, "mode": "hybrid", "rerank": True}
    ],
    "/v1/index/{index}/upsert": [{"documents": [{"id": "x", "text": "a cat", "metadata": {"n": 1}}]}],
    "/v1/index/{index}/delete": [{"ids": ["x"]}, {"filter": {"n": 5}}],
    "/v1/index/{index}/documents": [{"ids": ["x", "y"]}],
    "/v1/embed": [{"texts": ["a cat"], "input_type": "search_query", "embedding_types": ["float", "int8"]}],
    "/v2/embed": [
        {"texts": ["a cat"], "input_type": "search_document", "embedding_types": ["float", "ubinary"]}
    ],
    "/v1/rerank": [
        {"query": "a cat", "documents": ["a dog", {"text": "a cat"}], "top_n": 1, "return_documents": True}
    ],
    "/v2/rerank": [{"query": "a cat", "documents": ["a dog", "a cat"], "top_n": 1, "model": "scorer"}],
    "/rerank": [{"query": "a cat", "texts": ["a dog", "a cat"], "raw_scores": True, "return_text": True}],
    "/embed": [{"inputs": ["a cat"], "normalize": True, "truncate": True, "truncation_direction": "left"}],
    "/embed_all": [{"inputs": "a cat"}],
    "/embed_sparse": [{"inputs": "a cat"}],
    "/predict": [{"inputs": ["a cat", "a dog"]}, {"inputs": [["a", "b"], ["c", "d"]]}],
    "/similarity": [
        {"inputs": {"source_sentence": "a cat", "sentences": ["a dog"]}, "parameters": {"truncate": True}}
    ],
    "/tokenize": [{"inputs": ["a cat"], "add_special_tokens": False}],
    "/decode": [{"ids": [[1, 2, 3]], "skip_special_tokens": True}, {"ids": [5]}],
    "/api/embed": [{"model": "tiny", "input": ["a cat"], "truncate": False, "options": {"num_ctx": 5}}],
    "/api/embeddings": [{"model": "tiny", "prompt": "a cat"}],
    "/": [{"inputs": "a cat"}],
}
_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]


@dataclass
class Tally:
    """What came: how often each status, and what should not have come."""

    statuses: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Fuzzer:
    """Makes requests.

    Args:
        routes: ``(method, path)`` of every route, as /openapi.json names them.
        seed: the same seed makes the same requests.
    """

    def __init__(self, routes: Sequence[tuple[str, str]], seed: int) -> None:
        self.routes = list(routes)
        self.draw = random.Random(seed)

    def request(self) -> tuple[str, bytes]:
        """A name for it, and the bytes."""
        draw = self.draw
        method, path = draw.choice(self.routes)
        if draw.random() < 0.03:
            method = draw.choice(_METHODS)
        name = f"{method} {path}"
        while "{" in path:
            start, stop = path.index("{"), path.index("}")
            path = (
                path[:start]
                + draw.choice(["notes", "tiny", "x", "%2e%2e", "%ff", "a%2Fb", "0"])
                + path[stop + 1 :]
            )
        if draw.random() < 0.05:
            path += draw.choice(["?a=1", "/", "//", "?x=%00", "/..", ";", "?" + "q" * 300, "#"])
        body = b"" if method in ("GET", "HEAD") and draw.random() < 0.9 else self.body(name.split()[1])
        return name, self.raw(method, path, body)

    def body(self, path: str) -> bytes:
        """A body: as it should be, changed in places, or no JSON at all."""
        draw = self.draw
        value = draw.choice(BODIES.get(path) or [{}])
        kind = draw.random()
        if kind > 0.15:
            for _ in range(draw.randint(1, 3)):
                value = self.changed(value)
        if kind > 0.9:
            value = self.odd()
        raw = json.dumps(value).encode()
        if kind > 0.96:
            raw = draw.choice(
                [b"", b"{", raw[: len(raw) // 2], b"\xff\xfe" + raw, b"[" * 5000, raw + b"}", b'{"a":' * 2000, b"null",
                 b"\x00" * 20, b'{"input": "a", "input": 5}', b"1e999", b"-", b'"\\ud800"']
            )  # fmt: skip
        return raw

    def odd(self) -> Any:
        """Any value."""
        draw = self.draw
        return draw.choice(_TEXTS) if draw.random() < 0.5 else draw.choice(_ODD)

    def changed(self, value: Any) -> Any:
        """A value that is different in one place."""
        draw = self.draw
        if isinstance(value, dict) and value and draw.random() < 0.85:
            key = draw.choice(list(value))
            what = draw.random()
            if what < 0.1:
                return {each: value[each] for each in value if each != key}
            if what < 0.2:
                return {
                    **value,
                    draw.choice(["model", "input", "truncate", "prompt_name", "top_k", "x"]): self.odd(),
                }
            return {**value, key: self.changed(value[key])}
        if isinstance(value, list) and value and draw.random() < 0.6:
            if draw.random() < 0.1:
                return value * draw.choice([0, 2, 40])
            place = draw.randrange(len(value))
            return [*value[:place], self.changed(value[place]), *value[place + 1 :]]
        return self.odd()

    def raw(self, method: str, path: str, body: bytes) -> bytes:
        """A request, byte by byte."""
        draw = self.draw
        headers = ["Host: localhost", f"x-api-key: {KEY}"]
        if draw.random() < 0.03:
            headers[1] = draw.choice(
                ["x-api-key: wrong", "Authorization: Bearer fuzz", "Authorization: \xe9", "x-y: z"]
            )
        if draw.random() < 0.05:
            headers.append(
                draw.choice(
                    ["Accept: text/html", "Content-Type: text/plain", "Content-Type: application/json; charset=utf-16",
                     "x-request-id: \xff", "Origin: null", "Content-Encoding: gzip", "Expect: 100-continue",
                     "Content-Type: multipart/form-data", "Range: bytes=0-1", "If-None-Match: *"]
                )
            )  # fmt: skip
        if draw.random() < 0.05:
            size = max(1, len(body) // 3)
            parts = [body[at : at + size] for at in range(0, len(body), size)]
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
            headers.append("Transfer-Encoding: chunked")
            body = chunks
        else:
            headers.append(f"Content-Length: {len(body)}")
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{each}\r\n" for each in headers) + "\r\n"
        return head.encode("latin-1") + body


async def send(port: int, fuzzer: Fuzzer, count: int, clients: int = 16, hang_up: float = 0.02) -> Tally:
    """Send some requests; a few clients hang up in the middle."""
    tally, left = Tally(), iter(range(count))

    async def client() -> None:
        connection: Any = None
        for _ in left:
            name, raw = fuzzer.request()
            leaves = fuzzer.draw.random() < hang_up
            try:
                if connection is None:
                    connection = await asyncio.open_connection("127.0.0.1", port, limit=1 << 26)
                reader, writer = connection
                if leaves:
                    writer.write(raw[: fuzzer.draw.randint(1, len(raw))])
                    writer.close()
                    connection = None
                    tally.statuses["hung up"] += 1
                    continue
                writer.write(raw)
                status, closes = await asyncio.wait_for(_answer(reader, name.startswith("HEAD")), 120)
            except (
                OSError,
                asyncio.IncompleteReadError,
                asyncio.TimeoutError,
                ValueError,
                IndexError,
            ) as error:
                tally.failures.append(f"{name}: {type(error).__name__} {error}: {raw[:2000]!r}")
                if connection is not None:
                    connection[1].close()
                connection = None
                continue
            tally.statuses[str(status)] += 1
            if status == 500:
                tally.failures.append(f"{name}: 500: {raw[:2000]!r}")
            if closes:
                writer.close()
                connection = None
        if connection is not None:
            connection[1].close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return tally


async def _answer(reader: asyncio.StreamReader, bare: bool) -> tuple[int, bool]:
    """The status of an answer, and whether the connection is of no more use."""
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split()[1])
        if status != 100:
            break
    if b"content-length:" in head and not bare:
        await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    elif b"transfer-encoding: chunked" in head:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
    return status, b"connection: close" in head or status == 400


def routes_of(app: Any) -> list[tuple[str, str]]:
    """Method and path of every route."""
    return [(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods]


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    import tempfile
    from pathlib import Path

    from tests.rerank.tinypairs import write_base
    from tests.server.liveserver import everything, live
    from tests.training.tinybert import write_tiny

    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        tiny = write_tiny(root / "tiny")
        write_base(root / "base")
        import warnings

        from vicinal import CrossEncoder

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            CrossEncoder(root / "base").save(root / "scorer")
        settings = everything(root, Path(tiny), root / "scorer", KEY)
        with live(**settings, cache_path=":memory:", cache_bytes=10**6) as server:
            app = server.server.config.app
            start, done, failures = time.monotonic(), 0, list[str]()
            statuses: Counter[str] = Counter()
            fuzzer = Fuzzer(routes_of(app), arguments.seed)
            while done < arguments.count:
                part = min(5000, arguments.count - done)
                tally = asyncio.run(send(server.port, fuzzer, part))
                done += part
                statuses += tally.statuses
                failures += tally.failures
                print(f"{done} in {time.monotonic() - start:.0f} s: {dict(statuses)}", file=sys.stderr)
            healthy = server.service.state == "ready" and server.service.active == 0
            print(f"{done} requests: {dict(statuses)}, {len(failures)} failures, healthy: {healthy}")
            for failure in failures[:20]:
                print(failure)
    raise SystemExit(bool(failures) or not healthy)


if __name__ == "__main__":
    main()
