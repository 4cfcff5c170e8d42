"""Vectors in 1 byte or 1 bit a number, and search over them with FAISS or usearch.

int8 and uint8 cut each dimension's range into 256 steps: a quarter of the memory. Binary keeps the sign of
each number: a 32nd. What the coarse vectors find is scored again with the full query ("rescoring"; Yamada et
al., 2021, arXiv:2106.00882), which brings back most of what the rounding lost.
"""

from __future__ import annotations

import logging
from typing import Literal, TypeAlias

import numpy as np

from vicinal.core.arrays import Embeddings, Matrix, as_array, as_floats, as_rows, check_finite
from vicinal.core.inputs import check_choice
from vicinal.errors import InputError

logger = logging.getLogger(__name__)

Precision: TypeAlias = Literal["float32", "int8", "uint8", "binary", "ubinary"]

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
    check_choice(precision, PRECISIONS, "precision")
    array = as_array(embeddings)
    if array.dtype.kind != "f":
        raise InputError(f"embeddings are {array.dtype}: only floats can be quantised (these are already?)")
    rows = as_floats(array)
    check_finite(rows, "embeddings")
    if precision == "float32":
        with np.errstate(over="ignore"):
            narrow: Matrix = array.astype(np.float32)
        check_finite(as_rows(narrow), "embeddings, as float32,")
        return narrow
    if precision in ("binary", "ubinary"):
        bits = np.packbits(array > 0, axis=-1)
        # Flipping the top bit subtracts 128 when the byte is read as signed.
        return bits if precision == "ubinary" else (bits ^ np.uint8(128)).view(np.int8)
    low, step = quantization_steps(rows, ranges, calibration_embeddings, precision)
    # A dimension that never varies has no steps: all its values are its lowest.
    with np.errstate(over="ignore"):  # a quotient beyond the type is clipped like every other
        if np.isfinite(rows.max(initial=0) - low.min(initial=0)) and np.isfinite(
            low.max(initial=0) - rows.min(initial=0)
        ):
            steps = np.divide(rows - low, step, out=np.zeros_like(rows), where=step > 0)
        else:  # the difference overflows: a quarter of it does not
            quarter = rows * 0.25 - low * 0.25
            steps = np.divide(quarter, step * 0.25, out=np.zeros_like(rows), where=step > 0)
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
    with np.errstate(over="ignore"):
        step = (limits[1] - limits[0]) / 255
    # A range that overflows is cut first.
    return limits[0], np.where(np.isfinite(step), step, limits[1] / 255 - limits[0] / 255)
