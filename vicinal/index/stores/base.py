"""The seam between an index and where it is kept: one protocol to read, one to write, one that gives both.

A store keeps documents, their metadata and their chunks' vectors, and answers one kind of ranking for each
retriever. It knows nothing of models, chunking, fusion and rerankers; :class:`vicinal.Index` does, and knows
nothing of SQL.

To add a store (PostgreSQL, Qdrant):

1. implement :class:`Reader`: one unchanging state, with a method for each retriever;
2. implement :class:`Writer`: one transaction, whole or not at all, that refuses another model's vectors;
3. implement :class:`Store`, which gives both, and raise :class:`vicinal.errors.StoreError` for its failures;
4. let ``Index.__init__`` choose it: the only place that names a store;
5. run ``tests/index`` over it: ``oracle.py`` says what every store must answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vicinal.errors import InputError
from vicinal.index.filters import Node
from vicinal.index.results import Document, IndexInfo, Span, VerifyReport
from vicinal.index.segments import Floats, Ints


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to write.

    Attributes:
        id: its id.
        text: its text.
        metadata: its metadata, checked.
        metadata_json: the same as canonical JSON, or None for an empty one.
        digest: the content hash of text and metadata, 16 bytes.
        spans: its chunks, at least one.
    """

    id: str
    text: str
    metadata: Mapping[str, Any]
    metadata_json: str | None
    digest: bytes
    spans: Sequence[Span]


@dataclass(frozen=True, slots=True)
class Found:
    """One document that a retriever found.

    Attributes:
        doc: the store's own number of the document.
        score: similarity or BM25.
        span: the best chunk, None where a retriever knows only whole documents.
    """

    doc: int
    score: float
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the words of a query tell of a collection.

    Attributes:
        ceiling: a BM25 score that no document exceeds: that of one which repeats every word without end.
        codes: the documents that hold a rare code of the query (an error number, a part number), by number,
            with the share of the codes that each holds: 1 for all.
    """

    ceiling: float
    codes: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is stored about the model, so that no other one searches its vectors.

    Attributes:
        name: as it was given.
        fingerprint: of weights and pooling.
        dimension: of the vectors.
        prompts: as canonical JSON.
        similarity: ``"cosine"`` or ``"dot"``.
        chunk_tokens: longest chunk in tokens.
    """

    name: str
    fingerprint: str
    dimension: int
    prompts: str
    similarity: str
    chunk_tokens: int


def compare_models(path: str, stored: ModelFacts, given: ModelFacts) -> None:
    """Refuse a model that would make vectors of another space.

    Raises:
        InputError: fingerprint, dimension or prompts differ; names both models.
    """
    for what in ("fingerprint", "dimension", "prompts"):
        old, new = getattr(stored, what), getattr(given, what)
        if old != new:
            raise InputError(
                f"index {path!r} was made with model {stored.name!r} ({what} {old}), "
                f"it cannot be used with model {given.name!r} ({what} {new}): "
                f"open it with {stored.name!r}, or index the texts anew into another file"
            )


class Reader(Protocol):
    """One unchanging state of the store; everything asked of one reader agrees."""

    def count(self) -> int:
        """Living documents."""
        ...

    def dense(self, query: Floats, k: int, where: Node | None) -> list[Found]:
        """The ``k`` documents with the best chunk by dot product, best first."""
        ...

    def usual(self, query: Floats) -> float:
        """What a chunk's dot product with a query usually is: the mean over all of them, or over thousands."""
        ...

    def lexical(self, query: str, k: int, where: Node | None) -> list[Found]:
        """The ``k`` best documents by BM25, best first."""
        ...

    def evidence(self, query: str) -> Evidence:
        """What the words of a query tell."""
        ...

    def documents(self, docs: Sequence[int]) -> list[Document]:
        """Documents by number, in that order."""
        ...

    def chunks(self, doc: int) -> list[Span]:
        """The chunks of a document."""
        ...

    def matches(self, query: str, texts: Sequence[str]) -> list[list[Span]]:
        """Where words of the query stand in texts, as the lexical retriever cuts and stems them."""
        ...

    def by_id(self, ids: Sequence[str]) -> dict[str, Document]:
        """The documents of those ids that exist."""
        ...

    def ids(self, prefix: str) -> list[str]:
        """The ids that begin with ``prefix``, in the order of adding."""
        ...

    def digests(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The content hashes of those ids that exist."""
        ...

    def every(self) -> Iterator[Document]:
        """All documents, in the order of adding."""
        ...

    def revision(self) -> str:
        """What tells this state from every other one."""
        ...

    def living(self) -> Ints:
        """The numbers of all documents, ascending."""
        ...

    def directions(self, docs: Ints) -> Floats:
        """``(n, d)`` the sum of the vectors of each document's chunks; numbers ascending."""
        ...


class Writer(Protocol):
    """One transaction: all of it happens, or nothing."""

    def bind(self, facts: ModelFacts) -> None:
        """Store what model it is, or raise if it is another one than stored."""
        ...

    def existing(self, ids: Iterable[str]) -> list[str]:
        """Those of the ids that are taken."""
        ...

    def insert(self, documents: Sequence[NewDocument], vectors: Floats) -> None:
        """Add documents with ``(sum of their chunks, d)`` vectors; their ids must be free."""
        ...

    def delete(self, ids: Iterable[str]) -> int:
        """Remove documents; gives how many were there."""
        ...

    def delete_where(self, where: Node) -> int:
        """Remove the documents that a filter holds for; gives how many."""
        ...


class Store(Protocol):
    """Where an index is kept.

    Attributes:
        chunk_overlap: tokens that neighbouring chunks share, as given when the store was made.
        files: paths, links followed, that are the store's own: nothing else may be written to them.
    """

    @property
    def chunk_overlap(self) -> int: ...

    @property
    def files(self) -> tuple[str, ...]: ...

    def reader(self, ranking: bool = False) -> AbstractContextManager[Reader]:
        """A state to read from; its retrievers and chunks may only be asked for with ``ranking``."""
        ...

    def writer(self) -> AbstractContextManager[Writer]:
        """A transaction; waits for another writer, then raises :class:`vicinal.errors.StoreError`."""
        ...

    def facts(self) -> ModelFacts | None:
        """What model the vectors are of, None before the first document."""
        ...

    def model_name(self) -> str:
        """The model's name as it was given when the store was made."""
        ...

    def info(self) -> IndexInfo:
        """What is in it."""
        ...

    def verify(self) -> VerifyReport:
        """Check everything."""
        ...

    def backup(self, target: Path) -> None:
        """Copy one state into another file, whole or not at all."""
        ...

    def prepare(self) -> None:
        """Make ready what would otherwise be made ready by the first searches."""
        ...

    def compact(self) -> None:
        """Give back the space of what was deleted."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...
