"""The crowded regions of a map, coarse and fine: what a map is labelled by.

Points are counted on a grid and the counts are blurred. From each cell the way leads uphill to a peak; the cells
with the same peak are one small region (the mode-seeking idea of Fukunaga and Hostetler, 1975, on a grid). A wider
blur has fewer peaks, so one search for the blur gives as many regions as there is room for labels. Small regions are
joined to large ones by Ward's rule (1963), which joins what is near and has few points.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vicinal.core.arrays import Embeddings, as_floats, check_finite
from vicinal.core.inputs import as_count
from vicinal.errors import InputError

Ints = NDArray[np.int64]
Grid = NDArray[np.float64]

_CELLS = 160
# Cells, the standard deviations of the blurs that are tried.
_BLURS = (1.5, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0, 10.0, 12.5, 16.0, 20.0, 25.0, 32.0)
# Regions with a smaller share of the points, or fewer points, are not counted as such.
_LEAST_SHARE, _FEWEST = 0.002, 3


class Regions(NamedTuple):
    """Which regions the points lie in.

    Attributes:
        fine: (n,) numbers of small regions, 0 for the largest; -1 where too few points lie together.
        coarse: (n,) numbers of large regions; all points of a small one lie in the same large one.
    """

    fine: Ints
    coarse: Ints


def regions(points: Embeddings, *, fine: int = 60, coarse: int = 14) -> Regions:
    """The regions of a map.

    Args:
        points: (n, 2).
        fine: at most so many small regions.
        coarse: at most so many large ones.

    Returns:
        The regions of every point.

    Raises:
        InputError: points are no pairs, one is not finite, or a number is below 1.
    """
    places = as_floats(points, "points")
    check_finite(places, "points")
    if places.ndim != 2 or places.shape[1] != 2:
        raise InputError(f"points has shape {places.shape}: give (n, 2), places on a map")
    fine, coarse = as_count(fine, "fine"), as_count(coarse, "coarse")
    if not len(places):
        return Regions(np.empty(0, np.int64), np.empty(0, np.int64))
    cells = _cells(places)
    counts = np.bincount(cells, minlength=_CELLS * _CELLS).reshape(_CELLS, _CELLS).astype(np.float64)
    least = max(_FEWEST, int(_LEAST_SHARE * len(places)))
    peaks = _uphill(counts, cells, fine, least)
    small = _numbered(peaks[cells], least)
    return Regions(small, _joined(places, small, coarse))


def _cells(places: NDArray[np.floating]) -> Ints:
    """(n,) the cell of each point; the same scale on both axes, and a margin for the blur."""
    low, high = places.min(axis=0), places.max(axis=0)
    side = max(float((high - low).max()), 1e-12) * 1.1
    at = ((places - (low + high) / 2) / side + 0.5) * _CELLS
    inside = np.clip(at.astype(np.int64), 0, _CELLS - 1)
    numbers: Ints = inside[:, 1] * _CELLS + inside[:, 0]
    return numbers


def _uphill(counts: Grid, cells: Ints, most: int, least: int) -> Ints:
    """For each cell its peak under the least blur with at most ``most`` regions."""
    for width in _BLURS:
        peaks = _peaks(_blurred(counts, width))
        if int((np.bincount(peaks[cells]) >= least).sum()) <= most:
            break
    return peaks


def _blurred(counts: Grid, width: float) -> Grid:
    reach = int(3.5 * width) + 1
    bell = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / width))
    # A matrix that blurs rows does the columns as well.
    far = np.abs(np.arange(_CELLS)[:, np.newaxis] - np.arange(_CELLS))
    band = np.where(far <= reach, bell[np.minimum(far, reach) + reach], 0.0)
    blurred: Grid = band @ counts @ band.T
    return blurred


def _peaks(heights: Grid) -> Ints:
    """(cells,) where the way uphill from each cell ends."""
    padded = np.pad(heights, 1, constant_values=-1.0)
    numbers = np.pad(np.arange(heights.size).reshape(heights.shape), 1, constant_values=-1)
    best, to = heights.copy(), numbers[1:-1, 1:-1].copy()
    size = _CELLS
    for down in range(3):
        for right in range(3):
            other = padded[down : down + size, right : right + size]
            name = numbers[down : down + size, right : right + size]
            # Of equal heights the higher number counts as higher, so no way goes in a circle.
            higher = (other > best) | ((other == best) & (name > to))
            best, to = np.where(higher, other, best), np.where(higher, name, to)
    way: Ints = to.ravel()
    while True:
        further = way[way]
        if (further == way).all():
            return way
        way = further


def _numbered(names: Ints, least: int) -> Ints:
    """Regions by descending size, from 0; -1 for those that are too small."""
    values, sizes = np.unique(names, return_counts=True)
    order = np.lexsort((values, -sizes))
    order = order[sizes[order] >= least]
    number = np.full(int(names.max(initial=0)) + 1, -1, np.int64)
    number[values[order]] = np.arange(len(order))
    answer: Ints = number[names]
    return answer


def _joined(places: NDArray[np.floating], small: Ints, most: int) -> Ints:
    """Large regions, each of some small ones."""
    count = int(small.max(initial=-1)) + 1
    sizes = np.bincount(small[small >= 0], minlength=count).astype(np.float64)
    centres = np.stack(
        [np.bincount(small[small >= 0], axis[small >= 0], count) / sizes for axis in places.T], axis=1
    )
    home = np.arange(count)
    living = list(range(count))
    while len(living) > most:
        some, heavy = centres[living], sizes[living]
        cost = np.square(some[:, np.newaxis] - some).sum(axis=2)
        cost *= heavy[:, np.newaxis] * heavy / (heavy[:, np.newaxis] + heavy)
        np.fill_diagonal(cost, np.inf)
        one, other = (living[at] for at in np.unravel_index(cost.argmin(), cost.shape))
        total = sizes[one] + sizes[other]
        centres[one] = (centres[one] * sizes[one] + centres[other] * sizes[other]) / total
        sizes[one] = total
        home[home == other] = one
        living.remove(other)
    answer = np.full(len(small), -1, np.int64)
    members = small >= 0
    if members.any():
        answer[members] = _numbered(home[small[members]], 1)
    return answer
