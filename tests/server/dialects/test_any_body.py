"""Whatever JSON is posted to a route, the answer is a result or a refusal, never a fault of the server."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

# Of each route a body that is right, and further fields.
ROUTES: dict[str, tuple[dict[str, Any], str]] = {
    "/v1/embed": ({"texts": ["a"]}, "images model input_type prompt_name embedding_types truncate"),
    "/v2/embed": (
        {"texts": ["a"], "input_type": "search_query"},
        "images inputs model embedding_types output_dimension max_tokens truncate",
    ),
    "/v2/rerank": ({"query": "a", "documents": ["a"]}, "model top_n max_tokens_per_doc"),
    "/v1/rerank": (
        {"query": "a", "documents": ["a"]},
        "model top_n return_documents rank_fields max_tokens_per_doc",
    ),
    "/rerank": (
        {"query": "a", "texts": ["a"]},
        "documents model top_n raw_scores truncate truncation_direction return_text",
    ),
    "/classify": ({"input": ["a"]}, "model raw_scores"),
    "/embed": (
        {"inputs": ["a"]},
        "truncate truncation_direction prompt_name input_type normalize dimensions model",
    ),
    "/embed_all": ({"inputs": ["a"]}, "truncate truncation_direction prompt_name input_type model"),
    "/embed_sparse": ({"inputs": ["a"]}, "truncate"),
    "/predict": ({"inputs": "a"}, "truncate truncation_direction raw_scores parameters model"),
    "/similarity": ({"inputs": {"source_sentence": "a", "sentences": ["a"]}}, "parameters"),
    "/tokenize": ({"inputs": "a"}, "add_special_tokens prompt_name model"),
    "/decode": ({"ids": [5, 6]}, "skip_special_tokens model"),
    "/": ({"inputs": ["a"]}, "parameters query texts model normalize raw_scores"),
    "/api/embed": (
        {"model": "embedder", "input": ["a"]},
        "truncate dimensions prompt_name input_type options keep_alive",
    ),
    "/api/embeddings": ({"model": "embedder", "prompt": "a"}, "prompt_name input_type"),
    "/api/show": ({"model": "embedder"}, "name"),
}
USUAL: dict[str, list[Any]] = {
    "model": [None, "embedder", "scorer", "classifier"],
    "input_type": ["search_query", "clustering", "query", "document"],
    "truncate": [True, False, "END", "START", "NONE"],
    "truncation_direction": ["left", "right", "Left"],
    "embedding_types": [["float"], ["int8", "base64"], ["ubinary"]],
    "prompt_name": ["query", None],
    "parameters": [{}, {"top_k": 1}, {"function_to_apply": "softmax"}],
    "query": ["the cat"],
    "prompt": ["the cat"],
    "ids": [[5, 6], [[5], [6, 7]]],
    "rank_fields": [["text"], ["title"]],
}
TEXTS: list[Any] = ["the cat", "", "Größe 🙂", "the cat " * 50, "\ud800", "\x00"]
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    3,
    1.5,
    10**30,
    [],
    {},
    "",
    [[]],
    [{}],
    [None],
    "text",
    {"text": "a"},
    {"": []},
]


def some_texts(draw: random.Random) -> Any:
    """What usual bodies have in the places of texts, more or less."""
    several = [draw.choice(TEXTS[:4] if draw.random() < 0.8 else TEXTS) for _ in range(draw.randint(0, 4))]
    return draw.choice(
        [
            draw.choice(TEXTS),
            several,
            several,
            [[each] for each in several],
            [{"text": each, "title": "a"} for each in several],
            [{"content": [{"type": "text", "text": each}]} for each in several],
            {"source_sentence": draw.choice(TEXTS), "sentences": several},
            [5, 6, 7],
            [[2, 5, 3], "a"],
        ]
    )


def some_body(draw: random.Random, right: dict[str, Any], more: str) -> Any:
    """The right body with some changes."""
    if draw.random() < 0.03:
        return draw.choice(ODD)
    body = dict(right)
    for name in draw.sample([*right, *more.split()], k=draw.choice([1, 1, 2, 3]) if more.split()[1:] else 1):
        chance = draw.random()
        if chance < 0.1:
            body.pop(name, None)
        elif chance < 0.4:
            body[name] = draw.choice(ODD)
        else:
            body[name] = draw.choice(USUAL[name]) if name in USUAL else some_texts(draw)
    return body


def no_constant(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")


@pytest.mark.parametrize("path", ROUTES)
def test_no_body_makes_a_fault(asked: Any, path: str) -> None:
    draw = random.Random(path)
    statuses = set()
    for _ in range(100):
        body = some_body(draw, *ROUTES[path])
        answer = asked("POST", path, content=json.dumps(body))
        statuses.add(answer.status_code)
        assert answer.status_code in (200, 400, 404, 422, 424), (body, answer.text)
        json.loads(answer.content, parse_constant=no_constant)
    assert statuses & {400, 422}
    assert path == "/embed_sparse" or 200 in statuses
