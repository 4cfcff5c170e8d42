"""All pairs of rows of one matrix: a fast look at rounded rows finds candidates, exact scores settle them.

Only tiles on and above the diagonal are computed, in bfloat16 where that pays. The rounding is bounded, not
estimated (:func:`vicinal.vectors.rounding.error_of_products`). So whatever the look leaves out cannot belong to the
answer, and what it leaves in is scored again from the original rows: the result is that of exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from vicinal.core.arrays import Matrix
from vicinal.vectors.products import Products, spread
from vicinal.vectors.rounding import error_of_products, exact_products, rounded
from vicinal.vectors.rows import check_reach, longest, scaled_rows

R = TypeVar("R")

TILE_ROWS = 256
"""Rows of a tile: with 2,048 columns its scores take 2 MB."""

BLOCK_ROWS = 2048
"""Columns of a tile, at least."""


class RowPairs:
    """The rows of one matrix, ready to be compared with each other by cosine or dot product."""

    def __init__(self, rows: Matrix, name: str, *, cosine: bool, work: float | None = None) -> None:
        """Measure and round the rows.

        Args:
            rows: (n, dim) floats; kept by reference.
            name: what the caller called them.
            cosine: True for the cosine, False for the dot product.
            work: multiply-adds to come; all pairs above the diagonal if None.

        Raises:
            InputError: a NaN or infinity (the row is named).
        """
        self.rows, inverse = scaled_rows(rows, name)
        if not cosine:
            self.rows, inverse = rows, np.ones_like(inverse)
            length = longest(rows)
            check_reach(length, length, rows.dtype)
        self._inverse = inverse
        n, width = rows.shape
        self._work = n * n * width / 2 if work is None else work
        probe = Products(width, "bfloat16", work=self._work)
        self.threads = probe.threads
        self._bf16 = probe.fast
        self._rounded = rounded(self.rows, self._bf16, inverse)
        self.margin = error_of_products(self._rounded, self._rounded)
        """How far a tile's score may be from the exact one."""

    def __len__(self) -> int:
        return len(self.rows)

    def products(self) -> Products:
        """What multiplies this matrix's tiles; one for each thread."""
        return Products(self.rows.shape[1], "bfloat16" if self._bf16 else "float32", work=self._work)

    def tile(self, products: Products, a: slice | Matrix, b: slice | Matrix) -> Matrix:
        """Approximate scores of some rows with some others: off by ``margin`` at the most."""
        return products(self._rounded.rows[a], self._rounded.rows[b])

    def exact(self, i: Matrix, j: Matrix) -> Matrix:
        """The exact scores of row i[p] with row j[p], for every p."""
        return exact_products(self.rows, i, self.rows, j) * self._inverse[i] * self._inverse[j]

    def sweep(
        self, look: Callable[[Matrix, int, int, bool], R], least: int = 1
    ) -> Iterator[tuple[list[R], bool, bool]]:
        """Look at every tile on and above the diagonal.

        The blocks of the diagonal come first, then those beside it, and so on, so that every row meets some
        of the others early; a few blocks are in flight at once, and their results come together.

        Args:
            look: gets (scores, first row, first column, on the diagonal); the scores are only lent.
            least: columns that a tile has at least (fewer at the end).

        Yields:
            the results of the tiles of a few blocks, whether those lie on the diagonal, and whether the
            blocks beside each other along it are all done.
        """
        block = max(BLOCK_ROWS, -(-least // TILE_ROWS) * TILE_ROWS)
        count = -(-len(self) // block)

        def visit(tasks: list[tuple[int, int]]) -> list[R]:
            products = self.products()
            results = []
            for i, j in tasks:
                columns = slice(j * block, min((j + 1) * block, len(self)))
                for at in range(i * block, min((i + 1) * block, len(self)), TILE_ROWS):
                    rows = slice(at, min(at + TILE_ROWS, (i + 1) * block, len(self)))
                    results.append(look(self.tile(products, rows, columns), at, columns.start, i == j))
            return results

        for offset in range(count):
            tasks = [(i, i + offset) for i in range(count - offset)]
            held = 2 * self.threads  # blocks whose results are held at once
            for at in range(0, len(tasks), held):
                some = tasks[at : at + held]
                split = [some[k :: self.threads] for k in range(self.threads)]
                found = list(spread(visit, [s for s in split if s], self.threads))
                results = [result for part in found for result in part]
                yield results, offset == 0, at + held >= len(tasks)
