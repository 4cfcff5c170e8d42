"""``mode="best"``: which reranker reads, and what is told of a search afterwards."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from vicinal.hub.bundled import bundled_models
from vicinal.index.asking import Asked
from vicinal.index.encoder import name_of
from vicinal.index.pace import Pace
from vicinal.index.reranking import Reranker
from vicinal.index.results import Hits, SearchReport
from vicinal.index.searching import Answer, Request

#: the bundled reranker, where there is one
OWN_RERANKER = "vicinal-rerank"


class Rerankers:
    """The rerankers of an open index: the bundled one, loaded when it is first needed, and how fast they are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: Reranker | None = None
        self._latest: tuple[Reranker, Pace] | None = None

    def chosen(self, given: Asked) -> Reranker | None:
        """The reranker of a search: the one that was given, else of mode best the bundled one, where it is there."""
        if given.reranker is not None or given.mode != "best":
            return given.reranker
        with self._lock:
            if self._own is None:
                path = next((model.path for model in bundled_models() if model.name == OWN_RERANKER), None)
                if path is not None:
                    from vicinal.models.scorer import load_scorer

                    self._own = Quiet(load_scorer(path), OWN_RERANKER)
            return self._own

    def request(
        self, given: Asked, queries: Mapping[str, Any], chosen: Reranker | None, started: float
    ) -> Request:
        """What the searching takes.

        Args:
            given: the arguments.
            queries: what each retriever is asked.
            chosen: the reranker.
            started: when everything was loaded, of ``time.perf_counter``.
        """
        several = len(queries) > 1 or chosen is not None
        depth = max(given.top_k, given.read) if several else given.top_k
        blends = given.mode == "best" and chosen is not None
        timed = blends and given.budget_ms is not None
        return Request(
            query=given.query,
            asked=queries,
            where=given.where,
            top_k=given.top_k,
            depth=depth,
            reranker=chosen,
            merge=given.merge,
            read=given.read if blends else None,
            pace=self._pace(chosen) if timed and chosen is not None else None,
            until=started + (given.budget_ms or 0.0) / 1000,
        )

    def _pace(self, reranker: Reranker) -> Pace:
        """What is known of a reranker's speed: of the one that was used last."""
        with self._lock:
            if self._latest is None or self._latest[0] is not reranker:
                self._latest = (reranker, Pace())
            return self._latest[1]


class Quiet:
    """A cross-encoder that says nothing of passages it has to cut: nobody chose it.

    Args:
        model: scores the pairs.
        name: to be told as what was used.
    """

    def __init__(self, model: Any, name: str) -> None:
        self.model, self.name = model, name

    def predict(self, pairs: list[tuple[str, str]], /) -> Any:
        """One score for each pair of query and passage."""
        return self.model.predict(pairs, show_progress_bar=False, on_truncate="ignore")


def answer(given: Asked, request: Request, found: Answer, seconds: float) -> Hits:
    """The hits, with what the search used, and of mode best what it left out."""
    reranker, left_out = request.reranker, list[str]()
    wanted = 0 if request.read is None else min(request.read, found.candidates)
    if given.mode == "best" and reranker is None:
        left_out.append("no reranker: none was given, and none comes with Vicinal")
    elif reranker is not None and found.read < wanted:
        limit = f"budget_ms={given.budget_ms:g}"
        if found.read:
            left_out.append(
                f"{wanted - found.read} of {wanted} candidates were not read: {limit} was used up"
            )
        elif wanted == 1:
            left_out.append(
                f"{name_of(reranker)} read nothing: with {limit} it leaves a single candidate alone"
            )
        else:
            left_out.append(f"{name_of(reranker)} read nothing: {limit} leaves it no time")
    dense = request.asked.get("dense")
    if dense is not None and not dense.any():
        left_out.append("the vectors: that of the query is 0, as it holds nothing that the model knows")
    name = None if reranker is None or not found.read else name_of(reranker)
    report = SearchReport(given.mode, tuple(request.asked), name, found.read, 1000 * seconds, tuple(left_out))
    return Hits(found.hits, report)


def nothing(given: Asked, *reasons: str) -> Hits:
    """Where nothing ran: of an index to which nothing was ever added, and of a query that asks nothing."""
    return Hits([], SearchReport(given.mode, (), left_out=reasons))
