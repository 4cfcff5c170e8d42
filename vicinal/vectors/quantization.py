"""Vectors in 1 byte or 1 bit a number, and search over them with FAISS or usearch.

int8 and uint8 cut each dimension's range into 256 steps: a quarter of the memory. Binary keeps the sign of
each number: a 32nd. What the coarse vectors find is scored again with the full query ("rescoring"; Yamada et
al., 2021, arXiv:2106.00882), which brings back most of what the rounding lost.
"""

from __future__ import annotations

import logging
from typing import Literal, TypeAlias

import numpy as np

from vicinal.core.arrays import Embeddings, Matrix, as_array, as_floats, check_finite
from vicinal.core.inputs import shown
from vicinal.errors import InputError

logger = logging.getLogger(__name__)

Precision: TypeAlias = Literal["float32", "int8", "uint8", "binary", "ubinary"]

# Differences of smaller numbers stay within the type.
LARGE = {np.dtype(kind): float(np.finfo(kind).max) / 4 for kind in (np.float32, np.float64)}
PRECISIONS: tuple[Precision, ...] = ("float32", "int8", "uint8", "binary", "ubinary")


def quantize_embeddings(
    embeddings: Embeddings,
    precision: Precision,
    ranges: Embeddings | None = None,
    calibration_embeddings: Embeddings | None = None,
) -> Matrix:
    """Vectors in a smaller type.

    Args:
        embeddings: (n, dim) floats, or one vector (dim,).
        precision: ``"float32"``; ``"int8"`` (-128..127) or ``"uint8"`` (0..255): each dimension's range in
            256 equal steps, values outside it clipped; ``"ubinary"``: one bit a dimension, set where the
            value is above 0, eight to a uint8 (the last one padded with zeros); ``"binary"``: the same less
            128, as int8.
        ranges: (2, dim), the least and the largest value of each dimension, for int8 and uint8.
        calibration_embeddings: (m, dim) to take those from, where ``ranges`` is None; else they are taken
            from ``embeddings`` themselves. Quantise a corpus and its queries with the same ones.

    Returns:
        A numpy array (also for tensors: it is meant for storage) of int8, uint8 or float32.

    Raises:
        InputError: unknown precision, vectors that are integers already, ranges of another shape, one vector
            without ranges, or a NaN or infinity (the row is named).
        InputTypeError: not numbers.
    """
    if not isinstance(precision, str) or precision not in PRECISIONS:
        raise InputError(f"precision is {shown(precision)}: choose one of {list(PRECISIONS)}")
    array = as_array(embeddings)
    if array.dtype.kind != "f":
        raise InputError(f"embeddings are {array.dtype}: only floats can be quantised (these are already?)")
    rows = as_floats(array)
    check_finite(rows, "embeddings")
    if precision == "float32":
        with np.errstate(over="ignore"):
            single = array.astype(np.float32)
        check_finite(single.reshape(rows.shape), "embeddings, in float32")
        return single
    if precision in ("binary", "ubinary"):
        bits = np.packbits(array > 0, axis=-1)
        # Flipping the top bit subtracts 128 when the byte is read as signed.
        return bits if precision == "ubinary" else (bits ^ np.uint8(128)).view(np.int8)
    low, step = quantization_steps(rows, ranges, calibration_embeddings, precision)
    # The differences of numbers near the limit of their type exceed it; those of quarters do not.
    largest = max(rows.max(initial=0), -rows.min(initial=0), np.abs(low).max(initial=0))
    scale = rows.dtype.type(0.25 if largest > LARGE[rows.dtype] else 1)
    if scale != 1:
        rows, low, step = rows * scale, low * scale, step * scale
    # A dimension that never varies has no steps: all its values are its lowest.
    with np.errstate(over="ignore"):  # what is outside of the ranges is clipped
        steps = np.divide(rows - low, step, out=np.zeros_like(rows), where=step > 0)
    quantized: Matrix = np.clip(np.floor(steps), 0, 255).astype(np.uint8).reshape(array.shape)
    return quantized if precision == "uint8" else (quantized ^ np.uint8(128)).view(np.int8)


def quantization_steps(
    rows: Matrix, ranges: Embeddings | None, calibration: Embeddings | None, precision: str
) -> tuple[Matrix, Matrix]:
    """The lowest value and the width of the 256 steps of each dimension, (dim,) each."""
    if ranges is not None:
        limits = as_floats(ranges, "ranges")
        if limits.shape != (2, rows.shape[1]):
            raise InputError(
                f"ranges has shape {limits.shape}: give (2, {rows.shape[1]}), least and largest values"
            )
        check_finite(limits, "ranges")
        if (limits[1] < limits[0]).any():
            raise InputError(
                "ranges: a largest value is below the least one: give row 0 = least, row 1 = largest"
            )
    else:
        name = "embeddings" if calibration is None else "calibration_embeddings"
        sample = rows if calibration is None else as_floats(calibration, name)
        if calibration is not None:
            check_finite(sample, name)
            if len(sample) and sample.shape[1] != rows.shape[1]:
                raise InputError(
                    f"{name} has {sample.shape[1]} dimensions and embeddings has {rows.shape[1]}"
                )
        if len(sample) < 2:
            if not len(rows):
                return np.zeros(rows.shape[1], rows.dtype), np.zeros(rows.shape[1], rows.dtype)
            raise InputError(
                f"{name} has {len(sample)} rows, too few for {precision} ranges: give ranges, or "
                "calibration_embeddings of some hundred typical texts"
            )
        if len(sample) < 100:
            logger.warning(
                "%s ranges taken from only %d vectors: give more to calibrate", precision, len(sample)
            )
        limits = np.stack([sample.min(axis=0), sample.max(axis=0)])
    limits = limits.astype(rows.dtype, copy=False)
    # Near the limit of the type the difference exceeds it, that of quarters does not; both round alike.
    quarters = limits * limits.dtype.type(0.25)
    large = np.abs(limits).max(axis=0, initial=0) > LARGE[limits.dtype]
    with np.errstate(over="ignore"):
        steps = (limits[1] - limits[0]) / 255
    return limits[0], np.where(large, (quarters[1] - quarters[0]) / 255 * 4, steps)
