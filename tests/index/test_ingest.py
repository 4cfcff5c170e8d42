from __future__ import annotations

import json

import pytest

from vicinal.errors import InputError
from vicinal.index import Index
from vicinal.index.ingest import index_files
from vicinal.readers.records import Fields, read_source
from vicinal.readers.sources import find_sources

from .fakes import FakeModel


def records(path, **fields):
    return [record for source in find_sources([path]) for record in read_source(source, Fields(**fields))]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_jsonl_with_the_usual_names(tmp_path):
    file = tmp_path / "x.jsonl"
    write_lines(
        file, [{"_id": 7, "title": "T", "text": " body ", "year": 1999, "metadata": {}}, {"text": "no id"}]
    )
    one, two = records(file)
    assert (one.id, one.text, one.metadata) == ("7", "T body", {"title": "T", "year": 1999})
    assert (two.id, two.text, two.metadata) == ("x.jsonl:2", "no id", {})
    assert two.position == file.stat().st_size


def test_fields_can_be_named(tmp_path):
    file = tmp_path / "x.jsonl"
    write_lines(file, [{"key": "k", "q": "question", "a": "answer", "n": 1, "m": 2}])
    (row,) = records(file, id="key", text=("q", "a"), metadata=("m", "absent"))
    assert (row.id, row.text, row.metadata) == ("k", "question answer", {"m": 2})


def test_bad_lines_are_reported_in_place(tmp_path):
    file = tmp_path / "x.jsonl"
    file.write_text(
        '\ufeff{"text": "good"}\n\n{"text": \n[1]\n{"other": "x"}\n{"text": 5}\n{"text": "last"}\n', "utf-8"
    )
    good, cut, array, other, number, last = records(file)
    assert (good.text, last.text) == ("good", "last")
    assert "x.jsonl, line 3, column 10: not JSON" in str(cut) and "x.jsonl, line 4" in str(array)
    assert (
        "'other'" in str(other)
        and "text_field" in str(other)
        and "the field 'text' is int, not text" in str(number)
    )
    (missing, *_) = records(file, id="key")
    assert "'key'" in str(missing)


def test_csv_and_tsv(tmp_path):
    (tmp_path / "a.csv").write_text(
        'id,text,year,score,code,empty\n1,"a, b\nc",1999,-2.50,007,\n2,x\n', "utf-8-sig"
    )
    first, second = records(tmp_path / "a.csv")
    assert (first.id, first.text) == ("1", "a, b\nc")
    assert first.metadata == {"year": 1999, "score": -2.5, "code": "007"}
    assert "line 4: 2 cells, but line 1 has 6" in str(second)
    (tmp_path / "b.tsv").write_text("doc_id\tcontents\n9\thello there\n")
    assert [(r.id, r.text) for r in records(tmp_path / "b.tsv")] == [("9", "hello there")]
    (tmp_path / "c.csv").write_text("")
    assert records(tmp_path / "c.csv") == []


def test_pages(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "no.txt").write_text("no")
    (tmp_path / "sub" / "a.txt").write_text("plain\n")
    (tmp_path / "b.md").write_text("intro\n\n## The Heading ##\n\ntext")
    (tmp_path / "c.HTML").write_text(
        "<html><head><title> A &amp; B </title><style>p{}</style></head><body><script>x()</script>"
        "<h1>Head</h1><p>one  <b>two</b>&nbsp;three</p><ul><li>x<li>y</ul></body></html>"
    )
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    found = {record.id: record for record in records(tmp_path)}
    assert list(found) == ["b.md", "c.HTML", "sub/a.txt"]
    assert found["sub/a.txt"].text == "plain" and found["sub/a.txt"].metadata == {"path": "sub/a.txt"}
    assert found["b.md"].metadata["title"] == "The Heading"
    assert found["c.HTML"].metadata["title"] == "A & B"
    assert found["c.HTML"].text.split() == ["Head", "one", "two", "three", "x", "y"]


def test_a_beir_folder_is_its_corpus(tmp_path):
    write_lines(tmp_path / "corpus.jsonl", [{"_id": "d1", "title": "", "text": "body", "metadata": {}}])
    write_lines(tmp_path / "queries.jsonl", [{"_id": "q1", "text": "query"}])
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    assert [(r.id, r.text) for r in records(tmp_path)] == [("d1", "body")]


def test_inputs_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.*does not exist"):
        find_sources([tmp_path / "nowhere"])
    (tmp_path / "x.pdf").write_text("x")
    with pytest.raises(InputError, match=r"x\.pdf.*unknown kind.*\.jsonl"):
        find_sources([tmp_path / "x.pdf"])
    with pytest.raises(InputError, match="holds no file"):
        find_sources([tmp_path])
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    (problem,) = records(tmp_path / "latin.txt")
    assert "not UTF-8" in str(problem)


def test_a_second_run_encodes_only_what_changed(index, tmp_path):
    file = tmp_path / "x.jsonl"
    rows = [{"id": str(i), "text": f"text {i}", "n": i} for i in range(30)]
    write_lines(file, rows)
    seen = []
    report = index_files(index, [file], batch_size=7, on_progress=seen.append)
    model = index._encoder._model
    assert (report.progress.added, report.progress.records, report.problems) == (30, 30, ())
    assert model.encoded == 30
    assert [p.records for p in seen] == [7, 14, 21, 28, 30]
    assert [p.bytes_done for p in seen] == sorted(p.bytes_done for p in seen)
    assert seen[-1].bytes_done == seen[-1].bytes_total == file.stat().st_size
    assert seen[-1].remaining == 0 and seen[-1].rate > 0
    report = index_files(index, [file])
    assert (report.progress.unchanged, model.encoded) == (30, 30)
    rows[3]["text"] = "changed"
    rows[4]["n"] = 99
    write_lines(file, [*rows, {"id": "new", "text": "new"}])
    report = index_files(index, [file])
    assert (report.progress.unchanged, report.progress.updated, report.progress.added) == (28, 2, 1)
    assert model.encoded == 33
    assert index.get(["3", "4"])[0].text == "changed" and index.get("4")[0].metadata == {"n": 99}
    assert index.count() == 31 and index.verify()


def test_an_interrupted_run_goes_on_where_it_was(path, tmp_path):
    file = tmp_path / "x.jsonl"
    write_lines(file, [{"id": str(i), "text": f"text {i}"} for i in range(100)])

    def interrupt(progress):
        if progress.records >= 40:
            raise KeyboardInterrupt

    with Index(path, FakeModel()) as index:
        with pytest.raises(KeyboardInterrupt):
            index_files(index, [file], batch_size=20, on_progress=interrupt)
        assert index.count() == 40
    model = FakeModel()
    with Index(path, model) as index:
        report = index_files(index, [file], batch_size=20)
        assert (report.progress.unchanged, report.progress.added, model.encoded) == (40, 60, 60)


def test_records_that_cannot_be_used_are_counted_and_named(index, tmp_path):
    file = tmp_path / "x.jsonl"
    lines = [
        {"id": "a", "text": "fine"},
        {"id": "a", "text": "again"},
        {"id": "b", "text": "  "},
        {"id": "c", "text": "ok", "n": 2**70},
        {"id": "d", "text": "ok", "$bad": 1},
        {"id": "e", "text": "\ud800"},
    ]
    write_lines(file, lines)
    report = index_files(index, [file])
    assert (report.progress.added, report.progress.failed, report.progress.records) == (1, 5, 6)
    for number, words in enumerate(["came before", "no text", "64 bits", r"'$bad'", "surrogate"], start=2):
        assert (
            f"x.jsonl, line {number}" in report.problems[number - 2] and words in report.problems[number - 2]
        )
    assert index.get("a")[0].text == "fine"
    with pytest.raises(InputError, match="batch_size"):
        index_files(index, [file], batch_size=0)


# -- batches -----------------------------------------------------------------------------------------


def test_a_batch_is_bounded_by_characters_and_a_long_document_goes_alone(index, tmp_path):
    for name, words in (
        ("0", 1),
        ("1", 10_000),
        ("2", 50_000),
        ("3", 1),
    ):  # the first batch has 50,000 characters
        (tmp_path / f"{name}.txt").write_text(f"word{name} " * words)
    seen = []
    index_files(index, [tmp_path], on_progress=seen.append)
    assert [p.added for p in seen] == [1, 2, 3, 4]


class SlowModel(FakeModel):
    """Takes its time by a clock of its own."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def encode_document(self, texts):
        self.clock.now += sum(map(len, texts)) / 20_000
        return super().encode_document(texts)


class Clock:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


def test_something_is_committed_at_least_every_two_seconds_of_work(path, tmp_path, monkeypatch):
    from vicinal.index import ingest

    clock = Clock()
    monkeypatch.setattr(ingest, "time", clock)
    file = tmp_path / "x.jsonl"
    write_lines(file, [{"id": str(i), "text": f"text {i} " * (1 + i % 200)} for i in range(2000)])
    commits = []
    with Index(path, SlowModel(clock)) as index:
        index_files(index, [file], on_progress=lambda progress: commits.append(clock.now))
        assert index.count() == 2000
    gaps = [after - before for before, after in zip([0.0, *commits], commits, strict=False)]
    assert len(commits) > 10
    assert max(gaps[1:]) <= 2.0 and gaps[0] <= 3.0  # the first batch is a guess
    assert sum(gaps) / len(gaps) > 0.7  # nor are transactions wasted


# -- what has left the input, and what came before ----------------------------------------------------


def test_prune_removes_what_is_no_longer_in_the_input(index, tmp_path):
    for name in ("a.txt", "b.txt", "c.jsonl"):
        (tmp_path / name).write_text('{"id": "row", "text": "x"}' if name == "c.jsonl" else name)
    index.add(["by hand"], ["hand"])
    assert index_files(index, [tmp_path]).removed is None
    (tmp_path / "a.txt").unlink()
    report = index_files(index, [tmp_path], prune=True)
    assert report.removed == 2  # a.txt, and what was put in by hand
    assert sorted(index.ids()) == ["b.txt", "row"] and index.verify()
    (tmp_path / "b.txt").write_text("")
    assert index_files(index, [tmp_path], prune=True).removed == 1


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a\0b"])
def test_prune_removes_nothing_if_something_could_not_be_read(index, tmp_path, content):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    index_files(index, [tmp_path])
    (tmp_path / "b.txt").write_bytes(content)
    report = index_files(index, [tmp_path], prune=True)
    assert report.removed is None and report.unreadable == 1
    assert sorted(index.ids()) == ["a.txt", "b.txt"]


def test_a_document_whose_metadata_cannot_be_stored_keeps_its_old_version(index, tmp_path):
    file = tmp_path / "x.jsonl"
    write_lines(file, [{"id": "a", "text": "a"}, {"id": "b", "text": "b"}])
    index_files(index, [file])
    write_lines(file, [{"id": "a", "text": "a", "n": 2**70}, {"id": "b", "text": "b"}])
    assert index_files(index, [file], prune=True).removed == 0
    assert index.get("a")[0].text == "a"


def test_prune_of_an_input_without_texts_removes_nothing(index, tmp_path):
    index.add(["x"], ["x"])
    (tmp_path / "a.txt").write_text("")
    assert index_files(index, [tmp_path], prune=True).removed is None
    assert index.count() == 1


def test_ids_of_several_files_are_kept_apart_and_stay(index, tmp_path):
    first, second = tmp_path / "a.jsonl", tmp_path / "b.csv"
    write_lines(first, [{"id": 1, "text": "one of a"}, {"text": "no id"}])
    second.write_text("id,text\n1,one of b\n1,again\n2,two of b\n")
    report = index_files(index, [first, second])
    assert (report.apart, report.progress.failed) == (2, 1)
    wanted = {"1": "one of a", "a.jsonl:2": "no id", "b.csv:1": "one of b", "2": "two of b"}
    assert {id: index.get(id)[0].text for id in index.ids()} == wanted
    again = index_files(index, [first, second]).progress
    assert (again.unchanged, again.added, again.updated) == (4, 0, 0)
    second.write_text("id,text\n1,new one of b\n2,two of b\n")
    index_files(index, [second])  # alone, it must not take the place of the other file's
    assert {id: index.get(id)[0].text for id in index.ids()} == {**wanted, "b.csv:1": "new one of b"}


def test_ids_by_prefix(index):
    index.add(list("abcdef"), ["a", "a:1", "a:2é", "a;", "b\U0001f600", "b\U0001f600x"])
    assert sorted(index.ids("a:")) == ["a:1", "a:2é"]
    assert len(index.ids("b\U0001f600")) == 2 and len(index.ids()) == 6 and index.ids("c") == []


def test_files_of_unknown_kinds_are_in_the_report(index, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.log").write_text("b")
    assert index_files(index, [tmp_path]).skipped == {".log": 1}
    report = index_files(index, [tmp_path], as_text=True, include=["*.log"])
    assert report.skipped == {} and sorted(index.ids()) == ["a.txt", "b.log"]
