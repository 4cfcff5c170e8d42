"""Ollama's routes for embeddings: ``/api/embed``, ``/api/embeddings``, and those that list models."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from vicinal.core.version import __version__
from vicinal.server.answers import Answer
from vicinal.server.errors import Refused
from vicinal.server.requests import RequestModel

if TYPE_CHECKING:
    from vicinal.server.records import ModelEntry
    from vicinal.server.service import Service

STATUSES = {"validation": 400, "tokenizer": 400}


class Embed(RequestModel):
    """The body of ``/api/embed``; ``options`` and ``keep_alive`` change nothing."""

    model: str = Field(json_schema_extra={"minLength": 1})
    input: str | list[str] | None = None
    truncate: bool | None = None
    dimensions: int | None = Field(None, ge=0)
    prompt_name: str | None = None
    input_type: Literal["query", "document"] | None = None


class Embeddings(RequestModel):
    """The body of ``/api/embeddings``, the older route."""

    model: str = Field(json_schema_extra={"minLength": 1})
    prompt: str | None = None
    prompt_name: str | None = None
    input_type: Literal["query", "document"] | None = None


class Show(RequestModel):
    """The body of ``/api/show``."""

    model: str | None = None
    name: str | None = None


def router(service: Service) -> APIRouter:
    """The routes of this dialect."""
    routes = APIRouter(prefix="/api", tags=["Ollama"])

    @routes.post("/embed")
    async def embed(body: Embed) -> Response:
        """Vectors of length 1. ``truncate: false`` refuses texts that are too long, which are else cut."""
        name = served(service, body.model)
        # Nothing to embed asks Ollama to load the model.
        if not body.input:
            return Answer({"model": body.model, "embeddings": []})
        found = await service.embed(
            service.check_texts(body.input, "input"),
            model=name,
            truncate=body.truncate is not False,
            dimensions=body.dimensions or None,
            normalize=True,
            prompt_name=body.prompt_name,
            input_type=body.input_type,
        )
        answer = {
            "model": body.model,
            "embeddings": found.vectors,
            "total_duration": round(found.timings.total * 1e9),
            "load_duration": 0,
            "prompt_eval_count": int(found.tokens.sum()),
        }
        return Answer(answer)

    @routes.post("/embeddings")
    async def embeddings(body: Embeddings) -> Response:
        """The vector of one text, as long as the model makes it."""
        name = served(service, body.model)
        if not body.prompt:
            return Answer({"embedding": []})
        found = await service.embed(
            service.check_texts(body.prompt, "prompt"),
            model=name,
            prompt_name=body.prompt_name,
            input_type=body.input_type,
        )
        return Answer({"embedding": found.vectors[0]})

    @routes.get("/tags")
    async def tags() -> Response:
        """The models that give vectors."""
        return Answer({"models": [_listed(entry) for entry in _embedders(service)]})

    @routes.get("/ps")
    async def loaded() -> Response:
        """The models in memory: all of them."""
        never = "9999-12-31T23:59:59Z"
        entries = [{**_listed(entry), "expires_at": never, "size_vram": 0} for entry in _embedders(service)]
        return Answer({"models": entries})

    @routes.post("/show")
    async def show(body: Show) -> Response:
        """What is known about a model."""
        entry = service.entry(served(service, body.model or body.name or ""), "embedding")
        listed = _listed(entry)
        family = listed["details"]["family"]
        answer = {
            "details": listed["details"],
            "model_info": {
                "general.architecture": family,
                f"{family}.context_length": entry.max_length,
                f"{family}.embedding_length": entry.dimension,
            },
            "capabilities": ["embedding"],
            "modified_at": listed["modified_at"],
        }
        return Answer(answer)

    @routes.get("/version")
    async def version() -> Response:
        """The version of the server."""
        return Answer({"version": __version__})

    return routes


def error_body(refused: Refused) -> dict[str, Any]:
    """This dialect's shape of an error."""
    return {"error": refused.message}


def served(service: Service, name: str) -> str:
    """The id of a model that Ollama's clients may name with a tag, as ``name:latest``.

    Raises:
        Refused: there is no such model.
    """
    if not name:
        raise Refused("validation", "model is required", param="model")
    plain = name.removesuffix(":latest")
    if any(entry.id == name for entry in service.models()):
        return name
    return service.entry(plain, "embedding").id


def _embedders(service: Service) -> list[ModelEntry]:
    return [entry for entry in service.models() if entry.kind == "embedding"]


def _listed(entry: ModelEntry) -> dict[str, Any]:
    name = entry.id if ":" in entry.id else f"{entry.id}:latest"
    family = entry.architecture.removesuffix("Model").lower() or "static"
    return {
        "name": name,
        "model": name,
        "modified_at": datetime.fromtimestamp(entry.created, timezone.utc).isoformat(),
        "size": entry.size_bytes,
        "digest": hashlib.sha256(entry.fingerprint.encode()).hexdigest(),
        "details": {
            "parent_model": "",
            "format": "safetensors",
            "family": family,
            "families": [family],
            "parameter_size": "",
            "quantization_level": entry.dtype,
        },
    }
