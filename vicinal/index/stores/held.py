"""Which stores a process has open, where SQLite needs some of their connections closed.

No connection crosses a fork. SQLite remembers each file that a process has open, and which locks it holds. A child
inherits that memory but no lock: it would write in the belief that its file is locked, and the parent's closing
takes the log away from under it, with every change that the child has made. So connections are closed before the
process forks, and both sides open new ones when they need them.

None is kept of a file that was moved. SQLite takes the file under its new name for the one it knows, and shares
the index of the old log: opening it, or writing from another process, is a "disk I/O error".

Source:
    https://www.sqlite.org/howtocorrupt.html, section 2.6.
"""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

from vicinal.core.native_calls import before_forks
from vicinal.errors import StoreError
from vicinal.index.stores.lineage import Place


class Connected(Protocol):
    """Something that keeps connections for later."""

    def close_idle(self, wait: float = 0.0) -> None:
        """Close those that nobody uses just now, after waiting so many seconds at most for calls under way."""
        ...


_all: weakref.WeakKeyDictionary[Connected, Place] = weakref.WeakKeyDictionary()
_lock = threading.Lock()
_registered: list[bool] = []
_PATIENCE = 5.0  # seconds: calls on a file that was moved end with an error


def hold(one: Connected, place: Place) -> None:
    """Close its connections when they must be closed, for as long as the object is alive."""
    with _lock:
        if not _registered:
            _registered.append(True)
            before_forks(_close_all)
        _all[one] = place


def _listed() -> list[tuple[Connected, Place]]:
    with _lock:
        return list(_all.items())


def _close_all() -> None:
    for one, _ in _listed():
        one.close_idle()


def close_moved(path: str) -> None:
    """To be called before a file is opened: it may have been open under another name.

    Args:
        path: the file as the caller gave it.

    Raises:
        StoreError: it was, and its log was left there when it was moved.
    """
    for one, place in _listed():
        try:
            place.check()
        except StoreError:
            one.close_idle(_PATIENCE)
            place.refuse_left_log(path)
