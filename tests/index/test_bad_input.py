"""Arguments and values that cannot be meant: refused by name, and nothing of the index is changed."""

from __future__ import annotations

import enum
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
        assert len(index.search("text", top_k=np.int64(3), mode="best", candidates=np.uint8(4))) == 3


@pytest.mark.parametrize("name", ["top_k", "candidates"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "3", [3]])
def test_numbers_of_hits_that_are_none(index, name, value):
    error = InputError if type(value) is int else InputTypeError
    with pytest.raises(error, match=name):
        index.search("text", **{name: value})


@pytest.mark.parametrize(
    ("mode", "value", "error"),
    [
        ("best", 0, "above 0"),
        ("best", -1.5, "above 0"),
        ("best", float("nan"), "above 0"),
        ("best", True, "number of milliseconds"),
        ("best", "50", "number of milliseconds"),
        ("hybrid", 50, "only mode='best' keeps to a budget; mode is 'hybrid'"),
    ],
)
def test_budgets_that_are_none(index, mode, value, error):
    with pytest.raises(InputError if "number" not in error else InputTypeError, match=error):
        index.search("text", mode=mode, budget_ms=value)


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
    with pytest.raises(StoreError, match=r"texts\.db.*was removed or moved"):
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


# np.matrix warns when one is made, but not when an array is viewed as one.
MATRIX = np.array([[1, 2]]).view(np.matrix)


class Colour(str, enum.Enum):
    RED = "red"
    KEY = "colour"


class Size(enum.IntEnum):
    LARGE = 3


class Weight(float):
    def __repr__(self):
        return "heavy"


class Frame:
    """Like a table of pandas or polars: a loop gives names."""

    columns = ("id", "text")
    dtypes = (int, str)

    def __iter__(self):
        return iter(self.columns)


class Rows:
    """Like a table of pyarrow."""

    column_names = ["text", "year"]  # noqa: RUF012

    def to_pylist(self):
        return [{"text": "a", "year": 1}, {"text": "b", "year": 2}]


def test_subclasses_are_stored_as_what_they_equal(path):
    metadata = {
        Colour.KEY: Colour.RED,
        "size": Size.LARGE,
        "weight": Weight(2.5),
        "word": np.str_("x"),
        "number": np.float64(1.5),
        "list": [Colour.RED, Size.LARGE, np.int64(4), True],
        "inside": {"deep": Colour.RED},
    }
    with Index(path, FakeModel()) as index:
        assert index.add([Colour.RED, np.str_("a text")], np.array(["1", "2"]), [metadata, None]) == [
            "1",
            "2",
        ]
        assert index.upsert([Colour.RED], [Colour.KEY]) == ["colour"]
    with Index(path, FakeModel()) as index:
        first = index.get("1")[0]
        assert first.text == "red" and index.get(Colour.KEY)[0].text == "red" and Colour.KEY in index
        assert first.metadata == {
            "colour": "red",
            "size": 3,
            "weight": 2.5,
            "word": "x",
            "number": 1.5,
            "list": ["red", 3, 4, True],
            "inside": {"deep": "red"},
        }
        for where in (
            {"colour": "red"},
            {Colour.KEY: Colour.RED},
            {"size": 3},
            {"size": {"$gte": Size.LARGE}},
            {"weight": Weight(2.5)},
            {"word": np.str_("x")},
            {"list": Colour.RED},
            {"inside.deep": {"$in": [Colour.RED]}},
        ):
            assert [hit.id for hit in index.search(Colour.RED, filter=where)] == ["1"], where
        assert index.verify()


def test_arrays_stand_for_lists(index):
    index.add(["a", "b", "c"], np.array(["1", "2", "3"]), [{"n": n} for n in range(3)])
    for operand in (
        np.array([0, 2]),
        range(0, 3, 2),
        {0: "", 2: ""}.keys(),
        np.array([0.0, 2.0], np.float32),
    ):
        assert {hit.id for hit in index.search("a", filter={"n": {"$in": operand}})} == {"1", "3"}
        assert {hit.id for hit in index.search("a", filter={"n": {"$nin": operand}})} == {"2"}
    both = np.array([{"n": 0}, {"n": 1}], dtype=object)
    assert {hit.id for hit in index.search("a", filter={"$or": both})} == {"1", "2"}
    assert len(index.search("a", filter={"n": np.array(1)})) == 1, "an array of no dimensions is a number"
    assert index.delete(np.array(["1", "9"])) == 1 and index.count() == 2


@pytest.mark.parametrize("value", [np.array([1, 2]), np.array([0]), np.array(["dense"]), MATRIX])
def test_arrays_elsewhere_are_refused_clearly(index, tmp_path, value):
    index.add(["a"], ["1"], [{"n": 1}])
    for use, message in (
        (lambda: index.search("a", filter=value), "filter must be a dictionary"),
        (lambda: index.delete(filter=value), "filter must be a dictionary"),
        (lambda: index.search("a", filter={"n": value}), "for 'n' takes a string, number"),
        (lambda: index.search("a", filter={"n": {"$gt": value}}), "for 'n' takes a string, number"),
        (lambda: index.search("a", filter={"n": {"$exists": value}}), "takes True or False"),
        (lambda: index.search("a", mode=value), "mode must be one of 'dense'"),
        (lambda: index.search(value), "query must be a string"),
        (lambda: Index(tmp_path / "new.db", FakeModel(), storage=value), "storage must be one of"),
        (lambda: Index(tmp_path / "new.db", FakeModel(), tokenizer=value), "tokenizer must be a string"),
        (lambda: Index(tmp_path / "new.db", FakeModel(), read_only=value), "read_only must be True or False"),
        (lambda: Index(tmp_path / "new.db", FakeModel(), timeout=value), "timeout must be a number"),
    ):
        with pytest.raises((InputError, InputTypeError), match=message):
            use()
    with pytest.raises(InputTypeError, match=r"\$in for 'n' takes a string, number.*got list"):
        index.search("a", filter={"n": {"$in": MATRIX}})
    assert index.count() == 1 and not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("table", [Frame(), Rows(), {"text": ["a"]}], ids=["frame", "arrow", "dict"])
def test_tables_are_refused_with_the_column_to_choose(index, table):
    for use in (
        lambda: index.add(table),
        lambda: index.upsert(table),
        lambda: index.add(["a"], table),
        lambda: index.delete(table),
        lambda: index.get(table),
    ):
        with pytest.raises(
            InputTypeError, match=r"(texts|ids) is \w+, a .*'text'.*: choose one, e\.g\. \w+\['text'\]"
        ):
            use()
    assert index.count() == 0


def test_rows_of_a_table_as_metadata(index):
    with pytest.raises(InputTypeError, match=r"metadatas is a Frame: .*to_dict\('records'\)"):
        index.add(["a", "b"], metadatas=Frame())
    index.add(["a", "b"], ["1", "2"], Rows())
    assert [document.metadata["year"] for document in index.get(["1", "2"])] == [1, 2]


def test_values_without_end_or_dimension_as_texts_and_ids(index):
    endless: list = []
    endless.append(endless)
    for use in (
        lambda: index.add(["a"], [endless]),
        lambda: index.get([endless]),
        lambda: index.add([endless]),
    ):
        with pytest.raises(InputTypeError, match=r"\[0\] must be a string"):
            use()
    for use in (
        lambda: index.add(np.array("a")),
        lambda: index.add(["a"], np.array("1")),
        lambda: index.get(3),
    ):
        with pytest.raises(InputTypeError, match=r"(texts|ids) is "):
            use()
    assert index.count() == 0


def test_a_name_that_is_too_long_to_be_written(index, tmp_path):
    with pytest.raises(InputError, match=r"path .*too long"):
        index.export(tmp_path / ("x" * 300))
