"""While an accelerator computes, the CPU splits the next texts and finishes the last ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vicinal.models.forward import Forward

if TYPE_CHECKING:
    from concurrent.futures import Future

# Texts of the first window, for which the accelerator has to wait; each further one has twice as many.
AHEAD_FROM = 4096


def windows(count: int, largest: int) -> Iterator[slice]:
    """Parts of texts that are tokenised together: few at first, then more and more."""
    start, size = 0, min(AHEAD_FROM, largest)
    while start < count:
        yield slice(start, min(start + size, count))
        start, size = start + size, min(2 * size, largest)


def fill_ahead(
    forward: Forward,
    texts: list[str],
    rows: NDArray[np.float32],
    largest: int,
    finish: Callable[[NDArray[np.float32], int], None],
    progress: Callable[[int], None] | None = None,
    first: int = 0,
) -> None:
    """Write each text's vector to its row, and finish all of them.

    The results, and which error comes first, are those of one window after the other.

    Args:
        forward: computes, on an accelerator.
        texts: n texts.
        rows: (n, dim).
        largest: texts that are tokenised together at most.
        finish: called with the rows of some texts and the place of the first; raises where they are wrong.
        progress: called with the number of texts that were just computed.
        first: the number of the first text, for errors.
    """
    from concurrent.futures import ThreadPoolExecutor

    parts = list(windows(len(texts), largest))
    finished: list[Future[None]] = []
    with ThreadPoolExecutor(1, "tokenise") as tokenise, ThreadPoolExecutor(1, "finish") as behind:
        try:
            split = tokenise.submit(forward.tokenized, texts[parts[0]], first)
            for number, part in enumerate(parts):
                ragged = split.result()
                if number + 1 < len(parts):
                    following = parts[number + 1]
                    split = tokenise.submit(forward.tokenized, texts[following], first + following.start)
                forward.compute(ragged, rows[part], progress)
                finished.append(behind.submit(finish, rows[part], part.start))
        except Exception:
            _check(finished)  # an error of earlier texts comes first
            raise
    _check(finished)


def _check(finished: list[Future[None]]) -> None:
    for each in finished:
        each.result()
