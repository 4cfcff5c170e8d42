"""The maps that ``vicinal cluster --plot`` draws."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, cast

from vicinal.cli.console import counted
from vicinal.core.files import check_target, replacing
from vicinal.errors import InputError, missing_extra
from vicinal.readers.lines import Line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vicinal.vectors.maps import Projection as Method

# More clusters than this get two keywords each on the picture, in place of three.
_FEW_CLUSTERS = 25
_KINDS = (".png", ".html", ".htm")
# What captions call the projections.
_NAMES = {"tsne": "t-SNE", "neighbours": "neighbours kept together", "pca": "PCA"}


class Projection(str, Enum):
    """How vectors come onto a plane."""

    auto = "auto"
    tsne = "tsne"
    neighbours = "neighbours"
    pca = "pca"


@dataclass(frozen=True)
class Maps:
    """The files of ``--plot``, checked before any work is done.

    Attributes:
        targets: option value and place of each.
        projection: ``"tsne"``, ``"neighbours"`` or ``"pca"``.
    """

    targets: tuple[tuple[str, Path], ...]
    projection: str


def planned_maps(plots: Sequence[str], projection: Projection) -> Maps:
    """What is to be drawn.

    Raises:
        InputError: a name does not end in .png or .html, or its folder cannot be written.
        MissingExtraError: what draws it is not installed.
    """
    targets = []
    for plot in plots:
        targets.append((plot, check_target(plot, "--plot")))
        if not plot.lower().endswith(_KINDS):
            raise InputError(
                f"--plot {plot}: give a name that ends in .png (a picture) or .html (to point at)"
            )
        if plot.lower().endswith(".png") and importlib.util.find_spec("matplotlib") is None:
            raise missing_extra("matplotlib", f"--plot {plot}", "cluster")
    there = importlib.util.find_spec("sklearn") is not None
    if projection is Projection.tsne and not there:
        raise missing_extra("sklearn", "--projection tsne", "cluster")
    if projection is Projection.auto:
        projection = Projection.tsne if there else Projection.neighbours
    return Maps(tuple(targets), projection.value)


def draw_maps(
    maps: Maps,
    lines: Sequence[Line],
    rows: NDArray[np.float32],
    numbers: NDArray[np.int64],
    words: dict[int, list[str]],
    *,
    source: str,
    how: str,
    seed: int,
) -> None:
    """Draw all that is planned.

    Args:
        maps: what :func:`planned_maps` gave.
        lines: (n,) the texts.
        rows: (n, dim) their vectors.
        numbers: (n,) their clusters.
        words: the keywords of each cluster.
        source: what the texts come from, for the title.
        how: model and method, for the caption.
        seed: of the projection.
    """
    if not maps.targets:
        return
    from vicinal.vectors.map_page import save_page
    from vicinal.vectors.maps import project, save_map

    method = cast("Method", maps.projection)
    points = project(rows, method, seed)
    title = f"{counted(len(words), 'cluster')} of {counted(len(lines), 'text')} from {source}"
    outside = int((numbers < 0).sum())
    caption = f"{how}; {_NAMES[method]}" + (f"; grey: {outside:,} in no cluster" if outside else "")
    names = {
        number: f"{number}: {', '.join(each[:3])}" if each else str(number) for number, each in words.items()
    }
    for plot, target in maps.targets:
        with replacing(target) as scratch:
            if plot.lower().endswith(".png"):
                save_map(scratch, points, numbers, names, title, caption)
            else:
                save_page(
                    scratch,
                    points,
                    numbers,
                    [line.text for line in lines],
                    words,
                    title,
                    caption,
                    [line.number for line in lines],
                )
