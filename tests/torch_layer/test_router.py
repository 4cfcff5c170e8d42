"""Queries and documents on ways of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vicinal import SentenceTransformer, models  # noqa: E402
from vicinal.errors import InputError  # noqa: E402

pytestmark = pytest.mark.torch


def two_ways(folder: Path, **options: Any) -> SentenceTransformer:
    """Mean for queries, maximum for documents, both of the same transformer."""
    first = models.Transformer(folder)
    query, document = [first, models.Pooling(16)], [first, models.Pooling(16, "max")]
    router = models.Router.for_query_document(query, document, **options)
    return SentenceTransformer(modules=[router, models.Normalize()], device="cpu")


def plain(folder: Path, mode: str) -> SentenceTransformer:
    chain = [models.Transformer(folder), models.Pooling(16, mode), models.Normalize()]
    return SentenceTransformer(modules=chain, device="cpu", dtype="float32")


def test_each_text_goes_its_way(tiny_bert: Path) -> None:
    model = two_ways(tiny_bert)
    texts = ["the cat sat on the mat", "a dog", "hello world, search!"]
    mean, highest = (plain(tiny_bert, mode).encode(texts) for mode in ("mean", "max"))
    assert model.encode_query(texts) == pytest.approx(mean, abs=2e-6)
    assert model.encode_document(texts) == pytest.approx(highest, abs=2e-6)
    assert model.encode(texts) == pytest.approx(highest, abs=2e-6)  # default_route="document"
    assert model.encode(texts, task="query") == pytest.approx(mean, abs=2e-6)
    features = model.tokenize(texts, task="query")
    assert features["task"] == "query"
    assert model(features)["sentence_embedding"].detach().numpy() == pytest.approx(mean, abs=2e-6)
    assert model.tokenize([{"query": "a dog"}])["task"] == "query"
    tokens = model.encode(texts, task="query", output_value="token_embeddings")
    assert [len(each) for each in tokens] == model.count_tokens(texts)
    facts = model.encode(texts[1], task="query", output_value=None)
    assert facts["sentence_embedding"] == pytest.approx(mean[1], abs=2e-6)


def test_behind_the_pooling_and_there_and_back(tiny_bert: Path, tmp_path: Path) -> None:
    torch.manual_seed(4)
    router = models.Asym(
        {"query": [models.Dense(16, 4)], "document": [models.Dense(16, 4)]}, allow_empty_key=False
    )
    model = SentenceTransformer(
        modules=[models.Transformer(tiny_bert), models.Pooling(16), router], device="cpu"
    )
    query, document = model.encode_query("the cat"), model.encode_document("the cat")
    assert np.abs(query - document).max() > 0.01
    with pytest.raises(InputError, match="task=None has no route; there are 'query', 'document'"):
        model.encode("the cat")
    model.save(str(tmp_path))
    settings = json.loads((tmp_path / "2_Asym" / "router_config.json").read_text())
    assert settings["structure"] == {"query": ["query_0_Dense"], "document": ["document_0_Dense"]}
    again = SentenceTransformer(str(tmp_path), device="cpu")
    assert np.array_equal(again.encode_query("the cat"), query)
    assert np.array_equal(again.encode_document("the cat"), document)


def test_a_router_first_comes_back(tiny_bert: Path, tmp_path: Path) -> None:
    model = two_ways(tiny_bert)
    model.save(str(tmp_path))
    again = SentenceTransformer(str(tmp_path), device="cpu")
    assert again.max_seq_length == model.max_seq_length and len(again[0].sub_modules["query"]) == 2
    for encode in ("encode_query", "encode_document", "encode"):
        assert np.array_equal(getattr(again, encode)(["the mat"]), getattr(model, encode)(["the mat"]))


def test_mappings_and_errors(tiny_bert: Path, tmp_path: Path) -> None:
    dense = [models.Dense(4, 2)]
    router = models.Router(
        {"a": dense, "b": dense}, route_mappings={("query", None): "a", ("document", "text"): "b"}
    )
    assert [router.route_of(task) for task in ("query", "document", "a", "b", None)] == [
        "a",
        "b",
        "a",
        "b",
        "a",
    ]
    router.save(str(tmp_path))
    assert models.Router.load(str(tmp_path)).route_mappings == router.route_mappings
    with pytest.raises(InputError, match="task='c' has no route"):
        router.route_of("c")
    with pytest.raises(InputError, match="sub_modules is empty"):
        models.Router({})
    with pytest.raises(InputError, match="route 'z' is none of 'a'"):
        models.Router({"a": dense}, default_route="z")
    with pytest.raises(InputError, match="must go one way"):
        two_ways(tiny_bert).tokenize([{"query": "a"}, {"document": "b"}])


def test_truncation_is_counted_on_each_way(tiny_bert: Path) -> None:
    model = two_ways(tiny_bert)
    model[0].sub_modules["query"][0].max_seq_length = 5
    with pytest.warns(UserWarning, match="1 of 2 texts were cut to 5 tokens"):
        model.encode_query(["a", "the cat sat on the mat"])


def test_prompts_are_left_out_of_the_mean(tiny_bert: Path) -> None:
    model = two_ways(tiny_bert)
    model.prompts = {"query": "search query "}
    model.set_pooling_include_prompt(False)
    reference = plain(tiny_bert, "mean")
    reference.set_pooling_include_prompt(False)
    expected = reference.encode(["the cat"], prompt="search query ")
    assert model.encode_query(["the cat"]) == pytest.approx(expected, abs=2e-6)
