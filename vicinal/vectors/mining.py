"""Find the alike among many: paraphrase pairs and communities of near-duplicates.

Both compare all rows of one matrix, exactly, in tiles: memory grows with the rows and with what is found,
never with the number of pairs. See :mod:`vicinal.vectors.all_pairs` for how.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vicinal.core.arrays import Embeddings, Matrix, as_floats, on_accelerator
from vicinal.core.inputs import as_count, as_number, as_texts, check_flag
from vicinal.errors import InputTypeError
from vicinal.vectors.all_pairs import RowPairs
from vicinal.vectors.best_pairs import BestPairs
from vicinal.vectors.search import is_product, plain_function, semantic_search
from vicinal.vectors.similarity import SimilarityCallable, cos_sim, dot_score
from vicinal.vectors.topk import floor_of_best

# Pairs that community_detection remembers (8 bytes each); beyond, it computes neighbours a second time.
_REMEMBERED = 1 << 26


def paraphrase_mining(
    model: Any,
    sentences: Sequence[str],
    show_progress_bar: bool = False,
    batch_size: int = 32,
    query_chunk_size: int = 5000,
    corpus_chunk_size: int = 100_000,
    max_pairs: int = 500_000,
    top_k: int = 100,
    score_function: SimilarityCallable = cos_sim,
    truncate_dim: int | None = None,
    prompt_name: str | None = None,
    prompt: str | None = None,
) -> list[list[float | int]]:
    """Encode the sentences and find the pairs that mean the same; see :func:`paraphrase_mining_embeddings`.

    Args:
        model: anything with ``encode(list_of_sentences, ...)``.
        sentences: the texts; pairs refer to their positions.
        show_progress_bar: given to ``encode``.
        batch_size: given to ``encode``.
        query_chunk_size: see :func:`paraphrase_mining_embeddings`; so are the next four.
        corpus_chunk_size: see there.
        max_pairs: see there.
        top_k: see there.
        score_function: see there.
        truncate_dim: given to ``encode`` if not None, as are the next two.
        prompt_name: name of one of the model's prompts.
        prompt: text put before every sentence.

    Returns:
        ``[score, i, j]`` for each pair, best first.

    Raises:
        InputTypeError: one string instead of a list of them.
    """
    if isinstance(sentences, str):
        raise InputTypeError("sentences is one string: give a list of strings")
    sentences, _ = as_texts(sentences)
    as_count(top_k, "top_k"), as_count(max_pairs, "max_pairs")  # before the work of encoding
    is_product(score_function)
    options = {"truncate_dim": truncate_dim, "prompt_name": prompt_name, "prompt": prompt}
    given = {name: value for name, value in options.items() if value is not None}
    embeddings = model.encode(sentences, show_progress_bar=show_progress_bar, batch_size=batch_size, **given)
    return paraphrase_mining_embeddings(
        embeddings, query_chunk_size, corpus_chunk_size, max_pairs, top_k, score_function
    )


def paraphrase_mining_embeddings(
    embeddings: Embeddings,
    query_chunk_size: int = 5000,
    corpus_chunk_size: int = 100_000,
    max_pairs: int = 500_000,
    top_k: int = 100,
    score_function: SimilarityCallable = cos_sim,
) -> list[list[float | int]]:
    """The pairs of rows that score best.

    A pair counts if either row is among the ``top_k`` best of the other; of those pairs, the ``max_pairs``
    best are returned.

    Args:
        embeddings: (n, dim).
        query_chunk_size: how many rows a score function of your own gets at once on the left; ``cos_sim``
            and ``dot_score`` are computed in blocks that suit the processor instead.
        corpus_chunk_size: how many it gets on the right.
        max_pairs: the most pairs to return.
        top_k: how many others each row may be paired with by its own choice.
        score_function: takes (q, dim) and (r, dim), gives (q, r) scores, larger is better.

    Returns:
        ``[score, i, j]`` with i < j, by descending score, then i, then j. Each pair comes once.

    Raises:
        InputError: a number below 1, or a NaN or infinity (the row is named).
        InputTypeError: not numbers.
    """
    max_pairs, top_k = as_count(max_pairs, "max_pairs"), as_count(top_k, "top_k")
    query_chunk_size = as_count(query_chunk_size, "query_chunk_size")
    corpus_chunk_size = as_count(corpus_chunk_size, "corpus_chunk_size")
    known = is_product(score_function)
    if not known or on_accelerator(embeddings):
        return _mine_with(score_function, embeddings, query_chunk_size, corpus_chunk_size, max_pairs, top_k)
    rows = as_floats(embeddings)
    if len(rows) < 2:
        return []
    pairs = RowPairs(rows, "embeddings", cosine=plain_function(score_function) is not dot_score)
    best = BestPairs(pairs, top_k, max_pairs)
    margin = np.float32(2 * pairs.margin)

    def look(scores: Matrix, row: int, column: int, diagonal: bool) -> tuple[Matrix, Matrix]:
        """Pairs of a tile that may be among the best of their row or of their column."""
        high, width = scores.shape
        floors = best.floor[row : row + high] - margin
        if diagonal:  # the square holds each pair in both directions, and each row with itself
            floors = np.maximum(floors, floor_of_best(scores, top_k + 1) - margin)
            mask = scores > floors[:, np.newaxis]
        else:
            mask = scores > floors[:, np.newaxis]
            mask |= scores > best.floor[column : column + width] - margin
        hits = np.flatnonzero(mask)
        if len(hits) > 4 * (top_k + 1) * (high + width):
            hits = _best_of_tile(pairs, row, column, high, width, top_k, diagonal)
        i, j = np.divmod(hits, width)
        i, j = i + row, j + column
        if not diagonal:
            return i, j
        keep = i != j
        return i[keep], j[keep]

    # Tiles are wide enough for a row to find its top_k on the diagonal.
    for found, diagonal, ends in pairs.sweep(look, 4 * top_k):
        i, j = (np.concatenate(part) for part in zip(*found, strict=True))
        best.add(i, j, both=not diagonal, ends=ends)
    return best.result()


def _best_of_tile(
    pairs: RowPairs, row: int, column: int, high: int, width: int, top_k: int, diagonal: bool
) -> Matrix:
    """Of a tile where almost everything passes, the pairs that the exact best of its rows and columns need.

    Thousands of equal rows do that: no threshold tells their pairs apart. Sorting a tile takes long, but
    bounds what is collected.
    """
    i, j = np.divmod(np.arange(high * width), width)
    scores = pairs.exact(i + row, j + column).reshape(high, width)
    k = top_k + 1  # a row's best includes the row itself on the diagonal
    chosen = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(chosen, np.argsort(-scores, axis=1, kind="stable")[:, :k], True, axis=1)
    if not diagonal:
        np.put_along_axis(chosen, np.argsort(-scores, axis=0, kind="stable")[:top_k], True, axis=0)
    return np.flatnonzero(chosen)


def _mine_with(
    function: SimilarityCallable,
    embeddings: Embeddings,
    query_chunk_size: int,
    corpus_chunk_size: int,
    max_pairs: int,
    top_k: int,
) -> list[list[float | int]]:
    """Mine by any score function, which need not be symmetric: search every row among all rows."""
    hits = semantic_search(
        embeddings, embeddings, query_chunk_size, corpus_chunk_size, top_k + 1, score_function=function
    )
    scores: dict[tuple[int, int], float] = {}
    for i, found in enumerate(hits):
        others = [hit for hit in found if hit["corpus_id"] != i][:top_k]
        for hit in others:
            j = int(hit["corpus_id"])
            pair = (min(i, j), max(i, j))
            scores[pair] = max(float(hit["score"]), scores.get(pair, -np.inf))
    ordered = sorted((-score, i, j) for (i, j), score in scores.items())[:max_pairs]
    return [[-score, i, j] for score, i, j in ordered]


def community_detection(
    embeddings: Embeddings,
    threshold: float = 0.75,
    min_community_size: int = 10,
    batch_size: int = 1024,
    show_progress_bar: bool = False,
) -> list[list[int]]:
    """Groups of rows around a centre whose cosine to each member is at least the threshold.

    Every row is a possible centre, its community all rows within the threshold. Communities are taken from
    the largest to the smallest (the lower centre first where equal). A centre that was taken as a member
    before makes none; one that lost some members keeps the others, if they are still enough. A row belongs
    to one community or to none.

    Args:
        embeddings: (n, dim); cosines are compared, so their lengths do not matter.
        threshold: the least cosine to the centre, -1..1.
        min_community_size: the fewest members, the centre included.
        batch_size: how many centres' neighbours are computed at once where there are too many to remember.
        show_progress_bar: show how far the comparison is.

    Returns:
        Lists of row numbers, the largest first. In each the centre comes first, then the others by
        descending cosine to it.

    Raises:
        InputError: ``min_community_size`` or ``batch_size`` below 1, or a NaN or infinity (the row is named).
        InputTypeError: not numbers.
    """
    min_community_size = as_count(min_community_size, "min_community_size")
    batch_size = as_count(batch_size, "batch_size")
    threshold = as_number(threshold, "threshold", -sys.float_info.max, sys.float_info.max, "a cosine, -1..1")
    check_flag(show_progress_bar, "show_progress_bar")
    rows = as_floats(embeddings)
    if not len(rows):
        return []
    pairs = RowPairs(rows, "embeddings", cosine=True)
    degrees, links = _count_neighbours(pairs, threshold, show_progress_bar)
    centres = np.flatnonzero(degrees >= min_community_size)
    centres = centres[np.argsort(-degrees[centres], kind="stable")]
    free = np.ones(len(rows), dtype=bool)
    if links is None:
        neighbourhoods = _neighbours_again(pairs, threshold, centres, degrees, free, batch_size)
    else:
        neighbourhoods = _neighbours_of(links, centres, free)
    communities: list[tuple[int, Matrix]] = []
    for centre, members in neighbourhoods:
        members = members[free[members]]
        if len(members) >= min_community_size:
            free[members] = False
            communities.append((centre, members))
    communities.sort(key=lambda community: -len(community[1]))  # stable
    return [_by_likeness(pairs, centre, members) for centre, members in communities]


def _within(
    pairs: RowPairs, threshold: float, scores: Matrix, row: Matrix, column: Matrix
) -> tuple[Matrix, Matrix]:
    """The pairs of a tile whose exact score reaches the threshold, as positions in the tile."""
    width = scores.shape[1]
    hits = np.flatnonzero(scores >= threshold - pairs.margin)
    i, j = np.divmod(hits, width)
    unsure = np.flatnonzero(scores[i, j] <= threshold + pairs.margin)
    if len(unsure):
        wrong = pairs.exact(row[i[unsure]], column[j[unsure]]) < threshold
        keep = np.ones(len(hits), dtype=bool)
        keep[unsure[wrong]] = False
        i, j = i[keep], j[keep]
    return i, j


def _count_neighbours(
    pairs: RowPairs, threshold: float, show_progress_bar: bool
) -> tuple[Matrix, tuple[Matrix, Matrix] | None]:
    """How many rows reach the threshold with each (itself included), and which, if those can be held."""
    n = len(pairs)
    degrees = np.zeros(n, dtype=np.int64)
    held: list[tuple[Matrix, Matrix]] | None = []
    total = 0

    def look(scores: Matrix, row: int, column: int, diagonal: bool) -> tuple[Matrix, Matrix, int]:
        high, width = scores.shape
        i, j = _within(
            pairs, threshold, scores, np.arange(row, row + high), np.arange(column, column + width)
        )
        i, j = i + row, j + column
        if diagonal:
            keep = i <= j
            i, j = i[keep], j[keep]
        return i.astype(np.int32), j.astype(np.int32), high * width

    progress = None
    if show_progress_bar:
        from tqdm import tqdm

        progress = tqdm(total=n * n // 2, desc="Comparing", unit="pair", unit_scale=True)
    for found, _, _ in pairs.sweep(look):
        for i, j, looked in found:
            degrees += np.bincount(i, minlength=n)
            degrees += np.bincount(j[i != j], minlength=n)
            total += len(i)
            if held is not None:
                held.append((i, j))
            if progress is not None:
                progress.update(looked)
        if total > _REMEMBERED:
            held = None
    if progress is not None:
        progress.close()
    if held is None:
        return degrees, None
    empty = np.empty(0, dtype=np.int32)
    return degrees, (
        np.concatenate([empty, *(h[0] for h in held)]),
        np.concatenate([empty, *(h[1] for h in held)]),
    )


def _neighbours_of(
    links: tuple[Matrix, Matrix], centres: Matrix, free: Matrix
) -> Iterator[tuple[int, Matrix]]:
    """Each centre that is still free when its turn comes, and its neighbours, from the remembered pairs."""
    i, j = links
    apart = i != j
    left, right = np.concatenate([i, j[apart]]), np.concatenate([j, i[apart]])
    order = np.argsort(left)
    right = right[order]
    starts = np.searchsorted(left[order], np.arange(len(free) + 1))
    for centre in centres.tolist():
        if free[centre]:
            yield centre, right[starts[centre] : starts[centre + 1]]


def _neighbours_again(
    pairs: RowPairs, threshold: float, centres: Matrix, degrees: Matrix, free: Matrix, batch_size: int
) -> Iterator[tuple[int, Matrix]]:
    """The same, computed for as many free centres as fit at once."""
    products = pairs.products()
    while True:
        centres = centres[free[centres]]
        if not len(centres):
            return
        sizes = np.cumsum(degrees[centres[:batch_size]])
        batch = centres[: max(1, int(np.searchsorted(sizes, _REMEMBERED, side="right")))]
        centres = centres[len(batch) :]
        found: list[list[Matrix]] = [[] for _ in batch]
        for start in range(0, len(pairs), 4096):
            column = np.arange(start, min(start + 4096, len(pairs)))
            scores = pairs.tile(products, batch, slice(start, start + len(column)))
            i, j = _within(pairs, threshold, scores, batch, column)
            bounds = np.searchsorted(i, np.arange(len(batch) + 1))
            for k in np.flatnonzero(np.diff(bounds)).tolist():
                found[k].append(column[j[bounds[k] : bounds[k + 1]]])
        for centre, parts in zip(batch.tolist(), found, strict=True):
            if free[centre]:
                yield centre, np.concatenate([np.empty(0, np.int64), *parts])


def _by_likeness(pairs: RowPairs, centre: int, members: Matrix) -> list[int]:
    """The members by descending score with the centre, which comes first itself."""
    scores = pairs.exact(np.full(len(members), centre), members)
    scores[members == centre] = np.inf
    ordered: list[int] = members[np.lexsort((members, -scores))].tolist()
    return ordered
