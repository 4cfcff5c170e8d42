"""Tensors of a folder's weights, each read when it is asked for.

The format of safetensors is little: 8 bytes of header length, a JSON header, then the raw tensors. Reading it here
takes no more memory than the tensors that are used, and gives bfloat16, which numpy does not have. Nothing is mapped:
a file that is overwritten under a mapping changes the vectors, and one that is cut off ends the process.

Format: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
import math
import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.file_state import FileState
from vicinal.core.torch import require_torch
from vicinal.errors import ModelFormatError, UnsupportedModelError

_DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_HEADER_LIMIT = 100_000_000
_TORCH_INDEX = "pytorch_model.bin.index.json"

# Tensors that are in use, by file and name: graphs of one folder, and models that were loaded from it twice, share
# memory as mapped files would. A tensor goes away with the last graph that holds it.
_shared: weakref.WeakValueDictionary[tuple[FileState, str], NDArray[Any]] = weakref.WeakValueDictionary()


class SafetensorsFile:
    """The header of one safetensors file, and a way to its tensors.

    Raises:
        ModelFormatError: the file is shorter or longer than its header says, or the header is not valid.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with open(path, "rb", buffering=0) as file:
                self._state = FileState.of(path, os.fstat(file.fileno()))
                size = int.from_bytes(file.read(8), "little")
                if size > min(_HEADER_LIMIT, self._state.size - 8):
                    raise ValueError("the header is longer than the file")
                header = json.loads(file.read(size))
            header.pop("__metadata__", None)
            self._start = 8 + size
            end = max((_checked(name, entry) for name, entry in header.items()), default=0)
            if self._start + end != self._state.size:
                raise ValueError(f"{self._state.size} bytes instead of {self._start + end}")
        except OSError as error:
            raise ModelFormatError(
                f"{path}: cannot be read ({error.strerror}); check its permissions"
            ) from error
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelFormatError(
                f"{path}: not a whole safetensors file ({error}); it was damaged or half downloaded: "
                "delete it and download the model again"
            ) from error
        self.header: dict[str, Any] = header

    def read(self, name: str) -> NDArray[Any]:
        """One tensor, in memory of its own or that of another reader; float types become float32.

        Raises:
            ModelFormatError: the bytes do not fit the shape, are not finite numbers, or the file is no longer the one
                whose header was read.
            UnsupportedModelError: a type that numpy does not have.
        """
        key = (self._state, name)
        tensor = _shared.get(key)
        if tensor is None:
            tensor = _shared[key] = self._read(name)
        return tensor

    def _read(self, name: str) -> NDArray[Any]:
        entry = self.header[name]
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None:
            raise UnsupportedModelError(f"{self.path}: tensor {name!r} has the unknown type {entry['dtype']}")
        first, last = entry["data_offsets"]
        shape = tuple(entry["shape"])
        expected = math.prod(shape) * np.dtype(dtype).itemsize
        if last - first != expected:
            raise ModelFormatError(
                f"{self.path}: tensor {name!r} has {last - first} bytes instead of {expected}"
            )
        tensor: NDArray[Any] = self._bytes(first, expected).view(dtype).reshape(shape)
        if entry["dtype"] == "BF16":  # the upper half of a float32
            tensor = (tensor.astype(np.uint32) << np.uint32(16)).view(np.float32)
        elif tensor.dtype in (np.float16, np.float64):
            with np.errstate(over="ignore"):
                tensor = tensor.astype(np.float32)
        if tensor.dtype == np.float32 and not is_finite(tensor):
            raise not_finite(f"{self.path}: the tensor {name!r}")
        return tensor

    def _bytes(self, first: int, count: int) -> NDArray[np.uint8]:
        """Some bytes behind the header, of the file whose header this is."""
        raw = np.empty(count, dtype=np.uint8)
        view, done = raw.data, 0
        try:
            with open(self.path, "rb", buffering=0) as file:
                before = FileState.of(self.path, os.fstat(file.fileno()))
                file.seek(self._start + first)
                while done < count:
                    got = file.readinto(view[done:])
                    if not got:
                        break
                    done += got
                after = FileState.of(self.path, os.fstat(file.fileno()))
        except OSError as error:
            raise ModelFormatError(
                f"{self.path}: cannot be read any longer ({error.strerror}); load the model again"
            ) from error
        if before != self._state or after != self._state or done < count:
            raise ModelFormatError(
                f"{self.path} was replaced or changed while it was read; load the model again"
            )
        return raw


def is_finite(tensor: NDArray[np.float32]) -> bool:
    """Whether no number is infinite or NaN."""
    # Both survive a sum, which is faster than a look at each number; a sum may also overflow by itself.
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.add.reduce(tensor, axis=None)) or np.isfinite(tensor).all())


def not_finite(what: str) -> ModelFormatError:
    """The error for weights of which no vector could be computed."""
    return ModelFormatError(
        f"{what} holds NaN or infinite numbers, of which only NaN vectors could be made: its training diverged or the "
        "file is damaged. Use an earlier checkpoint, or train again with a lower learning rate"
    )


def _checked(name: str, entry: Any) -> int:
    """The end of a tensor's bytes, once its header entry has the right form."""
    first, last = entry["data_offsets"]
    numbers = [first, last, *entry["shape"]]
    if not all(type(number) is int and number >= 0 for number in numbers) or first > last:
        raise ValueError(f"tensor {name!r} has shape {entry['shape']} at {first}:{last}")
    if not isinstance(entry["dtype"], str):
        raise ValueError(f"tensor {name!r} has the type {entry['dtype']!r}")
    return int(last)


class Weights:
    """All tensors of a folder under their names, whatever the file layout and the prefix.

    Args:
        readers: name -> a function that gives the array.
        folder: named in errors.
        shapes: name -> shape, of those that are known without reading.
    """

    def __init__(
        self,
        readers: Mapping[str, Callable[[], NDArray[Any]]],
        folder: Path,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        self.folder = folder
        self._readers = dict(readers)
        self._shapes = dict(shapes or {})

    @classmethod
    def open(cls, folder: Path, stem: str = "model") -> Weights:
        """Find and map the weights of ``folder``: ``model.safetensors`` or ``pytorch_model.bin``, whole or in shards.

        Raises:
            ModelFormatError: there are no weights, a shard is missing, or a file is damaged.
            MissingExtraError: only ``pytorch_model.bin`` is there, and torch is not installed.
        """
        single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
        if single.is_file():
            return cls._of([single], folder)
        if index.is_file():
            return cls._of(_shards(index), folder)
        if (folder / "pytorch_model.bin").is_file():
            arrays = read_checkpoint(folder / "pytorch_model.bin")
            return cls({_modern(name): partial(np.asarray, array) for name, array in arrays.items()}, folder)
        if (folder / _TORCH_INDEX).is_file():
            arrays = {}
            for shard in _shards(folder / _TORCH_INDEX):
                arrays |= read_checkpoint(shard)
            return cls({_modern(name): partial(np.asarray, array) for name, array in arrays.items()}, folder)
        raise ModelFormatError(f"{folder}: no weights ({stem}.safetensors, its shards or pytorch_model.bin)")

    @classmethod
    def _of(cls, files: Iterable[Path], folder: Path) -> Weights:
        readers: dict[str, Callable[[], NDArray[Any]]] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        for path in files:
            file = SafetensorsFile(path)
            for name, entry in file.header.items():
                readers[_modern(name)] = partial(file.read, name)
                shapes[_modern(name)] = tuple(entry["shape"])
        return cls(readers, folder, shapes)

    @staticmethod
    def needs_torch(folder: Path, stem: str = "model") -> bool:
        """Whether the only weights of ``folder`` are in torch's own format."""
        safe = (f"{stem}.safetensors", f"{stem}.safetensors.index.json")
        pickled = ("pytorch_model.bin", _TORCH_INDEX)
        return any((folder / name).is_file() for name in pickled) and not any(
            (folder / name).is_file() for name in safe
        )

    def without_prefix(self, probe: str, prefixes: Iterable[str]) -> Weights:
        """The same tensors with the first of ``prefixes`` taken off under which ``probe`` is found.

        Models saved from a task head call ``embeddings...`` ``bert.embeddings...``; names without the
        prefix (the head's own) stay as they are.

        Raises:
            ModelFormatError: ``probe`` is under none of them.
        """
        for prefix in ("", *prefixes):
            if prefix + probe in self._readers:
                return Weights(
                    {name.removeprefix(prefix): reader for name, reader in self._readers.items()},
                    self.folder,
                    {name.removeprefix(prefix): shape for name, shape in self._shapes.items()},
                )
        raise ModelFormatError(
            f"{self.folder}: the weights hold no {probe!r}; they do not belong to this config.json's architecture"
        )

    def __contains__(self, name: str) -> bool:
        return name in self._readers

    def names(self) -> list[str]:
        """All tensor names."""
        return list(self._readers)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, read from the file's header where it has one.

        Raises:
            ModelFormatError: there is no such tensor.
        """
        found = self._shapes.get(name)
        return tuple(self[name].shape) if found is None else found

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._readers:
            raise ModelFormatError(
                f"{self.folder}: the tensor {name!r} is missing; the weights do not belong to config.json"
            )
        return self._readers[name]()


def _modern(name: str) -> str:
    """Checkpoints converted from TensorFlow call scale and shift of a LayerNorm gamma and beta."""
    if name.endswith("LayerNorm.gamma"):
        return name[: -len("gamma")] + "weight"
    if name.endswith("LayerNorm.beta"):
        return name[: -len("beta")] + "bias"
    return name


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        if not all(isinstance(name, str) and name for name in names):
            raise ValueError("weight_map must map tensors to file names")
    except (ValueError, KeyError, AttributeError, TypeError, OSError) as error:
        raise ModelFormatError(f"{index}: not a valid index of shards ({error})") from error
    for name in names:
        if Path(name).name != name:
            raise ModelFormatError(f"{index}: the shard path {name!r} leaves the model folder")
        if not (index.parent / name).is_file():
            raise ModelFormatError(f"{index.parent}: the shard {name} is missing; download the model again")
    return [index.parent / name for name in names]


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """Read ``pytorch_model.bin`` as float32 arrays; nothing but tensors is ever unpickled.

    Raises:
        MissingExtraError: torch is not installed.
        ModelFormatError: the file is damaged, or holds more than tensors.
    """
    torch = require_torch(f"{path.name}, the only weights of {path.parent},")
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelFormatError(
            f"{path}: cannot be read as weights ({reason}); download the model again, in safetensors if it is there"
        ) from error
    if not isinstance(tensors, dict) or not all(isinstance(each, torch.Tensor) for each in tensors.values()):
        raise ModelFormatError(f"{path}: holds no tensors by name; a state_dict is expected")
    return {
        name: (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        for name, tensor in tensors.items()
    }
