"""Files that commands write: whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from vicinal.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Room for any shape, so that the header can be rewritten when the number of rows is known.
_HEADER = 128


def check_target(path: str, option: str) -> Path:
    """The file to write, links followed; checked before any work is done.

    Raises:
        InputError: its folder does not exist or is closed to us, or it is a folder or a device.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"{option} {path}: this is a folder; give a file in it")
    if target.exists() and not target.is_file():
        raise InputError(f"{option} {path}: this is not a regular file")
    if not target.parent.is_dir():
        raise InputError(f"{option} {path}: the folder {target.parent} does not exist")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{option} {path}: no permission to write into {target.parent}")
    return target


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A scratch file beside ``target`` that takes its place at the end; an error or Ctrl-C removes it."""
    scratch = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    try:
        yield scratch
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)


class NpyWriter:
    """Writes a two-dimensional float32 ``.npy`` file block by block.

    Args:
        path: the file; the caller removes it if the work ends early.
        name: what the file will be called, for errors.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        self._file = path.open("xb")
        self._file.write(bytes(_HEADER))
        self.rows = 0
        self.dimension = 0

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

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """A full disk says which file did not fit."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._name) from error

    def __enter__(self) -> NpyWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError) if kind is not None else nullcontext():
            self._file.close()


def npy_header(rows: int, dimension: int) -> bytes:
    """The 128 bytes before the numbers: version 1.0 of the format, little-endian float32, row by row."""
    fields = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dimension}), }}"
    start = b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little")
    return start + fields.encode("ascii").ljust(_HEADER - len(start) - 1) + b"\n"
