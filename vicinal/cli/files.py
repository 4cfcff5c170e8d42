"""Writes vectors as ``.npy`` while they are made; the size of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Self = TypeVar("Self", bound="VectorWriter")

# Room for any shape, so that the header can be rewritten when the number of rows is known.
_HEADER = 128


class VectorWriter:
    """Base of what writes vectors into a file block by block.

    Args:
        file: the open file, which is closed at the end of a ``with`` block.
        name: what the file will be called, for errors.
    """

    def __init__(self, file: IO[Any], name: str) -> None:
        self._name = name
        self._file = file
        self.rows = 0
        self.dimension = 0

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """A full disk says which file did not fit."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._name) from error

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError) if kind is not None else nullcontext():
            self._file.close()


class NpyWriter(VectorWriter):
    """Writes a two-dimensional float32 ``.npy`` file block by block.

    Args:
        path: the file; the caller removes it if the work ends early.
        name: what the file will be called, for errors.
    """

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path.open("wb"), name)
        self._file.write(bytes(_HEADER))

    def append(self, block: NDArray[np.float32]) -> None:
        """Add rows, ``(n, dim)``."""
        self.dimension = block.shape[1]
        self.rows += len(block)
        with self._named_errors():
            self._file.write(block.astype("<f4", order="C", copy=False).tobytes())

    def finish(self) -> None:
        """Write the header, now that the number of rows is known, and wait for the disk."""
        with self._named_errors():
            self._file.seek(0)
            self._file.write(npy_header(self.rows, self.dimension))
            self._file.flush()
            os.fsync(self._file.fileno())


def npy_header(rows: int, dimension: int) -> bytes:
    """The 128 bytes before the numbers: version 1.0 of the format, little-endian float32, row by row."""
    fields = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dimension}), }}"
    start = b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little")
    return start + fields.encode("ascii").ljust(_HEADER - len(start) - 1) + b"\n"


def folder_size(folder: Path) -> int:
    """Bytes of the files below a folder; a link counts as what it leads to, as in a hub cache."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
