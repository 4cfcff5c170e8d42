"""Models that split texts themselves, and those that torch computes, give through the server what encode gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicinal import SentenceTransformer

torch = pytest.importorskip("torch")

TEXTS = ["the cat sat", "a dog ran under the tree", "bird bird bird", "nothing known here but the cat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from vicinal.nn.modules import BoW, Dense

    words = ["the", "cat", "sat", "dog", "ran", "under", "tree", "bird"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SentenceTransformer(modules=[BoW(words), Dense(len(words), 5)])
    path = tmp_path_factory.mktemp("bow") / "bow"
    model.save(path)
    return path


def test_a_model_with_its_own_way_of_splitting(serve: Callable[..., Any], folder: Path) -> None:
    server = serve(models=(str(folder),), cache_path=":memory:")
    expected = SentenceTransformer(folder, dtype="float32").encode(TEXTS, normalize_embeddings=True)
    for kind in (None, "query", "document", "query"):
        answer = server.post("/v1/embeddings", {"input": TEXTS, "input_type": kind})
        assert answer.status_code == 200, answer.text
        found = [each["embedding"] for each in answer.json()["data"]]
        np.testing.assert_allclose(found, expected, atol=1e-6)
    (served,) = server.service._catalog.all()
    assert len(served._lanes) <= 3
    refused = server.post("/embed", {"inputs": TEXTS, "truncation_direction": "left"})
    assert refused.status_code in (200, 422)


def test_a_model_that_torch_computes(serve: Callable[..., Any], tiny_folder: Path) -> None:
    from vicinal.server.service import Service
    from vicinal.server.settings import Settings

    service = Service(Settings(models=(str(tiny_folder),)))
    model = SentenceTransformer(tiny_folder, backend="torch", dtype="float32")
    served = service._catalog.add(str(tiny_folder), model)
    try:
        service._pipeline.warm_up(served)
        service.state = "ready"
        import asyncio

        texts = [f"{text} {' the cat' * n}" for n in range(12) for text in TEXTS]
        found = asyncio.run(service.embed(texts))
        np.testing.assert_allclose(found.vectors, model.encode(texts, on_truncate="ignore"), atol=1e-5)
        assert found.tokens.tolist() == [min(32, count) for count in model.count_tokens(texts)]
        tokens = asyncio.run(service.embed_tokens(texts[:3]))
        right = model.encode(texts[:3], output_value="token_embeddings")
        for mine, theirs in zip(tokens.found, right, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-5)
    finally:
        service.close()


def test_token_vectors_of_a_static_model(serve: Callable[..., Any]) -> None:
    import asyncio

    service = serve(models=("vicinal-mini",)).service
    texts = [*TEXTS, "", "a much longer text than the others are"]
    found = asyncio.run(service.embed_tokens(texts))
    right = SentenceTransformer("vicinal-mini").encode(texts, output_value="token_embeddings")
    for mine, theirs in zip(found.found, right, strict=True):
        assert len(mine) == len(theirs)
        np.testing.assert_allclose(mine.reshape(-1), np.asarray(theirs).reshape(-1), atol=1e-6)
