"""What text-embeddings-inference is asked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from vicinal.server.requests import NOT_EMPTY, RequestModel

Direction = Literal["left", "right", "Left", "Right"]
Id = Annotated[int, Field(json_schema_extra={"minimum": 0})]
Ids = Annotated[list[Id], Field(json_schema_extra=NOT_EMPTY)]
Inputs = str | Ids | list[str | Ids]
# A text, or two that belong together.
Sequence = Annotated[list[str], Field(json_schema_extra={"minItems": 1, "maxItems": 2})]


class EmbedAll(RequestModel):
    """Texts, or token ids of the served model as its ``/tokenize`` gives them."""

    inputs: Inputs = Field(json_schema_extra=NOT_EMPTY)
    truncate: bool | None = Field(
        None, description="false refuses texts that are too long; null: as the server is set"
    )
    truncation_direction: Direction | None = None
    prompt_name: str | None = None
    input_type: Literal["query", "document"] | None = None
    model: str | None = None


class Embed(EmbedAll):
    """The body of ``/embed``."""

    normalize: bool | None = True
    dimensions: int | None = Field(None, ge=1)


class Rerank(RequestModel):
    """The body of ``/rerank``."""

    query: str
    texts: list[str] = Field(json_schema_extra=NOT_EMPTY)
    truncate: bool | None = None
    truncation_direction: Direction | None = None
    raw_scores: bool | None = False
    return_text: bool | None = False
    model: str | None = None


class PredictParameters(RequestModel):
    """As the Hugging Face client has them, which wants an answer of another shape."""

    top_k: int | None = Field(None, ge=1)
    function_to_apply: Literal["sigmoid", "softmax", "none"] | None = None


class Predict(RequestModel):
    """A text, a pair ``[a, b]``, or a list of lists of one or two texts."""

    inputs: str | Sequence | list[Sequence] = Field(json_schema_extra=NOT_EMPTY)
    truncate: bool | None = None
    truncation_direction: Direction | None = None
    raw_scores: bool | None = False
    parameters: PredictParameters | None = None
    model: str | None = None


class SimilarityInputs(RequestModel):
    """A text, and those that it is compared with."""

    source_sentence: str
    sentences: list[str] = Field(json_schema_extra=NOT_EMPTY)


class SimilarityParameters(RequestModel):
    """How texts are read."""

    truncate: bool | None = None
    truncation_direction: Direction | None = None
    prompt_name: str | None = None
    input_type: Literal["query", "document"] | None = None


class Similarity(RequestModel):
    """The body of ``/similarity``."""

    inputs: SimilarityInputs
    parameters: SimilarityParameters | None = None
    model: str | None = None


class Tokenize(RequestModel):
    """The body of ``/tokenize``."""

    inputs: str | list[str] = Field(json_schema_extra=NOT_EMPTY)
    add_special_tokens: bool | None = True
    prompt_name: str | None = None
    model: str | None = None


class Decode(RequestModel):
    """The body of ``/decode``."""

    ids: list[Id] | list[list[Id]] = Field(json_schema_extra=NOT_EMPTY)
    skip_special_tokens: bool | None = True
    model: str | None = None


class OwnTask(RequestModel):
    """Whatever one of the other routes takes; what it is, is told by its fields."""

    model_config = RequestModel.model_config | {"extra": "allow"}

    inputs: Any = None
    model: str | None = None
