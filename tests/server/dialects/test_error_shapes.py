"""What goes wrong before a route or behind it has the shape and the status of the route's dialect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vicinal.server.errors import Refused

V2 = {"texts": ["a"], "input_type": "classification"}
RANK = {"query": "a", "documents": ["a"]}

# Of each dialect: a path, a body that is right, and the fields of its errors.
ROUTES = {
    "openai": ("/v1/embeddings", {"input": "a"}, {"error"}),
    "cohere": ("/v2/embed", V2, {"id", "message"}),
    "cohere 1": ("/v1/embed", {"texts": ["a"]}, {"id", "message"}),
    "cohere rerank": ("/v2/rerank", RANK, {"id", "message"}),
    "jina": ("/v1/rerank", RANK, {"message", "detail", "error", "error_type"}),
    "tei": ("/embed", {"inputs": "a"}, {"error", "error_type"}),
    "tei root": ("/", {"inputs": "a"}, {"error", "error_type"}),
    "ollama": ("/api/embed", {"model": "embedder", "input": "a"}, {"error"}),
}
every_route = pytest.mark.parametrize(("path", "body", "fields"), ROUTES.values(), ids=list(ROUTES))


@pytest.fixture(scope="module")
def locked(serve: Callable[..., Any], prompted_folder: Path, scorer_folder: Path) -> Any:
    return serve(
        models=(str(prompted_folder),), rerankers=(str(scorer_folder),), api_keys=("key",), max_body_bytes=500
    )


KEY = {"authorization": "Bearer key"}


def assert_refused(answer: Any, status: int, fields: set[str]) -> None:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == fields


@every_route
def test_before_a_route(locked: Any, path: str, body: Any, fields: set[str]) -> None:
    assert locked.post(path, body, headers=KEY).status_code == 200
    for headers in ({}, {"authorization": "Bearer other"}):
        answer = locked.post(path, body, headers=headers)
        assert_refused(answer, 401, fields)
        assert answer.headers["www-authenticate"] == "Bearer"
    assert_refused(locked.post(path, {**body, "more": "x" * 600}, headers=KEY), 413, fields)
    assert_refused(locked("POST", path, content=b"{", headers=KEY), 400, fields)
    assert_refused(locked("POST", path, content=b"\xff", headers=KEY), 400, fields)
    assert_refused(locked("DELETE", path, headers=KEY), 405, fields)


@every_route
@pytest.mark.parametrize(
    ("refused", "status"),
    [
        (Refused("overloaded", "too much", retry_after=3), 429),
        (Refused("timeout", "too late", retry_after=3), 503),
        (Refused("unhealthy", "ending", retry_after=3), 503),
        (Refused("backend", "no memory"), 424),
        (Refused("internal", "a fault"), 500),
    ],
    ids=lambda each: getattr(each, "kind", None),
)
def test_behind_a_route(
    asked: Any,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    body: Any,
    fields: set[str],
    refused: Refused,
    status: int,
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise refused

    for name in ("embed", "rerank"):
        monkeypatch.setattr(asked.service, name, fail)
    answer = asked.post(path, body)
    assert_refused(answer, status, fields)
    assert answer.headers.get("retry-after") == (None if refused.retry_after is None else "3")


@every_route
def test_a_fault_that_nobody_foresaw_is_not_told(
    asked: Any, monkeypatch: pytest.MonkeyPatch, path: str, body: Any, fields: set[str]
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a secret")

    for name in ("embed", "rerank"):
        monkeypatch.setattr(asked.service, name, fail)
    answer = asked.post(path, body)
    assert_refused(answer, 500, fields)
    assert "secret" not in answer.text


@every_route
def test_a_server_that_ends_takes_nothing(
    asked: Any, monkeypatch: pytest.MonkeyPatch, path: str, body: Any, fields: set[str]
) -> None:
    monkeypatch.setattr(asked.service, "state", "draining")
    answer = asked.post(path, body)
    assert_refused(answer, 503, fields)
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/nothing", {"error"}),
        ("/v2/nothing", {"id", "message"}),
        ("/api/nothing", {"error"}),
        ("/nothing", {"error"}),
    ],
)
def test_paths_that_are_not_there(asked: Any, path: str, fields: set[str]) -> None:
    assert_refused(asked.post(path, {}), 404, fields)
    assert_refused(asked.get(path), 404, fields)
