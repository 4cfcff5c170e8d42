"""Takes the log over into the file once nobody writes, so that a copy of the file alone is whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# Seconds without a commit that count as idle. A commit in between costs nothing more.
IDLE_SECONDS = 0.5
# If readers still need the log, it is tried again after twice the time, up to so many seconds.
_LONGEST_PAUSE = 8.0


class IdleCheckpoints:
    """A thread that lives from a commit until the log is in the file.

    Args:
        take_over: called when nobody has written for a moment; gives whether nothing is left to do.
    """

    def __init__(self, take_over: Callable[[], bool]) -> None:
        self._take_over = take_over
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._due = 0.0

    def committed(self) -> None:
        """Something was written just now."""
        with self._lock:
            self._due = time.monotonic() + IDLE_SECONDS
            if self._thread is None and not self._stopped.is_set():
                # A daemon: it must not keep the process, and may end anywhere: SQLite's files are whole always.
                self._thread = threading.Thread(target=self._run, name="vicinal-checkpoint", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait until it has ended."""
        self._stopped.set()
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        pause = IDLE_SECONDS
        while not self._stopped.is_set():
            due = self._due
            left = due - time.monotonic()
            if left > 0:
                self._stopped.wait(left)
                continue
            done = self._take_over()
            with self._lock:
                if self._due != due:
                    continue  # somebody wrote meanwhile
                if done:
                    self._thread = None
                    return
                pause = min(_LONGEST_PAUSE, 2 * pause)
                self._due = time.monotonic() + pause
