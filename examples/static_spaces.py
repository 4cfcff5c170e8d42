"""Vectors of a static model's texts: where a teacher's axes lie among them, and how evenly they spread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.distillation.row_steps import tokens_of
from vicinal.distillation.static_model import principal_axes
from vicinal.distillation.training import averages, unit
from vicinal.tokens.text import Ragged

Floats = NDArray[np.float32]


def projection(teacher: Floats, found: Floats) -> Floats:
    """``(384, width)``: takes the teacher's vectors to their principal axes (not centred), turned so that they lie as
    near as can be to ``found``, the vectors ``(n, width)`` that the rows give now (orthogonal Procrustes)."""
    axes = principal_axes(teacher, found.shape[1], centred=False)
    left, _, right = np.linalg.svd(((teacher @ axes).T @ found).astype(np.float64))
    turned: Floats = axes @ (left @ right).astype(np.float32)
    return turned


def more_alike(rows: Floats, texts: Ragged, share: float) -> Floats:
    """Rows whose averages spread more evenly: principal axes are divided by their variance to the power ``share / 2``.

    A share of 1 is whitening (Su et al. 2021); a small one takes weight from what most texts have in common.
    """
    found = unit(averages(rows, texts))
    variances, axes = np.linalg.eigh((found.T @ found).astype(np.float64) / len(found))
    changed: Floats = (rows @ ((axes * variances ** (-share / 2)) @ axes.T)).astype(np.float32)
    return changed


def part_of(texts: Ragged, places: NDArray[Any]) -> Ragged:
    """Some of the texts."""
    ids, lengths = tokens_of(texts, places)
    starts = np.zeros(len(places) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return Ragged(ids, starts, lengths.astype(np.int32))
