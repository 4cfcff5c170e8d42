"""How rows of vectors lie in a file: a segment is two blobs and a checksum of each.

``int16`` storage keeps 16 bits a number and one float32 scale a row: ``x ~ scale * integer`` with
``scale = max|x| / 32767``. The rounding error of a number is at most half a scale; for unit vectors of
256 dimensions that is about 4e-6 a number and 2e-6 (standard deviation) in a dot product, several times
less than float16 makes at the same size, and the conversion back is quicker. ``float32`` keeps all bits.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.index.stores.damage import Damage

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Small = NDArray[np.int32]
Bools = NDArray[np.bool_]

STORAGES = ("int16", "float32")
# Rows encoded at a time: keeps the temporary arrays in the CPU's cache.
_SLICE = 1024


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive chunks: to which document each belongs, where it lies in the text, its vector's bytes.

    Attributes:
        docs: ``(n,)`` document numbers, ascending.
        starts: ``(n,)`` offset of each chunk's first character.
        ends: ``(n,)`` offset after each chunk's last character.
        vectors: ``n * row_bytes(...)`` bytes, rows as :func:`encode_vectors` makes them.
    """

    docs: Ints
    starts: Small
    ends: Small
    vectors: bytes

    def __len__(self) -> int:
        return len(self.docs)


def row_bytes(storage: str, dimension: int) -> int:
    """Bytes of one stored vector."""
    return 4 + 2 * dimension if storage == "int16" else 4 * dimension


def encode_vectors(vectors: Floats, storage: str) -> bytes:
    """Vectors as stored bytes.

    Args:
        vectors: ``(n, d)`` finite float32.
        storage: ``"int16"`` or ``"float32"``.

    Returns:
        Rows one after another; for int16 each is a float32 scale and ``d`` integers, little endian.
    """
    vectors = np.ascontiguousarray(vectors, dtype="<f4")
    if storage == "float32":
        return vectors.tobytes()
    packed = np.empty(len(vectors), dtype=_row_type(vectors.shape[1]))
    for at in range(0, len(vectors), _SLICE):
        part = vectors[at : at + _SLICE]
        scale = np.maximum(np.abs(part).max(axis=1, initial=0.0), np.float32(1e-30)) / np.float32(32767)
        packed["scale"][at : at + _SLICE] = scale
        packed["row"][at : at + _SLICE] = np.rint(part / scale[:, None]).clip(-32767, 32767)
    return packed.tobytes()


def decode_vectors(data: bytes | memoryview, storage: str, out: Floats) -> None:
    """Write stored rows into ``out``, an ``(n, d)`` float32 array."""
    if storage == "float32":
        out[:] = np.frombuffer(data, dtype="<f4").reshape(out.shape)
        return
    packed = np.frombuffer(data, dtype=_row_type(out.shape[1]))
    for at in range(0, len(packed), _SLICE):
        part = packed[at : at + _SLICE]
        out[at : at + _SLICE] = part["row"]
        out[at : at + _SLICE] *= part["scale"][:, None]


def _row_type(dimension: int) -> np.dtype[np.void]:
    return np.dtype([("scale", "<f4"), ("row", "<i2", (dimension,))])


def encode_heads(rows: Rows) -> bytes:
    """Document numbers and offsets as stored bytes: differences, then zlib, about 3 bytes a chunk."""
    docs = np.diff(rows.docs, prepend=np.int64(0)).astype("<i8")
    lengths = rows.ends - rows.starts
    return zlib.compress(
        docs.tobytes() + rows.starts.astype("<i4").tobytes() + lengths.astype("<i4").tobytes(), 1
    )


def decode_segment(first: int, n: int, head: Any, vectors: Any, check: Any, width: int) -> Rows:
    """Turn a row of the ``segments`` table back into :class:`Rows`, checking everything.

    Args:
        first: number of the first chunk, for the error.
        n: number of chunks.
        head: the blob of :func:`encode_heads`.
        vectors: the blob of vectors.
        check: what :func:`checksum` gave when it was written.
        width: bytes of one stored vector.

    Returns:
        The rows.

    Raises:
        Damage: the segment is damaged.
    """
    where = f"segment of chunks {first}..{first + n - 1}"
    if not (isinstance(head, bytes) and isinstance(vectors, bytes)) or check != checksum(head, vectors):
        raise Damage(f"{where}: the checksum does not match")
    if len(vectors) != width * n:
        raise Damage(f"{where}: its size is wrong")
    return Rows(*decode_heads(head, n), vectors)


def decode_heads(head: bytes, n: int) -> tuple[Ints, Small, Small]:
    """Document numbers, starts and ends of a segment's ``n`` chunks.

    Raises:
        Damage: the head is damaged.
    """
    try:
        raw = zlib.decompress(head)
    except (zlib.error, TypeError) as error:
        raise Damage(f"the head of a segment cannot be read ({error})") from None
    if n < 1 or len(raw) != 16 * n:
        raise Damage("the head of a segment has a wrong size")
    docs = np.cumsum(np.frombuffer(raw, "<i8", n)).astype(np.int64)
    starts = np.frombuffer(raw, "<i4", n, 8 * n).astype(np.int32)
    return docs, starts, starts + np.frombuffer(raw, "<i4", n, 12 * n).astype(np.int32)


def checksum(head: bytes, vectors: bytes) -> int:
    """CRC-32 over both blobs: 4 GB/s here, so every load can afford it."""
    return zlib.crc32(vectors, zlib.crc32(head))
