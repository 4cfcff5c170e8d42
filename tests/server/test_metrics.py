"""/metrics has the names that dashboards of text-embeddings-inference ask for, and right counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEXTS = ["the cat sat", "a dog"]


def values(text: str) -> dict[str, float]:
    rows = re.findall(r"^([^#\s]\S*(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in rows}


def test_metrics(serve: Callable[..., Any], tiny_folder: Path, scorer_folder: Path) -> None:
    server = serve(models=(str(tiny_folder),), rerankers=(str(scorer_folder),))
    for _ in range(3):
        assert server.post("/v1/embeddings", {"input": TEXTS}).status_code == 200
    assert server.post("/v1/embeddings", {"input": []}).status_code == 400
    assert server.post("/v1/embeddings", {"input": "one two " * 40}).status_code == 200
    assert server.post("/rerank", {"query": "cat", "texts": TEXTS}).status_code == 200
    text = server.get("/metrics").text
    found = values(text)
    assert found['te_request_count{method="/v1/embeddings"}'] == 5
    assert found['te_request_success{method="/v1/embeddings"}'] == 4
    assert found['te_request_failure{err="400"}'] == 1
    assert found["te_embed_count"] == found["te_embed_success"] == found["te_embed_duration_count"] == 4
    assert found["te_predict_count"] == found["te_predict_success"] == 1
    for part in ("tokenization", "queue", "inference"):
        assert found[f"te_embed_{part}_duration_count"] == 4
        assert found[f"te_predict_{part}_duration_count"] == 1
        assert found[f"te_request_{part}_duration_count"] == 5
    assert found["te_request_input_length_count"] == 3 * 2 + 1 + 2
    assert found["te_request_input_length_sum"] > 3 * (5 + 4) + 32
    assert found["te_queue_size"] == 0 and found["vicinal_texts_cut_total"] == 1
    assert found["vicinal_requests_active"] == 1  # this one
    assert "_created" not in text and not re.search(r"te_\w+_total", text)
    assert "# TYPE te_request_count counter" in text
