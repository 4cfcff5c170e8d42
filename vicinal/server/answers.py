"""Answers in JSON, with arrays of floats in them written fast."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from starlette.responses import Response


class Answer(Response):
    """A JSON answer.

    Args:
        content: JSON types, and numpy arrays and numbers anywhere in them. float32 is written with as many digits as
            give the same float32 again.
        status: the HTTP status.
        headers: further headers.
    """

    media_type = "application/json"

    def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(written(content), status, headers)


def written(content: Any) -> bytes:
    """JSON in UTF-8.

    Raises:
        ValueError: NaN or infinity, which JSON does not have.
    """
    return _by_orjson(content) if _has_orjson() else plainly_written(content)


@cache
def _has_orjson() -> bool:
    return importlib.util.find_spec("orjson") is not None


def _by_orjson(content: Any) -> bytes:
    import orjson

    try:
        found: bytes = orjson.dumps(content, default=_contiguous, option=orjson.OPT_SERIALIZE_NUMPY)
        return found
    except TypeError:  # half of a surrogate pair, an integer of more than 64 bits: JSON has both
        return plainly_written(content)


def _contiguous(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value) if value.dtype.kind in "fiub" else value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def plainly_written(content: Any) -> bytes:
    """The same without orjson: slower by a factor of ten for vectors."""
    return json.dumps(content, default=_listed, allow_nan=False, separators=(",", ":")).encode()


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype == np.float32:
        # The shortest digits of a float32, which float() alone would print as those of a float64.
        return [_listed(row) for row in value] if value.ndim > 1 else [float(str(each)) for each in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in JSON")
