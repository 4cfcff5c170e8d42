"""Reranking as Jina, vLLM, llama.cpp, infinity and Cohere's first version ask for it, which share their paths.

``/rerank`` is text-embeddings-inference's too: a request with ``texts`` is answered as that one does.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header
from pydantic import Field
from starlette.responses import Response

from vicinal.server.answers import Answer
from vicinal.server.dialects import tei, tei_requests
from vicinal.server.dialects.cohere import meta
from vicinal.server.dialects.ranking import best_first, shortened
from vicinal.server.errors import Refused
from vicinal.server.requests import NOT_EMPTY, RequestModel

if TYPE_CHECKING:
    from vicinal.server.service import Service

STATUSES = {"validation": 400, "tokenizer": 400}

# Texts of fields, and anything else that users keep beside them.
Document = str | dict[str, Any]


class Rerank(RequestModel):
    """A query and documents, which are texts or objects with a field ``text``."""

    query: str
    documents: list[Document] = Field(json_schema_extra=NOT_EMPTY)
    model: str | None = None
    top_n: int | None = Field(None, ge=1)
    return_documents: bool | None = None
    raw_scores: bool | None = Field(
        None, description="As infinity: scores before the sigmoid; documents as texts."
    )
    rank_fields: list[str] | None = Field(
        None, description="As Cohere: fields of the documents that are read."
    )
    max_tokens_per_doc: int | None = Field(None, ge=1)


class AnyRerank(RequestModel):
    """A query, with ``documents`` as Jina has them, or with ``texts`` as text-embeddings-inference has them."""

    query: str
    documents: list[Document] | None = Field(None, json_schema_extra=NOT_EMPTY)
    texts: list[str] | None = Field(None, json_schema_extra=NOT_EMPTY)
    model: str | None = None
    top_n: int | None = Field(None, ge=1)
    return_documents: bool | None = None
    raw_scores: bool | None = None
    rank_fields: list[str] | None = None
    max_tokens_per_doc: int | None = Field(None, ge=1)
    truncate: bool | None = None
    truncation_direction: tei_requests.Direction | None = None
    return_text: bool | None = None


class Classify(RequestModel):
    """Texts to classify, as infinity has it."""

    input: list[str] = Field(json_schema_extra=NOT_EMPTY)
    model: str | None = None
    raw_scores: bool | None = None


def router(service: Service) -> APIRouter:
    """The routes of this dialect."""
    routes = APIRouter(tags=["Rerank"])

    @routes.post("/v1/rerank")
    @routes.post("/v1/reranking", include_in_schema=False)
    async def rerank_v1(
        body: Rerank, user_agent: Annotated[str, Header(include_in_schema=False)] = ""
    ) -> Response:
        """Documents by falling relevance to a query, with scores from 0 to 1.

        Documents come back with their texts unless ``return_documents`` is false; Cohere's client, whose default
        is the other way round, gets them only when it asks.
        """
        return await _ranked(service, body, returned=not user_agent.startswith("cohere/"))

    @routes.post("/rerank")
    @routes.post("/reranking", include_in_schema=False)
    async def rerank(body: AnyRerank) -> Response:
        """The same; with ``texts`` in place of ``documents``, as text-embeddings-inference answers."""
        if (body.texts is None) == (body.documents is None):
            raise Refused("validation", "give either documents or texts", param="documents")
        given = body.model_dump(exclude_none=True)
        if body.texts is not None:
            try:
                return await tei.ranked(service, tei_requests.Rerank(**given))
            except Refused as refused:
                status = refused.given_status or tei.STATUSES.get(refused.kind)
                raise Refused(
                    refused.kind,
                    refused.message,
                    param=refused.param,
                    retry_after=refused.retry_after,
                    status=status or refused.status,
                ) from None
        return await _ranked(service, Rerank(**given), returned=body.raw_scores is None)

    @routes.post("/classify")
    async def classify(body: Classify) -> Response:
        """Labels of texts with their scores, as infinity answers."""
        texts = service.check_texts(body.input, "input")
        model = tei.labelling(service, body.model)
        found = await service.predict(texts, model=model, raw=bool(body.raw_scores))
        content = {
            "object": "classify",
            "data": [tei.labelled(row, found.labels) for row in found.scores],
            "model": found.model.id,
            "usage": _usage(found.tokens),
            "id": f"classify-{uuid.uuid4().hex}",
            "created": int(time.time()),
        }
        return Answer(content)

    return routes


def error_body(refused: Refused) -> dict[str, Any]:
    """The shapes of all that share these paths, in one: each finds its own field."""
    return {"message": refused.message, "detail": refused.message, **tei.error_body(refused)}


async def _ranked(service: Service, body: Rerank, returned: bool) -> Response:
    """Rerank.

    Args:
        service: what computes.
        body: the request.
        returned: whether documents come back where the request says nothing.
    """
    texts = [_text(place, each, body.rank_fields) for place, each in enumerate(body.documents)]
    texts = service.check_texts(texts, "documents")
    texts, cut = await shortened(service, texts, body.max_tokens_per_doc, body.model)
    raw = bool(body.raw_scores)
    scored, best = await best_first(service, body.query, texts, raw=raw, top_n=body.top_n, model=body.model)
    if body.return_documents is not None:
        returned = body.return_documents
    results = []
    for index, score in best:
        result: dict[str, Any] = {"index": index, "relevance_score": score}
        if returned:
            document = body.documents[index]
            # infinity, which alone has raw_scores, answers with plain texts.
            if body.raw_scores is not None:
                result["document"] = document if isinstance(document, str) else texts[index]
            else:
                result["document"] = {"text": document} if isinstance(document, str) else document
        results.append(result)
    content = {
        "id": f"rerank-{uuid.uuid4().hex}",
        "object": "rerank",
        "created": int(time.time()),
        "model": scored.model.id,
        "results": results,
        "usage": _usage(scored.tokens),
        "meta": meta("1", scored, cut, search_units=1),
    }
    return Answer(content)


def _usage(tokens: Any) -> dict[str, int]:
    count = int(tokens.sum())
    return {"prompt_tokens": count, "total_tokens": count}


def _text(place: int, document: Document, fields: list[str] | None) -> str:
    """What is read of a document."""
    if isinstance(document, str):
        return document
    found = []
    for name in fields or ["text"]:
        value = document.get(name)
        if not isinstance(value, str):
            there = "is not a text" if name in document else "is missing"
            remedy = "" if fields else "; give texts, objects with a field 'text', or rank_fields"
            message = f"documents[{place}]: the field {name!r} {there}{remedy}"
            raise Refused("validation", message, param="documents")
        found.append(value)
    return "\n".join(found)
