"""Which files of an input are read: every file is read, or counted and named."""

from __future__ import annotations

import gzip
import io
import os
import sys
from pathlib import Path

import pytest

from vicinal.errors import InputError
from vicinal.readers.records import Fields, Record, read_source
from vicinal.readers.sources import Survey, standard_input, survey


def names(found: Survey) -> list[str]:
    return [source.name for source in found.sources]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "input"
    (root / "docs" / "deep").mkdir(parents=True)
    for name in (
        "a.py",
        "b.rst",
        "docs/c.md",
        "docs/deep/d.txt",
        "e.png",
        "f.png",
        "g.pdf",
        "README",
        "h.json",
        ".x.txt",
    ):
        (root / name).write_text(f"text of {name}")
    with gzip.open(root / "i.py.gz", "wt") as file:
        file.write("text of i.py.gz")
    return root


def test_what_is_left_aside_is_counted_and_named(folder: Path) -> None:
    found = survey([folder])
    assert names(found) == ["a.py", "b.rst", "i.py.gz", "docs/c.md", "docs/deep/d.txt"]
    assert found.skipped == {".png": 2, ".pdf": 1, "without an ending": 1, ".json": 1}
    assert found.skipped_text() == "5 files: .png (2), .json, .pdf, without an ending"
    assert found.skipped_text(2) == "5 files: .png (2), .json, 2 more kinds"
    assert found.size == sum(source.size for source in found.sources)
    assert Survey([]).skipped_text() == ""


def test_include_and_as_text(folder: Path) -> None:
    assert names(survey([folder], include=["*.md", "docs/deep/*"])) == ["docs/c.md", "docs/deep/d.txt"]
    found = survey([folder], include=["*.png"], as_text=True)
    assert names(found) == ["e.png", "f.png"] and not found.skipped
    assert len(names(survey([folder], as_text=True))) == 10
    with pytest.raises(InputError, match=r"holds no file that fits '\*\.zip'"):
        survey([folder], include=["*.zip"])
    with pytest.raises(InputError, match=r"known kind .* man pages, each also with \.gz .*--as-text"):
        survey([folder], include=["*.pdf"])
    (source,) = survey([folder / "README"], as_text=True).sources
    (record,) = read_source(source, Fields())
    assert isinstance(record, Record) and record.text == "text of README"


def test_the_error_for_a_single_file_names_the_kinds(folder: Path) -> None:
    with pytest.raises(InputError, match=r"h\.json.*unknown kind.*\.rst.*\.gz.*is a \.jsonl"):
        survey([folder / "h.json"])
    with pytest.raises(InputError, match="does not exist"):
        survey([folder / "nothing"])


def test_names_are_kept_apart_and_a_file_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
        (tmp_path / name / "b.jsonl").write_text('{"text": "a"}\n')
    monkeypatch.chdir(tmp_path)
    assert names(survey(["x", "y"])) == ["a.txt", "b.jsonl", "y/a.txt", "y/b.jsonl"]
    assert names(survey(["x/a.txt", "y/a.txt", "x"])) == ["a.txt", "y/a.txt", "b.jsonl"]
    assert names(survey(["x", "x/../x"])) == ["a.txt", "b.jsonl"]


def test_an_index_among_its_inputs_is_not_counted(folder: Path) -> None:
    for name in ("own.db", "own.db-wal", "other.db"):
        (folder / name).write_text("x")
    assert survey([folder], own=folder / "own.db").skipped.get(".db") == 1
    assert ".db-wal" not in survey([folder], own=folder / "own.db").skipped


def test_links_and_special_files_are_counted(folder: Path) -> None:
    (folder / "broken.txt").symlink_to(folder / "nowhere")
    (folder / "linked").symlink_to(folder / "docs")
    os.mkfifo(folder / "pipe.txt")
    skipped = survey([folder]).skipped
    assert skipped["broken links and special files"] == 2
    assert skipped["linked folders"] == 1


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are UTF-8 there")
def test_a_name_that_is_not_utf_8_gets_an_escaped_id(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.txt")
    with open(path, "w") as file:
        file.write("some text")
    (source,) = survey([tmp_path]).sources
    (record,) = read_source(source, Fields())
    assert isinstance(record, Record)
    assert record.id == "caf\\xe9.txt" and record.metadata == {"path": "caf\\xe9.txt"}
    record.where.encode()
    with open(path, "wb") as file:
        file.write(b"\xff")
    (problem,) = read_source(source, Fields())
    assert "caf\\xe9.txt, line 1" in str(problem)


@pytest.mark.parametrize(
    ("raw", "kind", "found"),
    [
        (b"one text\nof two lines\n", "", [("stdin", "one text\nof two lines")]),
        (b'{"text": "a"}\n{"id": 7, "text": "b"}\n', "", [("stdin:1", "a"), ("7", "b")]),
        (b"id,text\n1,a\n", ".csv", [("1", "a")]),
        (b"<nav>x</nav><p>a</p>", ".html", [("stdin", "a")]),
    ],
)
def test_standard_input(raw: bytes, kind: str, found: list[tuple[str, str]]) -> None:
    records = list(read_source(standard_input(io.BytesIO(raw), kind), Fields()))
    assert [(record.id, record.text) for record in records if isinstance(record, Record)] == found


def test_binary_files_are_refused_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\0b")
    (source,) = survey([tmp_path]).sources
    (problem,) = read_source(source, Fields())
    assert "NUL characters" in str(problem)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.html", b'<meta charset="iso-8859-1"><p>caf\xe9 \x80', "café €"),
        (
            "a.htm",
            b"<meta http-equiv=Content-Type content='text/html; charset=Shift_JIS'><p>\x93\xfa\x96\x7b",
            "日本",
        ),
        ("a.xhtml", b'<?xml version="1.0" encoding="ISO-8859-2"?><body>\xb1</body>', "ą"),
        ("a.py", b"# -*- coding: latin-1 -*-\n# caf\xe9\n", "# -*- coding: latin-1 -*-\n# café"),
        ("a.html", "<meta charset=iso-8859-1><p>café".encode(), "café"),  # it is UTF-8, whatever it says
        ("a.html", b"<meta charset=windows-1252><p>\x81", None),
        ("a.html", b"<meta charset=unicode_escape><p>\xe9", None),
        ("a.html", b"<p>\xe9", None),
        ("a.txt", b"coding: latin-1 \xe9", None),
    ],
)
def test_declared_encodings(tmp_path: Path, name: str, content: bytes, text: str | None) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    [record] = read_source(survey([path]).sources[0], Fields())
    if text is None:
        assert isinstance(record, InputError) and "not UTF-8" in str(record)
    else:
        assert isinstance(record, Record) and record.text == text
