"""Just enough of the ONNX format (protocol buffers) to write a small graph without the onnx package.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FLOAT, INT64 = 1, 7


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def block(field: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def value_info(name: str, kind: int, dims: list[int | str]) -> bytes:
    shape = b"".join(block(1, number(1, dim) if isinstance(dim, int) else block(2, dim)) for dim in dims)
    return block(1, name) + block(2, block(1, number(1, kind) + block(2, shape)))


def gather_model(table: NDArray[np.float32]) -> bytes:
    """A "transformer" that looks each token up in ``table`` and does nothing else."""
    tensor = b"".join(number(1, size) for size in table.shape) + number(2, FLOAT)
    tensor += block(8, "table") + block(9, table.astype("<f4").tobytes())
    node = block(1, "table") + block(1, "input_ids") + block(2, "last_hidden_state") + block(4, "Gather")
    graph = block(1, node) + block(2, "tiny") + block(5, tensor)
    for name in ("input_ids", "attention_mask"):
        graph += block(11, value_info(name, INT64, ["batch", "length"]))
    graph += block(12, value_info("last_hidden_state", FLOAT, ["batch", "length", table.shape[1]]))
    return number(1, 8) + block(7, graph) + block(8, number(2, 13))
