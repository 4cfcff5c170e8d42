"""The request that is being answered, wherever in the server one stands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vicinal.server.errors import Refused

Result = TypeVar("Result")
Message = MutableMapping[str, Any]

# Seconds after which a request that waits looks whether its client is still there. Most are answered before.
_PATIENCE = 0.05


class Gone(Exception):
    """The client has hung up: nobody wants the answer."""


@dataclass
class Call:
    """One request.

    Attributes:
        id: its id, in the log and in the answer's headers.
        receive: gives the next message of the connection, which is the client's going away once the body is read.
        deadline: when it is given up, on the clock of :func:`time.monotonic`.
        started: when it came, on the same clock.
        cut: texts that were cut, in all that was computed for it.
        gone: whether nobody waits for it any more.
    """

    id: str = ""
    receive: Callable[[], Awaitable[Message]] | None = None
    deadline: float = float("inf")
    started: float = field(default_factory=time.monotonic)
    cut: int = 0
    gone: bool = False


current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)


async def outcome(future: asyncio.Future[Result], give_up: Callable[[], None]) -> Result:
    """Wait for a result, as long as somebody wants it.

    Args:
        future: the result.
        give_up: called when it is wanted no more: the client is gone, the deadline has passed, or the task is
            cancelled.

    Raises:
        Gone: the client hung up.
        Refused: the deadline passed.
    """
    call = current_call.get() or Call()
    watch: asyncio.Future[Any] | None = None
    try:
        done, _ = await asyncio.wait({future}, timeout=_PATIENCE)
        if not done and call.receive is not None:
            watch = asyncio.ensure_future(_disconnected(call.receive))
        while not future.done():
            if time.monotonic() >= call.deadline:
                raise late()
            waited = {future} if watch is None else {future, watch}
            await asyncio.wait(waited, timeout=_left(call), return_when=asyncio.FIRST_COMPLETED)
            if watch is not None and watch.done() and not future.done():
                raise Gone
        return future.result()
    except BaseException:
        call.gone = True
        if not future.done():
            give_up()
        raise
    finally:
        if watch is not None:
            watch.cancel()


def late() -> Refused:
    """What a request gets whose deadline passed."""
    return Refused("timeout", "the request waited too long to be computed; try again later", retry_after=1)


def _left(call: Call) -> float | None:
    return None if call.deadline == float("inf") else max(0.0, call.deadline - time.monotonic())


async def _disconnected(receive: Callable[[], Awaitable[Message]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
