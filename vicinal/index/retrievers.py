"""The retrievers of an index, each one row of a table, and the modes that run them.

To add a retriever (sparse, multi-vector):

1. give it a row in :data:`RETRIEVERS`, under the name that hits show, and a mode in :data:`MODES`;
2. if a model makes something of its query, give :class:`vicinal.index.encoder.Encoder` a method for that;
3. give :class:`vicinal.index.stores.base.Reader` a method for it, and each store its own;
4. if it looks at more than texts and dense vectors, let ``Writer.insert`` take that too;
5. say what it weighs where several retrievers are fused, if not as much as the others;
6. nothing else: fusion, best passages, reranking, hits and the command line go through the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vicinal.index.encoder import Encoder
from vicinal.index.filters import Node
from vicinal.index.segments import Floats
from vicinal.index.stores.base import Found, ModelFacts, Reader

Mode = Literal["dense", "lexical", "hybrid", "best"]


# What the lexical retriever weighs, of 1 for both together: more, the more of the query's words its best document
# holds. Chosen with the sets of benchmarks/retrieval.py in view, but for SICK, which was only measured afterwards.
LEXICAL_WEIGHT = (0.2, 0.7)


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a retriever's answer to one query counts.

    Attributes:
        weight: against 1 for the dense retriever; 0 where it cannot tell one document from another.
        usual: the score of a document that has nothing to do with the query.
        first: documents to put before others, each with a number up to 1; 1 puts it before all without.
    """

    weight: float = 1.0
    usual: float = 0.0
    first: Mapping[int, float] = field(default_factory=dict)


def _as_one(reader: Reader, asked: Any, found: Sequence[Found]) -> Weighed:
    return Weighed()


def _by_words(reader: Reader, query: str, found: Sequence[Found]) -> Weighed:
    if not found:
        return Weighed(0.0)
    evidence = reader.evidence(query)
    least, most = LEXICAL_WEIGHT
    part = least + (most - least) * min(1.0, found[0].score / evidence.ceiling)
    return Weighed(part / (1 - part), first=evidence.codes)


def _by_vectors(reader: Reader, query: Floats, found: Sequence[Found]) -> Weighed:
    # A query of unknown words alone points nowhere: all documents are equal to it.
    if not found or not query.any():
        return Weighed(0.0)
    return Weighed(usual=reader.usual(query))


@dataclass(frozen=True, slots=True)
class Retriever:
    """One way of finding documents.

    Attributes:
        encode: what the model makes of a query for it, such as a ``(d,)`` vector; None where it takes the
            text, and so needs no model.
        find: the best documents of a state, best first: called with the state, what ``encode`` gave (or the
            text), the maximum number of documents, and the filter.
        weigh: what its answer counts in fusion: called with the state, what it was asked, and what it found.
    """

    encode: Callable[[Encoder, ModelFacts, str], Any] | None
    find: Callable[[Reader, Any, int, Node | None], list[Found]]
    weigh: Callable[[Reader, Any, Sequence[Found]], Weighed] = _as_one


RETRIEVERS: Mapping[str, Retriever] = {
    "dense": Retriever(
        encode=lambda encoder, facts, query: encoder.queries([query], facts)[0],
        find=lambda reader, vector, k, where: reader.dense(vector, k, where),
        weigh=_by_vectors,
    ),
    "lexical": Retriever(
        encode=None,
        find=lambda reader, query, k, where: reader.lexical(query, k, where),
        weigh=_by_words,
    ),
}
"""All retrievers by name. Where two rank a document equally, the earlier one's passage is shown."""

MODES: Mapping[Mode, tuple[str, ...]] = {
    "dense": ("dense",),
    "lexical": ("lexical",),
    "hybrid": ("dense", "lexical"),
    "best": ("dense", "lexical"),
}
"""The retrievers of each mode; what several of them find is fused. "best" adds a reranker, where there is one."""


def needs_model(mode: Mode) -> bool:
    """Whether one of its retrievers asks a model."""
    return any(RETRIEVERS[name].encode for name in MODES[mode])


def questions(mode: Mode, query: str, encoder: Encoder, facts: ModelFacts | None) -> dict[str, Any]:
    """What each retriever of a mode is asked: the text, or what the model makes of it.

    Args:
        mode: names the retrievers.
        query: the text.
        encoder: the model.
        facts: of the model; None where the mode needs none.
    """
    asked: dict[str, Any] = {}
    for name in MODES[mode]:
        encode = RETRIEVERS[name].encode
        asked[name] = query if encode is None or facts is None else encode(encoder, facts, query)
    return asked
