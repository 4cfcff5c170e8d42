"""Random operations on an index, and the same on a dictionary searched by brute force."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from vicinal.errors import InputError
from vicinal.index import Index
from vicinal.index.stores import writing

from .fakes import FakeModel
from .oracle import bm25, ceiling, holds, hybrid, lower_words

WORDS = ["red", "green", "blue", "cat", "dog", "bird", "flows", "the", "of", "wing", "air", "heat"]
TEXTS = st.lists(st.sampled_from(WORDS), min_size=0, max_size=30).map(" ".join)
IDS = st.sampled_from([f"id{i}" for i in range(12)])
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "n": st.integers(0, 4),
        "t": st.lists(st.sampled_from("xyz"), max_size=2),
        "s": st.sampled_from("pq"),
    },
)
FILTERS = st.sampled_from(
    [
        None,
        {},
        {"n": {"$gte": 2}},
        {"t": "x"},
        {"s": {"$ne": "p"}},
        {"n": {"$lt": 3}, "t": {"$exists": True}},
        {"$or": [{"n": 0}, {"t": {"$in": ["y", "z"]}}]},
        {"$not": {"$and": [{"n": {"$gt": 0}}, {"s": "q"}]}},
    ]
)


class Machine(RuleBasedStateMachine):
    @initialize(folder=st.uuids(), storage=st.sampled_from(["int16", "float32"]))
    def start(self, folder, storage):
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.path = f"{self.folder.name}/texts.db"
        self.model = FakeModel(dimension=8, window=12)
        self.storage = storage
        self.truth = {}
        self.open()

    def open(self):
        options = {"storage": self.storage, "tokenizer": "unicode61", "chunk_overlap": 3}
        self.index = Index(self.path, self.model, **options)
        self.other = Index(self.path, self.model, read_only=True)  # sees it all from the outside

    def teardown(self):
        if hasattr(self, "index"):
            report = self.index.verify()
            self.other.close()
            self.index.close()
            self.folder.cleanup()
            assert report.ok, report

    @rule(rows=st.dictionaries(IDS, st.tuples(TEXTS, METADATA), max_size=5))
    def add(self, rows):
        call = (
            [text for text, _ in rows.values()],
            list(rows),
            [metadata for _, metadata in rows.values()],
        )
        if set(rows) & set(self.truth):
            with pytest.raises(InputError, match=min(set(rows) & set(self.truth))):
                self.index.add(*call)
        else:
            assert self.index.add(*call) == list(rows)
            self.truth.update(rows)

    @rule(rows=st.dictionaries(IDS, st.tuples(TEXTS, METADATA), max_size=5))
    def upsert(self, rows):
        self.index.upsert([t for t, _ in rows.values()], list(rows), [m for _, m in rows.values()])
        for id, row in rows.items():
            self.truth.pop(id, None)  # it moves to the end, as it does in the index
            self.truth[id] = row

    @rule(ids=st.lists(IDS, max_size=4))
    def delete(self, ids):
        gone = set(ids) & set(self.truth)
        assert self.index.delete(ids) == len(gone)
        for id in gone:
            del self.truth[id]

    @rule(spec=FILTERS.filter(bool))
    def delete_where(self, spec):
        gone = [id for id, (_, metadata) in self.truth.items() if holds(spec, metadata)]
        assert self.index.delete(filter=spec) == len(gone)
        for id in gone:
            del self.truth[id]

    @rule()
    def compact(self):
        self.index.compact()
        assert self.index.info().deleted_chunks == 0

    @rule()
    def reopen(self):
        self.other.close()
        self.index.close()
        self.open()

    @rule(query=TEXTS.filter(bool), spec=FILTERS, k=st.integers(1, 15))
    def dense(self, query, spec, k):
        wanted = self.model.encode([query])[0]
        scores = {}
        for id, (text, metadata) in self.truth.items():
            if holds(spec or {}, metadata):
                chunks = self.chunks(id)
                scores[id] = max(float(v @ wanted) for v in self.model.encode([text[a:b] for a, b in chunks]))
        self.compare(query, spec, k, "dense", scores, 2e-4)

    @rule(query=TEXTS.filter(bool), spec=FILTERS, k=st.integers(1, 15))
    def lexical(self, query, spec, k):
        scores = bm25({id: text for id, (text, _) in self.truth.items()}, query, lower_words)
        scores = {id: s for id, s in scores.items() if holds(spec or {}, self.truth[id][1])}
        self.compare(query, spec, k, "lexical", scores, 1e-4)

    @rule(query=TEXTS.filter(bool), spec=FILTERS)
    def hybrid(self, query, spec):
        options = {"top_k": 20, "filter": spec, "mode": "hybrid"}
        hits = self.index.search(query, merge_duplicates=False, **options)
        assert {hit.id for hit in hits} == {i for i, (_, m) in self.truth.items() if holds(spec or {}, m)}
        if hits:
            possible = ceiling({id: text for id, (text, _) in self.truth.items()}, query, lower_words)
            dense = {hit.id: hit.dense for hit in sorted(hits, key=lambda hit: hit.dense_rank)}
            worded = [hit for hit in hits if hit.lexical_rank]
            lexical = {hit.id: hit.lexical for hit in sorted(worded, key=lambda hit: hit.lexical_rank)}
            truth = hybrid(dense, lexical, possible, self.usual(query))
            assert [hit.score for hit in hits] == pytest.approx([truth[hit.id] for hit in hits], abs=1e-4)
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        merged = self.index.search(query, **options)
        assert len({hit.passage.text for hit in merged}) == len(merged)
        assert sorted(id for hit in merged for id in (hit.id, *hit.duplicates)) == sorted(h.id for h in hits)

    def compare(self, query, spec, k, mode, scores, tolerance):
        for index in (self.index, self.other):
            hits = index.search(query, top_k=k, filter=spec, mode=mode, merge_duplicates=False)
            assert len({hit.id for hit in hits}) == len(hits) == min(k, len(scores))
            best = sorted(scores.values(), reverse=True)[:k]
            np.testing.assert_allclose([hit.score for hit in hits], best, atol=tolerance)
            for hit in hits:
                assert hit.score == pytest.approx(scores[hit.id], abs=tolerance)
                text, metadata = self.truth[hit.id]
                assert (hit.text, hit.metadata) == (text, metadata)
                part = hit.passage
                assert part.text == text[part.start : part.end]
                for a, b in part.matches:
                    assert part.start <= a < b <= part.end
                    assert text[a:b].lower() in lower_words(query)

    def usual(self, query):
        """Mean score of all chunks."""
        pieces = [text[a:b] for id, (text, _) in self.truth.items() for a, b in self.chunks(id)]
        return float(self.model.encode(pieces).mean(0) @ self.model.encode([query])[0])

    def chunks(self, id):
        from vicinal.index.chunking import chunk_spans

        return chunk_spans([self.truth[id][0]], self.model.count_tokens, 12, 3)[0]

    @invariant()
    def everything_is_there(self):
        if not hasattr(self, "index"):
            return
        assert self.index.count() == self.other.count() == len(self.truth)
        rows = {d.id: (d.text, d.metadata) for d in self.index.get(list(self.truth)) if d is not None}
        assert rows == self.truth

    @rule()
    def export(self):
        target = f"{self.folder.name}/out.jsonl"
        assert self.other.export(target) == len(self.truth)
        with open(target, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        assert [row["id"] for row in rows] == list(self.truth)
        assert {row["id"]: (row["text"], row["metadata"]) for row in rows} == self.truth


Machine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.slow
class TestAgainstDictionary(Machine.TestCase):
    @pytest.fixture(autouse=True)
    def _small_segments(self, monkeypatch):
        monkeypatch.setattr(writing, "SEGMENT_ROWS", 24)  # so that merging and cutting happen here
        monkeypatch.setattr(writing, "MERGE", 3)
