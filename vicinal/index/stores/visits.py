"""Who is inside a store, so that closing it takes nothing away from under anybody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vicinal.core.native_calls import native_call
from vicinal.errors import StoreError


class Visits:
    """Counts the threads inside a store.

    Args:
        path: the index, as its user named it.
        let_go: frees what the visitors used; called once, after closing, when nobody is inside any more.
    """

    def __init__(self, path: str, let_go: Callable[[], None]) -> None:
        self._path, self._let_go = path, let_go
        self._changed = threading.Condition()
        self._inside: dict[int, int] = {}  # visits of each thread: one may hold several
        self._freeing = threading.RLock()  # what is freed may close the store once more
        self._closed = self._freed = False

    @property
    def closed(self) -> bool:
        """Whether nobody is let in any more."""
        return self._closed

    @contextmanager
    def visit(self) -> Iterator[None]:
        """The time that a thread spends inside. No fork happens meanwhile: SQLite's own locks would be torn.

        Raises:
            StoreError: the index is closed.
        """
        thread = threading.get_ident()
        with native_call():
            with self._changed:
                if self._closed:
                    raise StoreError(f"the index {self._path!r} is closed: open it again with Index(path)")
                self._inside[thread] = self._inside.get(thread, 0) + 1
            try:
                yield
            finally:
                with self._changed:
                    self._inside[thread] -= 1
                    if not self._inside[thread]:
                        del self._inside[thread]
                    self._changed.notify_all()
                self._free()

    def close(self, longest: float) -> None:
        """Let nobody in any more, and wait for those inside; if they stay too long, the last one frees everything.

        Args:
            longest: seconds to wait.
        """
        with self._changed:
            self._closed = True
        self.wait(longest)
        self._free()

    def wait(self, longest: float) -> None:
        """Wait for those inside, at most so many seconds; a visit of the waiting thread itself cannot end meanwhile."""
        thread = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: not self._inside.keys() - {thread}, longest)

    def _free(self) -> None:
        if not self._closed or self._inside:
            return
        with native_call(), self._freeing:
            if not self._freed:
                self._freed = True
                self._let_go()
