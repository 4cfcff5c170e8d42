"""What all dialects call: texts and names go in, arrays come out, and everything that is wrong is Refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from vicinal.index.index import Index
from vicinal.index.results import Document
from vicinal.server.checks import check_text
from vicinal.server.records import (
    Found,
    IndexEntry,
    ModelKind,
)
from vicinal.server.text_service import TextService

Made = TypeVar("Made")

State = Literal["starting", "ready", "draining", "failed"]

_ANY: tuple[ModelKind, ...] = ("embedding", "reranker", "classifier")


class Service(TextService):
    """What all dialects call: that of :class:`TextService`, and indexes."""

    def index_names(self) -> list[str]:
        """The names of all indexes, the default first."""
        return self._indexes.names()

    def indexes(self) -> list[IndexEntry]:
        """Facts about all indexes, read now."""
        self.check_ready()
        return self._indexes.entries()

    def with_index(self, name: str | None, work: Callable[[Index], Made]) -> Made:
        """Do something with an open index, in a thread that may wait.

        Raises:
            Refused: there is none of this name, or it cannot be read.
        """
        self.check_ready()
        return self._indexes.use(self._indexes.find(name), work)

    async def search(
        self,
        index: str | None,
        query: str,
        *,
        top_k: int = 10,
        filter: Mapping[str, Any] | None = None,
        mode: str = "hybrid",
        rerank: bool | str = False,
        candidates: int | None = None,
        budget_ms: float | None = None,
    ) -> Found:
        """Search an index.

        Args:
            index: its name; None for the first.
            query: the query.
            top_k, filter, mode, candidates, budget_ms: as for :meth:`vicinal.Index.search`.
            rerank: have the best candidates scored again by the reranker of this name, True for the default one,
                which mode best takes anyway.

        Raises:
            Refused: anything is wrong.
        """
        self.check_ready()
        check_text(query, self.settings, "query")
        reranker = None
        served = any(entry.kind == "reranker" for entry in self.models())
        if rerank is not False or (mode == "best" and served):
            rerank = True if rerank is False else rerank
            reranker = self._find(None if rerank is True else rerank, "reranker")
        return await self._indexes.search(
            index,
            query,
            top_k=top_k,
            filter=filter,
            mode=mode,
            reranker=reranker,
            candidates=candidates,
            budget_ms=budget_ms,
        )

    async def documents(self, index: str | None, ids: Sequence[str]) -> list[Document | None]:
        """Documents of an index by id; None where there is none."""
        self.check_ready()
        return await self._indexes.get(index, ids)

    async def upsert(
        self,
        index: str | None,
        ids: Sequence[str] | None,
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any] | None] | None = None,
    ) -> list[str]:
        """Add documents to an index, or replace those of the same ids; gives the ids.

        Raises:
            Refused: the server is not writable, or anything else is wrong; nothing changed then.
        """
        self.check_ready()
        checked = self.check_texts(list(texts), "documents")
        return await self._indexes.upsert(index, ids, checked, metadatas)

    async def delete(
        self,
        index: str | None,
        ids: Sequence[str] | None = None,
        filter: Mapping[str, Any] | None = None,
    ) -> int:
        """Remove documents by id, or all that a filter holds for; gives how many.

        Raises:
            Refused: the server is not writable, neither or both are given, or the filter is wrong.
        """
        self.check_ready()
        return await self._indexes.delete(index, ids, filter)
