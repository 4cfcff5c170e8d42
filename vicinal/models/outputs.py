"""Finished vectors become what the caller asked for."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vicinal.errors import ModelFormatError

Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]


def check_results(rows: NDArray[np.float32], model: str, engine: object, first: int = 0) -> None:
    """Refuse results that are no numbers, which weights that are finite and huge give.

    Args:
        rows: (n, dim) vectors or (n, labels) scores.
        model: its name, for the error.
        engine: what computed them.
        first: the number of the first row.

    Raises:
        ModelFormatError: a row holds NaN or infinity.
    """
    if np.isfinite(rows).all():
        return
    precision = str(getattr(engine, "precision", "float32"))
    place = first + int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
    remedy = "" if precision == "float32" else "; dtype='float32' has a larger range"
    raise ModelFormatError(
        f"{model or 'the model'}: its result for text {place} holds NaN or infinite numbers in {precision}: its "
        f"weights are too large, as after a training that diverged{remedy}"
    )


def as_tensors(found: Any) -> Any:
    """Arrays, also those of a dictionary, as torch tensors."""
    from vicinal.core.torch import as_tensor

    if isinstance(found, dict):  # numbers in it, such as the length of a prompt, stay numbers
        return {key: as_tensor(each) if isinstance(each, np.ndarray) else each for key, each in found.items()}
    return as_tensor(found)


def quantized(rows: NDArray[np.float32], precision: Precision) -> NDArray[Any]:
    """The rows in a smaller type."""
    if precision == "float32":
        return rows
    if not len(rows):  # nothing to measure; the type and width of a filled result all the same
        packed = precision in ("binary", "ubinary")
        width = -(-rows.shape[1] // 8) if packed else rows.shape[1]
        return np.empty((0, width), dtype=np.int8 if precision in ("int8", "binary") else np.uint8)
    from vicinal.vectors.quantization import quantize_embeddings

    result: NDArray[Any] = quantize_embeddings(rows, precision=precision)
    return result


def converted(rows: NDArray[Any], single: bool, to_numpy: bool, to_tensor: bool) -> Any:
    """An array, a tensor or a list of rows; of a single text its row alone."""
    value: Any = rows[0] if single else rows
    if to_tensor:
        from vicinal.core.torch import as_tensor

        return as_tensor(value)
    return value if to_numpy or single else list(rows)
