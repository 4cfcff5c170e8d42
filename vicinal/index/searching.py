"""From the retrievers of a search to its hits: fusion, best passages, reranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vicinal.index.filters import Node
from vicinal.index.fusion import reciprocal_rank_fusion
from vicinal.index.reranking import Reranker, rerank_scores
from vicinal.index.results import Document, Hit, Passage, Ranked, Span
from vicinal.index.retrievers import RETRIEVERS
from vicinal.index.stores.base import Found, Reader


@dataclass(frozen=True, slots=True)
class Request:
    """A search, canonical.

    Attributes:
        query: the text.
        asked: the retrievers that run, by name, each with what it is asked: the text, or what the model made
            of it. Where two rank a document equally, the earlier one's passage is shown.
        where: the filter, None for none.
        top_k: the maximum number of hits.
        depth: how many documents each retriever gives.
        reranker: orders the candidates again, None to leave it out.
    """

    query: str
    asked: Mapping[str, Any]
    where: Node | None
    top_k: int
    depth: int
    reranker: Reranker | None


class _Placed(NamedTuple):
    rank: int  # from 1
    found: Found


@dataclass(slots=True)
class _Candidate:
    """One document on its way to a hit, with what each retriever that found it says."""

    doc: int
    score: float
    placed: dict[str, _Placed] = field(default_factory=dict)
    rerank: float | None = None


def search(reader: Reader, request: Request) -> list[Hit]:
    """Answer a request from one state of a store.

    Args:
        reader: the state.
        request: what is asked.

    Returns:
        Hits, best first.
    """
    found = _candidates(reader, request)
    documents = reader.documents([candidate.doc for candidate in found])
    spans = _passages(reader, request.query, found, documents)
    order = list(range(len(found)))
    if request.reranker is not None:
        pieces = [document.text[a:b] for document, (a, b) in zip(documents, spans, strict=True)]
        for candidate, score in zip(
            found, rerank_scores(request.reranker, request.query, pieces), strict=True
        ):
            candidate.rerank = candidate.score = score
        order = sorted(order, key=lambda i: -found[i].score)[: request.top_k]
    found = [found[i] for i in order]
    documents = [documents[i] for i in order]
    spans = [spans[i] for i in order]
    pieces = [document.text[a:b] for document, (a, b) in zip(documents, spans, strict=True)]
    matches = reader.matches(request.query, pieces)
    return [
        _hit(candidate, document, start, piece, places)
        for candidate, document, (start, _), piece, places in zip(
            found, documents, spans, pieces, matches, strict=True
        )
    ]


def _candidates(reader: Reader, request: Request) -> list[_Candidate]:
    found = {
        name: RETRIEVERS[name].find(reader, asked, request.depth, request.where)
        for name, asked in request.asked.items()
    }
    if len(found) == 1:
        ranking = [(one.doc, one.score) for ones in found.values() for one in ones]
    else:
        ranking = reciprocal_rank_fusion([[one.doc for one in ones] for ones in found.values()])
    kept = request.top_k if request.reranker is None else request.depth
    candidates = {doc: _Candidate(doc, score) for doc, score in ranking[:kept]}
    for name, ones in found.items():
        for rank, one in enumerate(ones, start=1):
            candidate = candidates.get(one.doc)
            if candidate is not None:
                candidate.placed[name] = _Placed(rank, one)
    return list(candidates.values())


def _passages(
    reader: Reader, query: str, found: Sequence[_Candidate], documents: Sequence[Document]
) -> list[Span]:
    """The best chunk of each document, by the retriever that ranks it highest.

    A retriever that knows only whole documents leaves the choice to the query's words: the chunk with most of
    them, and of equal ones another retriever's, else the first.
    """
    spans: list[Span | None] = []
    several: dict[int, list[Span]] = {}
    for i, candidate in enumerate(found):
        placed = list(candidate.placed.values())
        if len(placed) > 1:
            placed.sort(key=lambda one: one.rank)
        spans.append(next((one.found.span for one in placed if one.found.span is not None), None))
        if placed[0].found.span is not None:
            continue
        chunks = reader.chunks(candidate.doc)
        if len(chunks) > 1:
            several[i] = chunks
        else:
            spans[i] = chunks[0]
    matches = reader.matches(query, [documents[i].text for i in several])
    for (i, chunks), places in zip(several.items(), matches, strict=True):
        richness = [_richness(documents[i].text, chunk, places) for chunk in chunks]
        most = max(richness)
        chunks = [chunk for chunk, rich in zip(chunks, richness, strict=True) if rich == most]
        if spans[i] not in chunks:
            spans[i] = chunks[0]
    return [span if span is not None else (0, 0) for span in spans]


def _richness(text: str, chunk: Span, places: Sequence[Span]) -> tuple[int, int]:
    inside = [text[a:b].casefold() for a, b in places if chunk[0] <= a and b <= chunk[1]]
    return len(set(inside)), len(inside)


def _hit(candidate: _Candidate, document: Document, start: int, piece: str, places: Sequence[Span]) -> Hit:
    return Hit(
        id=document.id,
        score=candidate.score,
        text=document.text,
        metadata=document.metadata,
        passage=Passage(
            text=piece,
            start=start,
            end=start + len(piece),
            matches=tuple((start + a, start + b) for a, b in places),
        ),
        retrievers={name: _ranked(candidate.placed.get(name)) for name in RETRIEVERS},
        rerank=candidate.rerank,
    )


def _ranked(placed: _Placed | None) -> Ranked | None:
    return None if placed is None else Ranked(placed.found.score, placed.rank)
