"""An index behind the server: the same hits as the library's, and changes only for those who may."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vicinal import CrossEncoder, Index, SentenceTransformer

NOTES = {
    "a": "the cat sat on the mat",
    "b": "a big red bird flew over the tree",
    "c": "one fish swam in the pond, two fish ran",
    "d": "the dog ran under the tree",
}
KEY = "secret"


@pytest.fixture
def path(tmp_path: Path, tiny_folder: Path) -> Path:
    with Index(tmp_path / "notes.db", str(tiny_folder)) as index:
        index.add(list(NOTES.values()), list(NOTES), [{"n": place} for place in range(len(NOTES))])
    return tmp_path / "notes.db"


@pytest.fixture
def reading(serve: Callable[..., Any], path: Path, scorer_folder: Path) -> Any:
    return serve(indexes=(str(path),), rerankers=(str(scorer_folder),))


@pytest.fixture
def writing(serve: Callable[..., Any], path: Path) -> Any:
    return serve(indexes=(str(path),), writable=True, api_keys=(KEY,), headers={"x-api-key": KEY})


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_hits_are_those_of_the_library(reading: Any, path: Path, tiny_folder: Path, mode: Any) -> None:
    answer = reading.post("/v1/search", {"query": "bird over a tree", "mode": mode, "top_k": 3}).json()
    with Index(path, str(tiny_folder), read_only=True) as index:
        expected = [hit.to_dict() for hit in index.search("bird over a tree", 3, mode=mode)]
    assert [hit["id"] for hit in answer["hits"]] == [hit["id"] for hit in expected]
    for hit, right in zip(answer["hits"], expected, strict=True):
        assert hit["score"] == pytest.approx(right["score"], abs=1e-4)
        assert hit["passage"] == right["passage"] and hit["metadata"] == right["metadata"]
        assert "".join(part["text"] for part in hit["highlights"]) == hit["passage"]["text"]
    assert answer["index"] == "notes" and answer["mode"] == mode


def test_matches_are_highlighted(reading: Any) -> None:
    answer = reading.post("/v1/search", {"query": "red birds", "mode": "lexical", "top_k": 1}).json()
    assert [part["text"] for part in answer["hits"][0]["highlights"] if part["match"]] == ["red", "bird"]


def test_filter_and_reranker_are_obeyed(reading: Any, scorer_folder: Path) -> None:
    body = {"query": "the tree", "filter": {"n": {"$gte": 1}}, "rerank": True, "top_k": 4}
    hits = reading.post("/v1/search", body).json()["hits"]
    scorer = CrossEncoder(scorer_folder, dtype="float32")
    right = scorer.rank("the tree", [NOTES[name] for name in "bcd"])
    assert [hit["id"] for hit in hits] == ["bcd"[each["corpus_id"]] for each in right]
    for hit, each in zip(hits, right, strict=True):
        assert hit["scores"]["rerank"] == pytest.approx(each["score"], abs=1e-5)


def test_the_model_of_an_index_is_served_too(reading: Any) -> None:
    assert [each["id"] for each in reading.get("/v1/models").json()["data"]] == ["scorer", "tiny"]
    (entry,) = reading.get("/v1/index").json()["indexes"]
    assert entry == {
        "id": "notes",
        "documents": 4,
        "model": "tiny",
        "fields": ["n"],
        "writable": False,
        "problem": None,
    }


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 422, "query"),
        ({"query": "a", "top_k": 0}, 422, "top_k"),
        ({"query": "a", "mode": "magic"}, 422, "mode"),
        ({"query": "a", "index": "/etc/passwd"}, 404, "there is no index"),
        ({"query": "a", "filter": {"n": {"$near": 1}}}, 422, "$near"),
        ({"query": "a", "rerank": "gpt"}, 404, "gpt"),
        ({"query": "\ud800"}, 422, "query"),
    ],
)
def test_what_is_wrong_is_said(reading: Any, body: Any, status: int, said: str) -> None:
    import json

    answer = reading("POST", "/v1/search", content=json.dumps(body))
    assert answer.status_code == status and said in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("route", "body", "name"),
    [
        ("/v1/search", {"query": "a", "filters": {"n": 1}}, "filters"),
        ("/v1/index/notes/upsert", {"documents": [{"text": "w", "meta": {"a": 1}}]}, "meta"),
        ("/v1/index/notes/delete", {"ids": [], "id": ["a"]}, "id"),
        ("/v1/index/notes/documents", {"ids": ["a"], "top_k": 3}, "top_k"),
    ],
)
def test_fields_that_are_not_known_are_refused(
    writing: Any, route: str, body: dict[str, Any], name: str
) -> None:
    """They would be lost in silence: metadata, a filter."""
    before = writing.get("/v1/index").json()
    answer = writing.post(route, body)
    assert answer.status_code in (400, 422) and name in answer.text
    assert writing.get("/v1/index").json() == before


def test_nothing_can_be_changed_without_writable(reading: Any) -> None:
    assert reading.post("/v1/index/notes/upsert", {"documents": [{"text": "x"}]}).status_code == 404
    assert reading.post("/v1/index/notes/delete", {"filter": {}}).status_code == 404


def test_documents_come_and_go(writing: Any) -> None:
    new = {"id": "e", "text": "a small green fish", "metadata": {"n": 9}}
    assert writing.post("/v1/index/notes/upsert", {"documents": [new]}).json() == {"ids": ["e"]}
    hits = writing.post("/v1/search", {"query": "small green fish", "mode": "lexical"}).json()["hits"]
    assert hits[0]["id"] == "e"
    found = writing.post("/v1/index/notes/documents", {"ids": ["e", "z"]}).json()
    assert found == {"documents": [new, None]}
    assert writing.post("/v1/index/notes/delete", {"ids": ["e", "z"]}).json() == {"deleted": 1}
    assert writing.post("/v1/index/notes/delete", {"filter": {"n": {"$lt": 2}}}).json() == {"deleted": 2}
    assert writing.get("/v1/index").json()["indexes"][0]["documents"] == 2


def test_changes_need_the_key(writing: Any) -> None:
    for headers in ({"x-api-key": "wrong"}, {"x-api-key": ""}, {"authorization": "Bearer secret2"}):
        answer = writing("POST", "/v1/index/notes/delete", json={"filter": {}}, headers=headers)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    bearer = {"x-api-key": "", "authorization": "Bearer secret"}
    assert writing("POST", "/v1/index/notes/delete", json={"ids": []}, headers=bearer).status_code == 200
    assert writing.get("/v1/index").json()["indexes"][0]["documents"] == 4


def test_mode_best_takes_the_served_reranker_and_says_what_it_used(reading: Any) -> None:
    answer = reading.post("/v1/search", {"query": "the tree", "mode": "best", "top_k": 2}).json()
    assert answer["report"]["reranker"] == "scorer" and answer["report"]["candidates"] == 4
    assert len(answer["hits"]) == 2 and all(hit["scores"]["rerank"] is not None for hit in answer["hits"])
    plain = reading.post("/v1/search", {"query": "the tree", "mode": "hybrid"}).json()
    assert plain["report"]["reranker"] is None and plain["report"]["retrievers"] == ["dense", "lexical"]


def test_deep_filters_and_huge_answers_are_refused(reading: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    deep: Any = {"n": 1}
    for _ in range(300):
        deep = {"$and": [deep]}
    assert reading.post("/v1/search", {"query": "a cat", "filter": deep}).status_code in (200, 422)
    monkeypatch.setattr("vicinal.server.dialects.own._MOST_CHARACTERS", 50)
    answer = reading.post("/v1/search", {"query": "a cat"})
    assert answer.status_code == 413 and "top_k" in answer.text


def test_a_query_that_is_cut_is_told(reading: Any) -> None:
    answer = reading.post("/v1/search", {"query": "the cat sat " * 50})
    assert answer.headers["x-vicinal-texts-cut"] == "1"
    assert "x-vicinal-texts-cut" not in reading.post("/v1/search", {"query": "the cat"}).headers


def test_an_index_whose_file_went_away_is_named_without_its_path(
    serve: Callable[..., Any], path: Path, tiny_folder: Path
) -> None:
    with Index(path.with_name("other.db"), str(tiny_folder)) as index:
        index.add(["a bird"], ["b"])
    server = serve(indexes=(str(path), str(path.with_name("other.db"))))
    path.rename(path.with_name("elsewhere.db"))
    answer = server.post("/v1/search", {"query": "the cat"})
    assert answer.status_code == 424
    message = answer.json()["error"]["message"]
    assert "the file of index 'notes' was removed" in message and "put it back" in message
    assert str(path.parent) not in message and "Index(" not in message
    listed = server.get("/v1/index").json()["indexes"]  # as it was last known
    assert [(each["id"], each["documents"], each["problem"]) for each in listed] == [
        ("notes", 4, message),
        ("other", 1, None),
    ]
    path.with_name("elsewhere.db").rename(path)
    assert server.get("/v1/index").json()["indexes"][0]["problem"] is None
    path.rename(path.with_name("elsewhere.db"))
    assert server.get("/page/about").status_code == 200
    assert str(path.parent) not in server.get("/page/map?index=notes").text
    assert server.post("/v1/search", {"query": "a", "index": "other"}).json()["hits"][0]["id"] == "b"


def test_an_index_that_is_replaced_is_opened_again(writing: Any, path: Path, tiny_folder: Path) -> None:
    rebuilt = path.with_name("rebuilt.db")
    with Index(rebuilt, str(tiny_folder)) as index:
        index.add(["a cat in a box"], ["box"])
    assert writing.post("/v1/search", {"query": "the cat", "top_k": 1}).json()["hits"][0]["id"] == "a"
    rebuilt.rename(path)
    for _ in range(2):
        hits = writing.post("/v1/search", {"query": "the cat"}).json()["hits"]
        assert [hit["id"] for hit in hits] == ["box"]
    assert [each["documents"] for each in writing.get("/v1/index").json()["indexes"]] == [1]
    with Index(rebuilt, str(tiny_folder)) as index:
        index.add(["a dog", "a fish"], ["dog", "fish"])
    rebuilt.rename(path)
    added = writing.post("/v1/index/notes/upsert", {"documents": [{"id": "bird", "text": "a bird"}]})
    assert added.status_code == 200
    with Index(path, str(tiny_folder), read_only=True) as index:
        assert sorted(each.id for each in index.get(["dog", "fish", "bird"]) if each) == [
            "bird",
            "dog",
            "fish",
        ]


@pytest.mark.parametrize("named", ["name", "folder"])
def test_an_index_replaced_by_one_of_another_model_is_told(
    reading: Any, path: Path, tmp_path: Path, named: str
) -> None:
    other = tmp_path / "other" / "notes.db"
    other.parent.mkdir()
    if named == "folder":
        SentenceTransformer("vicinal-mini").save(tmp_path / "other" / "model")
    with Index(other, "vicinal-mini" if named == "name" else str(tmp_path / "other" / "model")) as index:
        index.add(["a cat in a box"], ["box"])
    other.rename(path)
    for _ in range(2):
        answer = reading.post("/v1/search", {"query": "the cat"})
        message = answer.json()["error"]["message"]
        assert answer.status_code == 424 and "restart the server" in message and str(tmp_path) not in message
    assert str(tmp_path) not in reading.get("/page/map?index=notes").text


def test_an_index_that_was_emptied_does_not_become_one_without_documents(writing: Any, path: Path) -> None:
    path.with_name("empty.db").touch()
    path.with_name("empty.db").rename(path)
    for _ in range(2):
        assert writing.post("/v1/search", {"query": "the cat"}).status_code == 424
    assert path.stat().st_size == 0
