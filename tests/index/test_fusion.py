"""Fusion of rankings by score: what one retriever is sure of is not lost, and asking for more moves nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vicinal.errors import InputError
from vicinal.index import Index
from vicinal.index.fusion import Ranking, fuse, shares
from vicinal.index.lexical import is_code, rare

from .fakes import FakeModel


def by_hand(*parts):
    """Each part: share times weight over all weights, and a rank."""
    return pytest.approx(sum(share + 0.25 * 60 / (60 + rank) for share, rank in parts) / 1.5)


def test_the_weighted_mean_of_shares_and_a_part_for_ranks():
    rankings = [Ranking("ab", [0.9, 0.5], 1.0), Ranking("bcd", [5.0, 4.0, 0.0], 3.0)]
    scores = dict(fuse(rankings, {}))
    assert list(scores) == ["b", "c", "a", "d"]
    assert scores["a"] == by_hand((1 / 4, 1)) and scores["b"] == by_hand((0, 2), (3 / 4, 1))
    assert scores["c"] == by_hand((3 / 4 * 4 / 5, 2)) and scores["d"] == by_hand((0, 3))
    assert fuse(rankings, {"d": 1.0})[0] == ("d", pytest.approx(scores["d"] + 1))
    assert fuse([], {}) == [] and fuse([Ranking("", [])] * 2, {}) == []


def test_a_retriever_that_found_nothing_does_not_count():
    assert fuse([Ranking("a", [1.0]), Ranking("", [], 2.0)], {}) == [("a", by_hand((1, 1)))]


def test_a_retriever_that_cannot_tell_documents_apart_does_not_count():
    blind = Ranking("abc", [0.0, 0.0, 0.0], 0.0)
    assert fuse([blind, Ranking("c", [2.0], 0.5)], {}) == [("c", by_hand((1, 1))), ("a", 0.0), ("b", 0.0)]
    assert fuse([blind, Ranking("", [])], {}) == [("a", 0.0), ("b", 0.0), ("c", 0.0)]


def test_a_query_that_points_nowhere_gives_no_document_a_score(index):
    """The model gives a text without words the vector 0; words may still be found."""
    index.add(["a red kettle", "the window is open"], ["kettle", "window"])
    assert [(hit.id, hit.score) for hit in index.search("!?", mode="hybrid")] == [
        ("kettle", 0.0),
        ("window", 0.0),
    ]
    for mode in ("dense", "hybrid"):
        report = index.search("!?", mode=mode).report
        assert report.left_out == (
            "the vectors: that of the query is 0, as it holds nothing that the model knows",
        )
    assert [hit.score for hit in index.search("!?", mode="dense")] == [0.0, 0.0]


def test_a_document_without_a_vector_is_not_as_good_as_the_best(index):
    index.add(["a red kettle", "!?"], ["kettle", "signs"], [{"kind": 1}, {"kind": 2}])
    (hit,) = index.search("red kettle", mode="hybrid", filter={"kind": 2})
    assert hit.id == "signs" and hit.dense == 0 and hit.score < 0.2


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid", "best"])
@pytest.mark.parametrize("query", ["", " \t\n", "\u200b", "\xad ", "\x00"])
def test_a_blank_query_finds_nothing(index, mode, query):
    index.add(["a red kettle", "the window is open"])
    hits = index.search(query, mode=mode)
    assert hits == [] and hits.report.left_out == ("the query is blank: nothing was searched",)
    assert str(hits.report) == "the query is blank: nothing was searched"


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_candidates_that_nothing_reads_are_refused(index, mode):
    index.add(["a red kettle"])
    with pytest.raises(InputError, match="candidates=5 is what a reranker reads, and there is none"):
        index.search("kettle", mode=mode, candidates=5)
    assert index.search("kettle", mode="best", candidates=5)


def test_shares():
    assert shares([0.9, 0.6, 0.3]) == pytest.approx([1, 0.5, 0])
    assert shares([0.8, 0.79]) == pytest.approx([1, 1 - 0.01 / 0.32]), "what lies close together stays so"
    assert shares([0.8, 0.79], 0.6) == pytest.approx([1, 1 - 0.01 / 0.08]), (
        "close among scores from 0.6 to 0.8"
    )
    assert shares([0.8, 0.79], 0.8) == pytest.approx([1, 1 - 0.01 / 0.08]), "all are alike"
    assert shares([]) == [] and shares([0.0, 0.0]) == [0, 0] and shares([-2.0]) == [1]


SCORES = st.lists(st.floats(-10, 10), min_size=101, max_size=250).map(lambda s: sorted(s, reverse=True))


@given(SCORES, st.integers(100, 250), st.floats(-10, 10))
def test_asking_for_more_moves_nothing(scores, k, usual):
    all_shares = shares(scores, usual)
    assert all(0 <= share <= 1 for share in all_shares) and all_shares == sorted(all_shares, reverse=True)
    assert shares(scores[:k], usual) == all_shares[:k]


@pytest.mark.parametrize("word", ["E0499", "404", "x86", "ENOENT", "getItem", "1a", "ÜB12"])
def test_codes(word):
    assert is_code(word)


@pytest.mark.parametrize("word", ["error", "Error", "7", "42", "Zürich", "I", "東京"])
def test_no_codes(word):
    assert not is_code(word)


def test_rare():
    assert [rare(n, 10) for n in (0, 1, 3, 4)] == [False, True, True, False]
    assert rare(20, 20_000) and not rare(21, 20_000)


@pytest.fixture(scope="module")
def errors(tmp_path_factory):
    """300 texts on errors, the codes in some of them."""
    texts = {
        f"n{i}": f"error {'while ' * (i % 5)}reading the file number {i % 7} of the disk" for i in range(300)
    }
    texts["rust"] = "E0499: a second mutable borrow. " + "The first one must end before. " * 6
    texts["other"] = (
        "E0502: an immutable borrow beside a mutable one. " + "The first one must end before. " * 6
    )
    texts["both"] = "E0502 and E0499 " + "are described elsewhere at great length in the book. " * 6
    texts["errno"] = "ENOENT no such entry. " + "Check that the path was written as it is on the disk. " * 4
    with Index(tmp_path_factory.mktemp("errors") / "texts.db", FakeModel(dimension=24, window=500)) as index:
        index.add(list(texts.values()), list(texts), [{"short": len(t) < 100} for t in texts.values()])
        yield index


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("error E0499", {"rust", "both"}),
        ("E0502 error while reading the file", {"other", "both"}),
        ("error reading file E0499 E0502", {"both"}),
        ("error while reading ENOENT", {"errno"}),
        ("e0499", {"rust", "both"}),
    ],
)
def test_documents_with_a_rare_code_of_the_query_come_first(errors, query, first):
    hits = errors.search(query, top_k=5, mode="hybrid")
    assert {hit.id for hit in hits[: len(first)]} == first
    assert hits[0].score >= 1 and len(hits) == 5


def test_a_code_that_nothing_holds_and_a_filter_without_it(errors):
    assert len(errors.search("error E9999", top_k=5, mode="hybrid")) == 5
    hits = errors.search("error E0499", top_k=5, mode="hybrid", filter={"short": True})
    assert len(hits) == 5 and not {"rust", "both"} & {hit.id for hit in hits}
    assert errors.search("THE DISK ERROR", mode="hybrid")[0].score <= 1, "a shouted query has no codes"


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_a_longer_page_begins_with_the_shorter_one(errors, mode):
    pages = [errors.search("error while reading E0499", top_k=k, mode=mode) for k in (1, 5, 30, 100)]
    for short, long in itertools.pairwise(pages):
        assert [(hit.id, hit.score) for hit in long[: len(short)]] == [(hit.id, hit.score) for hit in short]


class Offset(FakeModel):
    """Vectors that share a direction, as those of bge and e5 do: a cosine c becomes (c + 1) / 2."""

    def get_embedding_dimension(self):
        return self.dimension + 1

    def encode(self, texts):
        shared = np.ones((len(texts), 1), np.float32)
        return np.hstack([super().encode(texts), shared]) / np.float32(2**0.5)


def test_cosines_with_an_offset_are_fused_like_those_without(tmp_path):
    """Else the dense retriever would count for little where all cosines lie close together."""
    texts = [f"{a} {b} {c}" for a in ("red", "blue", "green") for b in ("car", "boat") for c in range(40)]
    found = []
    for kind in (FakeModel, Offset):
        with Index(tmp_path / f"{kind.__name__}.db", kind()) as index:
            index.add(texts, [str(n) for n in range(len(texts))])
            hits = index.search("red boat", top_k=60, mode="hybrid", merge_duplicates=False)
            found.append({hit.id: hit.score for hit in hits})
    plain, offset = found
    assert offset == pytest.approx(plain, abs=2e-3)
