"""A further retriever is one row of a table, and everything behind it takes it along."""

from __future__ import annotations

import pytest

from vicinal.errors import InputError
from vicinal.index import Index
from vicinal.index.retrievers import MODES, RETRIEVERS, Retriever

from .fakes import FakeModel


@pytest.fixture
def newest(monkeypatch):
    """A retriever that knows whole documents only: those added last come first."""

    def find(reader, query, k, where):
        docs = sorted(reader.dense(query, 1000, where), key=lambda one: -one.doc)
        return [type(one)(one.doc, float(one.doc)) for one in docs[:k]]

    encode = RETRIEVERS["dense"].encode
    monkeypatch.setitem(RETRIEVERS, "newest", Retriever(encode, find))
    monkeypatch.setitem(MODES, "newest", ("newest",))
    monkeypatch.setitem(MODES, "three", ("dense", "lexical", "newest"))


def test_it_runs_alone(index, newest) -> None:
    index.add(["snow", "rain", "hail"], ["a", "b", "c"])
    hits = index.search("snow", top_k=2, mode="newest")
    assert [hit.id for hit in hits] == ["c", "b"]
    assert [hit.retrievers["newest"].rank for hit in hits] == [1, 2]
    assert hits[0].score == hits[0].retrievers["newest"].score > hits[1].score
    assert hits[0].dense is hits[0].lexical_rank is None


def test_it_is_fused_with_others(index, newest) -> None:
    index.add(["snow", "rain", "hail"], ["a", "b", "c"], [{"n": 1}, {"n": 2}, {"n": 3}])
    for spec in (None, {"n": {"$lt": 3}}):
        hits = index.search("snow", mode="three", filter=spec)
        assert len(hits) == (3 if spec is None else 2)
        for hit in hits:
            row = hit.to_dict()
            assert list(row["scores"]) == ["dense", "lexical", "newest", "rerank"]
            ranks = row["ranks"]
            assert list(ranks) == ["dense", "lexical", "newest"] and ranks["dense"] == hit.dense_rank
            assert 0 < hit.score < 1
        # The best for dense and lexical, and the worst only for what ranks by age.
        assert hits[0].id == "a" and hits[0].retrievers["newest"].rank == len(hits)


def test_its_passage_is_the_one_with_the_words_of_the_query(path, newest) -> None:
    text = "cold cold cold cold cold cold cold cold. frost kettle spoon table chair window."
    with Index(path, FakeModel(dimension=256, window=12), chunk_overlap=0) as index:
        index.add([text])
        (hit,) = index.search("kettle", mode="newest")
        assert hit.passage.text.startswith("frost") and hit.passage.marked() != hit.passage.text


@pytest.mark.parametrize("mode", ["legs", "", None, ["dense"], {}])
def test_what_is_no_mode(index, mode) -> None:
    with pytest.raises(InputError, match="one of 'dense', 'lexical', 'hybrid'"):
        index.search("snow", mode=mode)


def test_a_retriever_that_did_not_run_is_none(index) -> None:
    index.add(["snow"], ["a"])
    (hit,) = index.search("snow")
    assert hit.to_dict()["ranks"] == {"dense": 1, "lexical": None}
    assert hit.dense == hit.retrievers["dense"].score and hit.retrievers["lexical"] is None
