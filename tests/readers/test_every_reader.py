"""One parser behind all readers: every quirk of a format is the same for encode, index, evaluate and train."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from vicinal.datasets import ParallelSentencesDataset
from vicinal.errors import InputError
from vicinal.readers import LabelSentenceReader, NLIDataReader, TripletReader, read_texts
from vicinal.readers.beir import read_beir
from vicinal.readers.columns import classes, numbers, read_columns, read_samples
from vicinal.readers.records import Fields, read_source
from vicinal.readers.sources import find_sources
from vicinal.readers.tables import strict
from vicinal.training.run import read_rows

Reader = Callable[[Path], list[str]]


def by_texts(path: Path) -> list[str]:
    return [line.text for line in read_texts(path, "text")]


def by_records(path: Path) -> list[str]:
    (source,) = find_sources([path])
    return [record.text for record in strict(read_source(source, Fields("id", ("text",))))]


def by_columns(path: Path) -> list[str]:
    return list(read_columns(path, ("anchor", "positive"), ("id", "text"))["positive"])


def by_rows(path: Path) -> list[str]:
    return [row["positive"] for row in read_rows([str(path)], ("anchor", "positive"), ("id", "text"))]


READERS = pytest.mark.parametrize("read", [by_texts, by_records, by_columns, by_rows])


@READERS
@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("plain.csv", b"id,text\n1,a\n2,b\n", ["a", "b"]),
        ("semicolons.csv", b"id;text\n1;a, b\n", ["a, b"]),
        ("quoted-heads.csv", b'"id, of it";id;text\n0;1;a\n', ["a"]),
        ("tabs.csv", b'id\ttext\n1\t"a\tb"\n', ["a\tb"]),
        ("mark.csv", b"\xef\xbb\xbfid,text\n1,a\n", ["a"]),
        ("crlf.csv", b"id,text\r\n1,a\r\n\r\n2,b\r\n", ["a", "b"]),
        ("breaks.csv", b'id,text\n1,"a ""b""\nc, d"\n', ['a "b"\nc, d']),
        ("late.csv", b"\nid,text\n1,a\n", ["a"]),
        ("characters.csv", "id,text\n1,a\u2028\x0bb\n".encode(), ["a\u2028\x0bb"]),
        ("plain.tsv", b"id\ttext\n1\ta, b\n", ["a, b"]),
        ("mark.tsv", b"\xef\xbb\xbfid\ttext\r\n1\ta\r\n", ["a"]),
        ("quotes.tsv", b'id\ttext\n1\t"a" or "b"\n2\t"c ""d"""\n3\t"e\n4\tf\n', ['"a" or "b"', 'c "d"', '"e', "f"]),
        ("breaks.tsv", b'id\ttext\n1\t"a\nb"\n2\tc\n', ["a\nb", "c"]),
        ("first-column-breaks.tsv", b'text\tid\n"a\nb"\t1\nc\t2\n', ["a\nb", "c"]),
        ("tab-in-quotes.tsv", b'id\ttext\n1\t"a\tb"\n', ["a\tb"]),
        ("plain.jsonl", b'{"id": "1", "text": "a"}\n\n{"id": "2", "text": "b"}\n', ["a", "b"]),
        ("mark.jsonl", b'\xef\xbb\xbf{"id": "1", "text": "a\\nb"}\r\n', ["a\nb"]),
        ("characters.jsonl", '{"id": "1", "text": "a\u2028b"}\n'.encode(), ["a\u2028b"]),
        ("pair.jsonl", b'{"id": "1", "text": "\\ud83d\\ude00"}\n', ["\U0001f600"]),
    ],
)  # fmt: skip
def test_every_reader_reads(
    tmp_path: Path, read: Reader, name: str, content: bytes, texts: list[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert read(tmp_path / name) == texts
    with gzip.open(tmp_path / f"{name}.gz", "wb") as file:
        file.write(content)
    assert read(tmp_path / f"{name}.gz") == texts


@READERS
@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("wide.csv", b"id,text\n1,a, b\n", ["line 2: 3 cells, but line 1 has 2", "without quotes"]),
        ("short.csv", b"id,text\n1,a\n2\n", ["line 3: 1 cell, but line 1 has 2"]),
        ("wide.tsv", b"id\ttext\n1\ta\tb\n", ["line 2: 3 cells, but line 1 has 2", "a tab inside a text?"]),
        ("open.csv", b'id,text\n1,a\n2,"b\nc\n', ["line 3: not csv", "quote"]),
        ("old-mac.csv", b"id,text\r1,a\r", ["carriage return", "tr '\\r' '\\n'"]),
        ("long.csv", b"id,text\n1," + b"x" * 140_000 + b"\n", ["line 2", "131,072 characters", "jsonl"]),
        ("twice.csv", b"id,text,text\n1,a,b\n", ["line 1: several columns are named 'text'"]),
        ("utf-16.csv", "id,text\n1,a\n".encode("utf-16"), ["line 1: it looks like UTF-16", "iconv -f utf-16"]),
        ("latin-1.csv", b"id,text\n1,caf\xe9\n", ["line 2: it is not UTF-8 at byte 13 (0xe9)", "iconv -f latin1"]),
        ("latin-1.tsv", b"\xef\xbb\xbfid\ttext\n1\t\xe9\n", ["line 2: it is not UTF-8 at byte 13 (0xe9)"]),
        ("latin-1.jsonl", b'{"id": "1", "text": "\xe9"}\n', ["line 1: it is not UTF-8 at byte 21 (0xe9)"]),
        ("half.jsonl", b'{"id": "1", "text": "\\ud83d"}\n', ["line 1: the field 'text' holds half a character"]),
        ("number.jsonl", b'{"id": "1", "text": 3}\n', ["line 1: the field 'text' is int, not text"]),
        ("bad.jsonl", b'{"id": "1", "text": "a"}\n{"text": \n', ["line 2, column 10: not JSON"]),
        ("deep.jsonl", b"[" * 100_000, ["line 1: not JSON"]),
        ("document.jsonl", b'[\n{"id": "1", "text": "a"}\n]\n', ["one JSON document", "jq"]),
    ],
)  # fmt: skip
def test_every_reader_names_place_and_remedy(
    tmp_path: Path, read: Reader, name: str, content: bytes, parts: list[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(tmp_path / name)
    for part in (name, *parts):
        assert part in str(caught.value)


@pytest.mark.parametrize("read", [by_texts, by_columns, by_rows])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_an_empty_file_and_a_missing_column(tmp_path: Path, read: Reader, name: str) -> None:
    for content in (b"", b"\n\n"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} is empty"):
            read(tmp_path / name)
    mark = "\t" if name == "a.tsv" else ","
    head = '{"id": "1", "body": "x"}' if name == "a.jsonl" else mark.join(("id", "body"))
    (tmp_path / name).write_text(f"{head}\n")
    with pytest.raises(
        InputError, match=f"{name}, line 1: there is no field 'text'; the fields are 'id', 'body'"
    ):
        read(tmp_path / name)


STSB = 'a\tb\tc\t1\t5.0\t"Yes," he said.\t"It rains."\n\na\tb\tc\t2\t0.0\tOne.\t"two\textra\textra\n'


def test_a_tsv_without_headings_by_number_keeps_its_quotes(tmp_path: Path) -> None:
    file = tmp_path / "sts.tsv"
    file.write_text(STSB, encoding="utf-8")
    second = ['"It rains."', '"two']
    assert [(line.number, line.text) for line in read_texts(file, "7")] == [(1, second[0]), (3, second[1])]
    wanted = ("sentence1", "sentence2", "score")
    for given in (None, ("6", "7", "5")):
        found = read_columns(file, wanted, given)
        assert found == {
            "sentence1": ['"Yes," he said.', "One."],
            "sentence2": second,
            "score": ["5.0", "0.0"],
        }
    with pytest.raises(InputError, match="line 1: there are columns 1 to 7, but no column 8"):
        read_columns(file, wanted, ("6", "8", "5"))
    with pytest.raises(InputError, match="line 1: there are columns 1 to 7, but no column 0"):
        list(read_texts(file, "0"))


def test_one_bad_row_does_not_end_an_index_run(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text('id,text\n1,a\n2,"b"c\n3\n4,d\n', encoding="utf-8")
    (source,) = find_sources([file])
    found = list(read_source(source, Fields()))
    assert [each.text for each in found if not isinstance(each, InputError)] == ["a", "d"]
    assert [str(each).partition(": ")[0] for each in found if isinstance(each, InputError)] == [
        f"{file}, line 3",
        f"{file}, line 4",
    ]
    last = found[-1]
    assert not isinstance(last, InputError) and last.position == source.size


def test_a_lone_quote_of_a_tsv_loses_no_rows(tmp_path: Path) -> None:
    file = tmp_path / "x.tsv"
    rows = "".join(f"{number}\ttext {number}\n" for number in range(5000))
    file.write_text('id\ttext\n0\t"open\n' + "short\n" * 3 + rows, encoding="utf-8")
    (source,) = find_sources([file])
    found = list(read_source(source, Fields()))
    assert sum(isinstance(each, InputError) for each in found) == 3
    assert len(found) == 5004


def test_ids_of_rows_without_one_stay(tmp_path: Path) -> None:
    """They decide what a second run of an index finds unchanged."""
    file = tmp_path / "x.csv"
    file.write_text('text\n"a\nb"\n\nc\n', encoding="utf-8")
    (source,) = find_sources([file])
    assert [record.id for record in strict(read_source(source, Fields()))] == ["x.csv:1", "x.csv:3"]


def test_repeated_headings_matter_where_they_are_used(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("id,text,note,note,,\n1,a,b,c,,\n", encoding="utf-8")
    (source,) = find_sources([file])
    with pytest.raises(InputError, match="several columns are named 'note'"):
        list(strict(read_source(source, Fields())))
    (record,) = strict(read_source(source, Fields(metadata=())))
    assert record.text == by_texts(file)[0] == "a"


def test_the_old_readers_have_the_same_lines(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes('\ufeffone "x\tb\u2028c\td\r\n'.encode())
    (example,) = TripletReader(tmp_path).get_examples("a.tsv")
    assert example.texts == ['one "x', "b\u2028c", "d"]
    (tmp_path / "latin.tsv").write_bytes(b"x\ta\ny\t\xe9\n")
    with pytest.raises(InputError, match=r"latin\.tsv, line 2: it is not UTF-8 at byte 6"):
        LabelSentenceReader(tmp_path).get_examples("latin.tsv")
    for name, text in (("s1", "a\u2028b\nc\n"), ("s2", "d\ne\n"), ("labels", "neutral\nentailment\n")):
        with gzip.open(tmp_path / f"{name}.x.gz", "wt", encoding="utf-8") as file:
            file.write(text)
    first, second = NLIDataReader(tmp_path).get_examples("x.gz")
    assert (first.texts, second.texts) == (["a\u2028b", "d"], ["c", "e"])
    with pytest.raises(InputError, match="no such file"):
        TripletReader(tmp_path).get_examples("nothing.tsv")
    with pytest.raises(InputError, match="it is not UTF-8"):
        ParallelSentencesDataset(None, type("T", (), {"encode": None})()).load_data(tmp_path / "latin.tsv")


def test_damaged_gzip(tmp_path: Path) -> None:
    whole = gzip.compress(b"id,text\n" + b"1,a\n" * 10_000)
    for name, content in (("cut.csv.gz", whole[:-20]), ("none.csv.gz", b"id,text\n1,a\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} cannot be read"):
            by_texts(tmp_path / name)


def test_samples_and_judgements_have_the_same_lines(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"query": "a"}\r\n\r\n')
    assert read_samples(file) == [{"query": "a"}]
    file.write_bytes(b'{"query": "a"}\n3\n')
    with pytest.raises(InputError, match=r"samples\.jsonl, line 2: the line is not an object"):
        read_samples(file)
    (tmp_path / "qrels").mkdir()
    for name in ("queries", "corpus"):
        (tmp_path / f"{name}.jsonl").write_text('{"_id": "1", "text": "a"}\n')
    (tmp_path / "qrels" / "test.tsv").write_bytes(b"\xef\xbb\xbfquery-id\tcorpus-id\tscore\r\n1\t1\t1\r\n")
    assert read_beir(tmp_path).relevant == {"1": {"1": 1.0}}
    (tmp_path / "qrels" / "test.tsv").write_bytes(b"1\t1\t1\n\n1\t1\thigh\n")
    with pytest.raises(InputError, match=r"test\.tsv, line 3: .* is not query id, document id, grade"):
        read_beir(tmp_path)


def test_old_code_finds_the_old_readers() -> None:
    from vicinal.compat import install_as_sentence_transformers, uninstall

    install_as_sentence_transformers()
    try:
        from sentence_transformers.readers import STSDataReader  # type: ignore[import-not-found]
        from sentence_transformers.readers import TripletReader as Found

        assert Found is TripletReader
        assert STSDataReader.__module__ == "vicinal.readers.examples"
    finally:
        uninstall()


def test_a_number_that_is_none_is_found_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text('sentence1,sentence2,score\n"a\nb",c,1\n\nd,e,high\n', encoding="utf-8")
    cells = read_columns(file, ("sentence1", "sentence2", "score"))["score"]
    with pytest.raises(InputError, match=r"x\.csv, line 5: the score is 'high'"):
        numbers(cells, file, "score")
    good = numbers([*cells[:1], "7"], file, "label")  # a plain list knows no lines
    with pytest.raises(InputError, match=r"x\.csv, row 2: the label is 7; classes are 0 or 1"):
        classes(good, file, 1)
    file.write_text("sentence1,sentence2,label\na,b,1\nc,d,2.5\n", encoding="utf-8")
    cells = numbers(read_columns(file, ("sentence1", "sentence2", "label"))["label"], file, "label")
    with pytest.raises(InputError, match=r"x\.csv, line 3: the label is 2\.5"):
        classes(cells, file)


def test_a_missing_file_is_missing_before_its_kind_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing: no such file"):
        read_columns(tmp_path / "nothing", ("anchor", "positive"))
    with pytest.raises(InputError, match="is a folder"):
        read_columns(tmp_path, ("anchor", "positive"))
    (tmp_path / "x").write_text("a")
    with pytest.raises(InputError, match=r"unknown kind: use csv, tsv or jsonl; .* \.gz"):
        read_columns(tmp_path / "x", ("anchor", "positive"))
    with pytest.raises(InputError, match=r"unknown kind: use csv, tsv, jsonl or parquet"):
        read_rows([str(tmp_path / "x")], ("anchor", "positive"), None)
    with pytest.raises(InputError, match="no such file"):
        read_rows([str(tmp_path / "nothing.parq")], ("anchor", "positive"), None)
