"""Group vectors, and find the rows that stand for a group.

The grouping itself is scikit-learn's (the extra ``vicinal[cluster]``). What groups are about is in
:mod:`vicinal.vectors.keywords`, their map in :mod:`vicinal.vectors.maps`.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from vicinal.core.arrays import Embeddings, Matrix, as_array, as_floats, like_inputs, product
from vicinal.core.inputs import as_count, as_integer, as_number, check_choice, shown
from vicinal.errors import InputError, missing_extra
from vicinal.vectors.mining import community_detection
from vicinal.vectors.rows import scaled_rows

Method = Literal["kmeans", "agglomerative", "hdbscan", "communities"]

_METHODS = ("kmeans", "agglomerative", "hdbscan", "communities")


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
    check_choice(method, tuple(_METHODS), "method")
    if n_clusters is not None:
        n_clusters = as_integer(n_clusters, "n_clusters")
    if threshold is not None:
        threshold = as_number(threshold, "threshold", -1, 1, "a cosine, -1..1")
    min_cluster_size = as_count(min_cluster_size, "min_cluster_size", 2 if method == "hdbscan" else 1)
    restarts, seed = as_count(restarts, "restarts"), as_integer(seed, "seed")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed is {shown(seed)}: give 0 to 2**32 - 1")
    rows = as_floats(embeddings)
    _check_counts(len(rows), n_clusters, method, threshold)
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


def _check_counts(n: int, n_clusters: int | None, method: str, threshold: float | None) -> None:
    if method in ("hdbscan", "communities") and n_clusters is not None:
        raise InputError(f"n_clusters is {n_clusters}, but {method!r} finds the number itself: leave it out")
    if method == "kmeans" and (n_clusters is None or threshold is not None):
        raise InputError("'kmeans' needs n_clusters, and takes no threshold")
    if method == "agglomerative" and (n_clusters is None) == (threshold is None):
        raise InputError("'agglomerative' needs n_clusters or threshold, one of them")
    if n_clusters is not None and not 1 <= n_clusters <= max(n, 1):
        raise InputError(f"n_clusters is {n_clusters}: choose 1 to {n}, the number of rows")


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
    numbers = cluster_numbers(labels, len(rows))
    if top < 1:
        raise InputError(f"top is {top}: it must be 1 or more")
    scaled, inverse = scaled_rows(rows, "embeddings")
    found = {}
    for number in np.unique(numbers[numbers >= 0]).tolist():
        members = np.flatnonzero(numbers == number)
        unit = scaled[members] * inverse[members, np.newaxis]
        likeness = product(unit, unit.mean(axis=0))
        found[int(number)] = members[np.argsort(-likeness, kind="stable")[:top]].tolist()
    return found


def cluster_numbers(labels: Embeddings, n: int) -> Matrix:
    """(n,) whole numbers of clusters.

    Raises:
        InputError: not as many as rows.
    """
    numbers = as_array(labels, "labels")
    if numbers.shape != (n,):
        raise InputError(f"labels has shape {numbers.shape}: give one number for each of the {n} rows")
    return numbers.astype(np.int64)
