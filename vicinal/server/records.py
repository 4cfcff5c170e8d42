"""What the service tells and gives: plain records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vicinal.index.results import Hit

ModelKind = Literal["embedding", "reranker", "classifier"]


@dataclass(frozen=True)
class ModelEntry:
    """A model that is served.

    Attributes:
        id: the name that clients use.
        kind: what it does.
        dimension: numbers of its vectors, or scores per pair.
        max_length: tokens that it reads; None where there is no limit.
        created: when its weights were written, in seconds since 1970.
        fingerprint: changes with the weights.
        pooling: how token vectors become one, ``"mean"``, ``"cls"``, ...; None for models without pooling.
        labels: names of its scores, for a classifier or reranker.
        dtype: what it computes in.
        architecture: the class of its network, such as ``"BertModel"``.
        prompts: names of its prompts.
        size_bytes: of its folder.
    """

    id: str
    kind: ModelKind
    dimension: int
    max_length: int | None
    created: int
    fingerprint: str
    pooling: str | None = None
    labels: tuple[str, ...] = ()
    dtype: str = "float32"
    architecture: str = ""
    prompts: tuple[str, ...] = ()
    size_bytes: int = 0


@dataclass(frozen=True)
class IndexEntry:
    """An index that is served.

    Attributes:
        id: the name that clients use.
        documents: how many documents it holds.
        model: the id of the model that reads its queries.
        fields: names of the metadata fields.
        writable: whether requests may change it.
        problem: why it cannot be read now; then ``documents`` and ``fields`` are what was last known. None if it can.
    """

    id: str
    documents: int
    model: str
    fields: tuple[str, ...]
    writable: bool
    problem: str | None = None


@dataclass(frozen=True)
class Timings:
    """Where the time of a request went, in seconds."""

    total: float = 0.0
    tokenization: float = 0.0
    queue: float = 0.0
    inference: float = 0.0


@dataclass(frozen=True)
class Result:
    """What every result has.

    Attributes:
        tokens: ``(n,)`` int32, tokens of each text that were computed, special ones included.
        cut: how many texts were longer than the model reads, and were cut.
        timings: where the time went.
        model: which model it was.
    """

    tokens: NDArray[np.int32]
    cut: int
    timings: Timings
    model: ModelEntry


@dataclass(frozen=True)
class Embedded(Result):
    """``vectors``: ``(n, d)`` float32."""

    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class TokenVectors(Result):
    """``found``: for each text ``(tokens, d)`` float32."""

    found: list[NDArray[np.float32]]


@dataclass(frozen=True)
class Scored(Result):
    """``scores``: ``(n,)`` float32, one for each text in its order."""

    scores: NDArray[np.float32]


@dataclass(frozen=True)
class Predicted(Result):
    """``scores``: ``(n, labels)`` float32; ``labels``: their names."""

    scores: NDArray[np.float32]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Token:
    """A token of a text; ``start`` and ``stop`` are bytes of the prompted text in UTF-8, None for a special token."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


@dataclass(frozen=True)
class Found:
    """The answer of an index.

    Attributes:
        hits: the documents found, best first.
        index: the id of the index.
        timings: where the time went.
        report: what the search used, and what it left out.
    """

    hits: list[Hit]
    index: str
    timings: Timings
    report: dict[str, Any] = field(default_factory=dict)
