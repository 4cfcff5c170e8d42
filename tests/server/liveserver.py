"""A server on a socket of this machine, in a thread of this process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vicinal import Index
from vicinal.server.process import _bind, _Server
from vicinal.server.service import Service
from vicinal.server.settings import Settings

WAIT = 60


class Live:
    """One that runs."""

    def __init__(self, settings: Settings) -> None:
        self.service = Service(settings)
        self.service.load()
        self.socket = _bind("127.0.0.1", 0)
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = _Server(self.service)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})
        self.thread.start()

    def signal(self) -> None:
        """What SIGTERM does."""
        self.server._on_signal(signal.SIGTERM, None)

    def wait(self) -> bool:
        """Whether it ended."""
        self.thread.join(WAIT)
        return not self.thread.is_alive()


@contextmanager
def live(**settings: Any) -> Iterator[Live]:
    """A server; it ends with the block."""
    running = Live(Settings(**{"dtype": "float32", **settings}))
    try:
        yield running
    finally:
        running.server.should_exit = True
        running.wait()
        running.service.close()


def everything(folder: Path, tiny: Path, scorer: Path, key: str) -> dict[str, Any]:
    """Settings of a server with a model, a reranker, and an index in ``folder`` that may be changed with a key."""
    with Index(folder / "notes.db", str(tiny)) as index:
        index.add(["the cat sat", "a dog ran"], ["a", "b"], [{"n": 1}, {"n": 2}])
    return {
        "models": (str(tiny),),
        "rerankers": (str(scorer),),
        "indexes": (str(folder / "notes.db"),),
        "api_keys": (key,),
        "writable": True,
    }


class Gate:
    """Holds up all computing of a service until it is opened."""

    def __init__(self, service: Service) -> None:
        self.open, self.reached = threading.Event(), threading.Event()
        scheduler: Any = service._pipeline.scheduler
        compute = scheduler._compute

        def gated(group: Any) -> None:
            self.reached.set()
            assert self.open.wait(WAIT)
            compute(group)

        scheduler._compute = gated
