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


def floats(name: str, array: NDArray[np.float32]) -> bytes:
    """A float constant."""
    dims = b"".join(number(1, size) for size in array.shape)
    return block(5, dims + number(2, FLOAT) + block(8, name) + block(9, array.astype("<f4").tobytes()))


def integers(name: str, *values: int) -> bytes:
    """A vector of int64."""
    data = np.array(values, dtype="<i8").tobytes()
    return block(5, number(1, len(values)) + number(2, INT64) + block(8, name) + block(9, data))


def node(kind: str, inputs: list[str], output: str, **attributes: int) -> bytes:
    """One operation; attributes are whole numbers."""
    content = b"".join(block(1, name) for name in inputs) + block(2, output) + block(4, kind)
    for name, value in attributes.items():
        content += block(5, block(1, name) + number(3, value) + number(20, 2))
    return block(1, content)


def model_of(parts: list[bytes], inputs: list[str], outputs: dict[str, list[int | str]]) -> bytes:
    """A model of the nodes and constants in ``parts``, with int64 inputs ``(batch, length)``."""
    graph = b"".join(parts) + block(2, "tiny")
    graph += b"".join(block(11, value_info(name, INT64, ["batch", "length"])) for name in inputs)
    graph += b"".join(block(12, value_info(name, FLOAT, dims)) for name, dims in outputs.items())
    return number(1, 8) + block(7, graph) + block(8, number(2, 13))


def scoring_model(
    words: NDArray[np.float32],
    types: NDArray[np.float32],
    head: NDArray[np.float32],
    output: str = "logits",
    labels: int | str | None = None,
) -> bytes:
    """A "cross-encoder": ``tanh`` of the sum of all tokens' word and type vectors, times ``head``."""
    parts = [
        floats("words", words),
        floats("types", types),
        floats("head", head),
        integers("last", 2),
        integers("middle", 1),
        node("Gather", ["words", "input_ids"], "word_vectors"),
        node("Gather", ["types", "token_type_ids"], "type_vectors"),
        node("Add", ["word_vectors", "type_vectors"], "vectors"),
        node("Cast", ["attention_mask"], "float_mask", to=FLOAT),
        node("Unsqueeze", ["float_mask", "last"], "mask"),
        node("Mul", ["vectors", "mask"], "masked"),
        node("ReduceSum", ["masked", "middle"], "sum", keepdims=0),
        node("Tanh", ["sum"], "features"),
        node("MatMul", ["features", "head"], output),
    ]
    inputs = ["attention_mask", "token_type_ids", "input_ids"]  # not in the order in which we hold them
    return model_of(parts, inputs, {output: ["batch", head.shape[1] if labels is None else labels]})


def gather_model(table: NDArray[np.float32], data_file: str | None = None) -> bytes:
    """A "transformer" that looks each token up in ``table`` and does nothing else.

    Args:
        data_file: the file that holds the table's bytes, in place of the model's own.
    """
    tensor = b"".join(number(1, size) for size in table.shape) + number(2, FLOAT) + block(8, "table")
    if data_file is None:
        tensor += block(9, table.astype("<f4").tobytes())
    else:
        tensor += block(13, block(1, "location") + block(2, data_file)) + number(14, 1)
    node = block(1, "table") + block(1, "input_ids") + block(2, "last_hidden_state") + block(4, "Gather")
    graph = block(1, node) + block(2, "tiny") + block(5, tensor)
    for name in ("input_ids", "attention_mask"):
        graph += block(11, value_info(name, INT64, ["batch", "length"]))
    graph += block(12, value_info("last_hidden_state", FLOAT, ["batch", "length", table.shape[1]]))
    return number(1, 8) + block(7, graph) + block(8, number(2, 13))
