"""Where results go: the batching loop hands every batch to a sink, which puts each text in its place.

A new kind of result is a new sink; the loop, its order and what it does when memory runs out stay the same.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.intp]


class Sink(Protocol):
    """Takes results in any order, each text exactly once."""

    def write(self, rows: Rows, values: Any, lengths: NDArray[np.int32]) -> None:
        """Keep the results of k texts.

        Args:
            rows: ``(k,)`` numbers of the texts.
            values: k results in the same order. Their memory may be reused afterwards, so they are copied.
            lengths: ``(k,)`` tokens of each text; what lies behind them in ``values`` is padding.
        """
        ...


class DenseRows:
    """One vector per text, written to its row of an array.

    Args:
        out: ``(n, k)`` float32; the first k numbers of each vector are kept.
    """

    def __init__(self, out: NDArray[np.float32]) -> None:
        self.out = out

    def write(self, rows: Rows, values: NDArray[np.float32], lengths: NDArray[np.int32]) -> None:
        """Keep ``values`` ``(k, width)``."""
        self.out[rows] = values[:, : self.out.shape[1]]


class TokenRows:
    """One array per text with a vector per token.

    Args:
        count: n, how many texts there are.

    Attributes:
        found: n arrays ``(length, width)`` float32; empty ones where nothing was written yet.
    """

    def __init__(self, count: int) -> None:
        self.found: list[NDArray[np.float32]] = [np.empty((0, 0), dtype=np.float32)] * count

    def write(self, rows: Rows, values: NDArray[np.float32], lengths: NDArray[np.int32]) -> None:
        """Keep ``values`` ``(k, length, width)`` without their padding."""
        for row, vectors, length in zip(rows.tolist(), values, lengths.tolist(), strict=True):
            self.found[row] = vectors[:length].copy()


class SparseRows:
    """One vector per text of which most numbers are 0, kept in compressed rows (CSR).

    Args:
        count: n, how many texts there are.
    """

    def __init__(self, count: int) -> None:
        self._columns: list[NDArray[np.int32]] = [np.empty(0, dtype=np.int32)] * count
        self._values: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * count

    def write(self, rows: Rows, values: NDArray[np.float32], lengths: NDArray[np.int32]) -> None:
        """Keep what is not 0 of ``values`` ``(k, width)``."""
        for row, vector in zip(rows.tolist(), values, strict=True):
            columns = np.flatnonzero(vector)
            self._columns[row], self._values[row] = columns.astype(np.int32), vector[columns]

    def csr(self) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
        """``(data, indices, indptr)`` as scipy names them: row i has ``indptr[i]:indptr[i + 1]`` of the first two."""
        starts = np.zeros(len(self._values) + 1, dtype=np.int64)
        np.cumsum([len(each) for each in self._values], out=starts[1:])
        if not self._values:
            return np.empty(0, dtype=np.float32), np.empty(0, dtype=np.int32), starts
        return np.concatenate(self._values), np.concatenate(self._columns), starts


class FeatureRows:
    """One dictionary per text: what the modules of a text engine made of it.

    Args:
        count: n, how many texts there are.

    Attributes:
        found: n dictionaries; empty ones where nothing was written yet.
    """

    def __init__(self, count: int) -> None:
        self.found: list[dict[str, Any]] = [{} for _ in range(count)]

    def write(self, rows: Rows, values: list[dict[str, Any]], lengths: NDArray[np.int32]) -> None:
        """Keep k dictionaries, whose arrays hold no padding."""
        for row, features in zip(rows.tolist(), values, strict=True):
            self.found[row] = features
