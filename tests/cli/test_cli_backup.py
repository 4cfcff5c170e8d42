"""backup, verify and salvage, as they are typed."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cli_notes import lines
from cli_shell import Shell

Put = Callable[[str, "str | bytes"], str]


@pytest.fixture
def filled(vicinal: Shell, put: Put, one_layer: Path) -> Shell:
    put(
        "t.jsonl",
        lines({"id": "a", "text": "the kettle boils"}, {"id": "b", "text": "snow fell", "year": 1954}),
    )
    assert vicinal.quick("index", "live.db", "t.jsonl", "-m", one_layer).code == 0
    return vicinal


def damage(shell: Shell, sql: str) -> None:
    with closing(sqlite3.connect(shell.folder / "live.db")) as db, db:
        db.execute(sql)


def test_a_backup_and_the_way_back(filled: Shell, put: Put) -> None:
    done = filled("backup", "live.db", "saved.db")
    assert (done.code, done.out) == (0, "") and "2 texts of live.db in saved.db" in done.err
    again = filled.quick("backup", "live.db", "saved.db")
    assert again.code == 1 and "saved.db exists; give another path, or --force" in again.err
    put("more.txt", "a third text")
    assert filled.quick("index", "live.db", "more.txt").code == 0
    assert "3" in filled.quick("info", "live.db").rows[1]
    assert filled.quick("backup", "saved.db", "live.db", "--force").code == 0
    assert "2" in filled.quick("info", "live.db").rows[1]
    assert filled.quick("verify", "live.db").code == 0
    for arguments, words in (
        (("none.db", "x.db"), "no such index"),
        (("t.jsonl", "x.db"), "is no index"),
        (("live.db", "live.db", "--force"), "is the index itself"),
        (("live.db", "t.jsonl", "--force"), "is no database"),
        (("live.db", "no/x.db"), "does not exist"),
    ):
        done = filled.quick("backup", *arguments)
        assert (done.code, done.out) == (1, "") and words in done.err, done
    assert sorted(os.listdir(filled.folder)) == ["live.db", "more.txt", "saved.db", "t.jsonl"]


def test_verify_and_salvage_of_what_no_longer_opens(filled: Shell, put: Put) -> None:
    done = filled.quick("verify", "live.db")
    assert (done.code, done.out) == (
        0,
        "",
    ) and "2 documents and 2 vectors checked; nothing is wrong" in done.err
    assert json.loads(filled.quick("verify", "live.db", "--json").out)["ok"] is True
    damage(filled, "UPDATE state SET value = NULL WHERE key = 'version'")
    damage(filled, "UPDATE documents SET text = 'another text' WHERE id = 'a'")
    for command in (("search", "live.db", "kettle"), ("info", "live.db"), ("backup", "live.db", "x.db")):
        done = filled.quick(*command)
        assert (done.code, done.out) == (1, "")
        assert "`vicinal verify live.db`" in done.err and "`vicinal salvage live.db OUT.jsonl`" in done.err
    done = filled.quick("verify", "live.db")
    assert done.code == 1 and "problem" in done.err
    assert [row[0] for row in done.rows] == ["problem"] * len(done.rows)
    assert any("settings" in row[1] for row in done.rows) and any("'a'" in row[1] for row in done.rows)
    assert json.loads(filled.quick("verify", "live.db", "--json").out)["ok"] is False

    done = filled("salvage", "live.db", "saved.jsonl")
    assert (done.code, done.out) == (1, "") and "1 of 2 texts saved in saved.jsonl" in done.err
    assert "'a'" in done.err and "vicinal index NEW.db saved.jsonl" in done.err
    assert json.loads((filled.folder / "saved.jsonl").read_text()) == {
        "id": "b",
        "text": "snow fell",
        "metadata": {"year": 1954},
    }
    assert "exists" in filled.quick("salvage", "live.db", "saved.jsonl").err
    done = filled.quick("salvage", "live.db", "saved.jsonl", "--force", "--keep-damaged")
    assert done.code == 0 and "2 of 2 texts saved" in done.err
    assert "exists" in filled.quick("salvage", "live.db", "live.db").err
    assert "is a database" in filled.quick("salvage", "live.db", "live.db", "--force").err
    assert "no such file" in filled.quick("salvage", "none.db", "x.jsonl").err
    assert "does not open as SQLite" in filled.quick("salvage", "t.jsonl", "x.jsonl").err


def test_an_index_with_two_names_is_searched_and_not_written(filled: Shell, put: Put) -> None:
    os.link(filled.folder / "live.db", filled.folder / "second.db")
    assert filled.quick("search", "second.db", "kettle", "--mode", "lexical").rows[0][2] == "a"
    done = filled.quick("index", "second.db", "t.jsonl")
    assert done.code == 1 and "2 names (hard links)" in done.err


def test_standard_output_is_no_place_for_a_copy(filled: Shell) -> None:
    for command in ("backup", "salvage"):
        done = filled.quick(command, "live.db", "-")
        assert done.code == 1 and "error: FILE -: this is written to a file; give its name" in done.err
    assert not (filled.folder / "-").exists()
