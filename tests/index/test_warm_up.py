from __future__ import annotations

import numpy as np
import pytest

from vicinal.errors import InputError, StoreError
from vicinal.index import Index, lexical
from vicinal.index import memory as memory_module
from vicinal.index.lexical import Analyzer

from .fakes import FakeModel


@pytest.fixture
def texts():
    rng = np.random.default_rng(3)
    words = [f"word{i}" for i in range(200)]
    return [" ".join(rng.choice(words, 6)) for _ in range(6000)]


def test_warm_up_has_everything_ready_and_changes_no_answer(tmp_path, texts, monkeypatch):
    monkeypatch.setattr(memory_module, "BOUNDS_FROM", 1)
    with Index(tmp_path / "texts.db", FakeModel(dimension=32)) as index:
        index.warm_up()  # nothing to warm up
        assert index.search("word1 word2") == []
        index.add(texts, [str(i) for i in range(len(texts))])
        cold = [index.search(f"word{i} word{i + 1}", top_k=7) for i in range(10)]
        view, _ = index._store._latest
        assert not view.bounds.sketched
        index.warm_up()
        assert view.bounds.sketched == len(texts)
        scans = []
        monkeypatch.setattr(memory_module.View, "_scores", lambda *given: scans.append(1))
        assert [index.search(f"word{i} word{i + 1}", top_k=7) for i in range(10)] == cold
        assert not scans
    with pytest.raises(StoreError, match="closed"):
        index.warm_up()


def test_warm_up_refuses_another_model(tmp_path, texts):
    with Index(tmp_path / "texts.db", FakeModel()) as index:
        index.add(texts[:3])
    with pytest.raises(InputError, match="fake-2"):
        Index(tmp_path / "texts.db", FakeModel(fingerprint="fake-2")).warm_up()


def test_words_are_cut_once_and_not_remembered_without_end(monkeypatch):
    monkeypatch.setattr(lexical, "KNOWN_WORDS", 50)
    analyzer = Analyzer("porter unicode61 remove_diacritics 2")
    cut = []
    original = Analyzer._cut
    monkeypatch.setattr(
        Analyzer, "_cut", lambda self, words: cut.append(list(words)) or original(self, words)
    )
    fresh = Analyzer("porter unicode61 remove_diacritics 2")
    for text in ("running dogs", "dogs running the races", "the Dogs' races", "x_y o'clock naïve"):
        assert analyzer.query(text) == fresh.query(text)
    cut.clear()
    assert analyzer.query("races dogs cats").terms == ("race", "dog", "cat")
    assert cut == [["cats"]]
    for i in range(200):
        assert analyzer.query(f"number{i} dogs").terms == (f"number{i}", "dog")
        assert len(analyzer._known) <= 50
    analyzer.close()
    fresh.close()
