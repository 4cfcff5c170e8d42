"""Cohere's routes: ``/v1/embed``, ``/v2/embed`` and ``/v2/rerank``. Its ``/v1/rerank`` is shared: see ``jina``."""

from __future__ import annotations

import base64
import math
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import Field
from starlette.responses import Response

from vicinal.server.answers import Answer
from vicinal.server.dialects.ranking import best_first, shortened
from vicinal.server.errors import Refused
from vicinal.server.requests import NOT_EMPTY, RequestModel
from vicinal.vectors.quantization import quantize_embeddings

if TYPE_CHECKING:
    from vicinal.server.records import ModelEntry, Result
    from vicinal.server.service import Service

STATUSES = {"validation": 400, "tokenizer": 400}

MAX_TEXTS = 96
# Where texts are cut, by the end that Cohere says is discarded.
_SIDES = {"START": "left", "END": "right"}

InputType = Literal["search_document", "search_query", "classification", "clustering", "image"]
EmbeddingType = Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]
Truncate = Literal["NONE", "START", "END"]


class TextContent(RequestModel):
    """A part of an input: a text."""

    type: Literal["text"]
    text: str


class EmbedInput(RequestModel):
    """An input that is made of parts, which are joined by line breaks."""

    content: list[TextContent] = Field(json_schema_extra=NOT_EMPTY)


class EmbedV1(RequestModel):
    """The body of ``/v1/embed``."""

    texts: list[str] | None = Field(None, json_schema_extra={**NOT_EMPTY, "maxItems": MAX_TEXTS})
    images: list[str] | None = None
    model: str | None = None
    input_type: InputType | None = None
    prompt_name: str | None = None
    embedding_types: list[EmbeddingType] | None = None
    truncate: Truncate | None = None


class EmbedV2(EmbedV1):
    """The body of ``/v2/embed``."""

    input_type: InputType
    inputs: list[EmbedInput] | None = Field(None, json_schema_extra={**NOT_EMPTY, "maxItems": MAX_TEXTS})
    output_dimension: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)


class RerankV2(RequestModel):
    """The body of ``/v2/rerank``."""

    query: str
    documents: list[str] = Field(json_schema_extra=NOT_EMPTY)
    model: str | None = None
    top_n: int | None = Field(None, ge=1)
    max_tokens_per_doc: int | None = Field(None, ge=1)


def router(service: Service) -> APIRouter:
    """The routes of this dialect."""
    routes = APIRouter(tags=["Cohere"])

    @routes.post("/v1/embed")
    async def embed_v1(body: EmbedV1) -> Response:
        """Vectors of texts; without ``embedding_types`` as plain lists of floats."""
        return await _embedded(service, body, _texts(body.texts, body.images))

    @routes.post("/v2/embed")
    async def embed_v2(body: EmbedV2) -> Response:
        """Vectors of texts, in one or several types."""
        texts = _texts(body.texts, body.images, body.inputs)
        return await _embedded(service, body, texts, body.output_dimension, body.max_tokens, by_type=True)

    @routes.post("/v2/rerank")
    async def rerank_v2(body: RerankV2) -> Response:
        """Documents by falling relevance to a query, with scores from 0 to 1."""
        texts = service.check_texts(body.documents, "documents")
        texts, cut = await shortened(service, texts, body.max_tokens_per_doc, body.model)
        scored, best = await best_first(service, body.query, texts, top_n=body.top_n, model=body.model)
        results = [{"index": index, "relevance_score": score} for index, score in best]
        content = {
            "id": str(uuid.uuid4()),
            "results": results,
            "meta": meta("2", scored, cut, search_units=1),
        }
        return Answer(content)

    return routes


def error_body(refused: Refused) -> dict[str, Any]:
    """This dialect's shape of an error."""
    return {"id": str(uuid.uuid4()), "message": refused.message}


def meta(version: str, result: Result, cut: int = 0, search_units: int | None = None) -> dict[str, Any]:
    """What Cohere's answers tell about themselves; texts that were cut are told as a warning.

    Args:
        version: of the interface.
        result: what was computed.
        cut: documents that were cut besides those of the result.
        search_units: for reranking; else tokens are counted.
    """
    tokens = int(result.tokens.sum())
    units = {"input_tokens": tokens} if search_units is None else {"search_units": search_units}
    found: dict[str, Any] = {
        "api_version": {"version": version},
        "billed_units": units,
        "tokens": {"input_tokens": tokens},
    }
    if result.cut + cut:
        found["warnings"] = [f"{result.cut + cut} of the texts were too long and were cut"]
    return found


async def _embedded(
    service: Service,
    body: EmbedV1,
    texts: list[str],
    dimensions: int | None = None,
    max_tokens: int | None = None,
    by_type: bool = False,
) -> Response:
    texts = service.check_texts(texts, "texts")
    if len(texts) > MAX_TEXTS:
        raise Refused(
            "validation", f"texts: {len(texts)} given, at most {MAX_TEXTS} per request", param="texts"
        )
    entry = service.entry(body.model, "embedding")
    found = await service.embed(
        texts,
        model=body.model,
        truncate=body.truncate != "NONE",
        truncation_direction=_SIDES.get(body.truncate or ""),
        max_tokens=max_tokens,
        dimensions=dimensions,
        normalize=True,
        **_prompt(body.input_type, body.prompt_name, entry),
    )
    types = list(dict.fromkeys(body.embedding_types or []))
    answer = {"id": str(uuid.uuid4()), "texts": texts, "meta": meta("2" if by_type else "1", found)}
    if by_type or types:
        answer["embeddings"] = {kind: as_type(found.vectors, kind) for kind in types or ["float"]}
        answer["response_type"] = "embeddings_by_type"
    else:
        answer["embeddings"] = found.vectors
        answer["response_type"] = "embeddings_floats"
    return Answer(answer)


def _texts(
    texts: list[str] | None, images: list[str] | None, inputs: Sequence[EmbedInput] | None = None
) -> list[str]:
    if images:
        raise Refused("validation", "images: the models here read texts only", param="images")
    if (texts is None) == (inputs is None):
        raise Refused("validation", "give either texts or inputs", param="texts")
    if texts is not None:
        return texts
    found = []
    for place, each in enumerate(inputs or ()):
        if not each.content:
            raise Refused("validation", f"inputs[{place}].content is empty", param="inputs")
        found.append("\n".join(part.text for part in each.content))
    return found


def _prompt(input_type: InputType | None, prompt_name: str | None, entry: ModelEntry) -> dict[str, Any]:
    """What the service is told about the kind of text."""
    if input_type == "image":
        raise Refused("validation", "input_type 'image': the models here read texts only", param="input_type")
    if prompt_name is not None:
        return {"prompt_name": prompt_name}
    if input_type in ("search_query", "search_document"):
        return {"input_type": "query" if input_type == "search_query" else "document"}
    # Some models have a prompt of this name; for the others such texts need none.
    return {"prompt_name": input_type} if input_type in entry.prompts else {}


def as_type(vectors: NDArray[np.float32], kind: EmbeddingType) -> Any:
    """Vectors of length 1 in one of Cohere's types.

    int8 and uint8 use the same 256 steps for every model of a dimension, every number and every request, so
    that vectors of different requests can be compared, and their cosines and inner products stay what they were
    but for rounding. They reach 8 times as far as the numbers of a vector of length 1 are wide: to
    ``8 / sqrt(dimension)``. What lies beyond is clipped.

    Args:
        vectors: ``(n, dim)``.
        kind: the type.

    Returns:
        An array with ``n`` rows, or for ``"base64"`` a list of texts: the bytes of little-endian float32.
    """
    if kind == "float":
        return vectors
    if kind == "base64":
        return [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
    if kind in ("binary", "ubinary"):
        return quantize_embeddings(vectors, kind)
    width = vectors.shape[1]
    step = min(1.0, 8.0 / math.sqrt(width)) / 127
    # Steps are rounded down: half a step less at the lower end, and they are rounded to the nearest, 0 to 0.
    ranges = np.array([[-128.5 * step], [126.5 * step]], dtype=np.float64).repeat(width, axis=1)
    return quantize_embeddings(vectors, kind, ranges=ranges)
