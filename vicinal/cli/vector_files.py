"""What ``vicinal encode`` writes: the kind of file by the ending of its name; csv and tsv while they are made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vicinal.cli.files import NpyWriter, VectorWriter
from vicinal.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vicinal.models.sentence_transformer import SentenceTransformer

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


class TableWriter(VectorWriter):
    """Writes a line for each vector, without headings; every float32 is read back exactly.

    Args:
        path: the file, which may be there already, empty; the caller removes it if the work ends early.
        name: what the file will be called, for errors; its ending says whether it is a csv or a tsv.
    """

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path.open("w", encoding="ascii", newline="\n"), name)
        self._delimiter = _DELIMITERS[Path(name).suffix.lower()]

    def append(self, block: NDArray[np.float32]) -> None:
        """Add rows, ``(n, dim)``."""
        self.dimension = block.shape[1]
        self.rows += len(block)
        line = self._delimiter.join(["%.9g"] * self.dimension) + "\n"
        with self._named_errors():
            for row in block.tolist():
                self._file.write(line % tuple(row))

    def finish(self) -> None:
        """Write what is still in memory."""
        with self._named_errors():
            self._file.flush()


def writer_for(output: str) -> type[NpyWriter] | type[TableWriter]:
    """What writes the file of ``--output``, by the ending of its name.

    Raises:
        InputError: it promises a format that is not written.
    """
    ending = Path(output).suffix.lower()
    if ending in _DELIMITERS:
        return TableWriter
    if ending not in ("", ".npy"):
        raise InputError(
            f"--output {output}: vectors are not written as {ending}; give a name that ends in .npy, .csv or .tsv"
        )
    return NpyWriter


def check_dimensions(model: SentenceTransformer, kept: int | None) -> None:
    """More dimensions than the model gives cannot be kept.

    Raises:
        InputError: ``--truncate-dim`` asks for more.
    """
    with model.truncate_sentence_embeddings(None):
        there = model.get_embedding_dimension()
    if kept is not None and there is not None and kept > there:
        raise InputError(
            f"--truncate-dim {kept}: the model gives {there} dimensions; ask for as many or fewer"
        )
