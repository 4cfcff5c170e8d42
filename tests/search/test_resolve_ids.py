"""resolve_ids puts texts in the place of ids, as sentence-transformers 6.2 does (the results here are its own)."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vicinal.errors import InputError, InputTypeError, UnknownIdError
from vicinal.util import resolve_ids

datasets = pytest.importorskip("datasets")

QUERIES = datasets.Dataset.from_dict({"query_id": ["q1", "q2"], "query": ["Q one", "Q two"]})
DOCUMENTS = datasets.Dataset.from_dict({"document_id": ["d1", "d2", "d3"], "text": ["D1", "D2", "D3"]})
WIDE = DOCUMENTS.add_column("title", ["a", "b", "c"])
BATCH: dict[str, Any] = {
    "query_id": ["q1", "q2"],
    "document_ids": [["d1", "d2"], ["d3", "d1"]],
    "scores": [[1.0, 2.0], [3.0, 4.0]],
    "other": [1, 2],
}
BOTH = {"query_id": QUERIES, "document_ids": DOCUMENTS}


@pytest.mark.parametrize(
    ("lookups", "options", "changes", "expected"),
    [
        (
            BOTH,
            {},
            {},
            {
                "query": ["Q one", "Q two"],
                "document_1": ["D1", "D3"],
                "document_2": ["D2", "D1"],
                "scores": [[1.0, 2.0], [3.0, 4.0]],
            },
        ),
        (
            {"document_ids": DOCUMENTS, "query_id": QUERIES},
            {"max_list_length": 1, "keep_columns": ["other", "scores"]},
            {},
            {
                "document_1": ["D1", "D3"],
                "query": ["Q one", "Q two"],
                "other": [1, 2],
                "scores": [[1.0], [3.0]],
            },
        ),
        (
            BOTH,
            {"output_format": "lists", "keep_columns": ()},
            {"document_ids": [["d1", "d2", "d1"], []]},
            {"query": ["Q one", "Q two"], "documents": [["D1", "D2", "D1"], []]},
        ),
        (
            BOTH,
            {"max_list_length": 1},
            {"document_ids": ["['d1', 'd2']", ' ["d3"]'], "scores": ["[1, 2]", "[3]"]},
            {"query": ["Q one", "Q two"], "document_1": ["D1", "D3"], "scores": [[1], [3]]},
        ),
        (
            {"query_id": QUERIES},
            {"max_list_length": 1},
            {"scores": [1.0, 2.0]},
            {"query": ["Q one", "Q two"], "scores": [1.0, 2.0]},
        ),
        (
            {"document_ids": (WIDE, "document_id", "title")},
            {},
            {"scores": [5]},
            {"document_1": ["a", "c"], "document_2": ["b", "a"], "scores": [5]},
        ),
        (
            {"document_ids": (DOCUMENTS, "text")},
            {},
            {"document_ids": ["D3", "D1"], "scores": [5]},
            {"document": ["d3", "d1"], "scores": [5]},
        ),
    ],
)
def test_columns_of_ids_become_columns_of_texts(
    lookups: Any, options: Any, changes: Any, expected: Any
) -> None:
    found = resolve_ids(lookups, **options)(BATCH | changes)
    assert found == expected and list(found) == list(expected)


@pytest.mark.parametrize(
    ("column", "single", "several", "lists"),
    [
        ("document_id", "document", "document_1", "document"),
        ("document_ids", "document", "document_1", "documents"),
        ("query_ids", "query", "query_1", "queries"),
        ("doc_idx", "doc", "doc_1", "doc"),
        ("docs", "docs", "docs_1", "docs"),
        ("qid", "qid", "qid_1", "qid"),
        ("id", "id", "id_1", "id"),
        ("ids", "ids", "ids_1", "ids"),
    ],
)
def test_names_lose_their_ending(column: str, single: str, several: str, lists: str) -> None:
    columns = resolve_ids({column: DOCUMENTS})
    assert list(columns({column: ["d1"]})) == [single]
    assert list(columns({column: [["d1"]]})) == [several]
    assert list(resolve_ids({column: DOCUMENTS}, output_format="lists")({column: [("d1",)]})) == [lists]


def test_rows_are_read_as_a_transform_and_as_a_map() -> None:
    train = datasets.Dataset.from_dict(BATCH)
    transform = pickle.loads(pickle.dumps(resolve_ids(BOTH)))
    first = {"query": "Q one", "document_1": "D1", "document_2": "D2", "scores": [1.0, 2.0]}
    mapped = train.map(transform, batched=True, remove_columns=train.column_names)
    assert mapped[0] == first
    streamed = train.to_iterable_dataset().map(transform, batched=True, remove_columns=train.column_names)
    assert next(iter(streamed)) == first
    train.set_transform(transform)
    assert train[0] == first and train[:]["document_2"] == ["D2", "D1"]


def test_the_format_of_a_lookup_does_not_matter() -> None:
    table = datasets.Dataset.from_dict({"id": [3, 1], "vector": [[1.0, 2.0], [3.0, 4.0]]}).with_format(
        "numpy"
    )
    assert resolve_ids({"v_id": table})({"v_id": [1, 3]}) == {"v": [[3.0, 4.0], [1.0, 2.0]]}


IDS = st.one_of(
    st.lists(st.integers(-(2**64), 2**64), min_size=1),
    st.lists(st.integers(-5, 5), min_size=1),
    st.lists(st.text("ab\0é", max_size=40), min_size=1),
    st.lists(st.one_of(st.none(), st.booleans(), st.text("1", max_size=2)), min_size=1),
)


@given(IDS, st.data())
@settings(max_examples=150, deadline=None)
def test_ids_of_any_kind_are_found_as_in_a_dict(ids: list[Any], data: Any) -> None:
    from vicinal.util.dataset import _Index

    table = {each: row for row, each in enumerate(ids)}
    index = _Index(ids)
    asked = data.draw(st.lists(st.sampled_from([*ids, "1", "zz", "a\0", 7, 2**70, None, ("a",)]), min_size=1))
    asked = [each for each in asked if not (type(each) is not bool and each in (0, 1) and True in table)]
    assert index.rows(asked).tolist() == [
        table[each] if each in table and any(type(each) is type(i) and each == i for i in ids) else -1
        for each in asked
    ]
    assert index.repeated == len(ids) - len(table)


def test_the_last_of_equal_ids_is_found_and_said(caplog: pytest.LogCaptureFixture) -> None:
    table = datasets.Dataset.from_dict({"id": ["d", "d", "e"], "text": ["a", "b", "c"]})
    with caplog.at_level(logging.WARNING):
        transform = resolve_ids({"document_id": table})
    assert "1 rows have the id of a later row" in caplog.text
    assert transform({"document_id": ["d", "e"]}) == {"document": ["b", "c"]}


def one(**columns: list[Any]) -> Any:
    return datasets.Dataset.from_dict(columns)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"lookups": QUERIES}, InputTypeError, "lookups is Dataset"),
        ({"lookups": {"d_id": WIDE}}, InputError, "which column holds the values"),
        ({"lookups": {"d_id": (WIDE, "document_id")}}, InputError, "name it, .dataset, ids, values"),
        ({"lookups": {"d_id": one(document_id=["d"])}}, InputError, "not none among"),
        ({"lookups": {"d_id": one(id=["d"], x_id=["x"])}}, InputError, "which column holds the ids"),
        ({"lookups": {"d_id": one(k=["d"], x=["x"])}}, InputError, "which column holds the ids"),
        ({"lookups": {"d_id": (DOCUMENTS,)}}, InputError, "is a tuple of 1"),
        ({"lookups": {"d_id": (DOCUMENTS, "nope")}}, InputError, "'nope' is not among its columns"),
        ({"lookups": {"d_id": (DOCUMENTS, "text", "nope")}}, InputError, "'nope' is not among its columns"),
        ({"lookups": {"d_id": datasets.DatasetDict(train=QUERIES)}}, InputTypeError, "one split"),
        ({"lookups": {"d_id": {"d": "text"}}}, InputTypeError, "holds dict"),
        ({"lookups": {"d_id": QUERIES.to_iterable_dataset()}}, InputTypeError, "not streamed"),
        ({"lookups": BOTH, "max_list_length": 0}, InputError, "max_list_length is 0"),
        ({"lookups": BOTH, "max_list_length": 1.5}, InputTypeError, "max_list_length"),
        ({"lookups": BOTH, "keep_columns": "scores"}, InputTypeError, "keep_columns='scores'"),
        ({"lookups": BOTH, "output_format": "rows"}, InputError, "output_format='rows'"),
    ],
)
def test_lookups_that_cannot_be_meant_are_refused(arguments: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        resolve_ids(**arguments)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        (
            {"document_ids": [["d1", "x"], ["d3", "d1"]]},
            UnknownIdError,
            "^the id 'x' of the column 'document_ids'",
        ),
        ({"query_id": ["q1", None]}, UnknownIdError, "the id None"),
        ({"query_id": ["q1", '["q2"]']}, UnknownIdError, "looks like a list written as text"),
        ({"document_ids": [["d1", "d2"], ["d3"]]}, InputError, "have 1 to 2 ids"),
        ({"document_ids": [[], []]}, InputError, "are empty"),
        ({"document_ids": ["d1", ["d3"]]}, InputError, "lists of ids and, in row 0 of the batch, 'd1'"),
        ({"document_ids": [["d1"], None]}, InputError, "in row 1 of the batch, None"),
        ({"document_ids": ['["d1"', '["d3"]']}, InputError, "holds lists written as texts"),
        ({"document_ids": np.array([["d1"], ["d2"]])}, InputTypeError, "with_format.None."),
        ({"query_id": "q1"}, InputTypeError, "is str, not a list"),
    ],
)
def test_batches_that_cannot_be_resolved_are_refused(changes: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        resolve_ids(BOTH)(BATCH | changes)


def test_missing_and_repeated_columns_are_refused() -> None:
    with pytest.raises(UnknownIdError, match="no column 'query_id' of ids"):
        resolve_ids(BOTH)({"other": [1]})
    with pytest.raises(KeyError):
        resolve_ids(BOTH)({"other": [1]})
    with pytest.raises(InputTypeError, match="a batch is list"):
        resolve_ids(BOTH)([BATCH])  # type: ignore[arg-type]
    twice: list[tuple[Any, Any]] = [
        ({"doc_id": DOCUMENTS, "doc_idx": DOCUMENTS}, {"doc_id": ["d1"], "doc_idx": ["d1"]}),
        ({"doc_ids": DOCUMENTS, "doc_1": DOCUMENTS}, {"doc_ids": [["d1"]], "doc_1": ["d1"]}),
        ({"scores_id": DOCUMENTS}, {"scores_id": ["d1"], "scores": [1]}),
    ]
    for lookups, batch in twice:
        with pytest.raises(InputError, match="two columns would be called"):
            resolve_ids(lookups)(batch)
