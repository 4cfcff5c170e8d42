"""Keeps the end of the interpreter, and forks, out of calls of compiled code that other threads make.

Up to Python 3.13, an ending interpreter tears a daemon thread off where it next asks for the interpreter lock.
In the middle of OpenVINO's C++ that is the end of the whole process: "terminate called without an active
exception", exit code -6. So the interpreter waits until no thread is in there, and lets none in any more.

A fork copies one thread and all memory: a lock that another thread holds inside a library stays held in the child
for ever. So ``os.fork`` waits likewise, and lets nobody in until it is done. If the wait is not enough, the child
is told: compiled code raises :class:`vicinal.errors.ForkError` there, where it would hang.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from typing import Protocol

from vicinal.errors import ForkError

_LONGEST_WAIT = 10.0  # seconds that the end is put off for calls under way
# Seconds that other threads are kept out once the end has begun. They may hold locks of their callers, which
# what else runs at the end may want.
_LONGEST_PAUSE = 5.0
_LONGEST_FORK = 30.0  # seconds that a fork is put off for calls under way: a large model compiles for as long
# Seconds without any call before a fork: the threads of a library lie down after its call has returned.
_STILL = 0.02
_LOOK = 0.002


class Pending(Protocol):
    """Work that goes on in a library after the call that began it has returned."""

    def wait_for(self, timeout: int, /) -> bool:
        """Wait, at most so many milliseconds; tells whether it is done. Any thread may ask."""
        ...


_inside: set[native_call] = set()  # add and discard are atomic
_pending: dict[int, Pending] = {}
_ending: list[int] = []  # the thread that ends the interpreter
_forking: list[int] = []  # the thread that forks
_busy: list[Pending] = []  # what a fork does not wait for any longer
_kept: list[Pending] = []  # what would wait for its threads for ever if the child of a fork freed it
_left = [0.0]  # when a call last returned
_torn: list[str] = []  # what a fork found going on, in the child
_before_forks: list[Callable[[], None]] = []
_one_fork = threading.Lock()
_registered = threading.Event()


class native_call:  # reads as a statement: with native_call():
    """``with native_call(): ...`` around what gives the interpreter lock away inside C++.

    A lock that is held around such calls is taken inside one, never the other way round: so nobody holds it
    while the process forks.

    Raises:
        ForkError: this process was forked in the middle of another thread's call.
    """

    __slots__ = ("process", "thread")

    def __enter__(self) -> None:
        if not _registered.is_set():
            _registered.set()
            _register()
        if _torn:
            raise ForkError(_torn[0])
        self.process = os.getpid()  # a forked child has none of its parent's threads
        self.thread = threading.get_ident()
        # First in, then the look: whoever ends or forks either sees this call or is seen here.
        _inside.add(self)
        while _forking and _forking[0] != self.thread and not self._nested():
            _inside.discard(self)
            while _forking:
                time.sleep(_LOOK)
            _inside.add(self)
        if _ending and _ending[0] != self.thread and not self._nested():
            _inside.discard(self)
            _stay_out()
            _inside.add(self)

    def __exit__(self, *_: object) -> None:
        _left[0] = time.monotonic()
        _inside.discard(self)

    def _nested(self) -> bool:
        return any(call.thread == self.thread and call is not self for call in _inside.copy())


def begun(work: Pending) -> None:
    """Note work that goes on in a library, until :func:`ended` is told of it."""
    _pending[id(work)] = work


def ended(work: Pending) -> None:
    """See :func:`begun`."""
    _left[0] = time.monotonic()
    _pending.pop(id(work), None)


def before_forks(prepare: Callable[[], None]) -> None:
    """Have something called in each process that forks, when no other thread is inside compiled code."""
    _before_forks.append(prepare)


def _register() -> None:
    atexit.register(_wait_for_calls)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_hold, after_in_parent=_go_on, after_in_child=_begin_anew)


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


# -- forks ---------------------------------------------------------------------------------------------


def _hold() -> None:
    """Runs before a fork, in the thread that forks."""
    _one_fork.acquire()
    thread = threading.get_ident()
    _forking.append(thread)
    until = time.monotonic() + _LONGEST_FORK
    while _others(thread) and time.monotonic() < until:
        time.sleep(_LOOK)
    for work in list(_pending.values()):
        if not work.wait_for(max(0, int(1000 * (until - time.monotonic())))):
            _busy.append(work)
        _left[0] = time.monotonic()
    if _others(thread) or _busy or _torn:
        return
    time.sleep(max(0.0, _left[0] + _STILL - time.monotonic()))
    for prepare in _before_forks:
        prepare()


def _others(thread: int) -> bool:
    return any(call.thread != thread for call in _inside.copy())


def _go_on() -> None:
    _busy.clear()
    _forking.clear()
    _one_fork.release()


def _begin_anew() -> None:
    """Runs in the child of a fork, before anything else there."""
    global _one_fork
    thread = threading.get_ident()
    if _others(thread) or _busy:
        _torn.append(
            f"this process (id {os.getpid()}) was forked while another thread of its parent was computing, and did "
            f"not finish within {_LONGEST_FORK:g} s: what it held is lost here. Fork before other threads encode or "
            "search, or start processes with multiprocessing's 'spawn' or 'forkserver'"
        )
    for call in _inside.copy():
        call.process = os.getpid()
        if call.thread != thread:
            _inside.discard(call)
    _kept.extend(_pending.values())
    for found in (_pending, _busy, _forking):
        found.clear()
    _one_fork = threading.Lock()


__all__ = ["Pending", "before_forks", "begun", "ended", "native_call"]
