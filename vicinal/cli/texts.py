"""From a FILE argument to lines and vectors."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from vicinal.cli.console import counted, say
from vicinal.cli.failures import stop_if_interrupted
from vicinal.errors import InputError, TruncationWarning
from vicinal.readers.lines import Line
from vicinal.readers.texts import as_format, read_texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vicinal.models.sentence_transformer import SentenceTransformer

# Texts encoded at a time: enough to sort by length, few enough for the progress bar to move.
_BLOCK = 1024


def lines_of(file: str, field: str | None, format: str | None) -> Iterator[Line]:
    """The texts of a FILE argument; ``-`` is standard input."""
    known = as_format(format)
    if file != "-":
        return read_texts(file, field, known)
    if sys.stdin is None:
        raise InputError("standard input is closed: give a file")
    if sys.stdin.isatty():
        say("reading texts from the terminal, one per line; Ctrl-D ends", "note")
    return read_texts(sys.stdin.buffer, field, known)


def filled_lines_of(file: str, field: str | None, format: str | None) -> list[Line]:
    """The texts that are not blank; how many were left out is said.

    Raises:
        InputError: all are blank.
    """
    from vicinal.core.progress import waiting

    with waiting(f"reading {shown_name(file)}", 2.0):
        every = list(lines_of(file, field, format))
    filled = [line for line in every if line.text.strip()]
    if not filled:
        raise InputError(f"{shown_name(file)} holds no text, only blank lines")
    if len(filled) < len(every):
        say(f"{counted(len(every) - len(filled), 'blank text')} left out", "note")
    return filled


def count_lines(file: str, field: str | None, format: str | None) -> int | None:
    """How many texts a file holds, by reading it to its end, which also finds its errors early.

    None for what can be read only once.
    """
    path = Path(file)
    if file == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
        return None
    from vicinal.core.progress import waiting

    with waiting(f"reading {file}", 2.0):
        return sum(1 for _ in lines_of(file, field, format))


def shown_name(file: str) -> str:
    """A FILE argument in messages."""
    return "standard input" if file == "-" else file


def check_argument(text: str, name: str) -> str:
    """A text from the command line; UTF-8 in a locale that is not, is put right.

    Raises:
        InputError: the shell handed over bytes that are no text.
    """
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        return text
    raw = text.encode(sys.getfilesystemencoding(), "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} {raw.decode('utf-8', 'replace')!r} is not valid UTF-8") from error


def load_model(
    name: str, dtype: str = "auto", truncate_dim: int | None = None, pooling_mode: str | None = None
) -> SentenceTransformer:
    """The model of ``--model``."""
    from vicinal import SentenceTransformer
    from vicinal.core.progress import waiting

    with waiting(f"loading {name}"):
        return SentenceTransformer(name, dtype=dtype, truncate_dim=truncate_dim, pooling_mode=pooling_mode)


@dataclass
class Encoder:
    """Encodes lines block by block, and remembers what was too long for the model.

    Attributes:
        model: the model.
        prompt_name: as in ``encode``; so are the next two.
        batch_size: see there.
        normalize: see there.
        count: texts encoded so far.
    """

    model: SentenceTransformer
    prompt_name: str | None = None
    batch_size: int | None = None
    normalize: bool = False
    count: int = 0
    _cut: int = field(default=0, init=False)
    _limit: int = field(default=0, init=False)
    _longest: int = field(default=0, init=False)
    _first_cut: int = field(default=0, init=False)

    def blocks(self, lines: Iterable[Line], total: int | None) -> Iterator[NDArray[np.float32]]:
        """Yield ``(n, dim)`` blocks in order, under a progress bar on stderr."""
        from vicinal.core.progress import Meter

        source = iter(lines)
        with Meter("Encoding", total, lines=True) as meter:
            while block := list(islice(source, _BLOCK)):
                stop_if_interrupted()
                before = meter.done
                rows = self._encode(block, meter.add)
                self.count += len(block)
                meter.done = before + len(block)
                yield rows

    def all(self, lines: list[Line]) -> NDArray[np.float32]:
        """``(n, dim)`` for lines that are in memory; too long ones are reported."""
        import numpy as np

        rows = np.concatenate(list(self.blocks(lines, len(lines))))
        self.report()
        return rows

    def _encode(self, block: list[Line], report: Callable[[int], None]) -> NDArray[np.float32]:
        from vicinal.core.progress import listening

        def finished(count: int) -> None:
            stop_if_interrupted()
            report(count)

        texts = [line.text for line in block]
        with listening(finished), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", TruncationWarning)
            rows: NDArray[np.float32] = self.model.encode(
                texts,
                self.prompt_name,
                batch_size=self.batch_size,
                show_progress_bar=False,
                normalize_embeddings=self.normalize,
            )
        for warning in caught:
            if isinstance(warning.message, TruncationWarning):
                self._note(warning.message, block)
            else:
                warnings.warn(warning.message, stacklevel=2)
        return rows

    def _note(self, cut: TruncationWarning, block: list[Line]) -> None:
        if not self._cut:
            self._first_cut = block[cut.first].number
        self._cut += cut.count
        self._longest = max(self._longest, cut.longest)
        self._limit = cut.limit

    def report(self) -> None:
        """Say once how many texts were longer than the model reads."""
        if self._cut:
            say(
                f"{counted(self._cut, 'text')} of {self.count:,} "
                f"{'was' if self._cut == 1 else 'were'} cut to the {self._limit} tokens that the "
                f"model reads (the longest has {self._longest:,}; the first is on line {self._first_cut:,})",
                "note",
            )
