"""What an index answers with: plain frozen records, nothing that holds a file open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Document:
    """One stored document.

    Attributes:
        id: the id it was added under.
        text: the original text, unchanged.
        metadata: its metadata, an empty dictionary if it has none.
    """

    id: str
    text: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Passage:
    """The part of a document that answers best.

    Attributes:
        text: the passage; always ``document[start:end]``.
        start: offset of its first character in the original text.
        end: offset after its last character in the original text.
        matches: where words of the query stand, as offsets *in the original text*, in order, inside
            ``[start, end]``. Empty when no word of the query occurs.
    """

    text: str
    start: int
    end: int
    matches: tuple[Span, ...] = ()

    def marked(self, before: str = "[", after: str = "]") -> str:
        """The passage with every match between two marks.

        Args:
            before: put in front of a match.
            after: put behind it.

        Returns:
            The passage's text with the marks in it.
        """
        parts, at = [], self.start
        for start, end in self.matches:
            parts += [self.text[at - self.start : start - self.start], before]
            parts += [self.text[start - self.start : end - self.start], after]
            at = end
        return "".join([*parts, self.text[at - self.start :]])


class Ranked(NamedTuple):
    """What one retriever says of a document that it found.

    Attributes:
        score: its own score: a similarity (dense), a BM25 score (lexical).
        rank: the place among what it found, from 1.
    """

    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Hit:
    """One document found.

    Attributes:
        id: the document's id.
        score: what the list is ordered by: of mode best the mean of the fused score and the reranker's on a scale
            from 0 to 1; else the reranker's score if there is one, else the fused score (hybrid: 0 to 1, and up to 1
            more for rare codes of the query, in mode best too), else the score of the one retriever.
        text: the whole original text.
        metadata: the document's metadata.
        passage: its best passage.
        retrievers: score and rank by each retriever, ``"dense"`` and ``"lexical"``; None where it did not run
            or did not find the document.
        rerank: the reranker's score, None where it did not read the passage.
        duplicates: ids of further documents with the same passage, ranked behind this one, as far as the search
            looked; they are no hits of their own.
    """

    id: str
    score: float
    text: str
    metadata: dict[str, Any]
    passage: Passage
    retrievers: Mapping[str, Ranked | None] = field(default_factory=dict)
    rerank: float | None = None
    duplicates: tuple[str, ...] = ()

    @property
    def dense(self) -> float | None:
        """Similarity of its best chunk, None if the dense retriever did not run or did not find it."""
        return _score(self.retrievers.get("dense"))

    @property
    def lexical(self) -> float | None:
        """Its BM25 score, None if the lexical retriever did not run or did not find it."""
        return _score(self.retrievers.get("lexical"))

    @property
    def dense_rank(self) -> int | None:
        """Its place by the dense retriever, from 1, or None."""
        return _rank(self.retrievers.get("dense"))

    @property
    def lexical_rank(self) -> int | None:
        """Its place by the lexical retriever, from 1, or None."""
        return _rank(self.retrievers.get("lexical"))

    def to_dict(self) -> dict[str, Any]:
        """The hit as JSON types, for a server or a command line."""
        scores = {name: _score(ranked) for name, ranked in self.retrievers.items()}
        return {
            "id": self.id,
            "score": self.score,
            "scores": {**scores, "rerank": self.rerank},
            "ranks": {name: _rank(ranked) for name, ranked in self.retrievers.items()},
            "text": self.text,
            "metadata": self.metadata,
            "duplicates": list(self.duplicates),
            "passage": {
                "text": self.passage.text,
                "start": self.passage.start,
                "end": self.passage.end,
                "matches": [list(span) for span in self.passage.matches],
            },
        }


def _score(ranked: Ranked | None) -> float | None:
    return None if ranked is None else ranked.score


def _rank(ranked: Ranked | None) -> int | None:
    return None if ranked is None else ranked.rank


@dataclass(frozen=True, slots=True)
class SearchReport:
    """What a search used.

    Attributes:
        mode: as it was asked.
        retrievers: those that ran.
        reranker: the name of the one that read passages, None where none did.
        candidates: how many passages it read.
        milliseconds: what the search took, with everything that had to be loaded first.
        left_out: what was not used although it could have been, and why: one sentence each.
    """

    mode: str
    retrievers: tuple[str, ...]
    reranker: str | None = None
    candidates: int = 0
    milliseconds: float = 0.0
    left_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {
            "mode": self.mode,
            "retrievers": list(self.retrievers),
            "reranker": self.reranker,
            "candidates": self.candidates,
            "milliseconds": round(self.milliseconds, 3),
            "left_out": list(self.left_out),
        }

    def __str__(self) -> str:
        used = " + ".join(self.retrievers)
        if self.reranker is not None:
            used += f", {self.candidates} passages read by {self.reranker}"
        return "; ".join([used, *self.left_out] if used else self.left_out)


class Hits(list[Hit]):
    """Hits, best first: a list that also says what the search used.

    Attributes:
        report: retrievers, reranker, time, and what was left out.
    """

    def __init__(self, hits: Iterable[Hit], report: SearchReport) -> None:
        super().__init__(hits)
        self.report = report


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What :meth:`vicinal.Index.verify` found; true when nothing is wrong.

    Attributes:
        documents: how many documents were checked.
        chunks: how many living vectors were checked.
        segments: how many vector segments were checked.
        problems: one sentence for each thing that is wrong.
    """

    documents: int
    chunks: int
    segments: int
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def __bool__(self) -> bool:
        return self.ok


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What an index file holds.

    Attributes:
        path: the file.
        documents: living documents.
        chunks: living chunks, one vector each.
        deleted_chunks: vectors of deleted documents that :meth:`vicinal.Index.compact` would drop.
        dimension: of the vectors, None before the first document.
        storage: how a dimension of a vector is stored, ``"int16"`` or ``"float32"``.
        similarity: ``"cosine"`` or ``"dot"``, None before the first document.
        model: the model's name as it was given.
        fingerprint: the model's fingerprint, None before the first document.
        chunk_tokens: longest chunk, in tokens, None before the first document.
        chunk_overlap: tokens that neighbouring chunks share.
        tokenizer: the FTS5 tokenizer of the lexical retriever.
        segments: how many pieces the vectors are stored in.
        file_bytes: size of the file, with its write-ahead log.
        fields: names of the metadata fields that were ever used.
        created: when the file was made, ISO 8601 in UTC, ``2026-11-23T20:15:00+00:00``; None for files
            made before this was noted.
    """

    path: str
    documents: int
    chunks: int
    deleted_chunks: int
    dimension: int | None
    storage: str
    similarity: str | None
    model: str
    fingerprint: str | None
    chunk_tokens: int | None
    chunk_overlap: int
    tokenizer: str
    segments: int
    file_bytes: int
    fields: tuple[str, ...] = field(default=())
    created: str | None = None
