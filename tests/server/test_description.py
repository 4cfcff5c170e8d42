"""/openapi.json tells how each dialect refuses, and what it tells is what comes."""

from __future__ import annotations

from typing import Any

import pytest


def test_every_route_tells_its_refusals(server: Any) -> None:
    for path, methods in server.app.openapi()["paths"].items():
        for operation in methods.values():
            assert {"4XX", "5XX"} <= set(operation["responses"]), path
            assert "422" not in operation["responses"], (
                path
            )  # FastAPI's own shape, which no route answers with


def test_a_wrong_method_is_told_the_right_ones(server: Any) -> None:
    for path, allowed in {"/": "GET, HEAD, POST", "/embed": "POST", "/v1/models": "GET"}.items():
        answer = server("DELETE", path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/embeddings",
        "/v1/embed",
        "/v2/embed",
        "/v1/rerank",
        "/rerank",
        "/embed",
        "/",
        "/api/embed",
        "/v1/search",
    ],
)
def test_a_refusal_has_the_fields_that_are_told(server: Any, path: str) -> None:
    told = server.app.openapi()["paths"][path]["post"]["responses"]["4XX"]["content"]["application/json"][
        "schema"
    ]
    found = server.post(path, content=b"{")
    assert found.status_code == 400
    assert_fits(found.json(), told)


def assert_fits(value: Any, schema: Any) -> None:
    if schema["type"] == "object":
        assert sorted(value) == sorted(schema["required"])
        for name, each in schema["properties"].items():
            assert_fits(value[name], each)
    else:
        assert isinstance(value, str) or (value is None and "null" in schema["type"])
