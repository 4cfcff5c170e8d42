"""Arguments and values that cannot be meant: refused by name, and nothing of the index is changed."""

from __future__ import annotations

import functools
import os
import shutil
import threading

import numpy as np
import pytest

from vicinal.errors import InputError, InputTypeError, ModelNotFoundError, StoreError
from vicinal.hub.resolve import resolve_model
from vicinal.index import Index, ingest
from vicinal.index.values import DEEPEST

from .fakes import FakeModel


def nested(levels, wrap, inner=1):
    return functools.reduce(lambda value, _: wrap(value), range(levels), inner)


def in_dict(value):
    return {"a": value}


def in_list(value):
    return [value]


def in_not(value):
    return {"$not": value}


def test_metadata_that_is_too_deep_or_holds_itself(index):
    own: dict = {}
    own["self"] = own
    looped: list = []
    looped.extend([looped, looped])
    for metadata in (nested(5000, in_dict), {"a": nested(5000, in_list)}, own, {"a": looped}):
        with pytest.raises(InputError, match=r"metadatas\[0\] is nested more than 100 levels.*flatter"):
            index.add(["text"], ["1"], [metadata])
    assert index.count() == 0
    # All the levels that are allowed, read back and searched.
    deep = nested(DEEPEST, in_dict)
    index.add(["text"], ["1"], [deep])
    assert index.get(["1"])[0].metadata == deep
    assert [hit.id for hit in index.search("text", filter={".".join("a" * DEEPEST): 1})] == ["1"]
    assert index.verify()


def test_filters_that_are_too_deep_or_hold_themselves(index):
    index.add(["text"], ["1"], [{"a": 1}])
    own: dict = {}
    own["$not"] = own
    both: dict = {}
    both["$and"] = [both, both]
    for where in (nested(5000, in_not, {"a": 1}), own, both):
        with pytest.raises(InputError, match="filter is nested more than 100 levels"):
            index.search("text", filter=where)
        with pytest.raises(InputError, match="filter is nested"):
            index.delete(filter=where)
    even = nested(DEEPEST - 2, in_not, {"a": 1})
    assert [hit.id for hit in index.search("text", filter=even)] == ["1"]
    assert index.count() == 1


@pytest.mark.parametrize(
    "where", [{"\ud800": 1}, {"a": "\ud800"}, {"a": {"$in": ["x", "\ud800"]}}, {"$not": {"\udfff": None}}]
)
def test_filters_with_half_a_surrogate_pair(index, where):
    index.add(["text"], ["1"], [{"a": 1}])
    with pytest.raises(InputError, match=r"filter.*surrogate"):
        index.search("text", filter=where)


def test_an_id_that_comes_twice_is_found_at_once(index):
    n = 200_000
    ids = [str(i) for i in range(n)] + [str(n - 1)]
    with pytest.raises(InputError, match=rf"'{n - 1}' twice"):
        index.add(["x"] * (n + 1), ids)
    assert index.count() == 0


def test_integers_of_numpy_are_integers(path):
    with Index(path, FakeModel(), chunk_tokens=np.int64(16), chunk_overlap=np.int32(2)) as index:
        index.add([f"text {i}" for i in range(5)])
        assert len(index.search("text", top_k=np.int64(3), mode="hybrid", candidates=np.uint8(4))) == 3


@pytest.mark.parametrize("name", ["top_k", "candidates"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "3", None])
def test_numbers_of_hits_that_are_none(index, name, value):
    error = InputError if type(value) is int else InputTypeError
    with pytest.raises(error, match=name):
        index.search("text", **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("timeout", "x", InputTypeError),
        ("timeout", None, InputTypeError),
        ("timeout", True, InputTypeError),
        ("timeout", -1, InputError),
        ("timeout", float("nan"), InputError),
        ("chunk_tokens", 7, InputError),
        ("chunk_tokens", 16.0, InputTypeError),
        ("chunk_overlap", -1, InputError),
        ("chunk_overlap", "2", InputTypeError),
    ],
)
def test_settings_that_cannot_be_meant_make_no_file(path, name, value, error):
    with pytest.raises(error, match=name):
        Index(path, FakeModel(), **{name: value})
    assert not path.exists()


@pytest.mark.parametrize("value", [0, "1", 2.0])
def test_batches_of_nothing(index, tmp_path, value):
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises((InputError, InputTypeError), match="batch_size"):
        ingest.index_files(index, [tmp_path / "a.txt"], batch_size=value)


@pytest.mark.parametrize("timeout", [0, 3, np.float32(0.5), 1e12, float("inf")])
def test_any_wait_may_be_asked_for(path, timeout):
    with Index(path, FakeModel(), timeout=timeout) as index:
        index.add(["text"], ["1"])
        index.compact()
        assert index.verify() and index.count() == 1


def test_a_process_that_changes_its_folder_keeps_its_index(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    index = Index("texts.db", FakeModel())
    index.add(["text"], ["1"])
    monkeypatch.chdir("elsewhere")
    together = threading.Barrier(4, timeout=30)
    found = []

    def ask():
        # Connections beyond the one that is kept are new ones.
        with index._store._connection() as db:
            together.wait()
            found.append(db.execute("SELECT count(*) FROM documents").fetchone()[0])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 4
    assert index.export("texts.db") == 1, "a file of the same name in another folder is no index"
    assert index.info().file_bytes > 0
    index.close()
    assert os.listdir(tmp_path / "elsewhere") == ["texts.db"]
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "texts.db"]


def test_a_file_that_was_moved_away_is_not_begun_anew(path, tmp_path):
    index = Index(path, FakeModel())
    index.add(["text"], ["1"])
    away = tmp_path / "away"
    away.mkdir()
    while index._store._idle:
        index._store._idle.pop().close()
    path.rename(away / "texts.db")
    with pytest.raises(StoreError, match=r"texts\.db.*not moved"):
        index.count()
    index.close()
    assert not path.exists()
    with Index(away / "texts.db", FakeModel()) as index:
        assert index.count() == 1


def test_files_that_never_were_an_index(tmp_path):
    (tmp_path / "notes.txt").write_text("This is no database at all, only a text. " * 100)
    with pytest.raises(StoreError, match=r"notes\.txt.*is not an index.*another path"):
        Index(tmp_path / "notes.txt", FakeModel())
    (tmp_path / "short.txt").write_text("short")
    with pytest.raises(StoreError, match=r"short\.txt.*5 bytes.*another path"):
        Index(tmp_path / "short.txt", FakeModel())
    assert (tmp_path / "short.txt").read_text() == "short"


def test_a_model_folder_that_has_moved(path, tmp_path):
    here, there = tmp_path / "model", tmp_path / "moved"
    shutil.copytree(resolve_model("vicinal-mini"), here)
    with Index(path, str(here)) as index:
        index.add(["cats and dogs"], ["1"])
    here.rename(there)
    with Index(path) as index:
        assert index.search("cats", mode="lexical")[0].id == "1"
        with pytest.raises(ModelNotFoundError, match=r"texts\.db' was made with .*model', .*model= its new"):
            index.search("cats")
    with Index(path, str(there)) as index:
        assert index.search("cats")[0].id == "1"
    with pytest.raises(ModelNotFoundError) as caught:
        Index(path, str(here) + "x")
    assert "was made with" not in str(caught.value), "this name came from the caller"
