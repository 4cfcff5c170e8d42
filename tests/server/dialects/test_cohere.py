"""Cohere's routes: its types of vectors, its prompts, its two ends of a text, its scores, its errors."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

V2 = {"input_type": "search_document", "prompt_name": None}


def unit(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def vectors(model: Any, texts: list[str], **options: Any) -> Any:
    return unit(model.encode(texts, on_truncate="ignore", **options).astype(np.float64))


def good(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_version_1_gives_plain_vectors(asked: Any, model: Any, texts: list[str]) -> None:
    found = good(asked.post("/v1/embed", {"texts": texts}))
    np.testing.assert_allclose(found["embeddings"], vectors(model, texts), atol=2e-6)
    assert found["response_type"] == "embeddings_floats"
    assert found["texts"] == texts
    counted = sum(min(each, model.max_seq_length) for each in model.count_tokens(texts))
    assert found["meta"]["tokens"] == found["meta"]["billed_units"] == {"input_tokens": counted}
    assert found["meta"]["warnings"] == ["1 of the texts were too long and were cut"]


@pytest.mark.parametrize(
    ("input_type", "prompt"),
    [
        ("search_query", "query"),
        ("search_document", "document"),
        ("clustering", "clustering"),
        ("classification", None),
    ],
)
def test_input_types_are_the_prompts_of_the_model(
    asked: Any, model: Any, input_type: str, prompt: str
) -> None:
    given = ["the cat", "a dog"]
    found = good(asked.post("/v2/embed", {"texts": given, "input_type": input_type}))
    np.testing.assert_allclose(
        found["embeddings"]["float"], vectors(model, given, prompt_name=prompt), atol=2e-6
    )
    assert found["response_type"] == "embeddings_by_type"


def test_a_prompt_may_be_named(asked: Any, model: Any) -> None:
    body = {"texts": ["the cat"], "input_type": "search_document", "prompt_name": "query"}
    found = good(asked.post("/v2/embed", body))
    np.testing.assert_allclose(
        found["embeddings"]["float"], vectors(model, ["the cat"], prompt_name="query"), atol=2e-6
    )


def test_every_type_is_made_of_the_same_vectors(asked: Any, texts: list[str]) -> None:
    types = ["float", "int8", "uint8", "binary", "ubinary", "base64", "float"]
    body = {"texts": texts, "embedding_types": types, "input_type": "classification"}
    found = good(asked.post("/v2/embed", body))["embeddings"]
    assert list(found) == types[:-1]
    floats = np.array(found["float"])
    raw = [np.frombuffer(base64.b64decode(each), dtype="<f4") for each in found["base64"]]
    np.testing.assert_allclose(raw, floats, atol=1e-8)
    bits = np.packbits(floats > 0, axis=1)
    np.testing.assert_array_equal(found["ubinary"], bits)
    np.testing.assert_array_equal(found["binary"], bits.astype(int) - 128)
    # 24 dimensions: 8 / sqrt(24) is above 1, so steps go to 1.
    np.testing.assert_array_equal(found["int8"], np.round(floats * 127))
    np.testing.assert_array_equal(found["uint8"], np.array(found["int8"]) + 128)


def test_steps_of_small_types_are_the_same_for_all_and_cut_outliers() -> None:
    from vicinal.server.dialects.cohere import as_type

    step = 8 / np.sqrt(400) / 127
    row = np.zeros((1, 400), dtype=np.float32)
    row[0, :7] = [step * 3, step * -3, step * 0.4, step * 0.6, step * 127, 0.9, -0.9]
    np.testing.assert_array_equal(as_type(row, "int8")[0, :8], [3, -3, 0, 1, 127, 127, -128, 0])
    np.testing.assert_array_equal(as_type(row, "uint8")[0, :8], [131, 125, 128, 129, 255, 255, 0, 128])


def test_cosines_of_int8_are_those_of_floats() -> None:
    from vicinal.server.dialects.cohere import as_type

    drawn = unit(np.random.default_rng(0).normal(size=(40, 384))).astype(np.float32)
    small = unit(as_type(drawn, "int8").astype(np.float64))
    assert np.abs(small @ small.T - drawn @ drawn.T).max() < 0.005


def test_dimensions_and_tokens(asked: Any, model: Any, texts: list[str]) -> None:
    body = {"texts": texts, "input_type": "classification", "output_dimension": 7, "max_tokens": 5}
    found = good(asked.post("/v2/embed", body))
    assert np.array(found["embeddings"]["float"]).shape == (len(texts), 7)
    assert found["meta"]["tokens"]["input_tokens"] <= 5 * len(texts)
    np.testing.assert_allclose(np.linalg.norm(found["embeddings"]["float"], axis=1), 1, atol=1e-6)


def test_either_end_of_a_long_text_is_cut_or_it_is_refused(asked: Any, model: Any) -> None:
    words = ("one two three four five six seven eight nine ten " * 5).split()
    body = {"texts": [" ".join(words)], "input_type": "classification"}
    kept = model.max_seq_length - 2
    for truncate, text in {"END": words[:kept], "START": words[-kept:]}.items():
        answer = asked.post("/v2/embed", {**body, "truncate": truncate})
        np.testing.assert_allclose(
            good(answer)["embeddings"]["float"], vectors(model, [" ".join(text)]), atol=2e-6
        )
        assert answer.headers["x-vicinal-texts-cut"] == "1"
    answer = asked.post("/v2/embed", {**body, "truncate": "NONE"})
    assert answer.status_code == 400
    assert "52 tokens" in answer.json()["message"]


def test_inputs_are_texts_in_parts(asked: Any, model: Any) -> None:
    parts = [{"type": "text", "text": "the cat"}, {"type": "text", "text": "sat"}]
    found = good(asked.post("/v2/embed", {"inputs": [{"content": parts}], "input_type": "classification"}))
    np.testing.assert_allclose(found["embeddings"]["float"], vectors(model, ["the cat\nsat"]), atol=2e-6)
    assert found["texts"] == ["the cat\nsat"]


def test_reranking_is_that_of_predict(asked: Any, scorer: Any, texts: list[str]) -> None:
    scores = scorer.predict([("the red cat", text) for text in texts], on_truncate="ignore")
    found = good(asked.post("/v2/rerank", {"query": "the red cat", "documents": texts, "model": "scorer"}))
    order = np.argsort(-scores, kind="stable")
    assert [each["index"] for each in found["results"]] == order.tolist()
    np.testing.assert_allclose(
        [each["relevance_score"] for each in found["results"]], scores[order], atol=2e-6
    )
    assert all(set(each) == {"index", "relevance_score"} for each in found["results"])
    assert found["meta"]["billed_units"] == {"search_units": 1}
    best = good(asked.post("/v2/rerank", {"query": "the red cat", "documents": texts, "top_n": 2}))
    assert best["results"] == found["results"][:2]
    huge = good(asked.post("/v2/rerank", {"query": "the red cat", "documents": texts, "top_n": 10**9}))
    assert huge["results"] == found["results"]


def test_documents_are_cut_where_asked(asked: Any, scorer: Any) -> None:
    documents = ["the cat sat on the mat", "a bird"]
    body = {"query": "fish", "documents": documents, "max_tokens_per_doc": 2}
    answer = asked.post("/v2/rerank", body)
    found = good(answer)
    assert answer.headers["x-vicinal-texts-cut"] == "1"
    scores = scorer.predict([("fish", "the cat"), ("fish", "a bird")])
    by_place = {each["index"]: each["relevance_score"] for each in found["results"]}
    np.testing.assert_allclose([by_place[0], by_place[1]], scores, atol=2e-6)
    assert found["meta"]["warnings"] == ["1 of the texts were too long and were cut"]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v2/embed", {"texts": ["a"]}, 400, "input_type"),
        ("/v2/embed", {"texts": [], **V2}, 400, "texts is empty"),
        ("/v2/embed", {"texts": None, **V2}, 400, "texts or inputs"),
        ("/v2/embed", {**V2}, 400, "texts or inputs"),
        ("/v2/embed", {"texts": ["a"], "inputs": [], **V2}, 400, "texts or inputs"),
        ("/v2/embed", {"inputs": [], **V2}, 400, "empty"),
        ("/v2/embed", {"inputs": [{"content": []}], **V2}, 400, "inputs[0]"),
        ("/v2/embed", {"inputs": [{"content": [{"type": "image_url"}]}], **V2}, 400, "'text'"),
        ("/v2/embed", {"images": ["data:"], **V2}, 400, "images"),
        ("/v2/embed", {"texts": ["a"], "input_type": "image"}, 400, "image"),
        ("/v2/embed", {"texts": ["a"] * 97, **V2}, 400, "96"),
        ("/v2/embed", {"texts": "a", **V2}, 400, "texts"),
        ("/v2/embed", {"texts": [1], **V2}, 400, "texts"),
        ("/v2/embed", {"texts": [None], **V2}, 400, "texts"),
        ("/v2/embed", {"texts": ["a"], **V2, "output_dimension": 25}, 400, "25"),
        ("/v2/embed", {"texts": ["a"], **V2, "output_dimension": 0}, 400, "output_dimension"),
        ("/v2/embed", {"texts": ["a"], **V2, "embedding_types": ["int4"]}, 400, "embedding_types"),
        ("/v2/embed", {"texts": ["a"], **V2, "truncate": "MIDDLE"}, 400, "truncate"),
        ("/v2/embed", {"texts": ["a"], **V2, "prompt_name": "none such"}, 400, "none such"),
        ("/v2/embed", {"texts": ["a"], **V2, "model": "nothing"}, 404, "nothing"),
        ("/v2/embed", {"texts": ["a"], **V2, "model": "scorer"}, 404, "scorer"),
        ("/v2/embed", ["a"], 400, "body"),
        ("/v1/embed", {"texts": ["a"], "input_type": "search"}, 400, "input_type"),
        ("/v2/rerank", {"query": "a", "documents": []}, 400, "documents is empty"),
        ("/v2/rerank", {"query": "a"}, 400, "documents"),
        ("/v2/rerank", {"documents": ["a"]}, 400, "query"),
        ("/v2/rerank", {"query": "a", "documents": [{"text": "a"}]}, 400, "documents"),
        ("/v2/rerank", {"query": "a", "documents": ["a"], "top_n": 0}, 400, "top_n"),
        ("/v2/rerank", {"query": "a", "documents": ["a"], "model": "embedder"}, 404, "embedder"),
    ],
)
def test_what_is_wrong_is_told(asked: Any, path: str, body: Any, status: int, words: str) -> None:
    answer = asked.post(path, body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"id", "message"}
    assert words in answer.json()["message"] or words == "body"


def test_null_and_unknown_fields_change_nothing(asked: Any) -> None:
    plain = {"texts": ["the cat"], "input_type": "classification"}
    nulls = dict.fromkeys(
        ["images", "model", "embedding_types", "truncate", "output_dimension", "max_tokens"]
    )
    first, second = (
        good(asked.post("/v2/embed", {**plain, **more})) for more in ({}, {**nulls, "priority": 3, "x": []})
    )
    assert first["embeddings"] == second["embeddings"]
