"""Are the duplicates of a collection found among all its pairs?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from vicinal.core.inputs import explains_keywords
from vicinal.errors import InputError, InputTypeError
from vicinal.evaluation.base import Measured, VectorEvaluator
from vicinal.evaluation.checks import text_column
from vicinal.evaluation.metrics import average_precision, best_f1
from vicinal.vectors.mining import paraphrase_mining

_COLUMNS = ("precision", "recall", "f1", "threshold", "average_precision")


class ParaphraseMiningEvaluator(VectorEvaluator):
    """Mining of the most similar pairs of a collection, against the pairs known to be duplicates.

    The metrics are ``average_precision`` (the primary one), and ``f1``, ``precision``, ``recall`` and
    ``threshold`` of the threshold on the cosine with the highest F1. Duplicates that were not mined count as
    missed.

    Args:
        sentences_map: id -> text.
        duplicates_list: pairs of ids.
        duplicates_dict: the same as id -> other id -> True.
        add_transitive_closure: two texts that are duplicates of a third are duplicates.
        query_chunk_size: see :func:`vicinal.util.paraphrase_mining`; so are the next three.
        corpus_chunk_size: see there.
        max_pairs: see there.
        top_k: see there.
        show_progress_bar: while encoding.
        batch_size: texts per batch.
        name: stands before the metrics' names and in the file's.
        write_csv: append to ``paraphrase_mining_evaluation_{name}_results.csv`` where ``output_path`` is
            given.
        truncate_dim: evaluate this many first dimensions of the vectors.

    Raises:
        InputError: no duplicates, or one whose id is unknown.
        InputTypeError: something that is not a text, or ``sentences_map`` is not a dictionary.
    """

    primary_metric = "average_precision"
    csv_headers = ("epoch", "steps", *_COLUMNS)

    @explains_keywords
    def __init__(
        self,
        sentences_map: Mapping[str, str],
        duplicates_list: Iterable[tuple[str, str]] | None = None,
        duplicates_dict: Mapping[str, Mapping[str, bool]] | None = None,
        add_transitive_closure: bool = False,
        query_chunk_size: int = 5000,
        corpus_chunk_size: int = 100_000,
        max_pairs: int = 500_000,
        top_k: int = 100,
        show_progress_bar: bool = False,
        batch_size: int = 32,
        name: str = "",
        write_csv: bool = True,
        truncate_dim: int | None = None,
    ) -> None:
        self._set_up(
            "paraphrase_mining_evaluation", name, batch_size, show_progress_bar, write_csv, truncate_dim
        )
        if not isinstance(sentences_map, Mapping):
            raise InputTypeError(f"sentences_map is {type(sentences_map).__name__}: give a dictionary by id")
        self.ids = list(sentences_map)
        self.sentences = text_column(sentences_map.values(), "sentences_map")
        place = {key: number for number, key in enumerate(self.ids)}
        pairs = _pairs(duplicates_list, duplicates_dict, place)
        self._duplicates = _closure(pairs) if add_transitive_closure else pairs
        self._closed = add_transitive_closure
        if not self._duplicates:
            raise InputError("there are no duplicates to find: give duplicates_list or duplicates_dict")
        self.query_chunk_size = query_chunk_size
        self.corpus_chunk_size = corpus_chunk_size
        self.max_pairs = max_pairs
        self.top_k = top_k

    def get_config_dict(self) -> dict[str, Any]:
        own = {"add_transitive_closure": self._closed, "max_pairs": self.max_pairs, "top_k": self.top_k}
        return {**super().get_config_dict(), **own}

    @staticmethod
    def add_transitive_closure(graph: dict[str, dict[str, bool]]) -> dict[str, dict[str, bool]]:
        """Add all pairs within each connected group.

        Args:
            graph: id -> other id -> True; it is changed, and returned.
        """
        keys = list(dict.fromkeys([*graph, *(two for others in graph.values() for two in others)]))
        place = {key: number for number, key in enumerate(keys)}
        for one, two in _closure(_pairs(None, graph, place)):
            graph.setdefault(keys[one], {})[keys[two]] = True
            graph.setdefault(keys[two], {})[keys[one]] = True
        return graph

    def _measure(self, model: Any) -> Measured:
        mined = paraphrase_mining(
            model,
            self.sentences,
            bool(self.show_progress_bar),
            self.batch_size or 32,
            self.query_chunk_size,
            self.corpus_chunk_size,
            self.max_pairs,
            self.top_k,
            truncate_dim=self.truncate_dim,
        )
        figures = self._figures(mined)
        row = {column: figures[column] for column in _COLUMNS}
        return Measured(figures, "average_precision", row)

    def _figures(self, mined: list[list[float | int]]) -> dict[str, float]:
        """Over the mined pairs; what was not mined is missed."""
        scores = np.array([pair[0] for pair in mined])
        hits = np.array([(int(i), int(j)) in self._duplicates for _, i, j in mined], dtype=bool)
        total = len(self._duplicates)
        if not hits.any():
            return dict.fromkeys(("average_precision", "f1", "precision", "recall", "threshold"), 0.0)
        best = best_f1(scores, hits, total=total)
        return {
            # Of those that were mined; what was not has no precision, and gains nothing.
            "average_precision": average_precision(hits, scores) * float(hits.sum()) / total,
            "f1": best.f1,
            "precision": best.precision,
            "recall": best.recall,
            "threshold": best.threshold,
        }


def _pairs(
    listed: Iterable[tuple[str, str]] | None,
    nested: Mapping[str, Mapping[str, bool]] | None,
    place: Mapping[str, int],
) -> set[tuple[int, int]]:
    """Pairs of positions, the lower first."""
    given = [] if listed is None else list(listed)
    for key, others in (nested or {}).items():
        if not isinstance(others, Mapping):
            raise InputTypeError(
                f"duplicates_dict[{key!r}] is {type(others).__name__}: give a dictionary, {{other id: True}}"
            )
    given += [(one, two) for one, others in (nested or {}).items() for two, same in others.items() if same]
    found = set()
    for number, pair in enumerate(given):
        for key in pair:
            if key not in place:
                raise InputError(
                    f"duplicate {number}, {tuple(pair)!r}: the id {key!r} is not in sentences_map"
                )
        one, two = place[pair[0]], place[pair[1]]
        if one != two:
            found.add((min(one, two), max(one, two)))
    return found


def _closure(pairs: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """All pairs within each connected group."""
    group: dict[int, set[int]] = {}
    for one, two in pairs:
        joined = group.get(one, {one}) | group.get(two, {two})
        for each in joined:
            group[each] = joined
    return {(one, two) for one, members in group.items() for two in members if one < two}
