"""Principal axes: the directions in which rows differ most."""

from __future__ import annotations

import numpy as np

from vicinal.core.arrays import Matrix, product


def principal_axes(rows: Matrix, count: int) -> Matrix:
    """(dim, count or fewer) directions of the greatest spread, in float64, each with its largest number positive."""
    mean = rows.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((rows.shape[1], rows.shape[1]))
    for at in range(0, len(rows), 4096):  # no centred copy of all rows
        block = rows[at : at + 4096] - mean
        covariance += product(block.T, block)
    axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :count]
    signed: Matrix = axes * np.where(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])] < 0, -1.0, 1.0)
    return signed
