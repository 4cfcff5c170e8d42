"""Files of an older version, whose words were cut without folding: read as they are, rebuilt by a change."""

from __future__ import annotations

import sqlite3
import warnings

import pytest

from vicinal.errors import OldIndexWarning, StoreError
from vicinal.index import Index
from vicinal.index.lexical import quote
from vicinal.index.stores.database import set_state
from vicinal.index.stores.texts import unpack_text

from .fakes import FakeModel

TEXTS = ["展望室の眺め", "oﬃce", "re\u0301sume\u0301", "plain words"]


def age(path, tokenizer="porter unicode61 remove_diacritics 2"):
    """Give a file the tables that the first version made."""
    db = sqlite3.connect(path)
    db.create_function("unpack", 1, unpack_text, deterministic=True)
    for name in ("lexical_places", "lexical_terms", "lexical"):
        db.execute(f"DROP TABLE {name}")
    db.execute("DROP VIEW texts")
    db.execute("CREATE VIEW texts AS SELECT doc, unpack(text) AS text FROM documents")
    db.execute(
        "CREATE VIRTUAL TABLE lexical USING fts5(text, content='texts', content_rowid='doc', columnsize=0, "
        f"tokenize={quote(tokenizer)})"
    )
    db.execute("CREATE VIRTUAL TABLE lexical_terms USING fts5vocab(lexical, 'row')")
    db.execute("CREATE VIRTUAL TABLE lexical_places USING fts5vocab(lexical, 'instance')")
    db.executemany(
        "INSERT INTO lexical(rowid, text) VALUES (?, ?)",
        [(doc, unpack_text(text)) for doc, text in db.execute("SELECT doc, text FROM documents").fetchall()],
    )
    db.execute("DELETE FROM state WHERE key = 'analysis'")
    set_state(db, {})
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()


@pytest.fixture
def old(path):
    with Index(path, FakeModel()) as index:
        index.add(TEXTS, list("abcd"))
    age(path)
    return path


def found(index, query):
    return [hit.id for hit in index.search(query, mode="lexical")]


def test_it_is_read_as_it_is_and_said_so_once(old):
    with Index(old, FakeModel(), read_only=True) as index:
        index.search("plain")  # dense: nothing to say
        with pytest.warns(OldIndexWarning, match="next change") as caught:
            assert found(index, "plain words") == ["d"]
        assert len(caught) == 1 and str(old) in str(caught[0].message)
        assert caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert found(index, "展望室の眺め") == ["a"] and found(index, "展望室") == []
        assert index.verify()


CHANGES = {
    "add": lambda index: index.add(["new"], ["e"]),
    "upsert": lambda index: index.upsert(["plain words"], ["d"]),
    "delete": lambda index: index.delete("d"),
    "delete by filter": lambda index: (index.upsert(["x"], ["f"], [{"n": 1}]), index.delete(filter={"n": 1})),
    "compact": lambda index: index.compact(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_rebuilds_it_whole(old, change):
    with Index(old, FakeModel()) as index:
        CHANGES[change](index)
        assert found(index, "展望室") == ["a"]
        assert found(index, "office") == ["b"]
        assert found(index, "résumé") == ["c"]
        assert index.verify(), index.verify().problems
    with Index(old, FakeModel(), read_only=True) as index:
        assert found(index, "展望") == ["a"] and index.verify()


def test_changes_of_nothing_leave_it_alone(old):
    with Index(old, FakeModel()) as index:
        assert index.delete("nothing") == 0
        index.add([])
        with pytest.warns(OldIndexWarning):
            found(index, "plain")


def test_a_reader_that_is_open_meanwhile_follows(old):
    with Index(old, FakeModel(), read_only=True) as reading, Index(old, FakeModel()) as writing:
        with pytest.warns(OldIndexWarning):
            assert found(reading, "展望室") == []
        writing.add(["新しい展望室"], ["e"])
        assert set(found(reading, "展望室")) == {"a", "e"} == set(found(writing, "展望室"))


def test_a_change_that_fails_leaves_the_old_one(old, monkeypatch):
    from vicinal.index.stores.writing import SqliteWriter

    def fail(self):
        raise RuntimeError("stop")

    with Index(old, FakeModel()) as index:
        with monkeypatch.context() as patch:
            patch.setattr(SqliteWriter, "finish", fail)
            with pytest.raises(RuntimeError, match="stop"):
                index.add(["new"], ["e"])
        with pytest.warns(OldIndexWarning):
            assert found(index, "展望室の眺め") == ["a"]
        assert index.verify()
        index.add(["new"], ["e"])
        assert found(index, "展望室") == ["a"]


def test_an_older_version_refuses_the_new_file(path):
    with Index(path, FakeModel()) as index:
        index.add(TEXTS, list("abcd"))
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (2,)
    db.execute("PRAGMA user_version = 3")
    db.close()
    with pytest.raises(StoreError, match="has format 3, this Vicinal reads formats up to 2: upgrade"):
        Index(path, FakeModel())


def test_trigrams_stay_trigrams(path):
    with Index(path, FakeModel(), tokenizer="trigram") as index:
        index.add(TEXTS, list("abcd"))
    age(path, "trigram")
    with Index(path, FakeModel()) as index:
        index.add(["ｆｕｌｌｗｉｄｔｈ"], ["e"])
        assert found(index, "展望室") == ["a"] and found(index, "office") == ["b"]
        assert found(index, "fullwidth") == ["e"] and index.verify()
