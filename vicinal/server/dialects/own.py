"""Vicinal's own routes: health, metrics, search, and changing an index."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.responses import Response

from vicinal.index.results import Hit
from vicinal.server.answers import Answer
from vicinal.server.errors import Refused
from vicinal.server.metrics import CONTENT_TYPE
from vicinal.server.records import IndexEntry
from vicinal.server.requests import RequestModel
from vicinal.server.service import Service

# What a page of a screen can show is less; an answer of more would only be large.
_MOST_HITS, _MOST_CANDIDATES, _MOST_CHARACTERS = 1000, 1000, 20_000_000


class OwnRequest(RequestModel):
    """A body of these routes, which no other server has: a field that is not known is refused, as it would be lost."""

    model_config = RequestModel.model_config | {"extra": "forbid"}


class SearchRequest(OwnRequest):
    """The body of ``/v1/search``."""

    query: str = Field(description="What is looked for.")
    index: str | None = Field(None, description="The name of an index; the first one if it is left out.")
    top_k: int = Field(10, ge=1, le=_MOST_HITS, description="Hits at most.")
    filter: dict[str, Any] | None = Field(
        None, description='Only documents whose metadata fit, such as {"year": {"$gte": 1950}}.'
    )
    mode: Literal["dense", "lexical", "hybrid", "best"] = Field(
        "hybrid", description="By meaning, by words, by both, or by both and a reranker."
    )
    rerank: bool | str = Field(False, description="Score the candidates again; a name chooses the reranker.")
    candidates: int | None = Field(
        None,
        ge=1,
        le=_MOST_CANDIDATES,
        description="Documents that are scored again; 100, or 30 in mode best.",
    )
    budget_ms: float | None = Field(
        None, gt=0, le=600_000, description="In mode best, the milliseconds that a search may take."
    )


class NewDocument(OwnRequest):
    """A document for an index."""

    text: str
    id: str | None = Field(None, description="Made up if it is left out.")
    metadata: dict[str, Any] | None = None


class UpsertRequest(OwnRequest):
    """The body of ``/v1/index/{index}/upsert``."""

    documents: list[NewDocument] = Field(min_length=1)


class DeleteRequest(OwnRequest):
    """The body of ``/v1/index/{index}/delete``: ids, or a filter."""

    ids: list[str] | None = None
    filter: dict[str, Any] | None = Field(None, description="An empty one removes everything.")


class DocumentsRequest(OwnRequest):
    """The body of ``/v1/index/{index}/documents``."""

    ids: list[str] = Field(max_length=_MOST_HITS)


def error_body(refused: Refused) -> dict[str, Any]:
    """``{"error": {"kind", "message", "param"}}``."""
    return {"error": {"kind": refused.kind, "message": refused.message, "param": refused.param}}


def router(service: Service) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["Vicinal"])
    name = Path(description="The name of an index.")

    @routes.head("/health", include_in_schema=False)
    @routes.get("/health", summary="Whether requests are taken: 200, else 503")
    async def health() -> Answer:
        return Answer({"status": service.state}, 200 if service.state == "ready" else 503)

    @routes.get(
        "/metrics",
        summary="Counters, for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}},
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    @routes.post("/v1/search", summary="Search an index")
    async def search(body: SearchRequest) -> Answer:
        found = await service.search(
            body.index,
            body.query,
            top_k=body.top_k,
            filter=body.filter,
            mode=body.mode,
            rerank=body.rerank,
            candidates=body.candidates,
            budget_ms=body.budget_ms,
        )
        size = sum(len(hit.text) for hit in found.hits)
        if size > _MOST_CHARACTERS:
            raise Refused(
                "too_large",
                f"the {len(found.hits)} documents found have {size} characters: ask for fewer with top_k",
                param="top_k",
            )
        return Answer(
            {
                "index": found.index,
                "mode": body.mode,
                "hits": [shown(hit) for hit in found.hits],
                "milliseconds": round(1000 * found.timings.total, 3),
                "report": found.report,
            }
        )

    @routes.get("/v1/index", summary="The indexes that are served")
    async def indexes() -> Answer:
        return Answer({"indexes": [_entry(each) for each in service.indexes()]})

    @routes.post("/v1/index/{index}/documents", summary="Documents by id; null where there is none")
    async def documents(body: DocumentsRequest, index: str = name) -> Answer:
        found = await service.documents(index, body.ids)
        return Answer(
            {
                "documents": [
                    None if each is None else {"id": each.id, "text": each.text, "metadata": each.metadata}
                    for each in found
                ]
            }
        )

    if service.settings.writable:

        @routes.post("/v1/index/{index}/upsert", summary="Add documents, or replace those of the same ids")
        async def upsert(body: UpsertRequest, index: str = name) -> Answer:
            ids = [each.id for each in body.documents if each.id is not None]
            if ids and len(ids) < len(body.documents):
                raise Refused("validation", "give an id to all documents or to none", param="documents")
            written = await service.upsert(
                index,
                ids or None,
                [each.text for each in body.documents],
                [each.metadata for each in body.documents],
            )
            return Answer({"ids": written})

        @routes.post("/v1/index/{index}/delete", summary="Remove documents by id or by a filter")
        async def delete(body: DeleteRequest, index: str = name) -> Answer:
            return Answer({"deleted": await service.delete(index, body.ids, body.filter)})

    return routes


def shown(hit: Hit) -> dict[str, Any]:
    """A hit in JSON types, with the parts of its passage: those that match the query, and those between them."""
    passage, parts, at = hit.passage, list[dict[str, Any]](), hit.passage.start
    for start, end in passage.matches:
        parts += [_part(passage.text[at - passage.start : start - passage.start], False)]
        parts += [_part(passage.text[start - passage.start : end - passage.start], True)]
        at = end
    parts += [_part(passage.text[at - passage.start :], False)]
    return {**hit.to_dict(), "highlights": [part for part in parts if part["text"]]}


def _part(text: str, match: bool) -> dict[str, Any]:
    return {"text": text, "match": match}


def _entry(entry: IndexEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "documents": entry.documents,
        "model": entry.model,
        "fields": list(entry.fields),
        "writable": entry.writable,
        "problem": entry.problem,
    }
