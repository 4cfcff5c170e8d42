"""OpenAI's API: vectors are those of encode, usage is the true count, and nobody's token ids are taken for ours."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicinal import SentenceTransformer

TEXTS = [
    "the cat sat on the mat",
    "a bird",
    "one two three four five six seven",
    "big red dog under the tree",
]


@pytest.fixture(scope="module")
def right(tiny_folder: Path) -> Any:
    model = SentenceTransformer(tiny_folder, dtype="float32")
    return model.encode(TEXTS, normalize_embeddings=True), model.count_tokens(TEXTS)


def vectors(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    assert [each["index"] for each in answer.json()["data"]] == list(range(len(answer.json()["data"])))
    return np.array([each["embedding"] for each in answer.json()["data"]], dtype=np.float32)


def test_vectors_and_usage_are_those_of_encode(server: Any, right: Any) -> None:
    answer = server.post("/v1/embeddings", {"input": TEXTS, "model": "tiny"})
    np.testing.assert_allclose(vectors(answer), right[0], atol=1e-6)
    total = sum(right[1])
    assert answer.json()["usage"] == {"prompt_tokens": total, "total_tokens": total}
    assert answer.json()["model"] == "tiny"
    assert "truncated" not in answer.json()


def test_one_text_and_no_model_means_the_first(server: Any) -> None:
    answer = server.post("/v1/embeddings", {"input": TEXTS[0]})
    expected = SentenceTransformer("vicinal-mini").encode(TEXTS[:1], normalize_embeddings=True)
    np.testing.assert_allclose(vectors(answer), expected, atol=1e-6)
    assert answer.json()["model"] == "vicinal-mini"


def test_base64_is_little_endian_float32(server: Any, right: Any) -> None:
    answer = server.post("/v1/embeddings", {"input": TEXTS, "model": "tiny", "encoding_format": "base64"})
    rows = [base64.b64decode(each["embedding"]) for each in answer.json()["data"]]
    np.testing.assert_allclose([np.frombuffer(row, dtype="<f4") for row in rows], right[0], atol=1e-6)


def test_dimensions_are_the_leading_ones_at_length_1(server: Any, right: Any) -> None:
    found = vectors(server.post("/v1/embeddings", {"input": TEXTS, "model": "tiny", "dimensions": 5}))
    kept = right[0][:, :5]
    np.testing.assert_allclose(found, kept / np.linalg.norm(kept, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("ids", [[1, 2, 3], [[101, 2, 3], [5]], [100_000], [[]]])
def test_token_ids_are_refused_and_the_remedy_is_named(server: Any, ids: Any) -> None:
    answer = server.post("/v1/embeddings", {"input": ids, "model": "tiny"})
    assert answer.status_code == 400
    assert "check_embedding_ctx_length=False" in answer.json()["error"]["message"]
    assert answer.json()["error"]["param"] == "input"


def test_what_is_cut_is_said_and_can_be_refused(server: Any) -> None:
    long = {"input": ["the cat " * 40, "a dog"], "model": "tiny"}
    answer = server.post("/v1/embeddings", long)
    assert answer.json()["truncated"] == 1 and answer.headers["x-vicinal-texts-cut"] == "1"
    assert answer.json()["usage"]["prompt_tokens"] == 32 + 4
    refused = server.post("/v1/embeddings", {**long, "truncate": False})
    assert refused.status_code == 400 and "82 tokens, 32 are read" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"input": []}, 400, "input is empty"),
        ({}, 400, "input: Field required"),
        ({"input": 5}, 400, "input"),
        ({"input": ["a", None]}, 400, "input"),
        ({"input": "a", "dimensions": 0}, 400, "dimensions"),
        ({"input": "a", "dimensions": 9999}, 400, "vicinal-mini gives 256"),
        ({"input": "a", "encoding_format": "int8"}, 400, "encoding_format"),
        ({"input": "a", "model": "gpt-4"}, 404, "vicinal-mini, tiny would do"),
        ({"input": "a", "model": "../tiny"}, 404, "not served"),
        ({"input": "a", "model": "scorer"}, 404, "is a model of the kind 'reranker'"),
        ({"input": "a", "prompt_name": "none"}, 400, "no prompt of this name"),
    ],
)
def test_errors_have_the_shape_that_clients_read(server: Any, body: Any, status: int, said: str) -> None:
    answer = server.post("/v1/embeddings", body)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert said in answer.json()["error"]["message"]


def test_models_are_listed_without_paths(server: Any, tiny_folder: Path) -> None:
    answer = server.get("/v1/models")
    assert [each["id"] for each in answer.json()["data"]] == ["vicinal-mini", "tiny", "scorer"]
    assert str(tiny_folder.parent) not in answer.text
    assert server.get("/v1/models/tiny").json()["object"] == "model"
    assert server.get("/v1/models/none").status_code == 404
