"""Group vectors, and say what the groups are about: keywords, central texts, a map.

The grouping itself is scikit-learn's (the extra ``vicinal[cluster]``); everything else needs numpy only,
except the picture of the map, which needs matplotlib from the same extra.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from os import PathLike
from typing import Any, Literal

import numpy as np

from vicinal.core.arrays import Embeddings, Matrix, as_array, as_floats, check_finite, like_inputs, product
from vicinal.core.inputs import as_integer, as_number, as_texts, at_least_one
from vicinal.errors import InputError, missing_extra
from vicinal.vectors.mining import community_detection
from vicinal.vectors.rows import scaled_rows

Method = Literal["kmeans", "agglomerative", "hdbscan", "communities"]

_METHODS = ("kmeans", "agglomerative", "hdbscan", "communities")
_WORD = re.compile(r"[^\W_][\w'+#-]*[\w+#]|[^\W\d_]")  # keeps "c++", "c#", "don't" and "end-to-end" whole


def cluster(
    embeddings: Embeddings,
    n_clusters: int | None = None,
    method: Method = "kmeans",
    *,
    threshold: float | None = None,
    min_cluster_size: int = 10,
    restarts: int = 3,
    seed: int = 0,
) -> Any:
    """A cluster number for each row, by the direction of the vectors (they are normalised here).

    Args:
        embeddings: (n, dim).
        n_clusters: how many; needed by ``"kmeans"``, and by ``"agglomerative"`` unless ``threshold`` is given.
            The other methods find the number themselves and refuse one.
        method: ``"kmeans"``: round clusters, fast. ``"agglomerative"``: average linkage of cosines; memory
            grows with the square of the rows. ``"hdbscan"``: dense regions (Campello et al., 2013).
            ``"communities"``: :func:`vicinal.vectors.mining.community_detection`, without scikit-learn.
        threshold: least cosine; of two clusters to be joined (agglomerative), or of a member to its centre
            (communities; 0.75 if None).
        min_cluster_size: fewest members (hdbscan and communities).
        restarts: k-means starts this often and keeps the best.
        seed: of k-means' random starts.

    Returns:
        (n,) integers in the type of the input; cluster 0 is the largest, -1 means no cluster.

    Raises:
        InputError: a number missing, superfluous or impossible, or a NaN or infinity (the row is named).
        MissingExtraError: scikit-learn is needed and not installed.
    """
    if not isinstance(method, str) or method not in _METHODS:
        raise InputError(f"method is {method!r}: choose one of {list(_METHODS)}")
    rows = as_floats(embeddings)
    n_clusters = None if n_clusters is None else as_integer(n_clusters, "n_clusters")
    threshold = None if threshold is None else as_number(threshold, "threshold")
    min_cluster_size, restarts = (
        as_integer(min_cluster_size, "min_cluster_size"),
        as_integer(restarts, "restarts"),
    )
    seed = as_integer(seed, "seed")
    _check_counts(len(rows), n_clusters, method, threshold, min_cluster_size, restarts, seed)
    scaled, inverse = scaled_rows(rows, "embeddings")
    if not len(rows):
        return like_inputs(np.empty(0, np.int64), embeddings)
    if method == "communities":
        labels = np.full(len(rows), -1, dtype=np.int64)
        for number, members in enumerate(
            community_detection(rows, 0.75 if threshold is None else threshold, min_cluster_size)
        ):
            labels[members] = number
        return like_inputs(labels, embeddings)
    unit = scaled * inverse[:, np.newaxis]
    try:
        from sklearn import cluster as library
    except ImportError as error:
        raise missing_extra("sklearn", f"cluster(method={method!r})", "cluster") from error
    if method == "kmeans":
        fitted = library.KMeans(n_clusters, n_init=restarts, random_state=seed)
    elif method == "agglomerative":
        fitted = library.AgglomerativeClustering(
            n_clusters,
            metric="cosine",
            linkage="average",
            distance_threshold=None if threshold is None else 1 - threshold,
        )
        # A row of zeros has no cosine; a direction of its own keeps it apart from the others.
        unit = _with_zero_rows_apart(unit) if (inverse == 0).any() else unit
    else:
        fitted = library.HDBSCAN(min_cluster_size=min_cluster_size, copy=True)
    if method == "hdbscan" and len(rows) < min_cluster_size:  # the library wants as many
        return like_inputs(np.full(len(rows), -1, dtype=np.int64), embeddings)
    if len(rows) == 1:  # here it wants two
        return like_inputs(np.array([0]), embeddings)
    return like_inputs(_largest_first(fitted.fit_predict(unit)), embeddings)


def _check_counts(
    n: int,
    n_clusters: int | None,
    method: str,
    threshold: float | None,
    smallest: int,
    restarts: int,
    seed: int,
) -> None:
    if method in ("hdbscan", "communities") and n_clusters is not None:
        raise InputError(f"n_clusters is {n_clusters}, but {method!r} finds the number itself: leave it out")
    if method == "kmeans" and (n_clusters is None or threshold is not None):
        raise InputError("'kmeans' needs n_clusters, and takes no threshold")
    if method == "agglomerative" and (n_clusters is None) == (threshold is None):
        raise InputError("'agglomerative' needs n_clusters or threshold, one of them")
    if n_clusters is not None and not 1 <= n_clusters <= max(n, 1):
        raise InputError(f"n_clusters is {n_clusters}: choose 1 to {n}, the number of rows")
    if smallest < (2 if method == "hdbscan" else 1) or restarts < 1:
        raise InputError(f"min_cluster_size is {smallest}, restarts {restarts}: both must be larger")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed is {seed}: give 0 to {2**32 - 1}")
    if threshold is not None and not -1 <= threshold <= 1:
        raise InputError(f"threshold is {threshold}: give a cosine, -1..1")


def _with_zero_rows_apart(unit: Matrix) -> Matrix:
    apart = (~unit.any(axis=1)).astype(unit.dtype)
    return np.concatenate([unit, apart[:, np.newaxis]], axis=1)


def _largest_first(labels: Matrix) -> Matrix:
    """The same clusters, numbered by descending size (then by first member)."""
    numbers, first, sizes = np.unique(labels[labels >= 0], return_index=True, return_counts=True)
    rank = np.full(int(labels.max(initial=-1)) + 2, -1, dtype=np.int64)  # the last entry serves label -1
    rank[numbers[np.lexsort((first, -sizes))]] = np.arange(len(numbers))
    renumbered: Matrix = rank[labels]
    return renumbered


def keywords(texts: Sequence[str], labels: Embeddings, top: int = 10) -> dict[int, list[tuple[str, float]]]:
    """The words that set each cluster apart: class-based tf-idf (Grootendorst, 2022, arXiv:2203.05794).

    A word weighs its share of the cluster's words times ``log(1 + words per cluster / its count anywhere)``.
    With four clusters or more, words that occur in over four fifths of them are left out, which takes the
    place of a list of stop words in any language.

    Args:
        texts: (n,) strings.
        labels: (n,) cluster numbers; -1 is no cluster and is left out.
        top: how many words for each.

    Returns:
        For each cluster number, ascending, ``(word, weight)``, best first (then alphabetically).

    Raises:
        InputError: not as many labels as texts, or ``top`` below 1.
    """
    texts, _ = as_texts(texts, "texts")
    numbers = _labels(labels, len(texts))
    top = at_least_one(top, "top")
    counts: dict[int, Counter[str]] = {int(c): Counter() for c in np.unique(numbers) if c >= 0}
    for text, number in zip(texts, numbers.tolist(), strict=True):
        if number >= 0:
            counts[number].update(_WORD.findall(text.lower()))
    overall: Counter[str] = Counter()
    spread: Counter[str] = Counter()
    for counted in counts.values():
        overall.update(counted)
        spread.update(counted.keys())
    mean = sum(overall.values()) / max(1, len(counts))
    limit = 0.8 * len(counts) if len(counts) >= 4 else len(counts)
    found = {}
    for number, counted in counts.items():
        total = sum(counted.values())
        weights = [
            (word, count / total * math.log1p(mean / overall[word]))
            for word, count in counted.items()
            if spread[word] <= limit
        ]
        found[number] = sorted(weights, key=lambda pair: (-pair[1], pair[0]))[:top]
    return found


def central_rows(embeddings: Embeddings, labels: Embeddings, top: int = 3) -> dict[int, list[int]]:
    """The rows nearest, by cosine, to the mean direction of their cluster.

    Args:
        embeddings: (n, dim).
        labels: (n,) cluster numbers; -1 is left out.
        top: how many rows for each.

    Returns:
        For each cluster number, ascending, row numbers, the most central first.

    Raises:
        InputError: not as many labels as rows, ``top`` below 1, or a NaN or infinity (the row is named).
    """
    rows = as_floats(embeddings)
    numbers = _labels(labels, len(rows))
    top = at_least_one(top, "top")
    scaled, inverse = scaled_rows(rows, "embeddings")
    found = {}
    for number in np.unique(numbers[numbers >= 0]).tolist():
        members = np.flatnonzero(numbers == number)
        unit = scaled[members] * inverse[members, np.newaxis]
        likeness = product(unit, unit.mean(axis=0))
        found[int(number)] = members[np.argsort(-likeness, kind="stable")[:top]].tolist()
    return found


def flat_map(embeddings: Embeddings) -> Matrix:
    """The rows on a plane: their first two principal components.

    Args:
        embeddings: (n, dim).

    Returns:
        (n, 2) in the type to compute in. The signs are fixed, so the same rows give the same map.

    Raises:
        InputError: a NaN or infinity (the row is named).
    """
    rows = as_floats(embeddings)
    check_finite(rows, "embeddings")
    if not len(rows):
        return np.zeros((0, 2), dtype=rows.dtype)
    # Squares and sums of them must stay within float64, and the points within the type of the rows.
    if np.abs(rows).max() > np.sqrt(np.finfo(rows.dtype).max):
        raise InputError("embeddings hold numbers that are too large for a map: normalise them first")
    mean = rows.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((rows.shape[1], rows.shape[1]))
    for at in range(0, len(rows), 4096):  # no centred copy of all rows
        block = rows[at : at + 4096] - mean
        covariance += product(block.T, block)
    axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :2]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])] < 0, -1.0, 1.0)
    points = product(rows, axes) - mean @ axes
    if points.shape[1] < 2:
        points = np.concatenate([points, np.zeros((len(rows), 2 - points.shape[1]))], axis=1)
    answer: Matrix = points.astype(rows.dtype)
    return answer


def save_map(
    path: str | PathLike[str],
    points: Embeddings,
    labels: Embeddings,
    names: dict[int, str] | None = None,
    title: str | None = None,
) -> None:
    """Draw the points of :func:`flat_map`, one colour a cluster, into a picture file.

    Args:
        path: where to; its ending says the format (``.png``).
        points: (n, 2).
        labels: (n,) cluster numbers; -1 is grey.
        names: what to write at the middle of each cluster; its number if None.
        title: written above.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: not as many labels as points.
    """
    try:
        from matplotlib.figure import Figure  # the figure itself, not pyplot: no window, no global state
    except ImportError as error:
        raise missing_extra("matplotlib", "save_map()", "cluster") from error
    places = as_floats(points, "points")
    numbers = _labels(labels, len(places))
    figure = Figure(figsize=(10, 8))
    # Margins of our own: an automatic layout makes room for the names as if they stood outside the points.
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.92 if title else 0.96))
    none = numbers < 0
    axes.scatter(places[none, 0], places[none, 1], s=4, c="0.8", linewidths=0)
    axes.scatter(places[~none, 0], places[~none, 1], s=6, c=numbers[~none] % 20, cmap="tab20", linewidths=0)
    for number in np.unique(numbers[~none]).tolist():
        x, y = np.median(places[numbers == number], axis=0)
        text = str(number) if names is None else names.get(number, str(number))
        box = {"boxstyle": "round", "facecolor": "white", "alpha": 0.7, "linewidth": 0}
        axes.text(x, y, text, ha="center", va="center", fontsize=8, bbox=box)
    axes.set_axis_off()
    if title:
        axes.set_title(title)
    figure.savefig(path, dpi=150)


def _labels(labels: Embeddings, n: int) -> Matrix:
    numbers = as_array(labels, "labels")
    if numbers.shape != (n,):
        raise InputError(f"labels has shape {numbers.shape}: give one number for each of the {n} rows")
    return numbers.astype(np.int64)
