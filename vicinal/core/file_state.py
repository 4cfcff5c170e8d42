"""Which content a file had when it was looked at, so that another one in its place is noticed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Of a file, spread evenly. Two models of the same sizes, or two states of one training, differ in most of them.
_SAMPLES, _SAMPLE_BYTES = 64, 256


@dataclass(frozen=True)
class FileState:
    """A file at one moment.

    Within a process, states are told apart by size, time and inode. A state that was pickled may be compared on
    another machine, where a copy of the folder has times and inodes of its own: there samples of the content decide.

    Attributes:
        path: the file.
        size: bytes.
        changed: time of the last change in nanoseconds, and inode; None once the state was pickled.
        sample: a digest of samples of the content; empty until the state is pickled.
    """

    path: Path
    size: int
    changed: tuple[int, int] | None
    sample: str = ""

    @classmethod
    def of(cls, path: Path, status: os.stat_result | None = None) -> FileState:
        """The state of a file now.

        Args:
            path: the file.
            status: what ``os.fstat`` says of it, where it is open; None to ask for it.

        Raises:
            OSError: there is no such file.
        """
        found = os.stat(path) if status is None else status
        return cls(path, found.st_size, (found.st_mtime_ns, found.st_ino))

    def holds(self) -> bool:
        """Whether the file is still this one."""
        try:
            now = FileState.of(self.path)
            if self.changed is not None:
                return now == self
            return now.size == self.size and _sample(self.path) == self.sample
        except OSError:
            return False

    def __getstate__(self) -> dict[str, Any]:
        sample = self.sample
        if self.changed is not None:
            sample = _sample(self.path) if self.holds() else "changed before it was pickled"
        return {**self.__dict__, "changed": None, "sample": sample}


def _sample(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        for place in range(_SAMPLES):
            file.seek(place * size // _SAMPLES)
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
