"""The base of all bodies of requests."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class RequestModel(BaseModel):
    """A body: numbers are no texts and texts no numbers, NaN and infinity are refused, unknown fields are ignored."""

    model_config = ConfigDict(
        extra="ignore", strict=True, allow_inf_nan=False, frozen=True, protected_namespaces=()
    )
