"""What an engine is: the one seam between the encode loop and whatever computes the vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vicinal.tokens.text import Ragged

Tag = TypeVar("Tag")


@dataclass(frozen=True)
class Batch:
    """Padded token ids of some texts.

    Attributes:
        input_ids: ``(n, length)`` int32, padded on the right.
        lengths: ``(n,)`` int32, tokens of each text; the rest of its row is padding.
        token_type_ids: ``(n, length)`` int32, or None where all are 0.
        prompt_length: how many leading tokens of each text pooling leaves out.
    """

    input_ids: NDArray[np.int32]
    lengths: NDArray[np.int32]
    token_type_ids: NDArray[np.int32] | None = None
    prompt_length: int = 0

    @property
    def attention_mask(self) -> NDArray[np.int32]:
        """``(n, length)`` int32: 1 for a token, 0 for padding."""
        positions = np.arange(self.input_ids.shape[1], dtype=np.int32)
        return (positions[None, :] < self.lengths[:, None]).astype(np.int32)


class Engine(Protocol):
    """Computes one float32 row a text.

    ``run`` may be called from several threads at once. ``dimension`` is the width of the rows.
    """

    @property
    def dimension(self) -> int:
        """Length of a sentence vector."""
        ...

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """``(n, dimension)`` float32 for a batch of n texts."""
        ...

    def run_many(self, batches: Iterable[tuple[Tag, Batch]]) -> Iterator[tuple[Tag, NDArray[np.float32]]]:
        """Yield ``(tag, rows)`` for each ``(tag, batch)``, in any order, using all cores."""
        ...

    def run_tokens(self, batch: Batch) -> NDArray[np.float32]:
        """``(n, length, hidden)`` float32: the vector of every token, before pooling."""
        ...


class RaggedEngine(Protocol):
    """An engine that needs no padding, and so no batches: it takes all texts as they are."""

    def run_ragged(
        self, ragged: Ragged, out: NDArray[np.float32], progress: Callable[[int], None] | None = None
    ) -> None:
        """Write the first numbers of each text's vector to its row of ``out``.

        Args:
            ragged: n texts.
            out: ``(n, k)`` float32.
            progress: called with the number of texts that were just finished.
        """
        ...


class TextEngine(Protocol):
    """An engine whose model splits texts itself, in ways that no token ids describe."""

    @property
    def limit(self) -> int | None:
        """Tokens of a text that count, None where nothing is cut."""
        ...

    def lengths(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        """``(n,)`` each: a measure of each text's work, and its tokens before truncation, None if not known."""
        ...

    def run_texts(self, texts: Sequence[str], prompt: str = "") -> NDArray[np.float32]:
        """``(n, dimension)`` float32 for a batch of n texts, each of which begins with ``prompt``."""
        ...

    def run_features(self, texts: Sequence[str], prompt: str = "") -> list[dict[str, Any]]:
        """What the modules made of each text: arrays by name, without padding."""
        ...


# isinstance() of a protocol would look at every member, for 10 microseconds each time.


def is_ragged_engine(engine: object) -> TypeGuard[RaggedEngine]:
    """Whether an engine takes all texts as they are."""
    return hasattr(engine, "run_ragged")


def is_text_engine(engine: object) -> TypeGuard[TextEngine]:
    """Whether an engine splits texts itself."""
    return hasattr(engine, "run_texts")
