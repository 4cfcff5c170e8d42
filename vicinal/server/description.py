"""What /openapi.json says about requests that are refused."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from vicinal.server.errors import Refused


def refusals(dialect: ModuleType) -> dict[int | str, dict[str, Any]]:
    """The responses of a dialect's routes to what is refused, as FastAPI takes them."""
    body = dialect.error_body(Refused("validation", "what is wrong, where, and the remedy"))
    content = {"application/json": {"schema": _schema(body)}}
    return {
        "4XX": {"description": "Refused: what is wrong is told.", "content": content},
        "5XX": {"description": "The server failed, or takes no requests now.", "content": content},
    }


def _schema(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        properties = {name: _schema(each) for name, each in value.items()}
        return {"type": "object", "properties": properties, "required": list(properties)}
    # Fields that are null in one error are texts in others.
    return {"type": "string"} if value is not None else {"type": ["string", "null"]}
