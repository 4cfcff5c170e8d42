"""The page's files and JSON, without a browser: what is served to whom, under which policy, and the map's content."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicinal import Index
from vicinal.index.survey import Survey
from vicinal.server import page
from vicinal.server.maps import Maps, drawn

KEY = "secret"
STATIC = Path(page.__file__).with_name("static")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    topics = {"weather": "snow rain wind cloud storm", "kitchen": "bread soup salt pepper kettle"}
    path = tmp_path_factory.mktemp("page") / "notes.db"
    with Index(path) as index:
        for topic, words in topics.items():
            each = words.split()
            index.add(
                [f"{each[i % 5]} and {each[(i * 3 + 1) % 5]}, note {i} on the {topic}" for i in range(30)],
                ids=[f"{topic}-{i}" for i in range(30)],
                metadatas=[{"topic": topic, "n": i} for i in range(30)],
            )
    return path


@pytest.fixture(scope="module")
def client(serve: Callable[..., Any], path: Path) -> Any:
    return serve(indexes=(str(path),))


@pytest.fixture(scope="module")
def locked(serve: Callable[..., Any], path: Path) -> Any:
    return serve(indexes=(str(path),), api_keys=(KEY,))


def drawn_map(client: Any, query: str = "index=notes") -> Any:
    for _ in range(2000):
        status = client.get(f"/page/map?{query}").json()
        if status["state"] != "working":
            return status
        assert 0 <= status["done"] <= 1 and status["message"]
        time.sleep(0.01)
    raise AssertionError("the map is never ready")


def test_the_policy_allows_this_servers_files_and_nothing_else(client: Any) -> None:
    answer = client.get("/")
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    rules = dict(
        part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";")
    )
    assert rules["default-src"] == "'none'"
    assert {
        rule for name, rule in rules.items() if name in ("script-src", "style-src", "img-src", "connect-src")
    } == {"'self'"}
    assert {rules[name] for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_file_that_the_page_names_is_there_and_nothing_comes_from_elsewhere(client: Any) -> None:
    html = client.get("/").text
    named = set(re.findall(r'(?:href|src)="([^"#]+)"', html))
    assert named and all(name.startswith("page/files/") for name in named)
    for name in page.OPEN_PATHS[1:]:
        text = client.get(name).text
        for module in re.findall(r'from "\./([^"]+)"', text):
            named.add(f"page/files/{module}")
        for address in re.findall(r"https?://[^\s\"'<>]+", text):
            assert address == "http://www.w3.org/2000/svg"
    for name in named:
        answer = client.get(f"/{name}")
        assert answer.status_code == 200 and answer.headers["content-security-policy"]
    assert {path.name for path in STATIC.iterdir()} == {Path(name).name for name in named} | {"index.html"}


def test_no_script_or_style_stands_in_the_page_and_no_text_becomes_markup() -> None:
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    assert "style=" not in html and not re.search(r"\son\w+=", html)
    assert not re.search(r"<script(?![^>]*src=)", html) and "<style" not in html
    for script in STATIC.glob("*.js"):
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ):
            assert word not in script.read_text(encoding="utf-8"), script


def test_a_file_that_is_known_is_not_sent_again(client: Any) -> None:
    first = client.get("/page/files/app.js")
    again = client.get("/page/files/app.js", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304 and not again.content


@pytest.mark.parametrize("name", ["nothing.js", "..%2fpage.py", "%2e%2e%2fpage.py", "index.html%00"])
def test_no_other_file_is_served(client: Any, name: str) -> None:
    assert client.get(f"/page/files/{name}").status_code == 404


def test_the_page_is_open_and_what_it_shows_needs_the_key(locked: Any) -> None:
    for name in page.OPEN_PATHS:
        assert locked.get(name).status_code == 200
    for name in ("/page/about", "/page/map?index=notes", "/page/map/data?index=notes"):
        assert locked.get(name).status_code == 401
    answer = locked.get("/page/about", headers={"authorization": f"Bearer {KEY}"})
    assert answer.status_code == 200 and answer.json()["indexes"][0]["id"] == "notes"


def test_about_tells_what_is_served(client: Any) -> None:
    about = client.get("/page/about").json()
    assert about["modes"] == ["dense", "lexical", "hybrid", "best"]
    assert about["indexes"] == [
        {"id": "notes", "documents": 60, "model": "vicinal-mini", "fields": ["n", "topic"], "problem": None}
    ]
    assert about["embedders"] == [{"id": "vicinal-mini", "dimension": 256}] and about["rerankers"] == []


def test_the_map_of_an_index_shows_every_document_and_names_its_groups(client: Any) -> None:
    assert drawn_map(client) == {"state": "ready", "done": 1.0, "message": "", "current": True}
    found = client.get("/page/map/data?index=notes").json()
    assert found["total"] == 60 and len(set(found["ids"])) == 60
    assert found["texts"][0].startswith("snow and rain, note 0")
    for name in ("x", "y"):
        assert min(found[name]) >= 0 and max(found[name]) <= 10_000
    words = {word for group in found["regions"]["coarse"] for word in group["words"]}
    assert words & {"weather", "snow", "rain"} and words & {"kitchen", "bread", "soup"}
    assert sum(group["size"] for group in found["regions"]["coarse"]) <= 60
    # The two topics are apart: nobody's nearest neighbours on the map are mostly of the other one.
    places = np.stack([found["x"], found["y"]], axis=1).astype(float)
    kind = np.array([id.startswith("weather") for id in found["ids"]])
    far = np.square(places[:, None] - places).sum(axis=2)
    near = np.argsort(far, axis=1)[:, 1:6]
    assert (kind[near] == kind[:, None]).mean() > 0.95


def test_the_map_is_compressed_for_those_who_take_it(client: Any) -> None:
    drawn_map(client)
    packed = client.get("/page/map/data?index=notes", headers={"accept-encoding": "gzip"})
    plain = client.get("/page/map/data?index=notes", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert packed.json() == plain.json()


def test_the_page_answers_head_as_those_who_watch_a_server_ask(client: Any) -> None:
    answer = client("HEAD", "/")
    assert answer.status_code == 200 and answer.headers["content-security-policy"]


@pytest.mark.parametrize("query", ["", "?fresh=true", "?index=notes&fresh=perhaps"])
def test_a_request_for_a_map_that_makes_no_sense_is_refused(client: Any, query: str) -> None:
    assert client.get(f"/page/map{query}").status_code == 422


def test_an_index_that_is_not_there_is_named(client: Any) -> None:
    for route in ("/page/map", "/page/map/data"):
        answer = client.get(f"{route}?index=other")
        assert answer.status_code == 404 and "'other'" in answer.json()["error"]["message"]


def finished(maps: Maps, index: Index, fresh: bool = False) -> Any:
    for _ in range(2000):
        status = maps.status("notes", index, fresh)
        if status.state != "working":
            return status
        time.sleep(0.01)
    raise AssertionError("the map is never ready")


def test_a_map_of_an_earlier_state_is_told_and_drawn_again_where_that_is_asked_for(tmp_path: Path) -> None:
    with Index(tmp_path / "notes.db") as index:
        index.add([f"text {i}" for i in range(20)], ids=[str(i) for i in range(20)])
        maps = Maps(lambda: False)
        assert finished(maps, index).current
        index.delete(["3"])
        assert not finished(maps, index).current
        assert maps.status("notes", index, fresh=True).state == "working"
        assert finished(maps, index).current


def test_of_many_documents_some_are_drawn(tmp_path: Path) -> None:
    import gzip
    import json

    with Index(tmp_path / "notes.db") as index:
        index.add([f"text {i}" for i in range(40)])
        maps = Maps(lambda: False, most=15)
        finished(maps, index)
        data = maps.data("notes")
    assert data is not None
    found = json.loads(gzip.decompress(data))
    assert found["total"] == 40 and len(found["ids"]) == 15


def test_a_map_is_given_up_when_the_server_ends(tmp_path: Path) -> None:
    with Index(tmp_path / "notes.db") as index:
        index.add([f"text {i}" for i in range(20)])
        status = finished(Maps(lambda: True), index)
    assert status.state == "failed" and status.message == "The server ends."


def test_an_empty_index_has_an_empty_map() -> None:
    found = drawn(Survey("1", 0, (), np.zeros((0, 1), np.float32)), lambda done, message: None)
    assert found["ids"] == found["x"] == [] and found["regions"] == {"fine": [], "coarse": []}
