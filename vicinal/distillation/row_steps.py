"""Steps of gradient descent on a table of which each batch of texts touches only some rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vicinal.engine.ragged_sums import ragged_sums
from vicinal.tokens.text import Ragged

Floats = NDArray[np.float32]


def tokens_of(texts: Ragged, numbers: NDArray[np.intp]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Ids of some texts, one text after the other, and their lengths."""
    lengths = texts.lengths_of(numbers)
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    places = np.repeat(texts.starts[numbers] - starts, lengths) + np.arange(int(lengths.sum()))
    return texts.ids[places], lengths


def gradient_of_rows(
    gradient: Floats, ids: NDArray[np.int32], lengths: NDArray[np.int32]
) -> tuple[NDArray[np.int32], Floats]:
    """The rows that texts use, ascending, and each one's gradient: the sum over the texts that it stands in.

    Args:
        gradient: ``(n, width)``, of the sum of each text's rows.
        ids: rows of the n texts, one text after the other.
        lengths: ``(n,)`` how many each has.
    """
    # Again sums over lists of rows, the other way round.
    owners = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    by_token = np.argsort(ids, kind="stable")
    used, firsts, uses = np.unique(ids[by_token], return_index=True, return_counts=True)
    return used, ragged_sums(gradient, owners[by_token], firsts.astype(np.int64), uses.astype(np.int32))


class Adam:
    """Adam (Kingma and Ba 2015) on some rows of a table at a time, with each row's own count of steps.

    Args:
        rows: ``(vocabulary, width)``, changed in place.
        learning_rate: in units of the rows' typical number.
    """

    def __init__(self, rows: Floats, learning_rate: float) -> None:
        self._rows = rows
        self._first, self._second = np.zeros_like(rows), np.zeros_like(rows)
        self._steps = np.zeros(len(rows), dtype=np.int64)
        self._rate = learning_rate * float(np.sqrt(np.mean(rows * rows)))

    def step(self, used: NDArray[np.int32], gradient: Floats, factor: float) -> None:
        """Change the rows ``used``, whose gradients are given, at ``factor`` times the learning rate."""
        self._steps[used] += 1
        steps = self._steps[used].astype(np.float32)[:, None]
        first = self._first[used]
        first += np.float32(0.1) * (gradient - first)
        second = self._second[used]
        second += np.float32(0.01) * (gradient * gradient - second)
        self._first[used], self._second[used] = first, second
        second /= 1.0 - np.power(np.float32(0.99), steps)
        np.sqrt(second, out=second)
        second += np.float32(1e-12)
        first /= 1.0 - np.power(np.float32(0.9), steps)
        first /= second
        first *= np.float32(self._rate * factor)
        self._rows[used] -= first
