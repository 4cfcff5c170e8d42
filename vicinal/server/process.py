"""The server as a process: its socket, its signals, and its end."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from vicinal.errors import InputError
from vicinal.server.app import create_app
from vicinal.server.service import Service
from vicinal.server.settings import Settings

# Seconds that uvicorn gives connections after all requests have been answered.
_LAST_SECONDS = 2
# Seconds that an idle connection is kept: longer than the proxies do, which would use one that is just being closed.
_KEPT = 65
# Connections that may wait to be taken.
_BACKLOG = 1024


def serve(settings: Settings, listening: Callable[[str], None], ready: Callable[[Service], None]) -> None:
    """Serve until a signal ends it.

    On SIGTERM or SIGINT no more work is taken, /health answers 503, requests in flight are answered, and then this
    returns. A second signal ends the process at once.

    Args:
        settings: what is served, and where.
        listening: told the address once connections are taken; models may still be loading.
        ready: told when everything is loaded. Called in another thread.

    Raises:
        InputError: the address is in use or not of this machine, or the settings contradict themselves.
        VicinalError: a model or index cannot be loaded.
    """
    settings.check()
    bound = _bind(settings.host, settings.port)
    with bound:
        service = Service(settings)
        try:
            server = _Server(service)
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            listening(f"http://{host}:{bound.getsockname()[1]}")
            loading = service.start(lambda: server.stop() if service.failure else ready(service))
            server.run(sockets=[bound])
            if service.failure is not None:
                raise service.failure
            loading.join(timeout=0)
        finally:
            service.close()


def _bind(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise InputError(f"host {host!r} is no address: {error}") from error
    try:
        if sys.platform != "win32":  # there it would let two processes have the same port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
        bound.set_inheritable(True)
    except OSError as error:
        bound.close()
        reason = {
            errno.EADDRINUSE: "is in use: stop what listens there, or choose another port",
            errno.EADDRNOTAVAIL: "is not an address of this machine",
            errno.EACCES: "may not be listened on by this user: choose a port from 1024 on",
        }.get(error.errno or 0, f"cannot be listened on: {error.strerror or error}")
        raise InputError(f"{host}:{port} {reason}") from error
    return bound


class _Server(uvicorn.Server):
    """uvicorn, ending in two steps: requests are answered first, then connections are closed."""

    def __init__(self, service: Service) -> None:
        settings = service.settings
        super().__init__(
            uvicorn.Config(
                create_app(settings, service),
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=_BACKLOG,
                timeout_graceful_shutdown=_LAST_SECONDS,
                timeout_keep_alive=_KEPT,
                lifespan="on",
            )
        )
        self.service = service
        self._signals = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: Any = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Run in the loop that is there."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals here; uvicorn would raise them once more when all is done."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """End without waiting; from any thread."""
        self.should_exit = True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:
            os._exit(128 + number)
        self.service.drain()
        if self._loop is None:
            self.should_exit = True
        else:
            self._loop.call_soon_threadsafe(self._begin_end)

    def _begin_end(self) -> None:
        self._ending = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        until = time.monotonic() + self.service.settings.drain_timeout
        while self.service.active and time.monotonic() < until:
            await asyncio.sleep(0.02)
        self.should_exit = True
