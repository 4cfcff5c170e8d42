"""index and info, as they are typed; on a real model cut to its first layer."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cli_notes import KETTLE, SNOW, fill_folder, lines, numbers
from cli_shell import Shell

from vicinal import Index

Put = Callable[[str, "str | bytes"], str]


# -- index -------------------------------------------------------------------------------------------


def test_a_folder_twice_and_changed(vicinal: Shell, one_layer: Path) -> None:
    fill_folder(vicinal.folder / "notes")
    done = vicinal("index", "notes.db", "notes", "-m", os.path.relpath(one_layer, vicinal.folder))
    assert numbers(done) == [8, 0, 0]
    assert done.out == ""
    assert numbers(vicinal.quick("index", "notes.db", "notes")) == [0, 0, 8]

    (vicinal.folder / "notes" / "a.jsonl").write_text(lines({**KETTLE, "year": 1955}, SNOW))
    (vicinal.folder / "notes" / "new.txt").write_text("a new one")
    assert numbers(vicinal.quick("index", "notes.db", "notes")) == [1, 1, 7]
    with Index(vicinal.folder / "notes.db") as index:  # the model is found from another folder too
        assert index.count() == 9
        assert [one and one.metadata for one in index.get(["k1", "c1", "f.html"])] == [
            {"year": 1955, "tags": ["kitchen", "heat"]},
            {"price": 12.5},
            {"path": "f.html", "title": "Tea & coffee"},
        ]
        assert index.search("kettle", 1)[0].id == "k1"


def test_beir_layout(vicinal: Shell, one_layer: Path) -> None:
    corpus = vicinal.folder / "beir"
    (corpus / "qrels").mkdir(parents=True)
    (corpus / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\td1\t1\n")
    (corpus / "queries.jsonl").write_text(lines({"_id": "1", "text": "a question"}))
    (corpus / "corpus.jsonl").write_text(
        lines(
            {"_id": "d1", "title": "On wings", "text": "Wings carry birds.", "metadata": {}},
            {"_id": "d2", "title": "", "text": "Stones do not fly.", "metadata": {}},
        )
    )
    assert numbers(vicinal.quick("index", "b.db", "beir", "-m", one_layer)) == [2, 0, 0]
    found = vicinal.quick("search", "b.db", "wings", "--mode", "lexical")
    assert [row[2:4] for row in found.rows] == [["d1", "On wings Wings carry birds."]]


def test_fields(vicinal: Shell, put: Put, one_layer: Path) -> None:
    put("x.jsonl", lines({"key": 7, "head": "Wings", "abstract": "of birds", "year": 1, "month": 2}))
    options = ["--id-field", "key", "--text-field", "head", "--text-field", "abstract"]
    done = vicinal.quick(
        "index", "x.db", "x.jsonl", *options, "--metadata-field", "year", "--batch", "1", "-m", one_layer
    )
    assert numbers(done) == [1, 0, 0]
    found = json.loads(vicinal.quick("search", "x.db", "birds", "--json").out)
    assert [(hit["id"], hit["text"], hit["metadata"]) for hit in found] == [
        ("7", "Wings of birds", {"year": 1})
    ]


def test_what_cannot_be_used_is_named(vicinal: Shell, put: Put, one_layer: Path) -> None:
    put("x.jsonl", lines(KETTLE) + "no json\n" + lines({"id": "n"}) + lines(*[{"text": ""}] * 6))
    done = vicinal.quick("index", "x.db", "x.jsonl", "-m", one_layer)
    assert numbers(done) == [1, 0, 0]
    assert "note: left out: x.jsonl, line 2, column 1: not JSON" in done.err
    assert "x.jsonl, line 3" in done.err and "name one with --text-field\n" in done.err
    assert "note: left out: 3 more texts\n" in done.err
    put("y.jsonl", lines({"text": ""}))
    done = vicinal.quick("index", "y.db", "y.jsonl", "-m", one_layer)
    assert done.code == 1
    assert "error: no text was found in the input" in done.err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["index", "x.db", "nothing.txt"], "'nothing.txt' does not exist"),
        (["index", "x.db", "a.png"], "unknown kind"),
        (["index", "x.db", "a.txt", "--format", "csv"], "--format is for standard input (-)"),
        (["index", "x.db", ".", "--include", "*.zip"], "holds no file that fits '*.zip'"),
        (["index", "a.txt", "x.db"], "the index comes first, then the texts: vicinal index texts.db a.txt"),
        (["index", "no/x.db", "a.txt"], "does not exist"),
        (["index", ".", "a.txt"], "is a folder"),
        (["index", "x.db", "a.txt", "-m", "./nothing"], "nothing"),
        (["search", "x.db", "a"], "x.db: no such index; `vicinal index x.db INPUT...` makes it"),
        (["search", "x.db"], "no such index"),
        (["info", "x.db"], "no such index"),
        (["info", "x.db", "--verify", "--json"], "no such index"),
        (["info", "."], "is a folder"),
        (["search", "empty", "a"], "empty is empty"),
        (["search", "a.txt", "a"], "a.txt is no index"),
        (["info", "a.txt", "--verify"], "a.txt is no index"),
        (["search", "x.db", " "], "the query is blank"),
    ],
)
def test_errors_leave_nothing_behind(vicinal: Shell, put: Put, arguments: list[str], part: str) -> None:
    put("a.txt", "some text, long enough")
    put("a.png", b"\x89PNG")
    put("empty", "")
    done = vicinal.quick(*arguments)
    assert (done.code, done.out) == (1, "")
    assert part in done.err and done.err.startswith("error: ") and done.err.count("\n") == 1
    assert sorted(os.listdir(vicinal.folder)) == ["a.png", "a.txt", "empty"]
    assert (vicinal.folder / "empty").stat().st_size == 0


def test_what_is_skipped_is_counted_and_named(vicinal: Shell, put: Put) -> None:
    fill_folder(vicinal.folder / "notes")
    put("notes/h.py", "import os")
    put("notes/README", "read me")
    done = vicinal.quick("index", "n.db", "notes")
    assert numbers(done) == [9, 0, 0]
    skipped = (
        "note: skipped 2 files: .png, without an ending; --as-text reads files of unknown kinds as text\n"
    )
    assert skipped in done.err
    done = vicinal.quick("index", "n.db", "notes", "--as-text", "--include", "R*", "--include", "below/*")
    assert numbers(done) == [1, 0, 1] and "skipped" not in done.err


def test_prune(vicinal: Shell, put: Put) -> None:
    fill_folder(vicinal.folder / "notes")
    assert numbers(vicinal.quick("index", "n.db", "notes")) == [8, 0, 0]
    (vicinal.folder / "notes" / "e.md").unlink()
    assert numbers(vicinal.quick("index", "n.db", "notes")) == [0, 0, 7]
    put("notes/z.txt", b"\xff")
    done = vicinal.quick("index", "n.db", "notes", "--prune")
    assert done.code == 1 and "error: no document was removed: 1 file or row could not be read" in done.err
    (vicinal.folder / "notes" / "z.txt").unlink()
    done = vicinal.quick("index", "n.db", "notes", "--prune")
    assert done.code == 0 and "0 added, 0 replaced, 7 unchanged, 1 removed; " in done.err
    assert "documents\t7\n" in vicinal.quick("info", "n.db").out


def test_standard_input(vicinal: Shell, put: Put) -> None:
    done = vicinal("index", "n.db", "-", stdin=b"A text about bees.\nOf two lines.\n")
    assert numbers(done) == [1, 0, 0]
    done = vicinal("index", "n.db", put("a.txt", "honey"), "-", "--format", "csv", stdin=b"id,text\n7,wax\n")
    assert numbers(done) == [2, 0, 0]
    rows = [json.loads(line) for line in vicinal.quick("export", "n.db", "-").out.splitlines()]
    assert [(row["id"], row["text"]) for row in rows] == [
        ("stdin", "A text about bees.\nOf two lines."),
        ("a.txt", "honey"),
        ("7", "wax"),
    ]


def test_ids_of_several_files(vicinal: Shell, put: Put) -> None:
    put("a.jsonl", lines({"id": 1, "text": "one"}))
    put("b.jsonl", lines({"id": 1, "text": "another"}))
    for expected in ([2, 0, 0], [0, 0, 2]):
        done = vicinal.quick("index", "n.db", "a.jsonl", "b.jsonl")
        assert numbers(done) == expected
        assert "note: 1 text has an id of another file; kept apart as FILE:ID\n" in done.err


def test_chunk_tokens(vicinal: Shell, put: Put) -> None:
    put("a.txt", "A sentence of some words. " * 60)
    assert numbers(vicinal.quick("index", "n.db", "a.txt", "--chunk-tokens", "24")) == [1, 0, 0]
    facts = dict(row for row in vicinal.quick("info", "n.db").rows)
    assert facts["longest chunk"] == "24 tokens" and int(facts["chunks"]) >= 15
    assert numbers(vicinal.quick("index", "n.db", "a.txt", "--chunk-tokens", "24")) == [0, 0, 1]
    done = vicinal.quick("index", "n.db", "a.txt", "--chunk-tokens", "32")
    assert done.code == 1 and "error: --chunk-tokens 32: n.db has chunks of up to 24 tokens" in done.err


def test_another_model_is_refused(vicinal: Shell, notes: str, minilm_path: Path, put: Put) -> None:
    put("a.txt", "one more")
    done = vicinal.quick("index", notes, "a.txt", "-m", minilm_path)
    assert done.code == 1
    assert str(minilm_path) in done.err and done.err.count("\n") == 1


def test_ctrl_c_keeps_what_is_in(vicinal: Shell, put: Put, one_layer: Path) -> None:
    texts = [f"Number {n} is about {'wings and boundary layers ' * 12}" for n in range(3000)]
    put("x.jsonl", lines(*({"text": text} for text in texts)))
    process = vicinal.start("index", "x.db", "x.jsonl", "-m", str(one_layer), "--batch", "32")
    deadline = time.monotonic() + 30
    while documents(vicinal.folder / "x.db") < 64 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    kept = documents(vicinal.folder / "x.db")
    assert 64 <= kept < 3000 and kept % 32 == 0
    assert err.decode() == (
        f"interrupted: {kept:,} texts are safely in x.db; the same command goes on from there\n"
    )
    put("x.jsonl", lines(*({"text": text} for text in texts[: kept + 100])))
    assert numbers(vicinal.quick("index", "x.db", "x.jsonl")) == [100, 0, kept]


def documents(db: Path) -> int:
    if not db.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as opened:
            row = opened.execute("SELECT value FROM state WHERE key = 'documents'").fetchone()
            return int(row[0]) if row else 0
    except sqlite3.OperationalError:  # it is just being made
        return 0


# -- info --------------------------------------------------------------------------------------------


def test_info(vicinal: Shell, notes: str, one_layer: Path) -> None:
    facts = dict(row for row in vicinal.quick("info", notes).rows)
    found = json.loads(vicinal.quick("info", notes, "--json").out)
    assert facts["documents"] == facts["chunks"] == "8"
    assert facts["model"] == found["model"] == str(one_layer)
    assert facts["dimension"] == "384" == str(found["dimension"])
    assert facts["fingerprint"] == found["fingerprint"][:12] and len(facts["fingerprint"]) == 12
    assert facts["storage"] == "int16" and facts["size"].endswith(" kB")
    assert facts["metadata"] == "lang, path, price, tags, title, year"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", facts["changed"])
    shown = vicinal.pretty("info", notes, "--verify")
    assert shown.code == 0
    assert all(len(line.rstrip()) <= 60 for line in shown.out.splitlines())
    assert shown.out.splitlines()[-1].split(maxsplit=1)[1].strip() == "nothing is wrong"
    assert os.listdir(vicinal.folder) == ["notes.db"]


def test_verify_finds_damage(vicinal: Shell, notes: str) -> None:
    with closing(sqlite3.connect(vicinal.folder / notes)) as db, db:
        db.execute("UPDATE segments SET vectors = zeroblob(length(vectors))")
    done = vicinal.quick("info", notes, "--verify")
    assert (done.code, done.err) == (1, "")
    problems = [row[1] for row in done.rows if row[0] == "problem"]
    assert problems and any("checksum" in problem for problem in problems)
    assert ["verify", f"{len(problems)} problems"] in done.rows
    found = json.loads(vicinal.quick("info", notes, "--verify", "--json").out)
    assert found["documents"] == 8
    assert found["verify"]["ok"] is False and found["verify"]["problems"] == problems
    assert vicinal.quick("info", notes).code == 0


@pytest.mark.parametrize("share", [0.002, 0.4, 0.9])
def test_verify_of_a_truncated_file(vicinal: Shell, notes: str, share: float) -> None:
    file = vicinal.folder / notes
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    done = vicinal.quick("info", notes, "--verify")
    assert done.code == 1
    assert "problem" in done.out or "damaged" in done.err
    assert "not foreseen" not in done.err


@pytest.mark.parametrize("command", ["index", "search", "info"])
def test_help(vicinal: Shell, command: str) -> None:
    done = vicinal(command, "--help", COLUMNS="60")
    assert (done.code, done.err) == (0, "")
    assert all(len(line) <= 60 for line in done.out.splitlines())
