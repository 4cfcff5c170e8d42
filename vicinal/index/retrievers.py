"""The retrievers of an index, each one row of a table, and the modes that run them.

To add a retriever (sparse, multi-vector):

1. give it a row in :data:`RETRIEVERS`, under the name that hits show, and a mode in :data:`MODES`;
2. if a model makes something of its query, give :class:`vicinal.index.encoder.Encoder` a method for that;
3. give :class:`vicinal.index.stores.base.Reader` a method for it, and each store its own;
4. if it looks at more than texts and dense vectors, let ``Writer.insert`` take that too;
5. nothing else: fusion, best passages, reranking, hits and the command line go through the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vicinal.index.encoder import Encoder
from vicinal.index.filters import Node
from vicinal.index.stores.base import Found, ModelFacts, Reader

Mode = Literal["dense", "lexical", "hybrid"]


@dataclass(frozen=True, slots=True)
class Retriever:
    """One way of finding documents.

    Attributes:
        encode: what the model makes of a query for it, such as a ``(d,)`` vector; None where it takes the
            text, and so needs no model.
        find: the best documents of a state, best first: called with the state, what ``encode`` gave (or the
            text), the maximum number of documents, and the filter.
    """

    encode: Callable[[Encoder, ModelFacts, str], Any] | None
    find: Callable[[Reader, Any, int, Node | None], list[Found]]


RETRIEVERS: Mapping[str, Retriever] = {
    "dense": Retriever(
        encode=lambda encoder, facts, query: encoder.queries([query], facts)[0],
        find=lambda reader, vector, k, where: reader.dense(vector, k, where),
    ),
    "lexical": Retriever(
        encode=None,
        find=lambda reader, query, k, where: reader.lexical(query, k, where),
    ),
}
"""All retrievers by name. Where two rank a document equally, the earlier one's passage is shown."""

MODES: Mapping[Mode, tuple[str, ...]] = {
    "dense": ("dense",),
    "lexical": ("lexical",),
    "hybrid": ("dense", "lexical"),
}
"""The retrievers of each mode; what several of them find is fused."""
