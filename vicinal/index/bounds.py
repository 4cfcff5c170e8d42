"""Upper bounds of dot products from 4-bit codes: an eighth of the bytes of the vectors has to be read.

A row ``x`` is turned by an orthogonal matrix that mixes its coordinates (so that none stands out), and
rounded to ``x' = scale * c`` with integers ``c`` from -7 to 7. For every query ``q``, turned alike, by Cauchy
and Schwarz,

    q.x  <=  q'.x' + |q| |x - x'| + |q - q'| |x'|

with ``q'`` the query rounded to 8 bits. ``|x - x'|`` is about an eighth of ``|x|`` and kept a row. OpenVINO
multiplies 4-bit weights with 8-bit activations natively, so ``q'.x'`` for all rows comes as fast as memory
does. Whatever has a bound below the k-th best exact score known is not among the k best: the search stays
exact. The bound is the same as that of VA-files (Weber, Schek and Blott 1998), with turned coordinates.
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
from numpy.typing import NDArray

from vicinal.cores import available_cores
from vicinal.engine.runtime import load_openvino
from vicinal.errors import MissingExtraError
from vicinal.index.segments import Floats

# OpenVINO rounds activations in groups of so many numbers; rounded alike beforehand, it changes nothing.
GROUP = 32
# A block of which fewer rows than this are new is not coded anew: these rows are multiplied exactly.
STEP = 4096
# Vectors far from length 1 would overflow or vanish in float32: such are scanned in full.
LARGE, SMALL = 1e15, 1e-15
# So many queries go without: loading OpenVINO takes a second or two where nothing else needed it, and coding a
# block 0.15 s, which only a process that asks often gets back.
PATIENCE = 16
_SLICE = 2048  # rows coded at a time, so that they stay in the cache
_THREADS = 8  # more do not read memory faster

_live: weakref.WeakSet[Bounds] = weakref.WeakSet()
_hooked = threading.Event()


@dataclass
class _Piece:
    """The codes of the first ``n`` rows of a block."""

    n: int
    request: Any
    radius: Floats


class Bounds:
    """Codes of the rows of a growing list of blocks. Any thread may ask; one at a time is answered.

    Args:
        dimension: of the vectors.
        block_rows: rows of a full block.
    """

    def __init__(self, dimension: int, block_rows: int) -> None:
        self._dimension = dimension
        self._block_rows = block_rows
        self._pieces: list[_Piece] = []
        self._lock = threading.Lock()
        self._asked = 0
        self._pause = self._waiting = 0
        self._trusted = platform.machine().lower() in ("x86_64", "amd64")  # where OpenVINO has the kernel
        self._query = np.zeros((1, -(-dimension // GROUP) * GROUP), np.float32)
        self._core: Any = None
        self._longest = 0.0
        _watch_forks(self)

    def distrust(self) -> None:
        """Never answer again: a bound was seen to be too low, or cannot be computed here."""
        self._trusted = False

    def judge(self, useful: bool) -> None:
        """Hear whether the bounds left out enough; if again and again not, up to 32 queries go without."""
        self._waiting = self._pause = 0 if useful else min(32, 2 * self._pause + 1)

    @property
    def coded(self) -> int:
        """How many rows, from the first on, have codes."""
        return (len(self._pieces) - 1) * self._block_rows + self._pieces[-1].n if self._pieces else 0

    def upper(self, query: Floats, blocks: tuple[Floats, ...], n: int) -> Floats | None:
        """A number for each row that its dot product with ``query``, computed in float32, does not exceed.

        The first :data:`PATIENCE` calls do nothing, the next loads what is needed; each later one codes at most
        one block more, and takes the exact products of rows without codes.

        Args:
            query: ``(d,)``.
            blocks: the rows.
            n: how many of them.

        Returns:
            ``(n,)`` float32, or None where there are no bounds (yet): look at all rows.
        """
        norm = float(np.linalg.norm(query.astype(np.float64)))
        if not self._trusted or not SMALL < norm < LARGE:
            return None
        with self._lock:
            if self._waiting:
                self._waiting -= 1
                return None
            if self._asked < PATIENCE:
                self._asked += 1
                return None
            self._extend(blocks, n)
            return self._upper(query, norm, blocks, n) if self._trusted and self._pieces else None

    def _upper(self, query: Floats, norm: float, blocks: tuple[Floats, ...], n: int) -> Floats:
        turned = mixed(query[None], self._query.shape[1])
        groups, rounded = turned.reshape(-1, GROUP), self._query.reshape(-1, GROUP)
        step = np.maximum(np.abs(groups).max(axis=1, keepdims=True) / np.float32(127), np.float32(1e-30))
        np.multiply(np.rint(groups / step), step, out=rounded)
        lost = float(np.linalg.norm(turned - self._query)) * self._longest
        upper = np.empty(n, np.float32)
        at = 0
        for piece in self._pieces:
            if at >= n:  # a view older than the codes
                break
            part = upper[at : at + piece.n]
            piece.request.infer()
            np.multiply(piece.radius[: len(part)], np.float32(norm), out=part)
            part += piece.request.get_output_tensor().data[0, : len(part)]
            part += np.float32(lost)
            at += piece.n
        for number in range(at // self._block_rows, len(blocks)):
            first = number * self._block_rows
            part = upper[max(at, first) : first + self._block_rows]
            dots(blocks[number][max(at, first) - first :][: len(part)], query, part)
        return upper

    def _extend(self, blocks: tuple[Floats, ...], n: int) -> None:
        """Code the next block if enough of its rows are new."""
        size = self._block_rows
        coded = self.coded
        number = coded // size
        have = coded - number * size
        there = min(size, n - number * size)
        if there < size and there - have < STEP:
            return
        try:
            if self._core is None:
                self._core = load_openvino().Core()
                if "INT8" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
                    self.distrust()
                return
            codes, scales, radius, longest = encode(blocks[number][:there], self._query.shape[1])
            piece = _Piece(there, _request(self._core, codes, scales, self._query), radius)
        except (MissingExtraError, RuntimeError):  # no OpenVINO, or one without such a kernel, or no memory
            self.distrust()
            return
        if not longest < LARGE:
            self.distrust()
            return
        self._longest = max(self._longest, longest)
        self._pieces[number:] = [piece]

    def _abandon(self) -> None:
        # Destroying compiled graphs in a forked child would wait for threads that were not copied.
        for piece in self._pieces:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(piece.request))
        self._pieces, self._core = [], None
        self._lock = threading.Lock()


def mixed(rows: Floats, width: int) -> Floats:
    """Rows times an orthogonal matrix: zeros up to ``width``, then 16 groups of coordinates added up with signs.

    A Walsh-Hadamard transform over the groups: 4 additions a number, where a random rotation takes ``d``
    and leaves rounding errors no smaller on real vectors.

    Args:
        rows: ``(n, d)``.
        width: ``p``, at least ``d``, a multiple of 16.

    Returns:
        ``(n, p)``; lengths and dot products are as before.
    """
    n, d = rows.shape
    turned = np.zeros((n, width), np.float32)
    np.multiply(rows, np.float32(0.25), out=turned[:, :d])
    for half in (1, 2, 4, 8):
        pairs = turned.reshape(n, 8 // half, 2, half * (width // 16))
        turned = np.empty_like(pairs)
        np.add(pairs[:, :, 0], pairs[:, :, 1], out=turned[:, :, 0])
        np.subtract(pairs[:, :, 0], pairs[:, :, 1], out=turned[:, :, 1])
    return turned.reshape(n, width)


def encode(rows: Floats, width: int) -> tuple[NDArray[np.int8], Floats, Floats, float]:
    """Codes of rows.

    Args:
        rows: ``(n, d)``.
        width: ``p``, see :func:`mixed`.

    Returns:
        ``(n, p)`` integers from -7 to 7; ``(n, 1)`` scales; ``(n,)`` distances between row and scaled
        codes, with what float32 may round away in any of the products; the length of the longest row.
    """
    n, p = len(rows), width
    codes = np.empty((n, p), np.int8)
    scales, radius = np.empty((n, 1), np.float32), np.empty(n, np.float32)
    slack = 8 * p * 2.0**-24  # d rounding errors of 2**-24 in each of: mixing, both products, and lengths
    longest = 0.0
    for at in range(0, n, _SLICE):
        turned = mixed(rows[at : at + _SLICE], p)
        top = np.abs(turned).max(axis=1, keepdims=True)
        turned /= np.maximum(top, np.float32(1e-30))
        whole = np.rint(turned * np.float32(7))
        codes[at : at + _SLICE] = whole
        squares = np.maximum(np.einsum("ij,ij->i", whole, whole), np.float32(1))
        best = np.einsum("ij,ij->i", turned, whole) / squares  # the scale that leaves least
        length = np.sqrt(np.einsum("ij,ij->i", turned, turned))
        turned -= whole * best[:, None]
        left = np.sqrt(np.einsum("ij,ij->i", turned, turned)) + np.float32(slack) * length
        scales[at : at + _SLICE, 0] = best * top[:, 0]
        radius[at : at + _SLICE] = np.maximum(left * top[:, 0], np.float32(1e-20))
        longest = max(longest, float((length * top[:, 0]).max()))
    return codes, scales, radius, longest


def _request(core: Any, codes: NDArray[np.int8], scales: Floats, query: Floats) -> Any:
    """A compiled ``query @ (codes * scales).T``, reading ``query`` anew each time."""
    openvino = load_openvino()
    op = openvino.opset15
    nibbles = codes.view(np.uint8) & 15
    packed = openvino.Tensor(openvino.Type.i4, list(codes.shape))
    target = packed.data.reshape(-1)
    target[:] = (nibbles[:, 0::2] | (nibbles[:, 1::2] << 4)).reshape(-1).view(target.dtype)
    given = op.parameter(list(query.shape), openvino.Type.f32)
    weights = op.multiply(op.convert(op.constant(packed), "f32"), op.constant(scales))
    model = openvino.Model([op.matmul(given, weights, False, True)], [given])
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": min(_THREADS, available_cores()),
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP,
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(model, "CPU", options).create_infer_request()
    request.set_input_tensor(0, openvino.Tensor(query, shared_memory=True))
    return request


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
