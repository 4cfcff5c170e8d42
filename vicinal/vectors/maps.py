"""Vectors on a plane, and the picture of it: labels that do not cover each other, colours that all eyes tell apart."""

from __future__ import annotations

import warnings
from importlib import import_module
from os import PathLike
from typing import Any, Literal, cast

import numpy as np

from vicinal.core.arrays import Embeddings, Matrix, as_floats, check_finite, product
from vicinal.core.visible import visible
from vicinal.errors import InputError, missing_extra
from vicinal.vectors.axes import principal_axes
from vicinal.vectors.clustering import cluster_numbers
from vicinal.vectors.label_places import place_labels
from vicinal.vectors.layout import neighbour_map
from vicinal.vectors.rows import scaled_rows

Projection = Literal["tsne", "neighbours", "pca"]

#: Colours for clusters, searched for the greatest least difference (CIE L*a*b*) to ordinary eyes, and to eyes without
#: red, green or blue receptors.
COLOURS = ("#005aa5", "#e14b0f", "#00e178", "#4b0fb4", "#e1c300", "#961e4b", "#ff96ff", "#4b3c00")
#: Shapes of the points, for when the colours come round again.
SHAPES = ("o", "s", "^", "D", "v", "P")
GREY = "#b8b8b8"

_DPI = 150
_DIMENSIONS = 50
_NEIGHBOURS = 5
# Of the width of the map.
_JITTER = 0.003


def project(
    embeddings: Embeddings, method: Projection = "tsne", seed: int = 0, *, exact: int = 3_000
) -> Matrix:
    """The rows on a plane.

    Args:
        embeddings: (n, dim).
        method: ``"tsne"`` keeps neighbours together (van der Maaten and Hinton, 2008; scikit-learn's), by the
            direction of the vectors. ``"neighbours"`` does so too, needs no scikit-learn and is faster
            (:func:`vicinal.vectors.layout.neighbour_map`). ``"pca"`` is :func:`flat_map`: fastest, and groups
            lie over each other.
        seed: the same seed gives the same map.
        exact: of more rows than this, so many are placed by t-SNE, and the others between the nearest of these.

    Returns:
        (n, 2) in the type to compute in.

    Raises:
        InputError: an unknown method, ``exact`` below 10, or a NaN or infinity (the row is named).
        MissingExtraError: scikit-learn is needed and not installed.
    """
    if method not in ("tsne", "neighbours", "pca"):
        raise InputError(f"method is {method!r}: choose 'tsne', 'neighbours' or 'pca'")
    if exact < 2 * _NEIGHBOURS:
        raise InputError(f"exact is {exact}: give {2 * _NEIGHBOURS} or more")
    rows = as_floats(embeddings)
    if method == "pca" or len(rows) < 5:
        return flat_map(rows)
    if method == "neighbours":
        return neighbour_map(rows, seed=seed).astype(rows.dtype)
    scaled, inverse = scaled_rows(rows, "embeddings")
    unit = scaled * inverse[:, np.newaxis]
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise missing_extra("sklearn", "a t-SNE map", "cluster") from error
    axes = principal_axes(unit, _DIMENSIONS)
    reduced = product(unit, axes).astype(np.float32)
    chosen = np.arange(len(rows))
    if len(rows) > exact:
        chosen = np.sort(np.random.default_rng(seed).choice(len(rows), exact, replace=False))
    core = reduced[chosen]
    start = core[:, :2] - core[:, :2].mean(axis=0)
    if start.shape[1] < 2:
        start = np.concatenate([start, np.zeros((len(start), 1), np.float32)], axis=1)
    # Equal rows begin at one place and would stay on each other for ever: a little noise parts them.
    start = start / max(float(start[:, 0].std()), 1e-12) * 1e-4
    start = start + np.random.default_rng(seed).normal(0, 1e-6, start.shape)
    fitted = TSNE(
        init=start.astype(np.float32),
        perplexity=min(30.0, (len(core) - 1) / 3),
        random_state=seed,
        learning_rate="auto",
    )
    # One thread: the same map on every machine, and threads that wait for each other cost more than they bring.
    with import_module("threadpoolctl").threadpool_limits(1):
        placed = fitted.fit_transform(core)
    points = np.empty((len(rows), 2), dtype=rows.dtype)
    points[chosen] = placed
    others = np.setdiff1d(np.arange(len(rows)), chosen)
    for at in range(0, len(others), 1024):
        block = others[at : at + 1024]
        points[block] = _between_neighbours(reduced[block], core, placed)
    # Rows with the same neighbours would cover each other, and could not be pointed at.
    width = float(np.ptp(placed, axis=0).max())
    points[others] += np.random.default_rng(seed).normal(0, _JITTER * width, (len(others), 2))
    return points


def _between_neighbours(rows: Matrix, core: Matrix, placed: Matrix) -> Matrix:
    """Places for rows by their nearest rows of the core: the median, which no far neighbour draws away."""
    distances = (core * core).sum(axis=1) - 2 * product(rows, core.T)
    nearest = np.argpartition(distances, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
    middle: Matrix = np.median(placed[nearest], axis=1)
    return middle


def flat_map(embeddings: Embeddings) -> Matrix:
    """The rows on a plane: their first two principal components.

    Args:
        embeddings: (n, dim).

    Returns:
        (n, 2) in the type to compute in. The signs are fixed, so the same rows give the same map.

    Raises:
        InputError: a NaN or infinity (the row is named), or numbers whose squares exceed their type.
    """
    rows = as_floats(embeddings)
    check_finite(rows, "embeddings")
    if not len(rows):
        return np.zeros((0, 2), dtype=rows.dtype)
    if np.abs(rows).max(initial=0) > np.sqrt(np.finfo(rows.dtype).max):
        raise InputError("embeddings hold numbers that are too large for a map: normalise them first")
    axes = principal_axes(rows, 2)
    points = product(rows, axes) - rows.mean(axis=0, dtype=np.float64) @ axes
    if points.shape[1] < 2:
        points = np.concatenate([points, np.zeros((len(rows), 2 - points.shape[1]))], axis=1)
    answer: Matrix = points.astype(rows.dtype)
    return answer


def middles(points: Embeddings, labels: Embeddings) -> dict[int, tuple[float, float]]:
    """For each cluster the member next to the median of its points: a label there lies on the cluster."""
    places = as_floats(points, "points")
    numbers = cluster_numbers(labels, len(places))
    found = {}
    for number in np.unique(numbers[numbers >= 0]).tolist():
        members = places[numbers == number]
        nearest = np.square(members - np.median(members, axis=0)).sum(axis=1).argmin()
        found[int(number)] = (float(members[nearest, 0]), float(members[nearest, 1]))
    return found


def colours_of(centres: dict[int, tuple[float, float]]) -> dict[int, int]:
    """A place in :data:`COLOURS` for each cluster: those of one colour lie as far from each other as can be."""
    chosen: dict[int, int] = {}
    for number, centre in centres.items():

        def room(colour: int, centre: tuple[float, float] = centre) -> tuple[float, int]:
            same = [centres[each] for each, taken in chosen.items() if taken == colour]
            nearest = min((np.hypot(centre[0] - x, centre[1] - y) for x, y in same), default=np.inf)
            return float(nearest), -colour

        chosen[number] = max(range(len(COLOURS)), key=room)
    return chosen


def shapes_of(colours: dict[int, int]) -> dict[int, int]:
    """A place in :data:`SHAPES` for each cluster: those of one colour differ in it, as long as there are shapes."""
    used = dict.fromkeys(colours.values(), 0)
    chosen = {}
    for number, colour in colours.items():
        chosen[number] = used[colour] % len(SHAPES)
        used[colour] += 1
    return chosen


def save_map(
    path: str | PathLike[str],
    points: Embeddings,
    labels: Embeddings,
    names: dict[int, str] | None = None,
    title: str | None = None,
    caption: str | None = None,
) -> None:
    """Draw points on a plane, one colour and shape per cluster, into a picture file.

    Args:
        path: where to; its ending says the format (``.png``).
        points: (n, 2), of :func:`project`.
        labels: (n,) cluster numbers; -1 is grey.
        names: what to write at each cluster; its number if None. Of more clusters than there is room for, the
            smaller ones show their number, or nothing.
        title: written above.
        caption: written below the title, smaller.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: not as many labels as points, or a point that is not finite.

    Warns:
        UserWarning: the fonts at hand have no letters for a name.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure  # the figure itself, not pyplot: no window, no global state
    except ImportError as error:
        raise missing_extra("matplotlib", "save_map()", "cluster") from error
    places = as_floats(points, "points")
    check_finite(places, "points")
    numbers = cluster_numbers(labels, len(places))
    # One resolution from the start: letters are a little wider or narrower at another, and labels are measured.
    figure = Figure(figsize=(12, 9), dpi=_DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    # Margins of our own: an automatic layout makes room for the names as if they stood outside the points.
    top = 0.98 - (0.045 if title else 0) - (0.03 if caption else 0)
    axes = figure.add_axes((0.02, 0.02, 0.96, top - 0.02))
    axes.set_axis_off()
    axes.margins(0.06)
    size = float(np.clip(30_000 / max(1, len(places)), 5, 40))
    none = numbers < 0
    axes.scatter(places[none, 0], places[none, 1], s=size * 0.7, c=GREY, linewidths=0, alpha=0.6)
    centres = middles(places, numbers)
    colours = colours_of(centres)
    shapes = shapes_of(colours)
    for number in centres:
        members = places[numbers == number]
        axes.scatter(
            members[:, 0],
            members[:, 1],
            s=size,
            c=COLOURS[colours[number]],
            marker=SHAPES[shapes[number]],
            linewidths=0,
            alpha=0.75,
        )
    fonts = _fonts()
    if title:
        figure.text(
            0.5, 0.985, visible(title), ha="center", va="top", fontsize=15, parse_math=False, fontfamily=fonts
        )
    if caption:
        below = 0.985 - (0.042 if title else 0)
        figure.text(
            0.5,
            below,
            visible(caption),
            ha="center",
            va="top",
            fontsize=10,
            color="0.35",
            parse_math=False,
            fontfamily=fonts,
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _label(axes, canvas, centres, colours, numbers, names, fonts)
        figure.savefig(path, dpi=_DPI)
    if any("missing from" in str(warning.message) for warning in caught):
        warnings.warn(
            "the fonts of this machine lack letters of some names, which are boxes on the map: install a font that "
            "has them, or write the map as .html",
            UserWarning,
            stacklevel=2,
        )


def _label(
    axes: Any,
    canvas: Any,
    centres: dict[int, tuple[float, float]],
    colours: dict[int, int],
    numbers: Matrix,
    names: dict[int, str] | None,
    fonts: list[str],
) -> None:
    """Write the names where there is room, the largest clusters first, with a line from a name that had to move."""
    renderer = canvas.get_renderer()
    axes.apply_aspect()
    sizes = {number: int((numbers == number).sum()) for number in centres}
    order = sorted(centres, key=lambda number: (-sizes[number], number))
    style: dict[str, Any] = {
        "ha": "center",
        "va": "center",
        "fontsize": 9 if len(order) <= 40 else 7.5,
        "parse_math": False,
        "fontfamily": fonts,
        "zorder": 5,
    }

    def box(number: int) -> dict[str, Any]:
        return {
            "boxstyle": "round,pad=0.25",
            "facecolor": "white",
            "edgecolor": COLOURS[colours[number]],
            "linewidth": 1.2,
            "alpha": 0.9,
        }

    def measured(text: str, number: int) -> tuple[float, float]:
        drawn = axes.text(0, 0, text, bbox=box(number), **style)
        extent = drawn.get_window_extent(renderer)
        drawn.remove()
        padding = 0.7 * drawn.get_fontsize() * axes.figure.dpi / 72
        return extent.width + padding, extent.height + padding

    texts = {
        number: visible(str(number) if names is None else names.get(number, str(number))) for number in order
    }
    anchors = [tuple(axes.transData.transform(centres[number])) for number in order]
    frame = axes.get_window_extent(renderer)
    found = place_labels(
        anchors,
        [[measured(texts[number], number), measured(str(number), number)] for number in order],
        (frame.x0, frame.y0, frame.x1, frame.y1),
    )
    back = axes.transData.inverted()
    for number, anchor, place in zip(order, anchors, found, strict=True):
        if place is None:
            continue
        x, y = back.transform((place.x, place.y))
        if np.hypot(place.x - anchor[0], place.y - anchor[1]) > 0.03 * _DPI:
            start = centres[number]
            axes.plot([start[0], x], [start[1], y], color=COLOURS[colours[number]], linewidth=1, zorder=4)
            axes.plot(
                *start, "o", color=COLOURS[colours[number]], markersize=4, markeredgecolor="white", zorder=4
            )
        axes.text(x, y, texts[number] if place.choice == 0 else str(number), bbox=box(number), **style)


def _fonts() -> list[str]:
    """Fonts in which a letter is looked for one after the other; those for many scripts where they are installed."""
    from matplotlib import font_manager

    there = {font.name for font in font_manager.fontManager.ttflist}
    wanted = (
        "DejaVu Sans",
        "Noto Sans",
        "Noto Sans CJK JP",
        "Noto Sans CJK SC",
        "Noto Sans Arabic",
        "Noto Sans Hebrew",
        "Noto Sans Devanagari",
        "Noto Sans Thai",
        "Hiragino Sans",
        "PingFang SC",
        "Microsoft YaHei",
        "Yu Gothic",
        "Malgun Gothic",
        "Arial Unicode MS",
        "WenQuanYi Zen Hei",
        "Noto Emoji",
    )
    return cast("list[str]", [name for name in wanted if name in there])
