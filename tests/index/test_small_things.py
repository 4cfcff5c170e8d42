"""What the index says of itself, shows, and asks of a model."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta, timezone

import pytest

from vicinal.index import Index
from vicinal.index.stores.database import register
from vicinal.index.stores.state import set_state

from .fakes import FakeModel


def test_the_date_of_creation_is_kept(path):
    with Index(path, FakeModel()) as index:
        made = index.info().created
        age = datetime.now(timezone.utc) - datetime.fromisoformat(made)
        assert timedelta(0) <= age < timedelta(minutes=5)
        index.add(["text"])
        index.compact()
        assert index.verify()
    with Index(path, FakeModel()) as index:
        assert index.info().created == made


def test_a_file_that_does_not_know_its_date_has_none(path):
    with Index(path, FakeModel()) as index:
        index.add(["text"], ["a"])
    db = sqlite3.connect(path)
    register(db)
    with db:
        db.execute("DELETE FROM state WHERE key = 'created'")
        set_state(db, {})
    db.close()
    with Index(path, FakeModel()) as index:
        assert index.info().created is None and index.verify() and index.count() == 1


@pytest.mark.parametrize(
    ("other", "query", "ranks", "shown"),
    [
        ("cold kettle", "frost kettle", (2, 1), "frost"),  # the words found it better
        ("frost table pan", "frost", (1, 2), "cold"),  # the vectors did
    ],
)
def test_the_passage_is_that_of_the_retriever_that_found_the_document_better(
    path, other, query, ranks, shown
):
    """Two chunks: the model takes "cold" for "frost", the words know only "frost"."""
    model = FakeModel(dimension=256, window=12)
    model.words["cold"] = 3 * model.word("frost")
    text = "cold cold cold cold cold cold cold cold. frost kettle spoon table chair window."
    with Index(path, model, chunk_overlap=0) as index:
        index.add([text, other], ["long", "other"])
        assert index.info().chunks == 3
        (hit,) = [hit for hit in index.search(query, mode="hybrid") if hit.id == "long"]
        assert (hit.dense_rank, hit.lexical_rank) == ranks
        assert hit.passage.text.startswith(shown)
        (hit,) = [hit for hit in index.search(query, mode="dense") if hit.id == "long"]
        assert hit.passage.text.startswith("cold")


class ShowsBars(FakeModel):
    """Counts how often it was asked with and without a bar."""

    def __init__(self):
        super().__init__()
        self.bars = []

    def encode_document(self, texts, show_progress_bar=None):
        self.bars.append(show_progress_bar)
        return super().encode_document(texts)

    def encode_query(self, texts, show_progress_bar=None):
        self.bars.append(show_progress_bar)
        return super().encode_query(texts)


def test_a_model_shows_no_bar_of_its_own(path):
    model = ShowsBars()
    with Index(path, model) as index:
        index.add(["one", "two"])
        index.search("one")
    assert model.bars == [False, False]


def test_words_are_marked_in_many_documents_at_once(path):
    texts = [f"number {i} has " + ("a kettle" if i % 3 else "nothing") for i in range(40)]
    with Index(path, FakeModel(dimension=32)) as index:
        index.add(texts, [str(i) for i in range(40)])
        hits = index.search("kettle unheardof", top_k=40)
        assert len(hits) == 40
        for hit in hits:
            marked = [hit.text[a:b] for a, b in hit.passage.matches]
            assert marked == (["kettle"] if int(hit.id) % 3 else [])


def test_a_reader_leaves_no_files_behind(path):
    with Index(path, FakeModel()) as index:
        index.add(["one"], ["a"])
    before = path.read_bytes()
    for _ in range(2):
        with Index(path, FakeModel(), read_only=True) as reader:
            assert reader.search("one")[0].id == "a"
    assert [file.name for file in path.parent.iterdir()] == [path.name] and path.read_bytes() == before


def test_a_reader_that_ends_is_not_in_the_way_of_others(path):
    with Index(path, FakeModel()) as index:
        index.add(["one"], ["a"])
        with Index(path, FakeModel(), read_only=True) as other:
            with Index(path, FakeModel(), read_only=True) as reader:
                assert reader.count() == 1
            index.add(["two"], ["b"])
            assert other.count() == 2
        index.add(["three"], ["c"])
        assert index.count() == 3 and index.verify()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_log_that_waits_for_recovery_is_left_to_a_writer(path, tmp_path):
    copy = tmp_path / "copy" / "texts.db"
    copy.parent.mkdir()
    with Index(path, FakeModel()) as index:
        index.add(["one"], ["a"])
        for end in ("", "-wal"):  # as after a power cut
            copy.with_name(copy.name + end).write_bytes(path.with_name(path.name + end).read_bytes())
    log = copy.with_name(copy.name + "-wal").read_bytes()
    assert log
    with Index(copy, FakeModel(), read_only=True) as reader:
        assert reader.count() == 1
    assert copy.with_name(copy.name + "-wal").read_bytes() == log
