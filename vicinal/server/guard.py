"""What every request passes before a route sees it: its id, key, host and size; and the count of it."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from vicinal.server.call import Call, Gone, Message, current_call
from vicinal.server.errors import Refused
from vicinal.server.service import Service
from vicinal.server.settings import is_loopback

_log = logging.getLogger("vicinal.server")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Refuse = Callable[[Scope, Refused], App]

# What anybody may ask: whether the server lives. (Pages and their files are added by `open_paths`.)
_OPEN = ("/health", "/ping", "/healthz")
_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
# Bodies that are held at the same time, in bodies of the largest size.
_BODIES = 32
_JSON = re.compile(rb"application/([a-z.+-]+\+)?json", re.IGNORECASE)


class Guard:
    """ASGI middleware.

    Args:
        app: what answers the requests that pass.
        service: its settings say what passes.
        refuse: makes the answer for a refused request, in the shape of its route's dialect.
        open_paths: paths that need no key to be read; what is posted there needs one.
    """

    def __init__(self, app: App, service: Service, refuse: Refuse, open_paths: tuple[str, ...] = ()) -> None:
        self.app, self.service, self.refuse = app, service, refuse
        self.open_paths = {*_OPEN, *open_paths}
        self._held = 0  # bytes of bodies
        named = (service.settings.host, *service.settings.allowed_hosts)
        self._hosts = {_host(each.encode()) for each in named} - {""}
        self._keys = [key.encode() for key in service.settings.api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        settings, metrics = self.service.settings, self.service.metrics
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, value)
        asked_id = headers.get(b"x-request-id", b"")
        id = asked_id.decode() if _ID.fullmatch(asked_id) else secrets.token_hex(8)
        now = time.monotonic()
        call = Call(id, receive, now + settings.request_timeout, now)
        token = current_call.set(call)
        status, held = 0, [0]

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = [(b"x-request-id", id.encode())]
                if call.cut:
                    more.append((b"x-vicinal-texts-cut", str(call.cut).encode()))
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        self.service.active += 1
        metrics.active.inc()
        try:
            try:
                self._check(scope, headers)
                body = await self._body(headers, receive, held)
            except Refused as refused:
                await self.refuse(scope, refused)(scope, receive, sending)
            else:
                if scope["method"] == "POST" and b"origin" not in headers:
                    scope["headers"] = _as_json(scope["headers"], headers)
                await self.app(scope, _replay(body, receive), sending)
        except Gone:
            status = 499
        finally:
            current_call.reset(token)
            self.service.active -= 1
            self._held -= held[0]
            metrics.active.dec()
            self._count(scope, status, time.monotonic() - now, call)

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        settings, path = self.service.settings, scope["path"]
        if settings.on_loopback and not self._keys:
            host = _host(headers.get(b"host", b""))
            known = is_loopback(host) or host in self._hosts
            # Load balancers ask for the health in HTTP/1.0, without a Host.
            if not known and (host or path not in _OPEN):
                raise Refused(
                    "forbidden",
                    f"the server is not known as {host[:100]!r}: start it with --allowed-host, or with a key",
                )
        is_open = path in self.open_paths and scope["method"] in ("GET", "HEAD")
        if self._keys and not is_open and not self._knows(headers):
            raise Refused(
                "unauthorized", "a valid key is needed, as 'Authorization: Bearer ...' or 'x-api-key: ...'"
            )
        if self.service.active > settings.max_requests and not is_open:
            raise Refused(
                "overloaded", f"{settings.max_requests} requests are being answered already", retry_after=1
            )
        coding = headers.get(b"content-encoding", b"").strip().lower()
        if coding not in (b"", b"identity"):
            raise Refused(
                "validation",
                f"the body is encoded as {coding.decode('latin-1')[:50]!r}: send it without Content-Encoding",
                status=415,
            )
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:18]) > settings.max_body_bytes:
            raise self._too_large()

    def _knows(self, headers: dict[bytes, bytes]) -> bool:
        """Whether the request brings a key; takes the same time whichever it is."""
        given = headers.get(b"x-api-key") or headers.get(b"api-key") or b""
        scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer":
            given = bearer.strip()
        right = False
        for key in self._keys:
            right |= hmac.compare_digest(given, key)
        return right

    def _too_large(self) -> Refused:
        most = self.service.settings.max_body_bytes
        return Refused(
            "too_large", f"the body is larger than the {most} bytes that are taken: send fewer texts at once"
        )

    async def _body(self, headers: dict[bytes, bytes], receive: Receive, held: list[int]) -> bytes:
        """The whole body; ``held`` counts its bytes, which are given back when the request is answered."""
        if b"content-length" not in headers and b"transfer-encoding" not in headers:
            return b""
        parts, most = list[bytes](), self.service.settings.max_body_bytes

        async def read() -> None:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                parts.append(message.get("body", b""))
                held[0] += len(parts[-1])
                self._held += len(parts[-1])
                if held[0] > most:
                    raise self._too_large()
                if self._held > _BODIES * most:
                    raise Refused("overloaded", "too many large requests at the same time", retry_after=1)
                if not message.get("more_body"):
                    return

        try:
            await asyncio.wait_for(read(), self.service.settings.request_timeout)
        except (asyncio.TimeoutError, TimeoutError):
            raise Refused("timeout", "the body did not arrive in time", status=408) from None
        return b"".join(parts)

    def _count(self, scope: Scope, status: int, seconds: float, call: Call) -> None:
        metrics = self.service.metrics
        route = scope.get("route")
        method = getattr(route, "path", None) or "other"
        metrics.requests.labels(method).inc()
        metrics.duration.labels(method).observe(seconds)
        if 200 <= status < 400:
            metrics.success.labels(method).inc()
        else:
            metrics.failure.labels(str(status)).inc()
        if call.cut:
            metrics.cut.inc(call.cut)
        _log.info(
            "%s %s %s %s %.1f ms", call.id, scope["method"], scope["path"].encode("unicode_escape").decode(), status,
            1000 * seconds,
        )  # fmt: skip


def _host(value: bytes) -> str:
    """The name in a Host header, without the port."""
    text = value.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text.partition("]")[0][1:]
    return text.partition(":")[0]


def _as_json(pairs: list[tuple[bytes, bytes]], headers: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Bodies are JSON, also where a client such as curl says nothing or something else.

    Not those of browsers, which send an Origin: a page elsewhere could post a plain text without asking first.
    """
    if _JSON.match(headers.get(b"content-type", b"")):
        return pairs
    return [pair for pair in pairs if pair[0] != b"content-type"] + [(b"content-type", b"application/json")]


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, and then what comes after it."""
    left = [True]

    async def replay() -> Message:
        if left:
            left.clear()
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay
