"""Tensors of a folder's safetensors files, mapped into memory rather than read.

The format is little: 8 bytes of header length, a JSON header, then the raw tensors. Mapping it here
(instead of through a library that copies) lets float32 constants of a graph share the file's pages, and
gives bfloat16, which numpy does not have.

Format: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


class SafetensorsFile:
    """One memory-mapped safetensors file.

    Raises:
        ModelFormatError: the file is shorter or longer than its header says, or the header is not valid.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # copy-on-write: OpenVINO shares only memory that it could write to (and never does)
            self._bytes: NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="c")
            size = int(self._bytes[:8].view("<u8")[0])
            if size > min(_HEADER_LIMIT, len(self._bytes) - 8):
                raise ValueError("the header is longer than the file")
            header = json.loads(bytes(self._bytes[8 : 8 + size]))
            header.pop("__metadata__", None)
            self._start = 8 + size
            end = max((_checked(name, entry) for name, entry in header.items()), default=0)
            if self._start + end != len(self._bytes):
                raise ValueError(f"{len(self._bytes)} bytes instead of {self._start + end}")
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
        """One tensor; float types become float32 (a view of the file where they are float32 there)."""
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
        raw = self._bytes[self._start + first : self._start + last]
        if raw.ctypes.data % np.dtype(dtype).itemsize:
            raw = raw.copy()  # old writers did not align the data
        tensor: NDArray[Any] = raw.view(dtype).reshape(shape)
        if entry["dtype"] == "BF16":  # the upper half of a float32
            tensor = (tensor.astype(np.uint32) << np.uint32(16)).view(np.float32)
        elif tensor.dtype in (np.float16, np.float64):
            tensor = tensor.astype(np.float32)
        return tensor


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
    """

    def __init__(self, readers: Mapping[str, Callable[[], NDArray[Any]]], folder: Path) -> None:
        self.folder = folder
        self._readers = dict(readers)

    @classmethod
    def open(cls, folder: Path, stem: str = "model") -> Weights:
        """Find and map the weights of ``folder``: ``model.safetensors`` or ``pytorch_model.bin``, whole or in shards.

        Raises:
            ModelFormatError: there are no weights, a shard is missing, or a file is damaged.
            MissingExtraError: only ``pytorch_model.bin`` is there, and torch is not installed.
        """
        single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
        if single.is_file():
            return cls(_readers([single]), folder)
        if index.is_file():
            return cls(_readers(_shards(index)), folder)
        if (folder / "pytorch_model.bin").is_file():
            arrays = read_checkpoint(folder / "pytorch_model.bin")
            return cls({_modern(name): partial(np.asarray, array) for name, array in arrays.items()}, folder)
        if (folder / _TORCH_INDEX).is_file():
            arrays = {}
            for shard in _shards(folder / _TORCH_INDEX):
                arrays |= read_checkpoint(shard)
            return cls({_modern(name): partial(np.asarray, array) for name, array in arrays.items()}, folder)
        raise ModelFormatError(f"{folder}: no weights ({stem}.safetensors, its shards or pytorch_model.bin)")

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
                    {name.removeprefix(prefix): reader for name, reader in self._readers.items()}, self.folder
                )
        raise ModelFormatError(
            f"{self.folder}: the weights hold no {probe!r}; they do not belong to this config.json's architecture"
        )

    def __contains__(self, name: str) -> bool:
        return name in self._readers

    def names(self) -> list[str]:
        """All tensor names."""
        return list(self._readers)

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._readers:
            raise ModelFormatError(
                f"{self.folder}: the tensor {name!r} is missing; the weights do not belong to config.json"
            )
        return self._readers[name]()


def _readers(files: Iterable[Path]) -> dict[str, Callable[[], NDArray[Any]]]:
    readers: dict[str, Callable[[], NDArray[Any]]] = {}
    for path in files:
        file = SafetensorsFile(path)
        for name in file.header:
            readers[_modern(name)] = partial(file.read, name)
    return readers


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
