"""Upper bounds of all scores of a query, from sketches that a thread beside the queries makes.

Whatever has a bound below the k-th best exact score known is not among the k best: the search stays exact.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np

from vicinal.core.native_calls import native_call
from vicinal.core.openvino import load_openvino, loaded_before_fork
from vicinal.errors import MissingExtraError
from vicinal.index.segments import Floats
from vicinal.index.sketches import Piece, Stopped, make_piece, padded, turn
from vicinal.vectors.rows import SAFE

# Fewer new rows than this are not sketched: they are multiplied exactly.
STEP = 4096
# Sketches of at most so many bytes are one piece, which is rebuilt as a whole when it grows.
PIECE_BYTES = 32 << 20
# Vectors far from length 1 would overflow or vanish in float32: such are scanned in full.
SMALL, LARGE = SAFE["float32"]
# So many queries go without: loading OpenVINO and sketching keep a core busy for a second or more and take memory,
# which only a process that asks often gets back.
PATIENCE = 16

_live: weakref.WeakSet[Bounds] = weakref.WeakSet()
_hooked = threading.Event()


@dataclass(frozen=True)
class Ceilings:
    """A number for each row that tells how high its score may be.

    Attributes:
        values: ``(n,)`` float32; comparable with one another. The next query of the same thread overwrites them.
        scale: what they are to be multiplied by,
        more: and what is to be added before, to exceed the scores as float32 gives them.
    """

    values: Floats
    scale: float
    more: float

    def of(self, score: float) -> float:
        """The value below which a row's score is less than ``score``."""
        value = score / self.scale - self.more
        return value - 1e-6 * abs(value)  # this quotient and the values are rounded


class Bounds:
    """Sketches of the rows of a growing list of blocks. Any thread may ask; one at a time is answered.

    Args:
        dimension: of the vectors.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._pieces: list[Piece] = []
        self._lock = threading.Lock()
        self._asked = 0
        self._pause = self._waiting = 0
        self._trusted = platform.machine().lower() in ("x86_64", "amd64")  # where OpenVINO has the kernel
        self._query = np.zeros((1, padded(dimension)), np.float32)
        self._most = max(STEP, 2 * PIECE_BYTES // self._query.shape[1])
        self._core: Any = None
        self._sketcher: threading.Thread | None = None
        self._closed = False
        self._sheets = threading.local()
        _watch_forks(self)

    def distrust(self) -> None:
        """Never answer again: a bound was seen to be too low, or cannot be computed here."""
        self._trusted = False

    def judge(self, useful: bool) -> None:
        """Hear whether the bounds left out enough; if again and again not, up to 32 queries go without."""
        self._waiting = self._pause = 0 if useful else min(32, 2 * self._pause + 1)

    @property
    def sketched(self) -> int:
        """How many rows, from the first on, have sketches."""
        pieces = self._pieces
        return pieces[-1].end if pieces else 0

    def upper(self, query: Floats, blocks: tuple[Floats, ...], n: int) -> Ceilings | None:
        """How high the scores may be.

        After :data:`PATIENCE` calls, those that see many rows without sketches have another thread make some;
        meanwhile, and for few rows, exact products take their place.

        Args:
            query: ``(d,)``.
            blocks: the rows.
            n: how many of them.

        Returns:
            None where there are no bounds (yet): look at all rows.
        """
        norm = float(np.sqrt(np.einsum("i,i->", query, query, dtype=np.float64)))
        if not self._trusted or not SMALL < norm < LARGE:
            return None
        with self._lock:
            if self._asked < PATIENCE:
                self._asked += 1
                return None
            if n - self.sketched >= STEP or not self._pieces:
                self._start(blocks, n)
            if self._waiting:
                self._waiting -= 1
                return None
            return self._upper(query, norm, blocks, n) if self._pieces else None

    def _upper(self, query: Floats, norm: float, blocks: tuple[Floats, ...], n: int) -> Ceilings:
        lost = turn(query * np.float32(1 / norm), self._query)
        values = self._sheet(max(n, self.sketched))
        longest = 0.0
        for piece in self._pieces:
            if piece.first >= n:  # a view older than the sketches
                break
            piece.multiply(values)
            longest = max(longest, piece.longest)
        size = len(blocks[0])
        at = min(n, self.sketched)
        while at < n:
            part = values[at : at + size - at % size]
            dots(blocks[at // size][at % size :][: len(part)], query, part)
            part *= np.float32(1 / norm)
            at += len(part)
        return Ceilings(values[:n], norm, lost * longest)

    def _sheet(self, n: int) -> Floats:
        """Room for ``n`` numbers, the same one for each query of a thread: fresh memory costs more than its use."""
        sheet = getattr(self._sheets, "values", None)
        if sheet is None or len(sheet) < n:
            sheet = self._sheets.values = np.empty(n, np.float32)
        return sheet

    # -- sketching -----------------------------------------------------------------------------------

    def make(self, blocks: tuple[Floats, ...], n: int) -> None:
        """Have sketches of all rows before going on, as far as this machine can, whatever was asked so far."""
        with self._lock:
            self._asked = PATIENCE
        while self._trusted and not self._closed and (n - self.sketched >= STEP or not self._pieces):
            with self._lock:
                self._start(blocks, n)
                sketcher = self._sketcher
            if sketcher is None:
                return
            before = self.sketched
            sketcher.join()
            if self.sketched == before:
                return

    def settle(self) -> None:
        """Wait for the thread that makes sketches, if there is one."""
        sketcher = self._sketcher
        if sketcher is not None:
            sketcher.join()

    def close(self) -> None:
        """Make no more sketches; what is there goes on being used."""
        self._closed = True

    def _start(self, blocks: tuple[Floats, ...], n: int) -> None:
        if loaded_before_fork():
            self.distrust()
        if self._closed or not self._trusted or (self._sketcher is not None and self._sketcher.is_alive()):
            return
        # No daemon: such a thread would be torn off inside OpenVINO when the interpreter ends. It looks
        # itself whether the main thread has ended.
        sketcher = threading.Thread(
            target=self._work, args=(blocks, n), name="vicinal-sketches", daemon=False
        )
        try:
            sketcher.start()
        except RuntimeError:  # no thread to be had, or the interpreter is ending
            return
        self._sketcher = sketcher

    def _work(self, blocks: tuple[Floats, ...], n: int) -> None:
        try:
            if self._core is None:
                with native_call():
                    self._core = load_openvino().Core()
                if "INT8" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
                    self.distrust()
            while n - self.sketched >= STEP or not self._pieces:
                self._check()
                self._extend(blocks, n)
        except Stopped:
            pass
        except (MissingExtraError, RuntimeError, MemoryError):  # no OpenVINO, or no such kernel in it
            self.distrust()

    def _check(self) -> None:
        if self._closed or not self._trusted or not threading.main_thread().is_alive():
            raise Stopped

    def _extend(self, blocks: tuple[Floats, ...], n: int) -> None:
        """Sketch the rows after the last piece, together with pieces before them that are not much larger.

        So each row is sketched a logarithmic number of times, and there are few pieces.
        """
        kept = list(self._pieces)
        first = self.sketched
        while kept and kept[-1].n < self._most and kept[-1].n <= 2 * (n - first):
            first = kept.pop().first
        piece = make_piece(self._core, blocks, first, min(n - first, self._most), self._query, self._check)
        if not piece.longest < LARGE:
            self.distrust()
            return
        with self._lock:
            self._pieces = [*kept, piece]

    def _abandon(self) -> None:
        # Destroying compiled graphs in a forked child would wait for threads that were not copied.
        for piece in self._pieces:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(piece.request))
        self._pieces, self._core, self._sketcher = [], None, None
        self._lock = threading.Lock()


def dots(rows: Floats, query: Floats, out: Floats) -> None:
    """``rows @ query`` into ``out``, on the calling thread.

    One thread of numpy's own loop already reads memory as fast as it comes (512 MB in 18 ms here, the
    two-threaded BLAS product takes as long on an idle machine) and does not fall behind when other
    processes use the cores (then BLAS threads wait for one another: 53 ms, and ten times as long at worst).
    A row's score also does not depend on its neighbours, so filtered and unfiltered scores are equal.
    """
    np.einsum("ij,j->i", rows, query, out=out)


def _watch_forks(bounds: Bounds) -> None:
    _live.add(bounds)
    if not _hooked.is_set() and hasattr(os, "register_at_fork"):
        _hooked.set()
        os.register_at_fork(after_in_child=_after_fork_in_child)


def _after_fork_in_child() -> None:
    for bounds in list(_live):
        bounds._abandon()
