"""Teachers' vectors, kept on disk by what the text says, so that no text goes through a teacher twice."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vicinal import SentenceTransformer

# Texts encoded between two files.
_PART = 4096


class TeacherVectors:
    """Vectors of length 1 of one teacher, as float16.

    Args:
        folder: where they are kept.
        model: the teacher.
    """

    def __init__(self, folder: Path, model: SentenceTransformer) -> None:
        self._folder, self._model = folder, model
        self._places: dict[bytes, int] = {}
        self._parts: list[NDArray[np.float16]] = []
        self._count = 0
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(folder.glob("*.npz")):
            with np.load(file) as kept:
                self._take(kept["keys"], kept["vectors"])

    def _take(self, keys: NDArray[np.uint8], vectors: NDArray[np.float16]) -> None:
        for place, key in enumerate(keys):
            self._places[key.tobytes()] = self._count + place
        self._count += len(keys)
        self._parts.append(vectors)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """``(n, dimensions)`` float32: the vectors of texts; those that are not kept yet are made and kept."""
        keys = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._places}
        new = sorted(
            missing.items(), key=lambda item: (len(item[1]) // 64, item[0])
        )  # similar lengths together
        start = time.time()
        for first in range(0, len(new), _PART):
            part = new[first : first + _PART]
            found = self._model.encode(
                [text for _, text in part],
                normalize_embeddings=True,
                on_truncate="ignore",
                show_progress_bar=False,
            )
            self._keep(np.array([np.frombuffer(key, np.uint8) for key, _ in part]), found.astype(np.float16))
            done, seconds = first + len(part), time.time() - start
            print(
                f"{self._folder.name}: {done} of {len(new)} texts, {seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
        every = np.concatenate(self._parts) if len(self._parts) != 1 else self._parts[0]
        self._parts = [every]
        return every[[self._places[key] for key in keys]].astype(np.float32)

    def _keep(self, keys: NDArray[np.uint8], vectors: NDArray[np.float16]) -> None:
        path = self._folder / f"{self._count:08d}.npz"
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, keys=keys, vectors=vectors)
        partial.rename(path)
        self._take(keys, vectors)
