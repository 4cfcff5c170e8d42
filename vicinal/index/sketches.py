"""4-bit sketches of rows of vectors, and the product of a query with all of them.

A row ``x`` is turned by an orthogonal matrix that mixes its coordinates (so that none stands out), and
rounded to ``x' = scale * c`` with integers ``c`` from -7 to 7: the sketch. For every query ``q`` of length 1,
turned the same way, by Cauchy and Schwarz,

    q.x  <=  q'.x' + |x - x'| + |q - q'| |x'|

with ``q'`` the query rounded to 8 bits. ``|x - x'|``, the radius, is about an eighth of ``|x|`` and is added by
the same kernel as multiplies: OpenVINO has one for 4-bit weights and 8-bit activations, which reads an eighth
of the bytes of the vectors and is as fast as memory. The bound is the same as that of VA-files (Weber, Schek
and Blott 1998), with turned coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.cores import available_cores
from vicinal.core.native_calls import native_call
from vicinal.core.openvino import load_openvino
from vicinal.index.segments import Floats

# A sketch has a multiple of so many dimensions.
_PAD = 32
# The kernel rounds activations in groups; from 64 on it converts its sums so seldom that they cost nothing.
_GROUP = 128
_SLICE = 2048  # rows sketched at a time, so that they stay in the cache
_THREADS = 8  # more do not read memory faster
# What `mixed` multiplies 16 groups of coordinates with.
_SIGNS = (0.25 * (-1.0) ** np.array([[(i & j).bit_count() for j in range(16)] for i in range(16)])).astype(
    np.float32
)


class Stopped(Exception):
    """Nobody wants the sketches any more."""


@dataclass
class Piece:
    """The sketches of some consecutive rows, ready to be multiplied by one thread at a time.

    Attributes:
        first: the first row.
        n: how many.
        longest: length of the longest of them.
        request: an OpenVINO request that reads the turned query and gives ``(1, n)``: products and radius.
    """

    first: int
    n: int
    longest: float
    request: Any
    _out: Floats | None = None

    def multiply(self, out: Floats) -> None:
        """Put the bounds of this piece's rows at their places among those of all rows."""
        if self._out is not out:
            place = out[self.first : self.end].reshape(1, self.n)
            self.request.set_output_tensor(0, load_openvino().Tensor(place, shared_memory=True))
            self._out = out
        with native_call():
            self.request.infer(share_outputs=True)  # else they are copied

    def __del__(self) -> None:
        try:  # `suppress` may be gone when this runs
            with native_call():
                self.request = None
        except (AttributeError, TypeError):  # the modules are gone, or the object was never whole
            pass

    @property
    def end(self) -> int:
        """One after the last row."""
        return self.first + self.n


def padded(dimension: int) -> int:
    """Dimensions of a row's sketch."""
    return -(-dimension // _PAD) * _PAD


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


def turn(query: Floats, out: Floats) -> float:
    """Turn a query as :func:`mixed` turns rows, for the kernel, which rounds it to 8 bits.

    Args:
        query: ``(d,)``.
        out: ``(1, p)``, receives the turned one.

    Returns:
        What ``|q - q'|`` is at most: half a step, a 127th of the largest number of its group, a number.
    """
    width = out.shape[1]
    group = math.gcd(width, _GROUP)
    whole = np.zeros(width, np.float32)
    whole[: len(query)] = query
    np.matmul(_SIGNS, whole.reshape(16, -1), out=out.reshape(16, -1))
    top = np.abs(out).reshape(-1, group).max(axis=1)
    return math.sqrt(group * float(np.vdot(top, top))) * (0.5 / 127) * 1.001


def sketch(rows: Floats, width: int) -> tuple[NDArray[np.int8], Floats, Floats, float]:
    """Sketches of rows.

    Args:
        rows: ``(n, d)``.
        width: ``p``, see :func:`mixed`.

    Returns:
        ``(n, p)`` integers from -7 to 7; ``(n, 1)`` scales; ``(n,)`` distances between row and scaled
        sketch, plus what float32 may round away in any of the products; the length of the longest row.
    """
    slack = 8 * width * 2.0**-24  # d rounding errors of 2**-24 in each of: mixing, both products, and lengths
    turned = mixed(rows, width)
    top = np.abs(turned).max(axis=1, keepdims=True)
    turned /= np.maximum(top, np.float32(1e-30))
    whole = np.rint(turned * np.float32(7))
    squares = np.maximum(np.einsum("ij,ij->i", whole, whole), np.float32(1))
    best = np.einsum("ij,ij->i", turned, whole) / squares  # the scale that leaves least
    length = np.sqrt(np.einsum("ij,ij->i", turned, turned))
    turned -= whole * best[:, None]
    left = np.sqrt(np.einsum("ij,ij->i", turned, turned)) + np.float32(slack) * length
    radius = np.maximum(left * top[:, 0], np.float32(1e-20))
    return whole.astype(np.int8), best[:, None] * top, radius, float((length * top[:, 0]).max(initial=0))


def make_piece(
    core: Any,
    blocks: tuple[Floats, ...],
    first: int,
    n: int,
    query: Floats,
    check: Callable[[], None],
) -> Piece:
    """Sketch ``n`` rows from ``first`` on.

    Args:
        core: OpenVINO's.
        blocks: all rows.
        first: the first row.
        n: how many.
        query: ``(1, p)``, the array that the request reads the turned query from each time.
        check: called between steps of some milliseconds; what it raises ends the work.
    """
    openvino = load_openvino()
    op = openvino.opset15
    width = query.shape[1]
    packed = openvino.Tensor(openvino.Type.i4, [n, width])
    bytes_ = packed.data.reshape(n, width // 2).view(np.uint8)
    scales, radius = np.empty((n, 1), np.float32), np.empty((1, n), np.float32)
    longest, at = 0.0, 0
    for part in _slices(blocks, first, n):
        check()
        here = slice(at, at + len(part))
        whole, scales[here], radius[0, here], length = sketch(part, width)
        nibbles = whole.view(np.uint8) & 15
        np.bitwise_or(nibbles[:, 0::2], nibbles[:, 1::2] << 4, out=bytes_[here])
        longest, at = max(longest, length), at + len(part)
    check()
    given = op.parameter([1, width], openvino.Type.f32)
    weights = op.multiply(op.convert(op.constant(packed), "f32"), op.constant(scales))
    bound = op.add(op.matmul(given, weights, False, True), op.constant(radius))
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": min(_THREADS, available_cores()),
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": math.gcd(width, _GROUP),
        "ENABLE_CPU_PINNING": False,
    }
    with native_call():
        request = core.compile_model(openvino.Model([bound], [given]), "CPU", options).create_infer_request()
    request.set_input_tensor(0, openvino.Tensor(query, shared_memory=True))
    return Piece(first, n, longest, request)


def _slices(blocks: tuple[Floats, ...], first: int, n: int) -> Iterator[Floats]:
    """Rows ``first`` to ``first + n``, some at a time."""
    size = len(blocks[0])
    while n:
        inside = first % size
        part = blocks[first // size][inside : inside + min(n, _SLICE)]
        yield part
        first, n = first + len(part), n - len(part)
