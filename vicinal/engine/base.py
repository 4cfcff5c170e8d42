"""What an engine is: the one seam between the encode loop and whatever computes the vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vicinal.engine.sinks import Sink
    from vicinal.tokens.text import Ragged

Tag = TypeVar("Tag")

#: What an engine is asked for: one vector per text, or the vector of every token before pooling.
Output: TypeAlias = Literal["sentence", "tokens"]
#: What a text engine is asked for: one vector per text, or all that its modules made of each text.
TextOutput: TypeAlias = Literal["sentence", "features"]


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
    """Computes float32 vectors of texts or of their tokens.

    ``run`` may be called from several threads at once. For the output ``"sentence"`` a batch of n texts gives
    ``(n, dimension)``, for ``"tokens"`` it gives ``(n, length, hidden)``, where rows behind a text's end mean
    nothing.
    """

    @property
    def dimension(self) -> int:
        """Length of a sentence vector."""
        ...

    def run(self, batch: Batch, output: Output = "sentence") -> NDArray[np.float32]:
        """The vectors of one batch."""
        ...

    def run_many(
        self, batches: Iterable[tuple[Tag, Batch]], output: Output = "sentence"
    ) -> Iterator[tuple[Tag, NDArray[np.float32]]]:
        """Yield ``(tag, vectors)`` for each ``(tag, batch)``, in any order, using all cores."""
        ...


class RaggedEngine(Protocol):
    """An engine that needs no padding for sentence vectors, and so no batches: it takes all texts as they are."""

    def run_ragged(self, ragged: Ragged, sink: Sink, progress: Callable[[int], None] | None = None) -> None:
        """Hand the vector of each text to ``sink``.

        Args:
            ragged: n texts.
            sink: takes ``(k, dimension)`` float32 at a time.
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

    def run_texts(self, texts: Sequence[str], prompt: str = "", output: TextOutput = "sentence") -> Any:
        """The results of a batch of n texts, each of which begins with ``prompt``.

        Returns:
            ``(n, dimension)`` float32 for ``"sentence"``; for ``"features"`` n dictionaries of arrays by name,
            without padding.
        """
        ...


# isinstance() of a protocol would look at every member, for 10 microseconds each time.


def is_ragged_engine(engine: object) -> TypeGuard[RaggedEngine]:
    """Whether an engine takes all texts as they are."""
    return hasattr(engine, "run_ragged")


def is_text_engine(engine: object) -> TypeGuard[TextEngine]:
    """Whether an engine splits texts itself."""
    return hasattr(engine, "run_texts")
