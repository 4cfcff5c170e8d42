"""From the legs of a search to its hits: fusion, best passages, reranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vicinal.index.filters import Node
from vicinal.index.fusion import reciprocal_rank_fusion
from vicinal.index.reranking import Reranker, rerank_scores
from vicinal.index.results import Document, Hit, Passage, Span
from vicinal.index.segments import Floats
from vicinal.index.stores.base import Found, Reader


@dataclass(frozen=True, slots=True)
class Request:
    """A search, canonical.

    Attributes:
        query: the text.
        vector: its ``(d,)`` vector, None to leave the dense leg out.
        lexical: whether the lexical leg runs.
        where: the filter, None for none.
        top_k: how many hits at most.
        depth: how many documents each leg gives.
        reranker: orders the candidates anew, None to leave it out.
    """

    query: str
    vector: Floats | None
    lexical: bool
    where: Node | None
    top_k: int
    depth: int
    reranker: Reranker | None


@dataclass(slots=True)
class _Candidate:
    """One document on its way to a hit."""

    doc: int
    score: float
    dense: Found | None
    lexical: Found | None
    dense_rank: int | None
    lexical_rank: int | None
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
    if request.reranker is None:
        found = found[: request.top_k]
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
    dense = [] if request.vector is None else reader.dense(request.vector, request.depth, request.where)
    lexical = reader.lexical(request.query, request.depth, request.where) if request.lexical else []
    if request.vector is None or not request.lexical:
        ranking = [(one.doc, one.score) for one in dense or lexical]
    else:
        ranking = reciprocal_rank_fusion([[one.doc for one in dense], [one.doc for one in lexical]])
    by_dense = {one.doc: (one, rank) for rank, one in enumerate(dense, start=1)}
    by_lexical = {one.doc: (one, rank) for rank, one in enumerate(lexical, start=1)}
    candidates = []
    for doc, score in ranking[: request.depth]:
        near, near_rank = by_dense.get(doc, (None, None))
        worded, worded_rank = by_lexical.get(doc, (None, None))
        candidates.append(_Candidate(doc, score, near, worded, near_rank, worded_rank))
    return candidates


def _passages(
    reader: Reader, query: str, found: Sequence[_Candidate], documents: Sequence[Document]
) -> list[Span]:
    """The best chunk of each by the leg that put it higher: the dense leg's, or that with most of the words."""
    spans = [one.dense.span if one.dense is not None else None for one in found]
    several: dict[int, list[Span]] = {}
    for i, candidate in enumerate(found):
        near, worded = candidate.dense_rank, candidate.lexical_rank
        if worded is None or (near is not None and near <= worded):
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
        if spans[i] not in chunks:  # of equals the dense leg's, else the first
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
        dense=candidate.dense.score if candidate.dense else None,
        lexical=candidate.lexical.score if candidate.lexical else None,
        rerank=candidate.rerank,
        dense_rank=candidate.dense_rank,
        lexical_rank=candidate.lexical_rank,
    )
