"""The application: routes of all dialects behind one guard, and errors in the shape of each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Route

from vicinal.core.version import __version__
from vicinal.server import page
from vicinal.server.call import Gone
from vicinal.server.description import refusals
from vicinal.server.dialects import cohere, jina, ollama, openai, own, tei
from vicinal.server.errors import Kind, Refused
from vicinal.server.guard import App, Guard, Scope
from vicinal.server.service import Service
from vicinal.server.settings import Settings

_log = logging.getLogger("vicinal.server")

#: The dialects; where two have the same path, the earlier one gets it.
DIALECTS: tuple[ModuleType, ...] = (openai, own, page, cohere, jina, tei, ollama)

# Whose errors a path gets that no route has.
_PREFIXES: tuple[tuple[str, str], ...] = (("/v1", "openai"), ("/v2", "cohere"), ("/api", "ollama"))

_KINDS: Mapping[int, Kind] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method",
    413: "too_large",
    429: "overloaded",
    503: "unhealthy",
}


def create_app(settings: Settings, service: Service | None = None) -> FastAPI:
    """An ASGI application that serves models and indexes.

    Args:
        settings: which ones, and the limits.
        service: one that is there already; None makes one, which loads in the background once the application
            starts and is closed when it ends.

    Raises:
        InputError: the settings contradict themselves.
    """
    settings.check()
    given = service
    service = service or Service(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if given is None:
            service.start()
        try:
            yield
        finally:
            service.drain()
            if given is None:
                await asyncio.get_running_loop().run_in_executor(None, service.close)

    app = FastAPI(
        title="Vicinal", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        description="Vectors, scores and search, in the languages of several APIs.",
    )  # fmt: skip
    app.state.service = service
    homes: dict[tuple[str, str], ModuleType] = {}
    for dialect in DIALECTS:
        router = dialect.router(service)
        app.include_router(router, responses=refusals(dialect))
        for route in router.routes:
            if isinstance(route, Route):
                for method in route.methods or ():
                    homes.setdefault((method, route.path), dialect)
    named = {dialect.__name__.rpartition(".")[2]: dialect for dialect in DIALECTS}

    def dialect_of(scope: Scope) -> ModuleType:
        path = scope["path"]
        route: Any = getattr(scope.get("route"), "path", path)
        methods: tuple[str, ...] = (scope["method"], "POST", "GET")
        for method in methods:
            if (method, route) in homes:
                return homes[method, route]
        name = next((name for prefix, name in _PREFIXES if path.startswith(prefix)), "own")
        return named.get(name, own)

    def refuse(scope: Scope, refused: Refused) -> JSONResponse:
        dialect = dialect_of(scope)
        statuses: Mapping[str, int] = getattr(dialect, "STATUSES", {})
        status = refused.given_status or statuses.get(refused.kind, refused.status)
        # ensure_ascii: a message may quote what a request brought, half of a surrogate pair too.
        return _Plain(dialect.error_body(refused), status, refused.headers)

    @app.exception_handler(Refused)
    async def _refused(request: Request, error: Refused) -> JSONResponse:
        return refuse(request.scope, error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return refuse(request.scope, _as_refused(error))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        kind = _KINDS.get(error.status_code, "validation")
        message = str(error.detail)
        if error.status_code == 404:
            message = f"there is no {request.method} {request.url.path[:200]}"
        answer = refuse(request.scope, Refused(kind, message, status=error.status_code))
        answer.headers.update(error.headers or {})
        if error.status_code == 405:  # a path may have several routes, of which the error knows one
            allowed = sorted({method for method, path in homes if path == request.url.path})
            answer.headers["allow"] = ", ".join(allowed) or answer.headers.get("allow", "")
        return answer

    async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, Gone):
            raise error
        _log.exception("%s %s failed", request.method, request.url.path, exc_info=error)
        return refuse(
            request.scope, Refused("internal", "the server failed at this request; its log tells why")
        )

    guarded: Any = Guard
    app.add_middleware(_Unforeseen, handle=_unforeseen)
    app.add_middleware(guarded, service=service, refuse=refuse, open_paths=tuple(_open_paths(DIALECTS)))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
        )
    return app


class _Plain(JSONResponse):
    def render(self, content: Any) -> bytes:
        import json

        return json.dumps(content, ensure_ascii=True).encode()


class _Unforeseen:
    """Answers where a route failed in a way that nobody foresaw; nothing is raised further."""

    def __init__(self, app: App, handle: Any) -> None:
        self.app, self.handle = app, handle

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def sending(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            if started:
                raise
            answer = await self.handle(Request(scope, receive), error)
            await answer(scope, receive, send)


def _open_paths(dialects: tuple[ModuleType, ...]) -> list[str]:
    return [path for dialect in dialects for path in getattr(dialect, "OPEN_PATHS", ())]


def _is_type(part: str | int) -> bool:
    """Whether a part of a place names one of several types, and no field."""
    return isinstance(part, str) and (part in ("str", "int", "bool") or "[" in part)


def _as_refused(error: RequestValidationError) -> Refused:
    """The first thing that is wrong with a body or its parameters."""
    errors: list[dict[str, Any]] = [
        {"loc": (), "msg": "invalid", "type": "", **each} for each in error.errors()
    ]
    first: dict[str, Any] = errors[0] if errors else {"loc": (), "msg": "invalid", "type": ""}
    # Where a field may be of several types, each has an error: the one that lies deepest knows which part is wrong.
    alternatives = [each for each in errors if each["loc"][:2] == first["loc"][:2]]
    first = max(alternatives, key=lambda each: len(each["loc"]), default=first)
    place = [str(part) for part in first["loc"] if not _is_type(part)]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "invalid")
        return Refused("validation", f"the body is not JSON: {reason}", status=400)
    field = ".".join(place[1:])[:200]
    param = place[1][:200] if len(place) > 1 else None
    return Refused("validation", f"{field or 'the request'}: {first['msg']}", param=param)
