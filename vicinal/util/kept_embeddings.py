"""Embeddings of texts by any model, kept in a folder from one run to the next if one is named."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vicinal.core.arrays import Embeddings, as_array
from vicinal.core.files import check_folder, replacing
from vicinal.errors import InputError

Role = Literal["query", "corpus"]
# The method that knows the model's prompt for each role, where a model has one.
_METHODS = {"query": "encode_query", "corpus": "encode_document"}


class Encoder:
    """Encodes queries and documents with one model."""

    def __init__(
        self,
        model: Any,
        batch_size: int,
        show_progress_bar: bool | None,
        pool: Any,
        cache_folder: str | os.PathLike[str] | None,
    ) -> None:
        """Make the folder, if one is named.

        Raises:
            InputError: no folder can be there, or nothing tells this model from others.
        """
        self._model = model
        self._options: dict[str, Any] = {"batch_size": batch_size, "show_progress_bar": show_progress_bar}
        if pool is not None:
            self._options["pool"] = pool
        self._folder: Path | None = None
        if cache_folder is not None:
            check_folder(cache_folder, "cache_folder")
            self._identity()
            self._folder = Path(cache_folder)
            self._folder.mkdir(parents=True, exist_ok=True)

    def __call__(
        self, texts: list[str], role: Role, prompt_name: str | None, prompt: str | None
    ) -> Embeddings:
        """Embeddings (texts, dim), as a numpy array, or whatever else the model gives."""
        prompts = {"prompt_name": prompt_name, "prompt": prompt}
        given = {name: value for name, value in prompts.items() if value is not None}
        if self._folder is None:
            return self._encode(texts, role, given)
        file = self._folder / f"{role}_embeddings_{self._key(texts, role, given)}.npy"
        kept = _read(file, len(texts))
        if kept is None:
            kept = as_array(self._encode(texts, role, given))
            with replacing(file) as scratch, open(scratch, "wb") as stream:
                np.save(stream, kept, allow_pickle=False)
        return kept

    def _encode(self, texts: list[str], role: Role, prompts: dict[str, str]) -> Any:
        encode = getattr(self._model, _METHODS[role], self._model.encode)
        return encode(texts, convert_to_numpy=True, **self._options, **prompts)

    def _key(self, texts: list[str], role: Role, prompts: dict[str, str]) -> str:
        """Everything that the embeddings depend upon, as one number."""
        settings = [
            (name, repr(getattr(self._model, name, None)))
            for name in ("prompts", "default_prompt_name", "truncate_dim", "max_seq_length")
        ]
        key = hashlib.sha256()
        for part in (self._identity(), role, repr(sorted(prompts.items())), repr(settings), *texts):
            data = part.encode("utf-8", "surrogatepass")
            key.update(len(data).to_bytes(8, "little") + data)
        return key.hexdigest()[:32]

    def _identity(self) -> str:
        """What tells this model from all others, a trained one from the same one before."""
        identity = getattr(self._model, "fingerprint", None)
        if not isinstance(identity, str):
            raise InputError(
                f"cache_folder cannot be used with {type(self._model).__name__}: nothing tells its weights from those "
                "of another model (no attribute fingerprint, a text)"
            )
        return identity


def _read(file: Path, rows: int) -> Any:
    """Embeddings that an earlier run has kept; None if there are none that can be read."""
    try:
        kept = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return kept if kept.ndim == 2 and len(kept) == rows else None


@contextmanager
def workers(model: Any, devices: bool | Sequence[Any], argument: str) -> Iterator[Any]:
    """A pool of processes of a model, or None where none is wanted; it ends with the block.

    Raises:
        InputError: the model starts no processes.
    """
    if model is None or not devices:
        yield None
        return
    if not hasattr(model, "start_multi_process_pool"):
        raise InputError(
            f"use_multi_process: {argument} ({type(model).__name__}) has no start_multi_process_pool; leave it out"
        )
    pool = model.start_multi_process_pool(None if devices is True else list(devices))
    try:
        yield pool
    finally:
        model.stop_multi_process_pool(pool)
