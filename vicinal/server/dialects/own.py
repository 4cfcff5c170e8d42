"""Vicinal's own routes: health, metrics, search, and changing an index."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from vicinal.server.answers import Answer
from vicinal.server.errors import Refused
from vicinal.server.metrics import CONTENT_TYPE
from vicinal.server.service import Service


def error_body(refused: Refused) -> dict[str, Any]:
    """``{"error": {"kind", "message", "param"}}``."""
    return {"error": {"kind": refused.kind, "message": refused.message, "param": refused.param}}


def router(service: Service) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["Vicinal"])

    @routes.get("/health", summary="Whether requests are taken: 200, else 503")
    async def health() -> Answer:
        return Answer({"status": service.state}, 200 if service.state == "ready" else 503)

    @routes.get("/metrics", summary="Counters, for Prometheus")
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    return routes
