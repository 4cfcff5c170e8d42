"""Hard negatives as rows: pairs read from a data set, and negatives written in one of four formats."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vicinal.core.arrays import Matrix
from vicinal.core.inputs import as_texts, shown
from vicinal.errors import InputError, InputTypeError

FORMATS = ("triplet", "n-tuple", "labeled-pair", "labeled-list")
"""What :func:`vicinal.util.mine_hard_negatives` gives."""


@dataclass(frozen=True)
class Pairs:
    """Anchors with their positives, as numbers into two lists of unique texts."""

    anchors: list[str]
    documents: list[str]
    """The corpus, then the positives that it lacks."""
    anchor: Matrix
    """(pairs,) numbers of anchors, ascending."""
    document: Matrix
    """(pairs,) numbers of positives; no pair comes twice."""
    most: int
    """Rows of the data set that the most frequent anchor has."""

    @classmethod
    def of(cls, anchors: list[str], positives: list[str], corpus: list[str]) -> Pairs:
        """Number the texts, each in the order in which it comes first."""
        documents = {
            text: number for number, text in enumerate(dict.fromkeys(itertools.chain(corpus, positives)))
        }
        groups: dict[str, dict[int, None]] = {}
        for anchor, positive in zip(anchors, positives, strict=True):
            groups.setdefault(anchor, {})[documents[positive]] = None
        counts = np.fromiter(map(len, groups.values()), np.int64, len(groups))
        numbers = itertools.chain.from_iterable(groups.values())
        return cls(
            list(groups),
            list(documents),
            np.repeat(np.arange(len(groups)), counts),
            np.fromiter(numbers, np.int64, int(counts.sum())),
            max(Counter(anchors).values()),
        )


@dataclass(frozen=True)
class Negatives:
    """What was chosen: for each anchor its negatives, best first.

    ``ids`` and ``scores`` are (anchors, wanted), of which the first ``counts`` (anchors,) of a row are filled.
    """

    ids: Matrix
    scores: Matrix
    counts: Matrix


class Source:
    """The rows that were given: a ``datasets.Dataset``, or a list of dicts."""

    def __init__(self, dataset: Any) -> None:
        """Look at what it is.

        Raises:
            InputTypeError: it is neither, or rows are no dicts.
            InputError: it is empty.
        """
        self._given = dataset
        self.is_list = isinstance(dataset, (list, tuple))
        if isinstance(dataset, Mapping):
            names = ", ".join(map(shown, list(dataset)[:4]))
            raise InputTypeError(
                f"dataset is a {type(dataset).__name__} of {names}: give one data set, as dataset['train'], or "
                "a list of dicts"
            )
        if not self.is_list and not (hasattr(dataset, "column_names") and hasattr(dataset, "__len__")):
            streamed = hasattr(dataset, "column_names")
            raise InputTypeError(
                f"dataset is {type(dataset).__name__}: give a datasets.Dataset"
                + (", which is not streamed" if streamed else "")
                + ", or a list of dicts such as {'anchor': ..., 'positive': ...}"
            )
        if not len(dataset):
            raise InputError("dataset is empty: give at least one row with an anchor and a positive")
        if self.is_list:
            for place, row in enumerate(dataset):
                if not isinstance(row, Mapping):
                    raise InputTypeError(
                        f"dataset[{place}] is {type(row).__name__}: give dicts such as "
                        "{'anchor': ..., 'positive': ...}"
                    )
        self.names: list[str] = list(dataset[0] if self.is_list else dataset.column_names)

    def columns(self, anchor: str | None, positive: str | None) -> tuple[str, str]:
        """The names of the two columns; those not named are the first and the second.

        Raises:
            InputError: there is no such column, or both are the same.
        """
        if len(self.names) < 2:
            raise InputError(
                f"dataset has the columns {self.names}: two are needed, of anchors and of positives"
            )
        chosen = (
            self.names[0] if anchor is None else anchor,
            self.names[1] if positive is None else positive,
        )
        for argument, name in zip(("anchor_column_name", "positive_column_name"), chosen, strict=True):
            if name not in self.names:
                raise InputError(
                    f"{argument}={shown(name)} is not a column of dataset, which has {self.names}"
                )
        if chosen[0] == chosen[1]:
            raise InputError(
                f"anchors and positives are both read from the column {chosen[0]!r} of {self.names}: name the "
                "other one too (anchor_column_name, positive_column_name)"
            )
        return chosen

    def texts(self, name: str) -> list[str]:
        """A column.

        Raises:
            InputTypeError: something in it is not a text; its row is named.
        """
        if self.is_list:
            for place, row in enumerate(self._given):
                if name not in row:
                    raise InputError(f"dataset[{place}] has no {name!r}, only {list(row)}")
            cells: Any = [row[name] for row in self._given]
        else:
            cells = self._given[name]
            # Going through a column of datasets 4 reads it piece by piece; a slice reads it at once.
            cells = cells if isinstance(cells, list) else cells[:]
        return as_texts(cells, f"dataset[{name!r}]")[0]

    def like(self, columns: Sequence[Column]) -> Any:
        """Columns in the form of the data set that was given.

        Raises:
            InputError: two columns have one name.
        """
        twice = [name for name, count in Counter(column.name for column in columns).items() if count > 1]
        if twice:
            raise InputError(
                f"the result would have two columns {twice[0]!r}: rename that column of dataset, or name another one"
            )
        if self.is_list:
            names = [column.name for column in columns]
            rows = zip(*(column.values for column in columns), strict=True)
            return [dict(zip(names, row, strict=True)) for row in rows]
        import datasets

        # Types are seen from the rows, faster than each is looked at; without rows there is nothing to see.
        features = None
        if not columns[0].values:
            features = datasets.Features({column.name: _feature(datasets, column.kind) for column in columns})
        return datasets.Dataset.from_dict(
            {column.name: column.values for column in columns}, features=features
        )


@dataclass(frozen=True)
class Column:
    """A column of the result."""

    name: str
    kind: Literal["string", "int64", "float64", "strings", "int64s", "float64s"]
    values: list[Any]


def _feature(datasets: Any, kind: str) -> Any:
    value = datasets.Value(kind.rstrip("s"))
    return datasets.Sequence(value) if kind.endswith("s") else value


def rows_of(
    pairs: Pairs,
    pair_scores: Matrix,
    negatives: Negatives,
    names: tuple[str, str],
    output_format: str,
    output_scores: bool,
) -> list[Column]:
    """The result in one of the formats.

    Args:
        pairs: the anchors and positives.
        pair_scores: (pairs,) scores of the positives.
        negatives: what was chosen.
        names: of the columns of anchors and of positives.
        output_format: one of :data:`FORMATS`.
        output_scores: add scores, or give them in place of labels.
    """
    layout = {
        "triplet": _triplets,
        "n-tuple": _tuples,
        "labeled-pair": _labelled_pairs,
        "labeled-list": _labelled_lists,
    }[output_format]
    return layout(pairs, pair_scores, negatives, names, output_scores)


def _texts(texts: list[str], numbers: Matrix) -> list[Any]:
    return [texts[number] for number in numbers.tolist()]


def _triplets(
    pairs: Pairs, pair_scores: Matrix, negatives: Negatives, names: tuple[str, str], scores: bool
) -> list[Column]:
    """A row for each pair and negative; an anchor without negatives has none."""
    pair, place = _each(negatives.counts[pairs.anchor])
    anchor = pairs.anchor[pair]
    columns = [
        Column(names[0], "string", _texts(pairs.anchors, anchor)),
        Column(names[1], "string", _texts(pairs.documents, pairs.document[pair])),
        Column("negative", "string", _texts(pairs.documents, negatives.ids[anchor, place])),
    ]
    if scores:
        both = np.stack([pair_scores[pair], negatives.scores[anchor, place]], axis=1)
        columns.append(Column("scores", "float64s", both.tolist()))
    return columns


def _tuples(
    pairs: Pairs, pair_scores: Matrix, negatives: Negatives, names: tuple[str, str], scores: bool
) -> list[Column]:
    """A row for each pair whose anchor has all the negatives that were wanted."""
    wanted = negatives.ids.shape[1]
    pair = np.flatnonzero(negatives.counts[pairs.anchor] == wanted)
    anchor = pairs.anchor[pair]
    columns = [
        Column(names[0], "string", _texts(pairs.anchors, anchor)),
        Column(names[1], "string", _texts(pairs.documents, pairs.document[pair])),
    ]
    for place in range(wanted):
        column = _texts(pairs.documents, negatives.ids[anchor, place])
        columns.append(Column(f"negative_{place + 1}", "string", column))
    if scores:
        each = np.concatenate([pair_scores[pair, np.newaxis], negatives.scores[anchor]], axis=1)
        columns.append(Column("scores", "float64s", each.tolist()))
    return columns


def _labelled_lists(
    pairs: Pairs, pair_scores: Matrix, negatives: Negatives, names: tuple[str, str], scores: bool
) -> list[Column]:
    """A row for each pair whose anchor has a negative: its positive and all negatives, with their labels."""
    counts = negatives.counts.tolist()
    pair = np.flatnonzero(negatives.counts[pairs.anchor])
    found = [
        [pairs.documents[i] for i in row[:n]] for row, n in zip(negatives.ids.tolist(), counts, strict=True)
    ]
    anchor = pairs.anchor[pair].tolist()
    positives = _texts(pairs.documents, pairs.document[pair])
    columns = [
        Column(names[0], "string", [pairs.anchors[a] for a in anchor]),
        Column(names[1], "strings", [[p, *found[a]] for a, p in zip(anchor, positives, strict=True)]),
    ]
    if scores:
        each = negatives.scores.tolist()
        values = zip(anchor, pair_scores[pair].tolist(), strict=True)
        columns.append(Column("scores", "float64s", [[s, *each[a][: counts[a]]] for a, s in values]))
    else:
        columns.append(Column("labels", "int64s", [[1] + [0] * counts[a] for a in anchor]))
    return columns


def _labelled_pairs(
    pairs: Pairs, pair_scores: Matrix, negatives: Negatives, names: tuple[str, str], scores: bool
) -> list[Column]:
    """For each anchor a row for each positive, then one for each negative."""
    found, place = _each(negatives.counts)
    anchor = np.concatenate([pairs.anchor, found])
    document = np.concatenate([pairs.document, negatives.ids[found, place]])
    score = np.concatenate([pair_scores, negatives.scores[found, place]])
    label = np.repeat([1, 0], [len(pairs.anchor), len(found)])
    order = np.argsort(anchor, kind="stable")
    return [
        Column(names[0], "string", _texts(pairs.anchors, anchor[order])),
        Column(names[1], "string", _texts(pairs.documents, document[order])),
        Column("score", "float64", score[order].tolist())
        if scores
        else Column("label", "int64", label[order].tolist()),
    ]


def _each(counts: Matrix) -> tuple[Matrix, Matrix]:
    """For each of ``counts[i]`` things of every i: i, and its place among them."""
    whose = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    return whose, np.arange(len(whose)) - starts[whose]
