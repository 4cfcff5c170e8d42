"""Ollama's routes: vectors of length 1, tags of models, times in nanoseconds, and errors of one field."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vicinal.core.version import __version__


def good(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def unit(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def wanted(model: Any, texts: list[str]) -> Any:
    return model.encode(texts, on_truncate="ignore")


@pytest.mark.parametrize("name", ["embedder", "embedder:latest"])
def test_vectors_have_length_1(asked: Any, wanted: Any, model: Any, texts: list[str], name: str) -> None:
    answer = asked.post("/api/embed", {"model": name, "input": texts})
    found = good(answer)
    np.testing.assert_allclose(found["embeddings"], unit(wanted), atol=2e-6)
    assert found["model"] == name
    counted = sum(min(each, model.max_seq_length) for each in model.count_tokens(texts))
    assert found["prompt_eval_count"] == counted
    assert isinstance(found["total_duration"], int) and found["total_duration"] > 10_000
    assert isinstance(found["load_duration"], int)
    assert answer.headers["x-vicinal-texts-cut"] == "1"


def test_one_text_is_a_list_of_one(asked: Any, wanted: Any, texts: list[str]) -> None:
    found = good(asked.post("/api/embed", {"model": "embedder", "input": texts[0]}))
    np.testing.assert_allclose(found["embeddings"], unit(wanted[:1]), atol=2e-6)


def test_dimensions_are_cut_before_scaling(asked: Any, wanted: Any, texts: list[str]) -> None:
    body = {"model": "embedder", "input": texts, "dimensions": 5}
    np.testing.assert_allclose(
        good(asked.post("/api/embed", body))["embeddings"], unit(wanted[:, :5]), atol=2e-6
    )
    body["dimensions"] = 0  # Go's way to say that there are none
    np.testing.assert_allclose(good(asked.post("/api/embed", body))["embeddings"], unit(wanted), atol=2e-6)


def test_the_older_route_gives_what_the_model_gives(asked: Any, wanted: Any, texts: list[str]) -> None:
    found = good(asked.post("/api/embeddings", {"model": "embedder", "prompt": texts[0]}))
    np.testing.assert_allclose(found["embedding"], wanted[0], atol=2e-6)
    assert good(asked.post("/api/embeddings", {"model": "embedder", "prompt": ""})) == {"embedding": []}


def test_prompts(asked: Any, model: Any) -> None:
    for more, name in (({"prompt_name": "query"}, "query"), ({"input_type": "document"}, "document")):
        right = model.encode(["the cat"], prompt_name=name)
        found = good(asked.post("/api/embed", {"model": "embedder", "input": "the cat", **more}))
        np.testing.assert_allclose(found["embeddings"], unit(right), atol=2e-6)
        found = good(asked.post("/api/embeddings", {"model": "embedder", "prompt": "the cat", **more}))
        np.testing.assert_allclose(found["embedding"], right[0], atol=2e-6)


@pytest.mark.parametrize("given", ["", [], None])
def test_nothing_to_embed_gives_nothing(asked: Any, given: Any) -> None:
    body = {"model": "embedder", "input": given}
    assert good(asked.post("/api/embed", body)) == {"model": "embedder", "embeddings": []}


def test_models_are_listed(asked: Any, model: Any) -> None:
    (listed,) = good(asked.get("/api/tags"))["models"]
    assert listed["name"] == listed["model"] == "embedder:latest"
    assert listed["size"] > 10_000
    assert len(listed["digest"]) == 64
    assert listed["details"]["family"] == "bert"
    assert good(asked.get("/api/ps"))["models"][0]["name"] == "embedder:latest"
    assert good(asked.get("/api/version")) == {"version": __version__}
    shown = good(asked.post("/api/show", {"model": "embedder:latest"}))
    assert shown["model_info"]["bert.embedding_length"] == model.get_embedding_dimension()
    assert shown["capabilities"] == ["embedding"]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/api/embed", {"model": "nothing", "input": "a"}, 404, "'nothing'"),
        ("/api/embed", {"model": "scorer", "input": "a"}, 404, "'scorer'"),
        ("/api/embed", {"model": "", "input": "a"}, 400, "model is required"),
        ("/api/embed", {"input": "a"}, 400, "model"),
        ("/api/embed", {"model": "embedder", "input": [1]}, 400, "input"),
        ("/api/embed", {"model": "embedder", "input": [["a"]]}, 400, "input"),
        ("/api/embed", {"model": "embedder", "input": {"a": 1}}, 400, "input"),
        ("/api/embed", {"model": "embedder", "input": "the cat " * 40, "truncate": False}, 400, "tokens"),
        ("/api/embed", {"model": "embedder", "input": "a", "dimensions": 25}, 400, "25"),
        ("/api/embed", {"model": "embedder", "input": "a", "dimensions": -1}, 400, "dimensions"),
        ("/api/embed", {"model": "embedder", "input": "a", "truncate": "no"}, 400, "truncate"),
        ("/api/embeddings", {"model": "nothing", "prompt": ""}, 404, "'nothing'"),
        ("/api/embeddings", {"model": "embedder", "prompt": 1}, 400, "prompt"),
        ("/api/show", {}, 400, "model is required"),
    ],
)
def test_what_is_wrong_is_told(asked: Any, path: str, body: Any, status: int, words: str) -> None:
    answer = asked.post(path, body)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]


def test_null_and_unknown_fields_change_nothing(asked: Any) -> None:
    plain = {"model": "embedder", "input": "the cat"}
    more = {"truncate": None, "dimensions": None, "keep_alive": "5m", "options": {"num_ctx": 1}}
    first, second = (good(asked.post("/api/embed", {**plain, **each}))["embeddings"] for each in ({}, more))
    assert first == second
