"""The base of all bodies of requests."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class RequestModel(BaseModel):
    """A body: numbers are no texts and texts no numbers, NaN and infinity are refused, unknown fields are ignored."""

    model_config = ConfigDict(
        extra="ignore", strict=True, allow_inf_nan=False, frozen=True, protected_namespaces=()
    )


#: For fields with lists that must not be empty: told in the schema, and checked by the service, whose messages and
#: kinds of errors are the better ones.
NOT_EMPTY: dict[str, Any] = {"minItems": 1}
