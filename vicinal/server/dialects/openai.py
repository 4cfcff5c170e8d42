"""OpenAI's API: ``/v1/embeddings`` and ``/v1/models``."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter
from pydantic import Field, StrictInt

from vicinal.server.answers import Answer
from vicinal.server.errors import Refused
from vicinal.server.records import ModelEntry
from vicinal.server.requests import RequestModel
from vicinal.server.service import Service

#: OpenAI's clients know 400 for what is wrong with a request.
STATUSES: Mapping[str, int] = {"validation": 400, "tokenizer": 400, "empty": 400}

_TYPES = {
    "unauthorized": "authentication_error",
    "forbidden": "permission_error",
    "overloaded": "rate_limit_error",
    "backend": "server_error",
    "internal": "server_error",
    "unhealthy": "server_error",
    "timeout": "server_error",
}
_CODES = {
    "unauthorized": "invalid_api_key",
    "not_found": "model_not_found",
    "overloaded": "rate_limit_exceeded",
}


_ENDPOINTS = {"embedding": "embed", "reranker": "rerank", "classifier": "classify"}


class EmbeddingsRequest(RequestModel):
    """The body of ``/v1/embeddings``."""

    input: str | list[str] | list[StrictInt] | list[list[StrictInt]] = Field(
        description="A text, or texts. Token ids are refused: they are another model's."
    )
    model: str | None = Field(None, description="The id of a model; the default one if it is left out.")
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1, description="Keep so many leading numbers of each vector.")
    user: str | None = None
    input_type: Literal["query", "document"] | None = Field(
        None, description="Put the model's prompt for queries or documents before each text."
    )
    prompt_name: str | None = Field(None, description="Put this prompt of the model before each text.")
    truncate: bool | None = Field(None, description="Cut what is too long; false refuses it.")


def error_body(refused: Refused) -> dict[str, Any]:
    """``{"error": {"message", "type", "param", "code"}}``."""
    return {
        "error": {
            "message": refused.message,
            "type": _TYPES.get(refused.kind, "invalid_request_error"),
            "param": refused.param,
            "code": _CODES.get(refused.kind),
        }
    }


def router(service: Service) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["OpenAI"])

    @routes.post("/v1/embeddings", summary="Vectors of texts")
    @routes.post("/embeddings", include_in_schema=False)  # text-embeddings-inference and infinity
    async def embeddings(body: EmbeddingsRequest) -> Answer:
        texts = _texts(service, body.input)
        found = await service.embed(
            texts,
            model=body.model,
            prompt_name=body.prompt_name,
            input_type=body.input_type,
            truncate=body.truncate,
            dimensions=body.dimensions,
            normalize=True,
        )
        if body.encoding_format == "base64":
            rows = np.ascontiguousarray(found.vectors, dtype="<f4")
            shown: list[Any] = [base64.b64encode(row.tobytes()).decode() for row in rows]
        else:
            shown = list(found.vectors)
        total = int(found.tokens.sum())
        answer: dict[str, Any] = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": place, "embedding": each} for place, each in enumerate(shown)
            ],
            "model": found.model.id,
            "usage": {"prompt_tokens": total, "total_tokens": total},
        }
        if found.cut:
            answer["truncated"] = found.cut
        return Answer(answer)

    @routes.get("/v1/models", summary="The models that are served")
    @routes.get("/models", include_in_schema=False)
    async def models() -> Answer:
        service.check_ready()
        entries = service.models()
        # Cohere's client asks the same path, and looks for another field.
        named = [{"name": entry.id, "endpoints": [_ENDPOINTS[entry.kind]]} for entry in entries]
        return Answer({"object": "list", "data": [_model(entry) for entry in entries], "models": named})

    @routes.get("/v1/models/{id:path}", summary="One model")
    async def model(id: str) -> Answer:
        return Answer(_model(service.entry(id, ("embedding", "reranker", "classifier"))))

    return routes


def _texts(service: Service, value: Any) -> list[str]:
    """The texts of a request; token ids are refused, as nobody can say whose they are."""
    if isinstance(value, list) and value and not isinstance(value[0], str):
        raise Refused(
            "validation",
            "input holds token ids. They come from a tokenizer of OpenAI's models, and would mean other words here: "
            "send texts. For LangChain's OpenAIEmbeddings, set check_embedding_ctx_length=False",
            param="input",
        )
    return service.check_texts(value, "input")


def _model(entry: ModelEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "object": "model",
        "created": entry.created,
        "owned_by": "vicinal",
        "kind": entry.kind,
        "dimension": entry.dimension,
        "max_length": entry.max_length,
    }
