"""Large matrix products, as fast as the CPU does them: OpenVINO's kernels, or numpy's.

Measured on 2 Zen 5 cores, (256 x 384) by (384 x 4096): numpy's OpenBLAS 200 GFLOP/s (its kernels stop at
AVX2), OpenVINO float32 357, OpenVINO bfloat16 with float32 accumulation 640. OpenVINO costs about 0.2 s
to import and 0.07 s to compile, so it is used when the work repays that, or when it is loaded anyway.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np

from vicinal.core.arrays import Matrix
from vicinal.core.cores import available_cores
from vicinal.core.native_calls import native_call
from vicinal.errors import MissingExtraError

T = TypeVar("T")
R = TypeVar("R")
Precision: TypeAlias = Literal["float32", "bfloat16"]

# Multiply-adds that repay importing OpenVINO (a quarter of a second of OpenBLAS, each time), and merely
# compiling for it.
_REPAYS_IMPORT = 2e10
_REPAYS_COMPILING = 5e9


class Products:
    """Multiplies blocks of rows with blocks of rows: ``products(a, b)`` is ``a @ b.T`` in float32.

    ``precision`` says what the operands are and how they are multiplied:

    * ``"float32"``: float32 in, exact to float32 (float64 operands stay float64, with numpy);
    * ``"bfloat16"``: bfloat16 bit patterns (:func:`to_bfloat16`), sums in float32; half the time and memory.

    On a CPU without bfloat16 arithmetic, OpenVINO widens them and multiplies in float32.
    """

    def __init__(self, width: int, precision: Precision = "float32", *, work: float = float("inf")) -> None:
        """Choose the engine.

        Args:
            width: dimensions of the vectors.
            precision: see above.
            work: multiply-adds to come; less than would repay OpenVINO are left to numpy.
        """
        self._precision = precision
        self._request: Any = None
        if work >= (_REPAYS_COMPILING if "openvino" in sys.modules else _REPAYS_IMPORT):
            compiled = _compiled(width, precision, available_cores(), os.getpid())
            self._request = None if compiled is None else compiled.create_infer_request()
        self._held: tuple[Any, ...] = ()

    @property
    def threads(self) -> int:
        """How many threads should multiply at once, each with a ``Products`` of its own.

        OpenVINO gets one core for each stream: the threads then never wait for each other, and what each does
        with its scores runs beside the products of the others. OpenBLAS spreads every product over all cores
        itself and lets one in at a time.
        """
        return 1 if self._request is None else available_cores()

    @property
    def fast(self) -> bool:
        """Whether OpenVINO multiplies; otherwise rounding gains nothing."""
        return self._request is not None

    def __call__(self, a: Matrix, b: Matrix) -> Matrix:
        """The products (len(a), len(b)) of two non-empty blocks; may be overwritten by the next call."""
        if self._request is None or a.dtype == np.float64:
            if self._precision == "bfloat16":
                a, b = from_bfloat16(a), from_bfloat16(b)
            with native_call(), np.errstate(invalid="ignore", over="ignore"):
                product: Matrix = a @ b.T
            return product
        # The tensors share the arrays' memory, so both must outlive the run.
        self._held = (_tensor(a), _tensor(b))
        for index, tensor in enumerate(self._held):
            self._request.set_input_tensor(index, tensor)
        with native_call():
            self._request.infer(share_outputs=True)  # else it is copied
        answer: Matrix = self._request.get_output_tensor(0).data
        return answer


def to_bfloat16(rows: Matrix) -> Matrix:
    """float32 values rounded to the nearest bfloat16 (ties to even), as bit patterns in uint16."""
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    patterns = np.empty(rows.shape, dtype=np.uint16)
    round_to_bfloat16(rows, patterns, np.empty(rows.shape, dtype=np.uint32))
    return patterns


def round_to_bfloat16(rows: Matrix, patterns: Matrix, bits: Matrix) -> Matrix:
    """:func:`to_bfloat16` in memory that is there already.

    Args:
        rows: float32.
        patterns: uint16 of the same shape, where the bit patterns go.
        bits: uint32 of the same shape, to work in.

    Returns:
        the rounded values as float32, in the memory of ``bits``.
    """
    given = np.ascontiguousarray(rows).view(np.uint32)
    np.right_shift(given, np.uint32(16), out=bits)
    np.bitwise_and(bits, np.uint32(1), out=bits)
    np.add(bits, np.uint32(0x7FFF), out=bits)
    np.add(bits, given, out=bits)
    np.right_shift(bits, np.uint32(16), out=patterns, casting="unsafe")
    np.bitwise_and(bits, np.uint32(0xFFFF0000), out=bits)
    rounded: Matrix = bits.view(np.float32)
    return rounded


def from_bfloat16(patterns: Matrix) -> Matrix:
    """The float32 values of bfloat16 bit patterns."""
    wide: Matrix = (patterns.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return wide


def _tensor(block: Matrix) -> Any:
    ov = sys.modules["openvino"]  # loaded by _compiled
    # OpenVINO shares the memory of contiguous writable arrays only (it writes to none of its inputs).
    if not (block.flags.c_contiguous and block.flags.writeable):
        block = np.array(block, order="C")
    if block.dtype == np.uint16:
        return ov.Tensor(block, block.shape, ov.Type.bf16)
    return ov.Tensor(block, shared_memory=True)


# A compiled product is 0.07 s of work and a few kilobytes; it serves every later search of this width. The
# process id is part of the key because OpenVINO's threads do not survive a fork.
@functools.lru_cache(maxsize=16)
def _compiled(width: int, precision: Precision, streams: int, _pid: int) -> Any:
    """The compiled graph of ``a @ b.T``, or None where OpenVINO cannot be loaded."""
    from vicinal.core.openvino import load_openvino

    try:
        ov = load_openvino()
    except MissingExtraError:
        return None
    ops = ov.opset15
    kind = ov.Type.bf16 if precision == "bfloat16" else ov.Type.f32
    a, b = ops.parameter([-1, width], kind, name="a"), ops.parameter([-1, width], kind, name="b")
    # Widening the inputs (a bfloat16 product undoes it inside) makes the output float32, unrounded.
    x, y = (ops.convert(a, "f32"), ops.convert(b, "f32")) if precision == "bfloat16" else (a, b)
    model = ov.Model([ops.matmul(x, y, False, True)], [a, b], "products")
    hint = "f32" if precision == "float32" else "bf16"
    settings = {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": streams}
    with native_call():
        return ov.Core().compile_model(model, "CPU", settings)


def spread(function: Callable[[T], R], items: Sequence[T], threads: int) -> Iterator[R]:
    """The function of each item, in order, over some threads: numpy's loops release the interpreter lock."""
    if threads == 1 or len(items) < 2:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(function, items)


def shares(total: int, count: int, multiple: int) -> list[tuple[int, int]]:
    """0..total cut into at most ``count`` ranges (start, stop) of whole multiples, the last one excepted."""
    step = -(-total // (count * multiple)) * multiple
    return [(start, min(start + step, total)) for start in range(0, total, step)] if step else []
