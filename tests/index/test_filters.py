from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vicinal.errors import InputError, InputTypeError
from vicinal.index import Index
from vicinal.index.filters import And, Condition, Not, parse_filter

from .fakes import FakeModel
from .oracle import holds

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, -1.5, 2.5, 1e300]),
    st.sampled_from(["", "a", "b", "ab", "1", "Ä", "𝄞", "true", "x\x00y", "it's"]),
)
FIELDS = ["a", "b", "c.d", "weird \" name'", "e"]


def metadata():
    values = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.just([]))
    nested = st.dictionaries(st.sampled_from(["d", "z"]), values, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "a": values,
            "b": values,
            "c": nested,
            "weird \" name'": values,
            "e": st.lists(nested, max_size=2),
        },
    )


def filters():
    orders = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, "a", "ab", ""]))
    comparison = st.one_of(
        st.tuples(st.sampled_from(["$eq", "$ne"]), SCALARS),
        st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), orders),
        st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(SCALARS, max_size=3)),
        st.tuples(st.just("$exists"), st.booleans()),
    )
    conditions = st.lists(comparison, min_size=1, max_size=2).map(dict)
    conditions = st.one_of(conditions, conditions.map(lambda c: {"$not": c}), SCALARS)
    leaf = st.dictionaries(st.sampled_from(FIELDS), conditions, max_size=2)

    def combine(children):
        several = st.lists(children, min_size=1, max_size=3)
        return st.one_of(
            several.map(lambda parts: {"$and": parts}),
            several.map(lambda parts: {"$or": parts}),
            children.map(lambda part: {"$not": part}),
        )

    return st.recursive(leaf, combine, max_leaves=4)


@given(st.lists(metadata(), min_size=1, max_size=8), st.lists(filters(), min_size=1, max_size=6), st.data())
@settings(max_examples=120, deadline=None)
def test_sql_agrees_with_evaluation_in_python(tmp_path_factory, metadatas, specs, data):
    path = tmp_path_factory.mktemp("filters") / "texts.db"
    ids = [str(i) for i in range(len(metadatas))]
    with Index(path, FakeModel(dimension=4)) as index:
        index.add(["same text"] * len(ids), ids, metadatas)
        gone = data.draw(st.sets(st.sampled_from(ids), max_size=2))
        index.delete(gone)
        alive = [i for i in ids if i not in gone]
        for spec in specs:
            expected = {i for i in alive if holds(spec, metadatas[int(i)])}
            for mode in ("dense", "lexical", "hybrid"):
                hits = index.search("same", top_k=50, filter=spec, mode=mode, merge_duplicates=False)
                found = [hit.id for hit in hits]
                assert sorted(found) == sorted(expected), (mode, spec)
        assert index.verify().ok
        victims = {i for i in alive if holds(specs[0], metadatas[int(i)])}
        assert index.delete(filter=specs[0]) == len(victims)
        assert {i for i in alive if i in index} == set(alive) - victims
        report = index.verify()
        assert report.ok, report


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"year": {"$above": 3}}, r"\$above.*'year'.*\$gte"),
        ({"$xor": [{}]}, r"\$xor.*\$and"),
        ({"year": {}}, "year.*exists"),
        ({"$or": []}, r"\$or.*non-empty"),
        ({"$and": {"a": 1}}, r"\$and.*list"),
        ({"year": {"$in": 3}}, r"\$in.*'year'.*list"),
        ({"year": {"$exists": 1}}, r"\$exists.*True or False"),
        ({"year": {"$gt": None}}, r"\$gt.*numbers or strings"),
        ({"year": {"$gt": True}}, r"\$gt.*numbers or strings"),
        ({"year": math.nan}, "nan"),
        ({"year": 2**63}, "64 bits"),
        ({"year": {"$not": {"$what": 1}}}, r"\$what"),
        ({"year": {3: 1}}, "operator 3"),
    ],
)
def test_errors_name_operator_field_and_remedy(spec, named):
    with pytest.raises(InputError, match=named):
        parse_filter(spec)


@pytest.mark.parametrize(
    "spec", ["year > 3", ["year"], {3: 4}, {"year": [1, 2]}, {"year": {"$eq": [1]}}, {"y": b"x"}]
)
def test_wrong_types(spec):
    with pytest.raises(InputTypeError):
        parse_filter(spec)


def test_canonical_form():
    assert parse_filter({}) == And(())
    assert parse_filter({"a": 1}) == Condition("a", "$in", (1,))
    assert parse_filter({"a": {"$nin": [1, "x"]}}) == Not(Condition("a", "$in", (1, "x")))
    assert parse_filter({"a": np.int64(3), "b": {"$gt": np.float32(0.5)}}) == And(
        (Condition("a", "$in", (3,)), Condition("b", "$gt", (0.5,)))
    )


def test_long_lists_of_values(index):
    index.add([f"t{i}" for i in range(1200)], [str(i) for i in range(1200)], [{"n": i} for i in range(1200)])
    found = index.search("t", top_k=2000, filter={"n": {"$in": list(range(0, 1200, 2))}})
    assert sorted(int(hit.id) for hit in found) == list(range(0, 1200, 2))
    assert index.delete(filter={"n": {"$nin": list(range(1199))}}) == 1


def test_injection_is_only_a_string(index):
    index.add(["a"], ["1"], [{"k": "v"}])
    evil = "'); DROP TABLE documents; --"
    assert index.search("a", filter={evil: evil}) == []
    assert index.search("a", filter={"k": {"$in": [evil]}}) == []
    assert index.count() == 1
