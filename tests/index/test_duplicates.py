"""A passage stands once among the hits; documents that share it are named, and the page is still full."""

from __future__ import annotations

import pytest

from vicinal.index import Index

from .fakes import FakeModel, LengthRanker, PairScorer

MODES = ["dense", "lexical", "hybrid"]


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """60 documents of 4 texts that speak of snow, and 30 others, each once."""
    with Index(tmp_path_factory.mktemp("copies") / "texts.db", FakeModel(dimension=32)) as index:
        texts = ["snow fell", "snow fell again", "snow and more snow", "deep snow"]
        for i in range(60):
            index.add([texts[i % 4]], [f"snow{i}"], [{"n": i}])
        index.add([f"snow word{i} word{i + 1}" for i in range(30)], [f"other{i}" for i in range(30)])
        yield index


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("k", [1, 3, 10, 34])
def test_every_passage_once_and_as_many_as_asked_for(copies, mode, k):
    hits = copies.search("snow fell", top_k=k, mode=mode)
    assert len(hits) == k == len({hit.passage.text for hit in hits})
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    ids = [id for hit in hits for id in (hit.id, *hit.duplicates)]
    assert len(set(ids)) == len(ids)
    for hit in hits:
        assert {document.text for document in copies.get(hit.duplicates)} <= {hit.text}


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_lost_and_the_best_is_kept(copies, mode):
    every = copies.search("snow fell", top_k=100, mode=mode, merge_duplicates=False)
    merged = copies.search("snow fell", top_k=100, mode=mode)
    assert len(every) == 90 and len(merged) == 34
    assert {id for hit in merged for id in (hit.id, *hit.duplicates)} == {hit.id for hit in every}
    place = {hit.id: i for i, hit in enumerate(every)}
    for hit in merged:
        assert all(place[hit.id] < place[id] for id in hit.duplicates)
        assert list(hit.duplicates) == sorted(hit.duplicates, key=place.__getitem__)


@pytest.mark.parametrize("mode", MODES)
def test_copies_of_the_last_hit_are_named_too(copies, mode):
    (hit,) = copies.search("snow fell", top_k=1, mode=mode)
    assert hit.text == "snow fell" and len(hit.duplicates) >= 9
    assert hit.to_dict()["duplicates"] == list(hit.duplicates)


def test_a_filter_holds_for_copies_as_well(copies):
    (hit, *_) = copies.search("snow fell", top_k=1, filter={"n": {"$lt": 9}})
    assert {hit.id, *hit.duplicates} == {"snow0", "snow4", "snow8"}


def test_equal_passages_of_different_documents(path):
    shared = "the same notice stands at the end of every letter we send."
    first = [f"letter {i} is about matter{i} and person{i}. " for i in range(5)]
    with Index(path, FakeModel(dimension=64, window=14), chunk_overlap=0) as index:
        index.add([text + shared for text in first], [str(i) for i in range(5)])
        (hit, *_) = index.search("the same notice at the end of every letter")
        assert hit.passage.text == shared and len(hit.duplicates) == 4
        # Asked for one letter's own words, its own passage comes, and is alone.
        (hit, *_) = index.search("matter3 person3")
        assert hit.id == "3" and hit.duplicates == ()


@pytest.mark.parametrize("reranker", [LengthRanker(), PairScorer()])
def test_a_reranker_reads_each_passage_once(copies, reranker):
    hits = copies.search("snow fell", top_k=12, mode="hybrid", reranker=reranker, candidates=34)
    assert len(hits) == 12 == len({hit.passage.text for hit in hits})
    assert [hit.rerank for hit in hits] == sorted((hit.rerank for hit in hits), reverse=True)


def test_thousands_of_copies(path):
    with Index(path, FakeModel(dimension=8)) as index:
        index.add(["snow"] * 3000 + ["rain", "hail"], [str(i) for i in range(3002)])
        assert {hit.text for hit in index.search("snow", top_k=3)} == {"snow", "rain", "hail"}
        assert [hit.text for hit in index.search("snow", top_k=3, mode="lexical")] == ["snow"]
