"""The routes of text-embeddings-inference, with its errors and headers.

Its ``/rerank`` is shared with other dialects: see ``jina``. It has one model and no field to name one; here
``model`` names another than the first of a kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import ValidationError
from starlette.responses import Response

from vicinal.models.activations import sigmoid, softmax
from vicinal.server.answers import Answer
from vicinal.server.dialects.ranking import best_first
from vicinal.server.dialects.tei_ids import texts_of
from vicinal.server.dialects.tei_info import told
from vicinal.server.dialects.tei_requests import (
    Decode,
    Direction,
    Embed,
    EmbedAll,
    Inputs,
    OwnTask,
    Predict,
    Rerank,
    Similarity,
    SimilarityParameters,
    Tokenize,
)
from vicinal.server.errors import Refused
from vicinal.server.records import Result, Timings
from vicinal.server.requests import RequestModel
from vicinal.vectors.similarity import cos_sim

if TYPE_CHECKING:
    from vicinal.server.records import ModelKind, Predicted
    from vicinal.server.service import Service

STATUSES: Mapping[str, int] = {}

_ERROR_TYPES = {
    "tokenizer": "Tokenizer",
    "empty": "Empty",
    "backend": "Backend",
    "internal": "Backend",
    "overloaded": "Overloaded",
    "timeout": "Overloaded",
    "unhealthy": "Unhealthy",
    "unauthorized": "Unauthorized",
    "forbidden": "Unauthorized",
}


def router(service: Service) -> APIRouter:
    """The routes of this dialect."""
    routes = APIRouter(tags=["text-embeddings-inference"])

    @routes.post("/embed")
    async def embed(body: Embed) -> Response:
        """Vectors of texts, of length 1 unless ``normalize`` is false."""
        return await embedded(service, body)

    @routes.post("/embed_all")
    async def embed_all(body: EmbedAll) -> Response:
        """The vector of every token, before pooling."""
        model = _model(service, body.model, "embedding")
        texts = await _texts(service, body.inputs, model)
        found = await service.embed_tokens(texts, model=model, **_reading(body))
        return Answer(found.found, headers=headers(found, _characters(texts)))

    @routes.post("/embed_sparse")
    async def embed_sparse(body: EmbedAll) -> Response:
        """Sparse vectors: no model here gives them."""
        await _texts(service, body.inputs, _model(service, body.model, "embedding"))
        raise Refused("backend", "Model is not an embedding model with SPLADE pooling")

    @routes.post("/predict")
    async def predict(body: Predict) -> Response:
        """Labels of texts or pairs with their scores, best first."""
        return await predicted(service, body)

    @routes.post("/similarity")
    async def similarity(body: Similarity) -> Response:
        """Cosine similarities of one text with others."""
        return await compared(service, body)

    @routes.post("/tokenize")
    async def tokenize(body: Tokenize) -> Response:
        """The tokens of texts; ``start`` and ``stop`` are bytes of the text in UTF-8, with its prompt."""
        texts = service.check_texts(body.inputs, "inputs")
        found = await service.tokenize(
            texts,
            model=body.model,
            add_special_tokens=body.add_special_tokens is not False,
            prompt_name=body.prompt_name,
        )
        tokens = [
            [
                {
                    "id": each.id,
                    "text": each.text,
                    "special": each.special,
                    "start": each.start,
                    "stop": each.stop,
                }
                for each in row
            ]
            for row in found
        ]
        return Answer(tokens)

    @routes.post("/decode")
    async def decode(body: Decode) -> Response:
        """Texts of token ids."""
        if not body.ids:
            raise Refused("empty", "`ids` cannot be empty", param="ids")
        many: Any = body.ids if isinstance(body.ids[0], list) else [body.ids]
        skip = body.skip_special_tokens is not False
        return Answer(await service.decode(many, model=body.model, skip_special_tokens=skip))

    @routes.get("/info")
    async def info() -> Response:
        """What is served: the first model, and the limits."""
        return Answer(told(service))

    @routes.get("/ping", include_in_schema=False)
    async def ping() -> Response:
        """Whether requests are taken, as machine learning platforms ask."""
        return Response(status_code=200 if service.state == "ready" else 503)

    @routes.post("/")
    @routes.post("/invocations", include_in_schema=False)
    async def own_task(body: OwnTask) -> Response:
        """What the first model does; another task that is served is told by its fields."""
        return await _own_task(service, body)

    return routes


def error_body(refused: Refused) -> dict[str, Any]:
    """This dialect's shape of an error."""
    return {"error": refused.message, "error_type": _ERROR_TYPES.get(refused.kind, "Validation")}


def headers(result: Result, characters: int) -> dict[str, str]:
    """The headers that tell what was computed and how long it took, in milliseconds.

    Args:
        result: what was computed.
        characters: of all texts that were read.
    """
    spent = result.timings
    times = {
        "x-compute-time": spent.total,
        "x-total-time": spent.total,
        "x-tokenization-time": spent.tokenization,
        "x-queue-time": spent.queue,
        "x-inference-time": spent.inference,
    }
    return {
        "x-compute-type": "cpu",
        "x-compute-characters": str(characters),
        "x-compute-tokens": str(int(result.tokens.sum())),
        **{name: str(round(seconds * 1000)) for name, seconds in times.items()},
    }


async def embedded(service: Service, body: Embed) -> Response:
    """The answer of ``/embed``."""
    model = _model(service, body.model, "embedding")
    texts = await _texts(service, body.inputs, model)
    found = await service.embed(
        texts,
        model=model,
        dimensions=body.dimensions,
        normalize=body.normalize is not False,
        **_reading(body),
    )
    return Answer(found.vectors, headers=headers(found, _characters(texts)))


async def compared(service: Service, body: Similarity) -> Response:
    """The answer of ``/similarity``."""
    model = _model(service, body.model, "embedding")
    source = body.inputs.source_sentence
    sentences = service.check_texts(body.inputs.sentences, "inputs.sentences")
    texts = [source, *sentences]
    reading = _reading(body.parameters or SimilarityParameters())
    found = await service.embed(texts, model=model, **reading)
    similarities = cos_sim(found.vectors[:1], found.vectors[1:])[0]
    return Answer(similarities, headers=headers(found, _characters(texts)))


async def ranked(service: Service, body: Rerank) -> Response:
    """The answer of ``/rerank``."""
    texts = service.check_texts(body.texts, "texts")
    scored, best = await best_first(
        service,
        body.query,
        texts,
        raw=bool(body.raw_scores),
        model=_model(service, body.model, "reranker"),
        truncate=body.truncate,
        truncation_direction=_side(body.truncation_direction),
    )
    ranks: list[dict[str, Any]] = []
    for index, score in best:
        text = {"text": texts[index]} if body.return_text else {}
        ranks.append({"index": index, **text, "score": score})
    return Answer(ranks, headers=headers(scored, _characters(texts) + len(texts) * len(body.query)))


async def predicted(service: Service, body: Predict) -> Response:
    """The answer of ``/predict``: of one text or pair its labels, of several a list of such lists."""
    model = labelling(service, body.model)
    inputs, several = _inputs_to_predict(body.inputs)
    parameters = body.parameters
    applied = parameters.function_to_apply if parameters else None
    options: dict[str, Any] = {
        "model": model,
        "raw": bool(body.raw_scores) or applied is not None,
        "truncate": body.truncate,
        "truncation_direction": _side(body.truncation_direction),
    }
    # The service takes texts or pairs, and not both at once.
    answers: dict[int, list[dict[str, Any]]] = {}
    parts: list[Predicted] = []
    for is_pair in (False, True):
        places = [place for place, each in enumerate(inputs) if isinstance(each, tuple) == is_pair]
        if not places:
            continue
        found = await service.predict([inputs[place] for place in places], **options)
        parts.append(found)
        scores = _applied(found.scores, applied)
        for place, row in zip(places, scores, strict=True):
            answers[place] = labelled(row, found.labels)[: parameters.top_k if parameters else None]
    rows = [answers[place] for place in range(len(inputs))]
    characters = _characters(text for each in inputs for text in ((each,) if isinstance(each, str) else each))
    # The Hugging Face client, which sends `parameters`, takes the first of a list of lists.
    content: Any = rows if several or parameters is not None else rows[0]
    return Answer(content, headers=headers(_whole(parts), characters))


def labelling(service: Service, name: str | None) -> str:
    """The id of the model that gives labels: the first classifier, or where there is none the first reranker."""
    classifiers = [entry.id for entry in service.models() if entry.kind == "classifier"]
    return _model(service, name or next(iter(classifiers), None), ("classifier", "reranker"))


def labelled(scores: NDArray[np.float32], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Labels by falling score, equal ones in their order."""
    order = np.argsort(-scores, kind="stable").tolist()
    return [{"score": scores[place], "label": labels[place]} for place in order]


def _applied(scores: NDArray[np.float32], function: str | None) -> NDArray[np.float32]:
    if function == "sigmoid":
        return sigmoid(scores)
    return softmax(scores) if function == "softmax" else scores


def _whole(parts: Sequence[Result]) -> Result:
    """What belongs to the answer of several calls, for its headers."""
    if len(parts) == 1:
        return parts[0]
    spent = Timings(*(sum(each) for each in zip(*(astuple(part.timings) for part in parts), strict=True)))
    tokens = np.concatenate([part.tokens for part in parts])
    return Result(tokens, sum(part.cut for part in parts), spent, parts[0].model)


def _inputs_to_predict(given: str | list[str] | list[list[str]]) -> tuple[list[str | tuple[str, str]], bool]:
    """Texts and pairs, and whether there may be several."""
    if isinstance(given, str):
        return [given], False
    if not given:
        raise Refused(
            "validation", "inputs is empty: give a text, a pair [a, b], or a list of lists", param="inputs"
        )
    several = isinstance(given[0], list)
    rows: list[Any] = given if several else [given]
    for place, row in enumerate(rows):
        if len(row) not in (1, 2):
            where = f"inputs[{place}]" if several else "inputs"
            message = (
                f"{where} has {len(row)} texts: give one, or two for a pair; several texts are [[a], [b]]"
            )
            raise Refused("validation", message, param="inputs")
    return [row[0] if len(row) == 1 else (row[0], row[1]) for row in rows], several


async def _own_task(service: Service, body: OwnTask) -> Response:
    given = body.model_dump(exclude_unset=True)
    if isinstance(body.inputs, dict):
        return await compared(service, _read(Similarity, given))
    if "texts" in given:
        return await ranked(service, _read(Rerank, given))
    entries = service.models()
    kinds = [entry.kind for entry in entries if body.model in (None, entry.id)]
    # `parameters` comes with what the Hugging Face client wants classified.
    parameters = given.get("parameters")
    wanted = isinstance(parameters, dict) and (
        "classifier" in kinds or {"top_k", "function_to_apply"} & set(parameters)
    )
    if wanted or (kinds and kinds[0] == "classifier"):
        return await predicted(service, _read(Predict, given))
    if kinds and kinds[0] == "reranker":
        return await ranked(service, _read(Rerank, given))
    return await embedded(service, _read(Embed, given))


Body = TypeVar("Body", bound=RequestModel)


def _read(kind: type[Body], given: dict[str, Any]) -> Body:
    try:
        return kind(**given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Refused("validation", f"{where}: {first['msg']}", param=where) from None


async def _texts(service: Service, inputs: Inputs, model: str) -> list[str]:
    """Texts of what may be token ids of the model."""
    if inputs == []:
        raise Refused("empty", "`inputs` cannot be empty", param="inputs")
    many: list[Any] = [inputs] if isinstance(inputs, str) or isinstance(inputs[0], int) else list(inputs)
    places = [place for place, each in enumerate(many) if not isinstance(each, str)]
    if places:
        decoded = await texts_of(service, [many[place] for place in places], model)
        for place, text in zip(places, decoded, strict=True):
            many[place] = text
    return service.check_texts(many, "inputs")


def _model(service: Service, name: str | None, kind: ModelKind | tuple[ModelKind, ...]) -> str:
    """The id of the model that does something.

    Raises:
        Refused: there is none: not found where it was named, else as of a model of the wrong kind.
    """
    try:
        return service.entry(name, kind).id
    except Refused as refused:
        if refused.kind != "not_found" or name is not None:
            raise
        raise Refused("backend", refused.message) from None


def _reading(body: EmbedAll | SimilarityParameters) -> dict[str, Any]:
    """How texts are read, as the service has it."""
    return {
        "prompt_name": body.prompt_name,
        "input_type": body.input_type,
        "truncate": body.truncate,
        "truncation_direction": _side(body.truncation_direction),
    }


def _side(direction: Direction | None) -> str | None:
    return None if direction is None else direction.lower()


def _characters(texts: Iterable[str]) -> int:
    return sum(map(len, texts))
