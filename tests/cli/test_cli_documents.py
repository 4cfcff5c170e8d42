"""delete, export and compact, as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cli_notes import KETTLE, numbers
from cli_shell import Shell

from vicinal.cli.console import id_text

Put = Callable[[str, "str | bytes"], str]
ALL = ["k1", "k2", "c1", "c2", "t1", "e.md", "f.html", "below/d.txt"]


def ids(vicinal: Shell) -> list[str]:
    done = vicinal.quick("export", "notes.db", "-")
    assert done.code == 0, done.err
    return [json.loads(line)["id"] for line in done.out.splitlines()]


def test_delete_by_id(vicinal: Shell, notes: str) -> None:
    done = vicinal.quick("delete", notes, "k1", "nothing", "below/d.txt")
    assert (done.code, done.out) == (0, "")
    assert done.err == "note: not in notes.db: 'nothing'\n2 documents removed, 6 left in notes.db\n"
    assert sorted(ids(vicinal)) == sorted(set(ALL) - {"k1", "below/d.txt"})
    assert vicinal.quick("search", notes, "kettle", "--mode", "lexical").out == ""


def test_delete_of_ids_from_standard_input(vicinal: Shell, notes: str) -> None:
    done = vicinal("delete", notes, "-", stdin=b"\xef\xbb\xbfk1\r\n\nk2\n")
    assert done.err == "2 documents removed, 6 left in notes.db\n"
    assert (
        vicinal("delete", notes, "-", stdin=b"\xff\n").err == "error: standard input is not UTF-8 at byte 0\n"
    )


def test_ids_that_search_prints_are_those_that_delete_takes(vicinal: Shell, put: Put) -> None:
    strange = ["a  b", "a b", " a b", "x\ny", "x\ty", "x y", "e\x1b[31m", "caf\\xe9"]
    put(
        "x.jsonl", "".join(json.dumps({"id": id, "text": f"text {n}"}) + "\n" for n, id in enumerate(strange))
    )
    assert vicinal.quick("index", "notes.db", "x.jsonl").code == 0
    for left in range(len(strange) - 1, -1, -1):
        line = vicinal.quick("search", "notes.db", "text", "-k", "1", "--filter", "{}").out
        id = line.split("\t")[2]
        [gone] = [each for each in ids(vicinal) if id_text(each) == id]
        done = vicinal("delete", "notes.db", "-", stdin=f"{id}\n".encode())
        assert done.err == f"1 document removed, {left} left in notes.db\n"
        assert gone not in ids(vicinal)


def test_ids_that_are_printed_alike_are_not_guessed(vicinal: Shell, put: Put) -> None:
    put("x.jsonl", "".join(json.dumps({"id": id, "text": "t"}) + "\n" for id in ("x\ny", "x\\ny")))
    vicinal.quick("index", "notes.db", "x.jsonl")
    done = vicinal.quick("delete", "notes.db", "x\\ny")
    assert done.code == 1 and "2 documents have ids that are printed as 'x\\ny'" in done.err
    assert len(ids(vicinal)) == 2


def test_metadata_in_a_pipe_is_exact(vicinal: Shell, put: Put) -> None:
    put("x.jsonl", json.dumps({"id": "1", "text": "t", "note": "two  blanks,\ta tab\u00a0\x9b\U000e0041"}))
    vicinal.quick("index", "notes.db", "x.jsonl")
    printed = vicinal.quick("search", "notes.db", "t").out.split("\t")[4]
    assert json.loads(printed) == {"note": "two  blanks,\ta tab\u00a0\x9b\U000e0041"}


def test_delete_by_filter(vicinal: Shell, notes: str) -> None:
    done = vicinal.quick("delete", notes, "--filter", '{"year": {"$gte": 1950}}')
    assert done.err == "2 documents removed, 6 left in notes.db\n"
    done = vicinal.quick("delete", notes, "--filter", '{"year": {"$lt": 1950}}', "--filter", '{"year": 1}')
    assert (done.code, "nothing was removed" in done.err) == (1, True), done.err
    done = vicinal.quick("delete", notes, "--filter", "{}")
    assert done.code == 1 and "removes all 6 documents of notes.db: say so with --yes" in done.err
    assert vicinal.quick("delete", notes, "--filter", "{}", "--yes").code == 0
    assert ids(vicinal) == []


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "give either ids of documents or --filter"),
        (["k1", "--filter", "{}"], "give either ids of documents or --filter"),
        (["", "k1"], "an id is empty"),
        (["-", "k1"], "give the ids as arguments, or - for those on standard input, not both"),
        (["nothing"], "nothing was removed: notes.db has no such document"),
        (["--filter", '{"a": '], "--filter"),
        (["--filter", '{"year": 3}'], "nothing was removed"),
    ],
)
def test_what_cannot_be_deleted(vicinal: Shell, notes: str, arguments: list[str], part: str) -> None:
    done = vicinal.quick("delete", notes, *arguments)
    assert (done.code, done.out) == (1, "")
    assert f"error: {part}" in done.err
    assert len(ids(vicinal)) == 8


def test_export_and_index_again(vicinal: Shell, notes: str) -> None:
    done = vicinal.quick("export", notes, "out.jsonl")
    assert (done.code, done.out) == (0, "") and done.err.startswith("8 documents, ")
    raw = (vicinal.folder / "out.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in raw.splitlines()]
    assert {
        "id": "k1",
        "text": KETTLE["text"],
        "metadata": {"year": 1954, "tags": ["kitchen", "heat"]},
    } in rows
    assert [row["id"] for row in rows] == ids(vicinal)
    assert raw == vicinal.quick("export", notes, "-").out
    done = vicinal.quick("index", "again.db", "out.jsonl", "--chunk-tokens", "64")
    assert numbers(done) == [8, 0, 0]
    assert vicinal.quick("export", "again.db", "-").out == raw
    refused = vicinal.quick("export", notes, "again.db")
    assert refused.code == 1 and "is a database" in refused.err


def test_compact(vicinal: Shell, notes: str) -> None:
    assert vicinal.quick("delete", notes, "--filter", "{}", "--yes").code == 0
    done = vicinal.quick("compact", notes)
    assert done.code == 0 and done.err.startswith("notes.db has ") and "; it had " in done.err
    assert "deleted chunks" not in vicinal.quick("info", notes).out


@pytest.mark.parametrize("command", ["delete", "export", "compact"])
def test_no_index_and_help(vicinal: Shell, command: str) -> None:
    arguments = {"delete": ["x"], "export": ["out.jsonl"], "compact": []}[command]
    done = vicinal.quick(command, "x.db", *arguments)
    assert done.code == 1 and "x.db: no such index" in done.err
    assert not list(vicinal.folder.iterdir())
    done = vicinal(command, "--help", COLUMNS="60")
    assert (done.code, done.err) == (0, "") and all(len(line) <= 60 for line in done.out.splitlines())
