"""The routes of text-embeddings-inference: vectors, scores, tokens, headers, and the status of each error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def good(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def unit(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def wanted(model: Any, texts: list[str]) -> Any:
    return model.encode(texts, on_truncate="ignore")


def test_vectors(asked: Any, wanted: Any, texts: list[str]) -> None:
    np.testing.assert_allclose(good(asked.post("/embed", {"inputs": texts})), unit(wanted), atol=2e-6)
    np.testing.assert_allclose(good(asked.post("/embed", {"inputs": texts[0]})), unit(wanted[:1]), atol=2e-6)
    empty = good(asked.post("/embed", {"inputs": ""}))
    np.testing.assert_allclose(empty, unit(wanted[texts.index("")][None]), atol=2e-6)
    plain = good(asked.post("/embed", {"inputs": texts, "normalize": False}))
    np.testing.assert_allclose(plain, wanted, atol=5e-6)
    short = good(asked.post("/embed", {"inputs": texts, "dimensions": 6}))
    np.testing.assert_allclose(short, unit(wanted[:, :6]), atol=2e-6)


def test_headers_tell_what_was_computed(asked: Any, model: Any, texts: list[str]) -> None:
    answer = asked.post("/embed", {"inputs": texts})
    assert answer.headers["x-compute-type"] == "cpu"
    assert answer.headers["x-compute-characters"] == str(sum(map(len, texts)))
    counted = sum(min(each, model.max_seq_length) for each in model.count_tokens(texts))
    assert answer.headers["x-compute-tokens"] == str(counted)
    assert answer.headers["x-vicinal-texts-cut"] == "1"
    for name in ("compute-time", "total-time", "tokenization-time", "queue-time", "inference-time"):
        assert int(answer.headers[f"x-{name}"]) >= 0


@pytest.mark.parametrize(
    ("more", "name"), [({"prompt_name": "query"}, "query"), ({"input_type": "document"}, "document")]
)
def test_prompts(asked: Any, model: Any, more: Any, name: str) -> None:
    given = ["the cat", "a dog ran"]
    right = unit(model.encode(given, prompt_name=name))
    np.testing.assert_allclose(good(asked.post("/embed", {"inputs": given, **more})), right, atol=2e-6)
    body = {"inputs": {"source_sentence": given[0], "sentences": given[1:]}, "parameters": more}
    np.testing.assert_allclose(good(asked.post("/similarity", body)), right[1:] @ right[0], atol=2e-6)
    tokens = good(asked.post("/embed_all", {"inputs": given, **more}))
    rows = model.encode(given, prompt_name=name, output_value="token_embeddings")
    for found, each in zip(tokens, rows, strict=True):
        np.testing.assert_allclose(found, each, atol=5e-6)


def test_vectors_of_tokens(asked: Any, model: Any, texts: list[str]) -> None:
    found = good(asked.post("/embed_all", {"inputs": texts}))
    rows = model.encode(texts, output_value="token_embeddings", on_truncate="ignore")
    assert len(found) == len(texts)
    for each, row in zip(found, rows, strict=True):
        np.testing.assert_allclose(each, row, atol=5e-6)


def test_either_side_of_a_long_text_is_cut(asked: Any, model: Any) -> None:
    words = ("one two three four five six seven eight nine ten " * 5).split()
    kept = model.max_seq_length - 2
    for side, text in {"left": words[-kept:], "Right": words[:kept]}.items():
        found = good(asked.post("/embed", {"inputs": " ".join(words), "truncation_direction": side}))
        np.testing.assert_allclose(found, unit(model.encode([" ".join(text)])), atol=2e-6)


def test_similarities_are_cosines(asked: Any, wanted: Any, texts: list[str]) -> None:
    body = {"inputs": {"source_sentence": texts[0], "sentences": texts[1:]}}
    np.testing.assert_allclose(
        good(asked.post("/similarity", body)), unit(wanted)[1:] @ unit(wanted)[0], atol=2e-6
    )


def test_ids_of_the_model_are_texts(asked: Any) -> None:
    given = ["the cat sat", "a zebra [UNK] ran", "big red"]
    vectors = good(asked.post("/embed", {"inputs": given}))
    rows = good(asked.post("/tokenize", {"inputs": given}))
    ids = [[token["id"] for token in row] for row in rows]
    np.testing.assert_allclose(good(asked.post("/embed", {"inputs": ids})), vectors, atol=2e-6)
    np.testing.assert_allclose(good(asked.post("/embed", {"inputs": ids[0]})), vectors[:1], atol=2e-6)
    mixed = good(asked.post("/embed", {"inputs": [ids[0], given[1], ids[2]]}))
    np.testing.assert_allclose(mixed, vectors, atol=2e-6)
    bare = good(asked.post("/tokenize", {"inputs": given, "add_special_tokens": False}))
    ids = [[token["id"] for token in row] for row in bare]
    np.testing.assert_allclose(good(asked.post("/embed", {"inputs": ids})), vectors, atol=2e-6)


def test_ids_of_no_token_are_refused(asked: Any) -> None:
    answer = asked.post("/embed", {"inputs": [9906, 1917]})
    assert answer.status_code == 422
    assert answer.json()["error_type"] == "Tokenizer"
    assert "9906" in answer.json()["error"]


def test_ids_that_no_text_has_are_refused() -> None:
    """A tokenizer of letters and of "ab": the ids of "a" and "b" apart are those of no text."""
    from vicinal.server.dialects.tei_ids import texts_of
    from vicinal.server.errors import Refused
    from vicinal.server.records import Token

    words = {"a": 1, "b": 2, "ab": 3}

    class Service:
        async def tokenize(self, texts: list[str], model: str, add_special_tokens: bool = True) -> Any:
            ends = [9] if add_special_tokens else []
            return [
                [Token(id, "", False, 0, 0) for id in (*ends, *([words[text]] if text else []), *ends)]
                for text in texts
            ]

        async def decode(self, rows: Any, model: str, skip_special_tokens: bool) -> list[str]:
            names = {id: word for word, id in words.items()}
            return ["".join(names[id] for id in row) for row in rows]

    found = asyncio.run(texts_of(Service(), [[9, 3, 9], [1], [9, 9]], "m"))  # type: ignore[arg-type]
    assert found == ["ab", "a", ""]
    with pytest.raises(Refused, match=r"inputs\[1\]: no text has these token ids"):
        asyncio.run(texts_of(Service(), [[3], [1, 2]], "m"))  # type: ignore[arg-type]


def test_tokens_stand_where_they_say(asked: Any, model: Any) -> None:
    text = "the über cat sat"
    (row,) = good(asked.post("/tokenize", {"inputs": text}))
    assert [each["id"] for each in row] == model.tokenizer.encode(text).ids
    assert [each["special"] for each in row] == [True, False, False, False, False, True]
    assert [(row[0][name], row[-1][name]) for name in ("text", "start", "stop")] == [
        ("[CLS]", "[SEP]"),
        (None, None),
        (None, None),
    ]
    for each in row[1:-1]:
        assert text.encode()[each["start"] : each["stop"]].decode() == each["text"]
    (bare,) = good(asked.post("/tokenize", {"inputs": [text], "add_special_tokens": False}))
    assert bare == row[1:-1]
    (prompted,) = good(asked.post("/tokenize", {"inputs": [text], "prompt_name": "query"}))
    assert [each["text"] for each in prompted[1:-1]] == ["the", "big", "the", "über", "cat", "sat"]
    assert prompted[3]["start"] == 8


def test_decoding(asked: Any) -> None:
    (row,) = good(asked.post("/tokenize", {"inputs": "the cat"}))
    ids = [each["id"] for each in row]
    assert good(asked.post("/decode", {"ids": ids})) == ["the cat"]
    assert good(asked.post("/decode", {"ids": [ids, ids[1:2]]})) == ["the cat", "the"]
    assert good(asked.post("/decode", {"ids": ids, "skip_special_tokens": False})) == ["[CLS] the cat [SEP]"]


LABELS = ["good", "bad", "neither"]


def by_label(row: Any) -> list[float]:
    scores = {each["label"]: each["score"] for each in row}
    assert [each["score"] for each in row] == sorted(scores.values(), reverse=True)
    return [scores[label] for label in LABELS]


def softmax(row: Any) -> Any:
    return np.exp(row) / np.exp(row).sum()


def test_predictions_of_texts_and_pairs(asked: Any, logits: Any) -> None:
    one, pair = "the cat sat", ("the cat", "a dog")
    single, double = softmax(logits(one)), softmax(logits(*pair))
    for given, right in ((one, single), ([one], single), (list(pair), double)):
        np.testing.assert_allclose(
            by_label(good(asked.post("/predict", {"inputs": given}))), right, atol=2e-6
        )
    found = good(asked.post("/predict", {"inputs": [[one], list(pair), [one]]}))
    np.testing.assert_allclose([by_label(row) for row in found], [single, double, single], atol=2e-6)
    raw = good(asked.post("/predict", {"inputs": one, "raw_scores": True}))
    np.testing.assert_allclose(by_label(raw), logits(one), atol=5e-6)


def test_predictions_of_a_reranker(asked: Any, scorer: Any) -> None:
    found = good(asked.post("/predict", {"inputs": ["the cat", "a dog"], "model": "scorer"}))
    np.testing.assert_allclose(
        [each["score"] for each in found], scorer.predict([("the cat", "a dog")]), atol=2e-6
    )


def test_predictions_as_the_hugging_face_client_asks(asked: Any, logits: Any) -> None:
    raw = logits("the cat sat")
    (best,) = good(asked.post("/predict", {"inputs": "the cat sat", "parameters": {"top_k": 2}}))
    assert len(best) == 2
    for function, right in {"none": raw, "sigmoid": 1 / (1 + np.exp(-raw)), "softmax": softmax(raw)}.items():
        body = {"inputs": "the cat sat", "parameters": {"function_to_apply": function}}
        (row,) = good(asked.post("/predict", body))
        np.testing.assert_allclose(by_label(row), right, atol=5e-6)


def test_the_root_does_what_the_fields_say(asked: Any, wanted: Any, scorer: Any, texts: list[str]) -> None:
    for path in ("/", "/invocations"):
        np.testing.assert_allclose(good(asked.post(path, {"inputs": texts})), unit(wanted), atol=2e-6)
    ranks = good(asked.post("/", {"query": "the cat", "texts": texts[:2]}))
    np.testing.assert_allclose(
        max(each["score"] for each in ranks),
        scorer.predict([("the cat", text) for text in texts[:2]]).max(),
        atol=2e-6,
    )
    body = {"inputs": {"source_sentence": texts[0], "sentences": [texts[3]]}, "parameters": {}}
    np.testing.assert_allclose(good(asked.post("/", body)), [1], atol=1e-6)
    (row,) = good(asked.post("/", {"inputs": texts[0], "parameters": {"top_k": 1}}))
    assert row[0]["label"] in LABELS
    assert asked.post("/", {"inputs": 3}).status_code == 422
    assert asked.post("/", {}).status_code == 422


def test_servers_of_one_task(serve: Callable[..., Any], scorer_folder: Path, labels_folder: Path) -> None:
    ranker, labeller = (serve(rerankers=(str(folder),)) for folder in (scorer_folder, labels_folder))
    assert [each["index"] for each in good(ranker.post("/", {"query": "a", "texts": ["a", "a"]}))] == [0, 1]
    assert {each["label"] for each in good(labeller.post("/", {"inputs": "a"}))} == set(LABELS)
    assert "reranker" in good(ranker.get("/info"))["model_type"]
    named = good(labeller.get("/info"))["model_type"]["classifier"]
    assert named["id2label"] == {"0": "good", "1": "bad", "2": "neither"}
    assert named["label2id"] == {"good": 0, "bad": 1, "neither": 2}
    for client, path, body in (
        (ranker, "/embed", {"inputs": "a"}),
        (ranker, "/similarity", {"inputs": {"source_sentence": "a", "sentences": ["a"]}}),
        (labeller, "/rerank", {"query": "a", "texts": ["a"]}),
    ):
        answer = client.post(path, body)
        assert answer.status_code == 424, answer.text
        assert answer.json()["error_type"] == "Backend"


def test_info(asked: Any, model: Any) -> None:
    found = good(asked.get("/info"))
    assert found["model_id"] == found["served_model_name"] == "embedder"
    assert found["model_type"] == {"embedding": {"pooling": "mean"}}
    assert found["max_input_length"] == model.max_seq_length
    assert found["max_client_batch_size"] == 2048
    assert found["auto_truncate"] is True
    for name in ("max_concurrent_requests", "max_batch_tokens", "tokenization_workers"):
        assert found[name] > 0


def test_other_paths_of_the_same(asked: Any, texts: list[str]) -> None:
    assert asked.get("/ping").status_code == 200
    first, second = (good(asked.post(path, {"input": texts})) for path in ("/embeddings", "/v1/embeddings"))
    assert first == second
    assert good(asked.get("/models")) == good(asked.get("/v1/models"))


LONG = "the cat " * 40


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "words"),
    [
        ("/embed", {"inputs": []}, 400, "Empty", "empty"),
        ("/embed", {"inputs": [[]]}, 400, "Empty", "inputs[0]"),
        ("/embed", {}, 422, "Validation", "inputs"),
        ("/embed", {"inputs": None}, 422, "Validation", "inputs"),
        ("/embed", {"inputs": [1.5]}, 422, "Validation", "inputs"),
        ("/embed", {"inputs": [True]}, 422, "Validation", "inputs"),
        ("/embed", {"inputs": [-1]}, 422, "Tokenizer", "-1"),
        ("/embed", {"inputs": {"a": 1}}, 422, "Validation", "inputs"),
        ("/embed", {"inputs": LONG, "truncate": False}, 422, "Validation", "tokens"),
        ("/embed", {"inputs": "a", "prompt_name": "none such"}, 422, "Validation", "none such"),
        ("/embed", {"inputs": "a", "dimensions": 25}, 422, "Validation", "25"),
        ("/embed", {"inputs": "a", "dimensions": 0}, 422, "Validation", "dimensions"),
        ("/embed", {"inputs": "a", "truncation_direction": "up"}, 422, "Validation", "truncation_direction"),
        ("/embed", {"inputs": ["a"] * 2049}, 422, "Validation", "2048"),
        ("/embed", {"inputs": "a", "model": "nothing"}, 404, "Validation", "nothing"),
        ("/embed", {"inputs": "a", "model": "scorer"}, 404, "Validation", "scorer"),
        ("/", {"inputs": []}, 400, "Empty", "empty"),
        ("/", [], 422, "Validation", "dictionary"),
        ("/embed_all", {"inputs": []}, 400, "Empty", "empty"),
        ("/embed_sparse", {"inputs": "a"}, 424, "Backend", "SPLADE"),
        ("/predict", {"inputs": []}, 422, "Validation", "empty"),
        ("/predict", {"inputs": ["a", "b", "c"]}, 422, "Validation", "3 texts"),
        ("/predict", {"inputs": [["a"], []]}, 422, "Validation", "inputs[1] has 0 texts"),
        ("/predict", {"inputs": [["a"], "b"]}, 422, "Validation", "inputs"),
        ("/predict", {"inputs": "a", "parameters": {"top_k": 0}}, 422, "Validation", "top_k"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, 400, "Empty", "sentences"),
        ("/similarity", {"inputs": "a"}, 422, "Validation", "inputs"),
        ("/tokenize", {"inputs": []}, 400, "Empty", "empty"),
        ("/tokenize", {"inputs": "a", "prompt_name": ""}, 422, "Validation", "it has 'query', 'document'"),
        ("/tokenize", {"inputs": [1]}, 422, "Validation", "inputs"),
        ("/decode", {"ids": []}, 400, "Empty", "empty"),
        ("/decode", {"ids": [[1], 2]}, 422, "Validation", "ids"),
        ("/decode", {"ids": [10**30]}, 422, "Tokenizer", "token id"),
        ("/decode", {"ids": ["a"]}, 422, "Validation", "ids"),
    ],
)
def test_what_is_wrong_is_told(asked: Any, path: str, body: Any, status: int, kind: str, words: str) -> None:
    answer = asked.post(path, body)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error", "error_type"]
    assert answer.json()["error_type"] == kind
    assert words in answer.json()["error"]


def test_null_and_unknown_fields_change_nothing(asked: Any) -> None:
    names = ["truncate", "truncation_direction", "prompt_name", "normalize", "dimensions", "model"]
    first, second = (
        good(asked.post("/embed", {"inputs": "the cat", **more}))
        for more in ({}, {**dict.fromkeys(names), "something": [1]})
    )
    assert first == second


def test_a_server_may_be_set_not_to_cut(serve: Callable[..., Any], prompted_folder: Path) -> None:
    strict = serve(models=(str(prompted_folder),), auto_truncate=False)
    assert strict.post("/embed", {"inputs": LONG}).status_code == 422
    assert good(strict.post("/embed", {"inputs": LONG, "truncate": True}))
    assert good(strict.get("/info"))["auto_truncate"] is False
