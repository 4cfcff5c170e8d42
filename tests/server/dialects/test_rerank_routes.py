"""Reranking for clients of Jina, vLLM, infinity and Cohere's first version, on paths that they share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

QUERY = "the red cat"
COHERE = {"user-agent": "cohere/7.3.1"}


def good(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def scores(scorer: Any, texts: list[str]) -> Any:
    return scorer.predict([(QUERY, text) for text in texts], on_truncate="ignore")


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v1/reranking", "/reranking"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_ranks_are_those_of_predict(
    asked: Any, scores: Any, texts: list[str], path: str, wrapped: bool
) -> None:
    documents = [{"text": text, "id": 7} for text in texts] if wrapped else texts
    answer = asked.post(path, {"model": "scorer", "query": QUERY, "documents": documents})
    found = good(answer)
    order = np.argsort(-scores, kind="stable").tolist()
    assert [each["index"] for each in found["results"]] == order
    np.testing.assert_allclose(
        [each["relevance_score"] for each in found["results"]], scores[order], atol=2e-6
    )
    assert [each["document"]["text"] for each in found["results"]] == [texts[i] for i in order]
    assert found["model"] == "scorer"
    assert (
        found["usage"]["total_tokens"]
        == found["usage"]["prompt_tokens"]
        == found["meta"]["tokens"]["input_tokens"]
    )
    assert found["id"]
    assert answer.headers["x-vicinal-texts-cut"] == "1"


def test_usage_counts_what_is_read(asked: Any, scorer: Any, texts: list[str]) -> None:
    found = good(asked.post("/v1/rerank", {"query": QUERY, "documents": texts}))
    encoded = [scorer.tokenizer.encode(QUERY, text) for text in texts]
    assert found["usage"]["total_tokens"] == sum(min(len(each.ids), scorer.max_length) for each in encoded)


@pytest.mark.parametrize(
    ("headers", "given", "returned"),
    [({}, None, True), ({}, True, True), ({}, False, False), (COHERE, None, False), (COHERE, True, True)],
)
def test_documents_come_back_as_each_client_expects(
    asked: Any, headers: Any, given: Any, returned: bool
) -> None:
    body = {"query": QUERY, "documents": ["a bird"], "return_documents": given}
    results = good(asked.post("/v1/rerank", body, headers=headers))["results"]
    assert [each.get("document") for each in results] == [{"text": "a bird"} if returned else None]


def test_raw_scores_are_asked_for_as_infinity_does(asked: Any, scorer: Any, texts: list[str]) -> None:
    body = {"query": QUERY, "documents": texts, "return_documents": True}
    raw = good(asked.post("/rerank", {**body, "raw_scores": True}))["results"]
    wanted = scorer.predict(
        [(QUERY, text) for text in texts], activation_fn=lambda scores: scores, on_truncate="ignore"
    )
    by_place = {each["index"]: each for each in raw}
    np.testing.assert_allclose([by_place[i]["relevance_score"] for i in range(len(texts))], wanted, atol=2e-6)
    assert [by_place[i]["document"] for i in range(len(texts))] == texts
    plain = good(asked.post("/rerank", {**body, "return_documents": None, "raw_scores": False}))["results"]
    assert all("document" not in each and 0 <= each["relevance_score"] <= 1 for each in plain)


def test_fields_of_documents(asked: Any, scorer: Any) -> None:
    documents = [{"title": "the cat", "body": "sat"}, {"title": "a dog", "body": "ran"}]
    body = {"query": QUERY, "documents": documents, "rank_fields": ["title", "body"]}
    found = good(asked.post("/v1/rerank", body))["results"]
    wanted = scorer.predict([(QUERY, "the cat\nsat"), (QUERY, "a dog\nran")])
    by_place = {each["index"]: each for each in found}
    np.testing.assert_allclose([by_place[i]["relevance_score"] for i in (0, 1)], wanted, atol=2e-6)
    assert [by_place[i]["document"] for i in (0, 1)] == documents


def test_scores_that_the_sigmoid_makes_equal_keep_their_order() -> None:
    import asyncio

    from vicinal.server.dialects.ranking import best_first

    class Service:
        async def rerank(self, *_: Any, raw: bool) -> Any:
            assert raw

            class Scored:
                scores = np.array([30, 40, -2, 40, 35], dtype=np.float32)

            return Scored

    _, best = asyncio.run(best_first(Service(), "q", []))  # type: ignore[arg-type]
    assert [place for place, _ in best] == [1, 3, 4, 0, 2]
    assert all(0 <= score <= 1 for _, score in best)


def test_texts_are_answered_as_text_embeddings_inference_does(
    asked: Any, scores: Any, texts: list[str]
) -> None:
    found = good(asked.post("/rerank", {"query": QUERY, "texts": texts, "return_text": True}))
    order = np.argsort(-scores, kind="stable").tolist()
    assert [each["index"] for each in found] == order
    np.testing.assert_allclose([each["score"] for each in found], scores[order], atol=2e-6)
    assert [each["text"] for each in found] == [texts[i] for i in order]
    assert set(good(asked.post("/rerank", {"query": QUERY, "texts": texts}))[0]) == {"index", "score"}


def test_classify_as_infinity_does(asked: Any, logits: Any) -> None:
    found = good(asked.post("/classify", {"input": ["the cat", "a dog"]}))
    wanted = [np.exp(each) / np.exp(each).sum() for each in (logits("the cat"), logits("a dog"))]
    labels = ["good", "bad", "neither"]
    for row, shares in zip(found["data"], wanted, strict=True):
        assert [each["label"] for each in row] == [labels[i] for i in np.argsort(-shares)]
        np.testing.assert_allclose([each["score"] for each in row], np.sort(shares)[::-1], atol=2e-6)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/rerank", {"query": "a", "documents": []}, 400, "documents is empty"),
        ("/v1/rerank", {"query": "a", "documents": None}, 400, "documents"),
        ("/v1/rerank", {"query": "a"}, 400, "documents"),
        ("/v1/rerank", {"documents": ["a"]}, 400, "query"),
        ("/v1/rerank", {"query": ["a"], "documents": ["a"]}, 400, "query"),
        ("/v1/rerank", {"query": "a", "documents": [1]}, 400, "documents"),
        (
            "/v1/rerank",
            {"query": "a", "documents": [{"title": "a"}]},
            400,
            "documents[0]: the field 'text' is missing",
        ),
        (
            "/v1/rerank",
            {"query": "a", "documents": ["a", {"text": 1}]},
            400,
            "documents[1]: the field 'text' is not",
        ),
        (
            "/v1/rerank",
            {"query": "a", "documents": [{"text": "a"}], "rank_fields": ["b"]},
            400,
            "'b' is missing",
        ),
        ("/v1/rerank", {"query": "a", "documents": ["a"], "top_n": 0}, 400, "top_n"),
        ("/v1/rerank", {"query": "a", "documents": ["a"], "top_n": "1"}, 400, "top_n"),
        ("/v1/rerank", {"query": "a", "documents": ["a"], "model": "nothing"}, 404, "nothing"),
        ("/rerank", {"query": "a"}, 400, "documents or texts"),
        ("/rerank", {"query": "a", "documents": ["a"], "texts": ["a"]}, 400, "documents or texts"),
        ("/rerank", {"query": "a", "texts": []}, 400, "texts is empty"),
        ("/rerank", {"query": "a", "texts": ["the cat " * 40], "truncate": False}, 422, "tokens"),
        ("/classify", {"input": []}, 400, "input is empty"),
    ],
)
def test_what_is_wrong_is_told_in_the_fields_of_all(
    asked: Any, path: str, body: Any, status: int, words: str
) -> None:
    answer = asked.post(path, body)
    assert answer.status_code == status, answer.text
    found = answer.json()
    assert found["message"] == found["detail"] == found["error"]
    assert found["error_type"] in {"Validation", "Empty"}
    assert words in found["message"]
