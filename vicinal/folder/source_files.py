"""The files that a loaded model still needs: whether they are those that it was loaded from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from vicinal.core.file_state import FileState
from vicinal.errors import ModelFormatError

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model.bin.index.json")
_GRAPHS = ("openvino/*", "onnx/*", "openvino_model*", "*.onnx*")
_TOKENIZER = ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "*.model")


class SourceFiles:
    """Weights, ready graphs and tokenizer of a folder, as they were when it was read.

    A model reads some of them when they are first needed, which may be long after it was loaded: for a second form of
    its graph, in another process, for its torch module, its fingerprint, or to save them elsewhere. A file that was
    replaced in the meantime would mix two models.

    Args:
        folder: whose files; those that are not there are not missed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.renew()

    def renew(self) -> None:
        """Take the files as they are now, after the model itself wrote them."""
        self._weights = _states(self.folder, _WEIGHTS)
        self._graphs = _states(self.folder, _GRAPHS)
        self._tokenizer = _states(self.folder, _TOKENIZER)

    def check(self, graph: Path | None = None, *, whole: bool = False) -> None:
        """Refuse to go on with files of another model.

        Args:
            graph: the ready graph that is needed, with what lies beside it; None for the weights.
            whole: whether all files are needed, those of the tokenizer and other graphs too.

        Raises:
            ModelFormatError: one was replaced, changed or removed; it is named.
        """
        needed: Iterable[FileState] = self._weights
        if whole:
            needed = (*self._weights, *self._graphs, *self._tokenizer)
        elif graph is not None:
            needed = (state for state in self._graphs if state.path.name.startswith(graph.stem))
        for state in needed:
            if not state.holds():
                raise ModelFormatError(
                    f"{state.path} was replaced, changed or removed after the model was loaded, which needs it now; "
                    "load the model again"
                )


def _states(folder: Path, patterns: Iterable[str]) -> tuple[FileState, ...]:
    return tuple(FileState.of(path) for path in _files(folder, patterns))


def _files(folder: Path, patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(path for path in folder.glob(pattern) if path.is_file())
