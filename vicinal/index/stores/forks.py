"""No open connection crosses a fork.

SQLite remembers each file that a process has open, and which locks it holds. A child inherits that memory but no
lock: it would write in the belief that its file is locked, and the parent's closing takes the log away from under
it, with every change that the child has made. So connections are closed before the process forks, and both sides
open new ones when they need them.

Source:
    https://www.sqlite.org/howtocorrupt.html, section 2.6.
"""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

from vicinal.core.native_calls import before_forks


class Connected(Protocol):
    """Something that keeps connections for later."""

    def close_idle(self) -> None:
        """Close those that nobody uses just now."""
        ...


_all: weakref.WeakSet[Connected] = weakref.WeakSet()
_lock = threading.Lock()
_registered: list[bool] = []


def close_before_forks(one: Connected) -> None:
    """Have ``close_idle`` called in each process that forks, for as long as the object is alive."""
    with _lock:
        if not _registered:
            _registered.append(True)
            before_forks(_close_all)
        _all.add(one)


def _close_all() -> None:
    for one in list(_all):
        one.close_idle()
