from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vicinal.index import Index, lexical
from vicinal.index.lexical import Analyzer, affordable, counts, marked_spans, match_any, quote
from vicinal.index.stores import reading

from .fakes import FakeModel
from .oracle import bm25, lower_words


def test_words_and_terms_are_those_of_the_index():
    analyzer = Analyzer("porter unicode61 remove_diacritics 2")
    words = analyzer.query("The Running runners' Ünïcode, it's the snake_case")
    assert words.terms == ("the", "run", "runner", "unicod", "it", "s", "snake", "case")
    assert words.words[1] == "Running"
    assert [words.terms[i] for i in words.telling] == ["run", "runner", "unicod", "s", "snake", "case"]
    only = analyzer.query("the of")
    assert only.telling == (0, 1), "a query of nothing but stop words keeps them"
    assert analyzer.query("").terms == () and analyzer.query("?!").telling == ()
    analyzer.close()


def test_the_rarest_terms_are_scored_first_and_one_always():
    assert affordable([]) == [] and affordable([0, 0]) == []
    assert affordable([10, 0, 3]) == [2, 0]
    assert affordable([10**9]) == [0]
    assert affordable([900_000, 5, 900_000, 150_000]) == [1, 3]


def test_counts():
    docs, times = counts(np.array([3, 3, 4, 9, 9, 9]))
    assert docs.tolist() == [3, 4, 9] and times.tolist() == [2, 1, 3]
    assert counts(np.empty(0, np.int64))[0].tolist() == []


def test_marks():
    assert marked_spans("a <b> c<dd>", "a b cdd", "<", ">") == [(2, 3), (5, 7)]
    assert marked_spans("<a>", "other", "<", ">") == []
    assert marked_spans("plain", "plain", "<", ">") == []


def marked_by_a_table(tokenizer: str, words: list[str], texts: list[str]) -> list[list[tuple[int, int]]]:
    """What FTS5 marks in a table that holds one text, with marks that are in none of them."""
    found = []
    for text in texts:
        db = sqlite3.connect(":memory:")
        db.execute(f"CREATE VIRTUAL TABLE one USING fts5(text, tokenize={quote(tokenizer)})")
        db.execute("INSERT INTO one VALUES (?)", (text,))
        sql = "SELECT highlight(one, 0, char(1), char(4)) FROM one WHERE one MATCH ?"
        rows = db.execute(sql, (match_any(words),)).fetchall()
        found.append(marked_spans(rows[0][0], text, "\1", "\4") if rows else [])
        db.close()
    return found


_WORDS = st.sampled_from(
    ["Running", "runs", "run", "naïve", "NAIVE", "日本語", "\ue000", "\x02", "x-y", "ΣΑΣ", "🙂"]
)
_TEXTS = st.lists(
    st.lists(_WORDS | st.sampled_from(["", ". ", "\n", '"', "*"]), max_size=12).map(" ".join), max_size=6
)


@settings(max_examples=60)
@given(
    tokenizer=st.sampled_from(["porter unicode61 remove_diacritics 2", "unicode61", "trigram"]),
    words=st.lists(_WORDS, min_size=1, max_size=3),
    texts=_TEXTS,
    at_once=st.sampled_from([1, 20, 1 << 20]),
)
def test_places_are_what_fts5_marks_in_each_text_alone(tokenizer, words, texts, at_once):
    analyzer = Analyzer(tokenizer, analysis=1)  # folding has tests of its own: test_folding, test_scripts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lexical, "MARKED_AT_ONCE", at_once)
        for _ in range(2):  # what the first call put in must be gone
            assert analyzer.places(words, texts) == marked_by_a_table(tokenizer, words, texts)
    analyzer.close()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """3,000 documents; "every" stands in all of them, "half" in half, "rare7" in three."""
    rng = np.random.default_rng(3)
    texts = {}
    for i in range(3000):
        words = ["every"] * int(rng.integers(1, 4)) + (["half"] * int(rng.integers(1, 3)) if i % 2 else [])
        words += [f"rare{i % 1000}", "the"] + [
            f"w{n}" for n in rng.integers(0, 500, int(rng.integers(1, 30)))
        ]
        texts[str(i)] = " ".join(rng.permutation(words))
    index = Index(tmp_path_factory.mktemp("many") / "texts.db", FakeModel(dimension=4), tokenizer="unicode61")
    index.add(list(texts.values()), list(texts), [{"n": i} for i in range(3000)])
    yield index, texts
    index.close()


@pytest.mark.parametrize(
    "query", ["rare7", "every", "half every", "w3 w4 half rare8", "the", "the every rare9 nothing"]
)
def test_bm25_is_exact_where_it_is_affordable(many, query):
    index, texts = many
    truth = bm25(texts, query, lower_words)
    hits = index.search(query, top_k=10, mode="lexical")
    assert [hit.score for hit in hits] == pytest.approx(sorted(truth.values(), reverse=True)[:10], rel=1e-4)
    for hit in hits:
        assert hit.score == pytest.approx(truth[hit.id], rel=1e-4)


def test_pruning_keeps_what_rare_words_find(many, monkeypatch):
    index, texts = many
    monkeypatch.setattr(reading, "STOP_WORDS_FROM", 1000)
    monkeypatch.setattr(reading, "EXACT_POSTINGS", 2000)
    from vicinal.index import lexical

    monkeypatch.setattr(lexical, "EXACT_POSTINGS", 2000)
    monkeypatch.setattr(lexical, "COST_BUDGET", 3500)
    with_stop = index.search("the rare9", mode="lexical")
    assert {hit.id for hit in with_stop} == {"9", "1009", "2009"}, (
        "stop words beside others are not looked up"
    )
    # "half" (3,000 of the budget) fits beside "rare9", "every" does not any more.
    found = index.search("every half rare9", top_k=3, mode="lexical")
    truth = bm25(texts, "half rare9", lower_words)
    assert [hit.score for hit in found] == pytest.approx(sorted(truth.values(), reverse=True)[:3], rel=1e-4)
    # A word that is everywhere is still answered, by presence, and filters stay exact.
    only = index.search("every", top_k=5000, filter={"n": {"$gte": 2990}}, mode="lexical")
    assert {hit.id for hit in only} == {str(i) for i in range(2990, 3000)}
    assert len(index.search("the", top_k=5000, mode="lexical")) == 3000


def test_trigram_tokenizer_finds_parts_of_unspaced_text(path):
    with Index(path, FakeModel(), tokenizer="trigram") as index:
        index.add(["東京都庁の展望室からの眺め", "大阪城の歴史"], ["t", "o"])
        (hit,) = index.search("展望室", mode="lexical")
        assert hit.id == "t" and [hit.text[a:b] for a, b in hit.passage.matches] == ["展望室"]
        assert index.verify()


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ("kettle", "The [Kettle] boils; [kettle]s, [ket], ÎL[KET]O"),
        ("the boils", "The Kettle [boils]; kettles, ket, ÎLKETO"),
        ("KETO îlk", "The [Ket]tle boils; [ket]tles, [ket], [ÎLKETO]"),
    ],
)
def test_trigrams_are_marked_where_they_overlap(path, query, marked):
    with Index(path, FakeModel(), tokenizer="trigram") as index:
        index.add(["The Kettle boils; kettles, ket, ÎLKETO"], ["k"])
        assert index.search(query, mode="lexical")[0].passage.marked() == marked


def test_characters_that_were_made_parts_of_words_are_found(path):
    with Index(path, FakeModel(), tokenizer="unicode61 tokenchars '_-'") as index:
        index.add(["call my_var-x now", "my var x", "Über_größe"], ["a", "b", "c"])
        assert [hit.id for hit in index.search("my_var-x", mode="lexical")] == ["a"]
        assert [hit.id for hit in index.search("(my)", mode="lexical")] == ["b"]
        (hit,) = index.search("über_größe!", mode="lexical")
        assert hit.id == "c" and hit.passage.marked() == "[Über_größe]"


def test_trigrams_are_marked_with_case_where_case_counts(path):
    with Index(path, FakeModel(), tokenizer="trigram case_sensitive 1") as index:
        index.add(["Kettle kettle"], ["k"])
        assert index.search("Kettle", mode="lexical")[0].passage.marked() == "[Kettle] k[ettle]"


def test_scores_do_not_remember_deleted_documents(path):
    with Index(path, FakeModel(), tokenizer="unicode61") as index:
        index.add(["cat cat dog", "dog only", "bird"], list("abc"))
        before = [(hit.id, hit.score) for hit in index.search("cat dog", mode="lexical")]
        index.add([f"cat noise {i} " * 9 for i in range(50)], [str(i) for i in range(50)])
        index.delete([str(i) for i in range(50)])
        assert [(hit.id, hit.score) for hit in index.search("cat dog", mode="lexical")] == before
