"""Lets daemon threads finish their calls of compiled code before the interpreter ends.

Up to Python 3.13, an ending interpreter tears a daemon thread off where it next asks for the interpreter lock.
In the middle of OpenVINO's C++ that is the end of the whole process: "terminate called without an active
exception", exit code -6. So the interpreter waits until no thread is in there, and lets none in any more.
"""

from __future__ import annotations

import atexit
import os
import threading
import time

_LONGEST_WAIT = 10.0  # seconds that the end is put off for calls under way
# Seconds that other threads are kept out once the end has begun. They may hold locks of their callers, which
# what else runs at the end may want.
_LONGEST_PAUSE = 5.0
_LOOK = 0.002

_inside: set[native_call] = set()  # add and discard are atomic
_ending: list[int] = []  # the thread that ends the interpreter
_registered = threading.Event()


class native_call:  # reads as a statement: with native_call():
    """``with native_call(): ...`` around what gives the interpreter lock away inside C++."""

    __slots__ = ("process", "thread")

    def __enter__(self) -> None:
        if not _registered.is_set():
            _registered.set()
            atexit.register(_wait_for_calls)
        self.process = os.getpid()  # a forked child has none of its parent's threads
        self.thread = threading.get_ident()
        # First in, then the look: whoever ends either sees this call or is seen here.
        _inside.add(self)
        if _ending and _ending[0] != self.thread and not self._nested():
            _inside.discard(self)
            _stay_out()
            _inside.add(self)

    def __exit__(self, *_: object) -> None:
        _inside.discard(self)

    def _nested(self) -> bool:
        return any(call.thread == self.thread and call is not self for call in _inside.copy())


def _stay_out() -> None:
    until = time.monotonic() + _LONGEST_PAUSE
    while time.monotonic() < until:
        time.sleep(_LOOK)  # where the ending interpreter tears the thread off, in C


def _wait_for_calls() -> None:
    """Runs when the interpreter ends, after all other threads but the daemons."""
    _ending.append(threading.get_ident())
    process, until = os.getpid(), time.monotonic() + _LONGEST_WAIT
    while time.monotonic() < until and any(call.process == process for call in _inside.copy()):
        time.sleep(_LOOK)
