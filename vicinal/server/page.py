"""The page at ``/``: its files, and what only the page asks for."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, get_args

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from vicinal.core.version import __version__
from vicinal.server.answers import Answer
from vicinal.server.dialects.own import SearchRequest, error_body
from vicinal.server.errors import Refused
from vicinal.server.maps import Maps
from vicinal.server.service import Service

__all__ = ["OPEN_PATHS", "error_body", "router"]

_FOLDER = Path(__file__).with_name("static")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_NAMES = sorted(path.name for path in _FOLDER.iterdir() if path.suffix in _TYPES)

#: What anybody may see without a key: the page itself, which holds nothing.
OPEN_PATHS = ("/", *(f"/page/files/{name}" for name in _NAMES))

# Nothing but files of this server, no scripts and styles in the page, no markup made of texts, no frames.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-cache",
}


def router(service: Service) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["Page"])
    files = {name: (_FOLDER / name).read_bytes() for name in _NAMES}
    tags = {name: f'"{hashlib.sha256(content).hexdigest()[:16]}"' for name, content in files.items()}
    maps = Maps(lambda: service.state not in ("starting", "ready"))

    def file(name: str, request: Request) -> Response:
        if name not in files:
            raise Refused("not_found", f"the page has no file {name[:100]!r}")
        headers = {**_HEADERS, "etag": tags[name]}
        if request.headers.get("if-none-match") == tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(files[name], headers=headers, media_type=_TYPES[Path(name).suffix])

    @routes.head("/", include_in_schema=False)
    @routes.get("/", summary="The page", response_class=HTMLResponse)
    async def page(request: Request) -> Response:
        return file("index.html", request)

    @routes.get("/page/files/{name}", include_in_schema=False)
    async def part(name: str, request: Request) -> Response:
        return file(name, request)

    @routes.get("/page/about", include_in_schema=False)
    def about() -> Answer:
        service.check_ready()
        entries = service.models()
        found: dict[str, Any] = {
            "version": __version__,
            "modes": list(get_args(SearchRequest.model_fields["mode"].annotation)),
            "indexes": [
                {
                    "id": each.id,
                    "documents": each.documents,
                    "model": each.model,
                    "fields": list(each.fields),
                    "problem": each.problem,
                }
                for each in service.indexes()
            ],
            "embedders": [
                {"id": each.id, "dimension": each.dimension} for each in entries if each.kind == "embedding"
            ],
            "rerankers": [{"id": each.id} for each in entries if each.kind == "reranker"],
        }
        return Answer(found)

    # Routes without async run in a thread: both read the file of an index.
    @routes.get("/page/map", include_in_schema=False)
    def map_status(index: str, fresh: bool = False) -> Answer:
        service.check_ready()
        status = service.with_index(index, lambda opened: maps.status(index, opened, fresh))
        return Answer(
            {"state": status.state, "done": status.done, "message": status.message, "current": status.current}
        )

    @routes.get("/page/map/data", include_in_schema=False)
    def map_data(index: str, request: Request) -> Response:
        service.check_ready()
        service.with_index(index, lambda opened: None)
        data = maps.data(index)
        if data is None:
            raise Refused("not_found", f"the map of {index[:100]!r} is not drawn yet: ask /page/map for it")
        headers = {"content-type": "application/json", "cache-control": "no-store"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(data, headers={**headers, "content-encoding": "gzip"})
        import gzip

        return Response(gzip.decompress(data), headers=headers)

    return routes
