"""Mode best: hybrid with a reranker that reads as much as it may, and what it says of that."""

from __future__ import annotations

import copy
import pickle
from datetime import datetime, timezone
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vicinal.errors import InputError
from vicinal.hub.cache import CachedModel
from vicinal.index import Hits, Index, best, pace
from vicinal.index import index as index_module
from vicinal.index.blending import LEAST_SPREAD, TELLING, WEIGHT, blended
from vicinal.index.pace import Pace, scores_in_time

from .fakes import FakeModel

WORDS = ["snow", "rain", "hail", "kettle", "stove", "tea", "moon", "sun", "wind", "leaf", "root", "bark"]
TEXTS = [" ".join(WORDS[(7 * i + j * j) % 12] for j in range(3 + i % 5)) + f" n{i}x" for i in range(40)]
QUERY = "snow on the kettle"


@pytest.fixture(autouse=True)
def none_bundled(monkeypatch):
    monkeypatch.setattr(best, "OWN_RERANKER", "no-such-reranker")


@pytest.fixture
def filled(path):
    with Index(path, FakeModel()) as index:
        index.add(TEXTS, [f"d{i}" for i in range(len(TEXTS))])
        yield index


class Logits:
    """Likes passages by a fixed logit that has nothing to do with the query."""

    name = "logits"

    def __init__(self):
        self.read = []

    def predict(self, pairs):
        self.read.append(len(pairs))
        return np.array([self.of(text) for _, text in pairs])

    @staticmethod
    def of(text):
        return float(len(text) * 7 % 23) - 11


def row(hit):
    return (hit.id, hit.score, hit.retrievers, hit.passage, hit.rerank, hit.duplicates)


def test_without_a_reranker_it_is_hybrid(filled):
    for k in (1, 10, 100):
        hits = filled.search(QUERY, k, mode="best")
        assert [row(hit) for hit in hits] == [row(hit) for hit in filled.search(QUERY, k, mode="hybrid")]
    report = hits.report
    assert (report.mode, report.retrievers, report.reranker) == ("best", ("dense", "lexical"), None)
    assert report.left_out == ("no reranker: none was given, and none comes with Vicinal",)
    assert filled.search(QUERY, mode="best", budget_ms=1).report.left_out == report.left_out


@pytest.mark.parametrize(("top", "candidates"), [(10, 12), (40, 12), (3, None), (5, 2), (40, 7), (1, 1)])
def test_scores_are_blended(filled, top, candidates):
    reranker = Logits()
    hits = filled.search(QUERY, top, mode="best", reranker=reranker, candidates=candidates)
    fused = filled.search(QUERY, 40, mode="hybrid")
    read = min(candidates or 30, 40)
    assert reranker.read == [read]
    logits = [Logits.of(hit.passage.text) for hit in fused[:read]]
    low, spread = min(logits), max(max(logits) - min(logits), LEAST_SPREAD)
    weight = WEIGHT
    if read >= TELLING:
        agreement = np.corrcoef(logits, [hit.score for hit in fused[:read]])[0, 1]
        weight *= np.clip(1 + agreement / 0.3, 0, 1)
    expected = {
        hit.id: (1 - weight) * hit.score + (weight * (logits[place] - low) / spread if place < read else 0.0)
        for place, hit in enumerate(fused)
    }
    order = sorted(expected, key=lambda id: -expected[id])[:top]
    assert [hit.id for hit in hits] == order
    np.testing.assert_allclose([hit.score for hit in hits], [expected[id] for id in order], rtol=1e-12)
    known = dict(zip([hit.id for hit in fused], logits, strict=False))
    assert [hit.rerank for hit in hits] == [known.get(hit.id) for hit in hits]
    assert (hits.report.reranker, hits.report.candidates, hits.report.left_out) == ("logits", read, ())


def test_a_rare_code_stays_in_front(filled):
    filled.add(["E0499 is an error of the borrow checker"], ["code"])

    class Hater(Logits):
        def predict(self, pairs):
            return np.array([-9.0 if "E0499" in text else 9.0 for _, text in pairs])

    hits = filled.search("E0499 snow kettle", mode="best", reranker=Hater())
    assert hits[0].id == "code" and hits[0].score > 1 > hits[1].score


def test_the_bundled_reranker_is_found_by_its_name(filled, monkeypatch, tmp_path):
    loaded = []

    class Bundled:
        def predict(self, pairs, *, show_progress_bar, on_truncate):
            assert (show_progress_bar, on_truncate) == (False, "ignore")
            return [Logits.of(text) for _, text in pairs]

    def load(path):
        loaded.append(path)
        return Bundled()

    model = CachedModel("own", tmp_path, 1, (), True, datetime(2026, 1, 1, tzinfo=timezone.utc))
    monkeypatch.setattr(best, "OWN_RERANKER", "own")
    monkeypatch.setattr(best, "bundled_models", lambda: [model])
    monkeypatch.setattr("vicinal.models.scorer.load_scorer", load)
    hits = filled.search(QUERY, mode="best")
    assert [row(hit) for hit in hits] == [
        row(hit) for hit in filled.search(QUERY, mode="best", reranker=Logits())
    ]
    assert (hits.report.reranker, hits.report.candidates) == ("own", 30)
    filled.search(QUERY, mode="best")
    filled.search(QUERY, mode="hybrid")
    assert loaded == [tmp_path]
    assert str(hits.report) == "dense + lexical, 30 passages read by own"


# -- within a budget ---------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=100.0)
    fake = SimpleNamespace(perf_counter=lambda: now.seconds)
    monkeypatch.setattr(pace, "time", fake)
    monkeypatch.setattr(index_module, "time", fake)
    return now


class Slow(Logits):
    """A millisecond per passage; the first call compiles for a second."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def predict(self, pairs):
        self.clock.seconds += 0.001 * len(pairs) + (0 if self.read else 1.0)
        return super().predict(pairs)


@pytest.mark.parametrize("budget", [5, 12, 20, 33])
def test_it_reads_what_the_budget_allows(filled, clock, budget):
    slow = Slow(clock)
    for call in range(3):
        began = clock.seconds
        hits = filled.search(QUERY, 40, mode="best", reranker=slow, budget_ms=budget)
        read = hits.report.candidates
        if call:
            assert clock.seconds - began <= (budget + 1) / 1000
        assert 0.5 * budget <= read <= min(40, budget + 1)
        assert sum(hit.rerank is not None for hit in hits) == read
        (left,) = hits.report.left_out
        assert left == f"{40 - read} of 40 candidates were not read: budget_ms={budget} was used up"
        assert hits.report.milliseconds == pytest.approx(1000 * (clock.seconds - began))
    same = filled.search(QUERY, 40, mode="best", reranker=Logits(), candidates=read)
    assert [row(hit) for hit in hits] == [row(hit) for hit in same]


def test_a_budget_for_everything_and_one_for_nothing(filled, clock):
    slow = Slow(clock)
    hits = filled.search(QUERY, 5, mode="best", reranker=slow, budget_ms=10_000)
    assert (hits.report.candidates, hits.report.left_out) == (40, ())
    few = filled.search(QUERY, 5, mode="best", reranker=slow, candidates=9, budget_ms=10_000)
    assert (few.report.candidates, few.report.left_out) == (9, ())
    none = filled.search(QUERY, 5, mode="best", reranker=slow, budget_ms=0.5)
    assert none.report.reranker is None and none.report.candidates == 0
    assert none.report.left_out == ("logits read nothing: budget_ms=0.5 leaves it no time",)
    assert [row(hit) for hit in none] == [row(hit) for hit in filled.search(QUERY, 5, mode="hybrid")]


def test_a_single_candidate_is_not_read_within_a_budget_and_that_is_told(filled, clock):
    hits = filled.search(QUERY, 1, mode="best", reranker=Slow(clock), candidates=1, budget_ms=10_000)
    assert hits[0].rerank is None and hits.report.candidates == 0
    assert hits.report.left_out == (
        "logits read nothing: with budget_ms=10000 it leaves a single candidate alone",
    )


@pytest.mark.parametrize("budget", [10**400, float("inf"), float("nan"), 0, -1])
def test_a_budget_is_a_finite_number_above_0(filled, budget):
    with pytest.raises(InputError, match="budget_ms must be above 0"):
        filled.search(QUERY, mode="best", budget_ms=budget)


@pytest.mark.parametrize("budget", [np.int64(50), np.float32(50)])
def test_numbers_of_numpy_are_budgets(filled, budget):
    assert filled.search(QUERY, 3, mode="best", budget_ms=budget).report.mode == "best"


def test_what_the_machine_lost_is_noticed(clock):
    known = Pace()
    texts = ["x" * 50] * 40

    class Slower(Slow):
        def predict(self, pairs):
            self.clock.seconds += 0.004 * len(pairs)  # beside another process
            return Logits.predict(self, pairs)

    assert len(scores_in_time(Slow(clock), "q", texts, known, clock.seconds + 0.040)) == 40
    began = clock.seconds
    read = len(scores_in_time(Slower(clock), "q", texts, known, began + 0.040))
    assert 8 <= read < 16 and clock.seconds - began < 0.070


def test_one_bad_moment_is_forgiven(clock):
    known, texts, slow = Pace(), ["x" * 50] * 20, Slow(clock)
    scores_in_time(slow, "q", texts, known, clock.seconds + 0.030)
    exact = known.seconds
    known.seconds = 50 * exact  # as if the machine had stood still
    read = [len(scores_in_time(slow, "q", texts, known, clock.seconds + 0.020)) for _ in range(80)]
    assert read[0] == 0 and read[-1] >= 16
    # What does take longer than the budget is left out nearly every time, and then takes but little more.
    known, tight = Pace(), []
    for _ in range(200):
        began = clock.seconds
        scores_in_time(slow, "q", texts, known, began + 0.0009)
        tight.append(clock.seconds - began)
    assert max(tight[1:]) == 0 or max(tight[1:]) <= 0.0021
    assert known.seconds >= 0.49 * exact


# -- the report --------------------------------------------------------------------------------------


def test_every_search_says_what_it_used(filled):
    for mode, ran in [("dense", ("dense",)), ("lexical", ("lexical",)), ("hybrid", ("dense", "lexical"))]:
        hits = filled.search(QUERY, mode=mode)
        assert isinstance(hits, list) and isinstance(hits, Hits)
        assert (hits.report.mode, hits.report.retrievers, hits.report.left_out) == (mode, ran, ())
        assert hits.report.milliseconds > 0
    read = filled.search(QUERY, 3, mode="dense", reranker=Logits(), candidates=7)
    assert str(read.report) == "dense, 7 passages read by logits"
    assert read.report.to_dict()["candidates"] == 7
    for again in (copy.copy(read), copy.deepcopy(read), pickle.loads(pickle.dumps(read))):
        assert again == read and again.report == read.report


def test_of_an_index_without_documents(path):
    with Index(path, FakeModel()) as index:
        assert index.search("snow", mode="best") == []
        assert index.search("snow", mode="best").report.retrievers == ()
        index.add(["snow"], ["a"])
        hits = index.search("snow", mode="best", reranker=Logits(), budget_ms=1000)
        assert [hit.id for hit in hits] == ["a"] and len(hits.report.left_out) == 1


# -- blending ----------------------------------------------------------------------------------------

FUSED = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(lambda found: sorted(found, reverse=True))
LOGITS = st.floats(-15, 15).map(lambda value: round(value, 3))


@settings(deadline=None)
@given(FUSED, st.lists(LOGITS, max_size=30))
def test_blending(fused, logits):
    logits = [value if not 0 <= value <= 1 else value + 2 for value in logits][: len(fused)]
    found = blended(fused, logits)
    assert len(found) == len(fused) and all(0 <= value <= 1 for value in found)
    read, rest = found[: len(logits)], found[len(logits) :]
    assert rest == sorted(rest, reverse=True)
    assert not read or not rest or min(read) >= rest[0]
    if logits:
        shifted = blended(fused, [value + 40 for value in logits])
        np.testing.assert_allclose(found, shifted, atol=1e-9)
        chances = [1 / (1 + np.exp(-value)) for value in logits]
        if max(map(abs, logits)) < 13:
            np.testing.assert_allclose(found, blended(fused, chances), atol=1e-5)


def test_the_largest_scores_that_there_are_stay_numbers():
    found = blended([0.9, 0.8, 0.7], [1.7e308, 0.0, -1.7e308])
    assert np.isfinite(found).all() and found == sorted(found, reverse=True)


def test_what_a_reranker_cannot_tell_apart_stays_as_it_was():
    fused = [0.9, 0.5, 0.1]
    assert blended(fused, [3.0, 3.0, 3.0]) == [(1 - WEIGHT) * score for score in fused]
    found = blended(fused, [3.0, 3.05, 3.1])
    assert found == sorted(found, reverse=True)


def test_a_reranker_that_contradicts_counts_less():
    fused = [1 - 0.05 * place for place in range(12)]
    agreeing = [6 - 1.0 * place for place in range(12)]
    assert blended(fused, agreeing[::-1]) == pytest.approx(fused)  # the other way round counts nothing
    np.testing.assert_allclose(np.diff(blended(fused, agreeing)), -(0.4 * 0.05 + 0.6 / 11))
    few = blended(fused[:2], [-3.0, 3.0])
    assert few[1] > few[0]  # of two candidates nothing can be told
