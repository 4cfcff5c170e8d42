"""From the retrievers of a search to its hits: fusion, best passages, merging, reranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vicinal.index.blending import blended
from vicinal.index.filters import Node
from vicinal.index.fusion import RANKS, Ranking, fuse
from vicinal.index.pace import Pace, scores_in_time
from vicinal.index.reranking import Reranker, rerank_scores
from vicinal.index.results import Document, Hit, Passage, Ranked, Span
from vicinal.index.retrievers import RETRIEVERS
from vicinal.index.stores.base import Found, Reader

# How many documents more than hits a retriever is asked for, to meet others with the same passage.
SPARE = 20
# Where passages repeat, retrievers are asked for four times as many documents, up to this many.
DEEPEST = 20_000
# Documents that are read, of those behind the last hit, to see whether they repeat a passage.
MOST_OTHERS = 100


@dataclass(frozen=True, slots=True)
class Request:
    """A search, canonical.

    Attributes:
        query: the text.
        asked: the retrievers that run, by name, each with what it is asked: the text, or what the model made
            of it. Where two rank a document equally, the earlier one's passage is shown.
        where: the filter, None for none.
        top_k: the maximum number of hits.
        depth: how many documents a retriever gives, or several give to a reranker.
        reranker: orders the candidates again, None to leave it out.
        merge: whether documents with the same passage become one hit.
        read: how many candidates the reranker reads at most, where its scores are blended with those of the
            retrievers (mode best); None where it reads all of them and its scores alone count.
        pace: of the reranker, where it reads only what it can ``until`` a time of ``time.perf_counter``; else None.
    """

    query: str
    asked: Mapping[str, Any]
    where: Node | None
    top_k: int
    depth: int
    reranker: Reranker | None
    merge: bool = True
    read: int | None = None
    pace: Pace | None = None
    until: float = 0.0


class Answer(NamedTuple):
    """What was found.

    Attributes:
        hits: best first.
        read: how many candidates the reranker read.
        candidates: how many there were, for it or for the hits.
    """

    hits: list[Hit]
    read: int
    candidates: int


class _Placed(NamedTuple):
    rank: int  # from 1
    found: Found


@dataclass(slots=True)
class _Candidate:
    """One document on its way to a hit, with what each retriever that found it says."""

    doc: int
    score: float
    first: float = 0.0  # the part of the score that puts it before others
    placed: dict[str, _Placed] = field(default_factory=dict)
    rerank: float | None = None
    document: Document | None = None
    span: Span = (0, 0)
    duplicates: list[str] = field(default_factory=list)

    def rounded(self) -> list[tuple[str, str]]:
        """Its score by each retriever that found it, to 5 digits: equal vectors may differ in the last."""
        return [(name, f"{placed.found.score:.5g}") for name, placed in self.placed.items()]

    @property
    def hit(self) -> Document:
        assert self.document is not None
        return self.document

    @property
    def piece(self) -> str:
        return self.hit.text[self.span[0] : self.span[1]]


def search(reader: Reader, request: Request) -> Answer:
    """Answer a request from one state of a store.

    Args:
        reader: the state.
        request: what is asked.

    Returns:
        The hits.
    """
    found = _distinct(reader, request)
    there = len(found)
    read = 0
    if request.reranker is not None:
        if request.read is None:
            scores = rerank_scores(request.reranker, request.query, [one.piece for one in found])
            for candidate, score in zip(found, scores, strict=True):
                candidate.rerank = candidate.score = score
        else:
            _blend(request.reranker, request, request.read, found)
        read = sum(candidate.rerank is not None for candidate in found)
        found = sorted(found, key=lambda candidate: -candidate.score)[: request.top_k]
    matches = reader.matches(request.query, [candidate.piece for candidate in found])
    hits = [_hit(candidate, places) for candidate, places in zip(found, matches, strict=True)]
    return Answer(hits, read, there)


def _blend(reranker: Reranker, request: Request, read: int, found: Sequence[_Candidate]) -> None:
    """Let the reranker read the first candidates, as many as it may, and blend its scores with theirs."""
    pieces = [candidate.piece for candidate in found[:read]]
    if request.pace is None:
        scores = rerank_scores(reranker, request.query, pieces)
    else:
        scores = scores_in_time(reranker, request.query, pieces, request.pace, request.until)
    if not scores:
        return
    for candidate, score in zip(found, scores, strict=False):
        candidate.rerank = score
    mixed = blended([candidate.score - candidate.first for candidate in found], scores)
    for candidate, score in zip(found, mixed, strict=True):
        candidate.score = score + candidate.first


def _distinct(reader: Reader, request: Request) -> list[_Candidate]:
    """The best candidates with their passages: as many as are wanted, no passage twice."""
    wanted = request.top_k if request.reranker is None else request.depth
    several = len(request.asked) > 1
    depth = max(request.depth, RANKS) if several else request.depth
    if not request.merge:
        candidates, _ = _candidates(reader, request, depth)
        return _read(reader, request.query, candidates[:wanted])
    depth += 0 if several else SPARE  # several retrievers find more than they are asked for
    while True:
        candidates, all_found = _candidates(reader, request, depth)
        kept = _merged(reader, request.query, candidates, wanted)
        if len(kept) == wanted or all_found or depth >= DEEPEST:
            return kept
        depth *= 4


def _merged(reader: Reader, query: str, candidates: Sequence[_Candidate], wanted: int) -> list[_Candidate]:
    """The first candidates with different passages."""
    kept: dict[str, _Candidate] = {}
    at = 0
    while at < len(candidates) and len(kept) < wanted:
        some = candidates[at : at + wanted - len(kept)]
        at += len(some)
        for candidate in _read(reader, query, some):
            first = kept.setdefault(candidate.piece, candidate)
            if first is not candidate:
                first.duplicates.append(candidate.hit.id)
    # Behind the last one, copies of those that are kept: a retriever gives them the same score.
    scores = {score for candidate in kept.values() for score in candidate.rounded()}
    others = [one for one in candidates[at:] if not scores.isdisjoint(one.rounded())]
    for candidate in _read(reader, query, others[:MOST_OTHERS]):
        if candidate.piece in kept:
            kept[candidate.piece].duplicates.append(candidate.hit.id)
    return list(kept.values())


def _read(reader: Reader, query: str, candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """The candidates with their documents and passages."""
    documents = reader.documents([candidate.doc for candidate in candidates])
    spans = _passages(reader, query, candidates, documents)
    for candidate, document, span in zip(candidates, documents, spans, strict=True):
        candidate.document, candidate.span = document, span
    return list(candidates)


def _candidates(reader: Reader, request: Request, depth: int) -> tuple[list[_Candidate], bool]:
    """What the retrievers find, fused, best first; and whether that is all there is."""
    found = {
        name: RETRIEVERS[name].find(reader, asked, depth, request.where)
        for name, asked in request.asked.items()
    }
    first: dict[int, float] = {}
    if len(found) == 1:
        ranking = [(one.doc, one.score) for ones in found.values() for one in ones]
    else:
        ranking, first = _fused(reader, request, found)
    candidates = {doc: _Candidate(doc, score, first.get(doc, 0.0)) for doc, score in ranking}
    for name, ones in found.items():
        for rank, one in enumerate(ones, start=1):
            candidates[one.doc].placed[name] = _Placed(rank, one)
    return list(candidates.values()), all(len(ones) < depth for ones in found.values())


def _fused(
    reader: Reader, request: Request, found: Mapping[str, Sequence[Found]]
) -> tuple[list[tuple[int, float]], dict[int, float]]:
    """Documents with their fused scores, best first, and the part of these that puts some before others."""
    rankings: list[Ranking[int]] = []
    first: dict[int, float] = {}
    for name, ones in found.items():
        weighed = RETRIEVERS[name].weigh(reader, request.asked[name], ones)
        scores = [one.score for one in ones]
        rankings.append(Ranking([one.doc for one in ones], scores, weighed.weight, weighed.usual))
        first.update(weighed.first)
    return fuse(rankings, first), first


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


def _hit(candidate: _Candidate, places: Sequence[Span]) -> Hit:
    document, piece, (start, _) = candidate.hit, candidate.piece, candidate.span
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
        duplicates=tuple(candidate.duplicates),
    )


def _ranked(placed: _Placed | None) -> Ranked | None:
    return None if placed is None else Ranked(placed.found.score, placed.rank)
