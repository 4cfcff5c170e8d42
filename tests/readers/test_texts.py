"""Readers of texts: what they give for good files, and what they say about bad ones."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from vicinal.errors import InputError
from vicinal.readers import Line, read_texts


def texts(raw: bytes, field: str | None = None, format: str | None = None) -> list[tuple[int, str]]:
    return [tuple(line) for line in read_texts(io.BytesIO(raw), field, format)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raw", "field", "format", "expected"),
    [
        (b"a\nb\n", None, None, [(1, "a"), (2, "b")]),
        (b"a\r\n\r\nb", None, "txt", [(1, "a"), (2, ""), (3, "b")]),
        (b"\xef\xbb\xbfa\n", None, None, [(1, "a")]),
        (b"a \n", None, None, [(1, "a ")]),
        ("naïve\u2028x\n".encode(), None, None, [(1, "naïve\u2028x")]),
        (b'{"text": "a"}\n\n{"text": "b\\n"}\n', None, "jsonl", [(1, "a"), (3, "b\n")]),
        (b'\xef\xbb\xbf{"q": "a"}\r\n{"q": ""}', "q", "jsonl", [(1, "a"), (2, "")]),
        (b'"a"\n"b"\n', None, "jsonl", [(1, "a"), (2, "b")]),
        (b'{"t": "\\ud83d\\ude00"}\n', "t", "jsonl", [(1, "\U0001f600")]),
        (b"id,text\n1,a\n2,b\n", None, "csv", [(2, "a"), (3, "b")]),
        (b'text,id\r\n"a, ""b""\r\nc",1\r\n\r\nd,2\r\n', None, "csv", [(2, 'a, "b"\r\nc'), (5, "d")]),
        (b"id;text\n1;a, b\n", None, "csv", [(2, "a, b")]),
        (b"a,b\nc,d\n", "2", "csv", [(1, "b"), (2, "d")]),
        (b"id\ttext\n1\ta\n", None, "tsv", [(2, "a")]),
        (b'id\ttext\n1\t"a" or "b"\n2\t"c ""d"""\n3\t"e\n', None, "tsv",
         [(2, '"a" or "b"'), (3, 'c "d"'), (4, '"e')]),
        (b"a\tb\nc\td\textra\n", "2", "tsv", [(1, "b"), (2, "d")]),
        (b'{"q": "a"}\n', "q", None, [(1, "a")]),
        (b"id\tq\n1\ta\n", "q", None, [(2, "a")]),
        (b"id,q\n1,a\n", "q", None, [(2, "a")]),
    ],
)  # fmt: skip
def test_reads(raw: bytes, field: str | None, format: str | None, expected: list[tuple[int, str]]) -> None:
    assert texts(raw, field, format) == expected


@pytest.mark.parametrize(
    ("raw", "field", "format", "parts"),
    [
        (b"", None, None, ["standard input is empty"]),
        (b"text\n", None, "csv", ["is empty"]),
        (b"\n\n", None, "jsonl", ["is empty"]),
        (b"ok\ncaf\xe9\n", None, None, ["line 2", "not UTF-8", "byte 6 (0xe9)", "iconv -f latin1"]),
        (b"\xef\xbb\xbfok\xff\n", None, None, ["line 1", "byte 5 (0xff)"]),
        ("hi\n".encode("utf-16"), None, None, ["line 1", "looks like UTF-16", "iconv -f utf-16"]),
        (b"a\n", "q", "txt", ["no field 'q'", "format"]),
        (b'{"text": "a"}\n{"text": \n', None, "jsonl", ["line 2, column", "not JSON"]),
        (b'{"a": 1, "b": 2}\n', "q", "jsonl", ["line 1", "no field 'q'", "'a', 'b'"]),
        (b'{"text": "a"}\n{"text": null}\n', None, "jsonl", ["line 2", "'text' is null"]),
        (b'{"text": 3}\n', None, "jsonl", ["'text' is int, not text"]),
        (b'{"text": "\\ud83d"}\n', None, "jsonl", ["half a character"]),
        (b'[{"text": "a"}]\n', None, "jsonl", ["one JSON document", "jq"]),
        (b'[\n{"text": "a"}\n]\n', None, "jsonl", ["one JSON document"]),
        (b"[" * 100_000, None, "jsonl", ["line 1"]),
        (b"3\n", "q", "jsonl", ["no field 'q'"]),
        (b"id,q\n1,a\n", None, "csv", ["no field 'text'", "'id', 'q'"]),
        (b"text,text\na,b\n", None, "csv", ["several columns"]),
        (b"id,text\n1,a, b\n", None, "csv", ["line 2: 3 cells", "line 1 has 2"]),
        (b'id,text\n1,a\n2,"b\nc\n', None, "csv", ["line 3: not csv", "quote"]),
        (b"a,b\n", "3", "csv", ["no column 3", "1 to 2"]),
        (b"a\tb\nc\n", "2", "tsv", ["line 2: 1 cell,"]),
        (b"a\n", None, "xlsx", ["'xlsx'", "txt, jsonl, csv, tsv"]),
    ],
)
def test_errors_name_place_and_remedy(
    raw: bytes, field: str | None, format: str | None, parts: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        texts(raw, field, format)
    for part in parts:
        assert part in str(caught.value)


def test_texts_before_an_error_are_given(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"text": "a"}\n{', encoding="utf-8")
    lines = read_texts(file)
    assert next(lines) == Line(1, "a")
    with pytest.raises(InputError, match=r"x\.jsonl, line 2"):
        next(lines)


@pytest.mark.parametrize("name", ["X.JSONL", "x.ndjson", "x.json"])
def test_the_ending_tells_the_format(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"text": "a"}\n', encoding="utf-8")
    assert [line.text for line in read_texts(tmp_path / name)] == ["a"]
    assert [line.text for line in read_texts(tmp_path / name, format="txt")] == ['{"text": "a"}']


def test_no_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(read_texts(tmp_path / "nothing.txt"))
    with pytest.raises(InputError, match="is a folder"):
        list(read_texts(tmp_path))
