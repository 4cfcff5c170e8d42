"""Exporting writes JSON lines, whole or not at all, and never in place of a database."""

from __future__ import annotations

import errno
import json
import os
import sqlite3

import pytest

from vicinal.errors import InputError, InputTypeError, StoreError
from vicinal.index import Index

from .fakes import FakeModel


@pytest.fixture
def filled(index):
    index.add(["line one\nline two", "ünï"], ["1", "2"], [{"k": [1]}, None])
    return index


def files(folder):
    return sorted(file.name for file in folder.iterdir() if not file.name.startswith("texts.db-"))


def test_a_file_is_replaced_only_when_the_new_one_is_complete(filled, tmp_path):
    target = tmp_path / "out.jsonl"
    target.write_text("old")
    assert filled.export(target) == 2
    lines = target.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["line one\nline two", "ünï"]
    assert lines[1] == '{"id": "2", "text": "ünï", "metadata": {}}'
    filled.close()
    with pytest.raises(StoreError, match="closed"):
        filled.export(target)
    assert target.read_text(encoding="utf-8").splitlines() == lines
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.jsonl", "texts.db"]


def test_a_failure_half_way_leaves_the_old_file(filled, tmp_path, monkeypatch):
    target = tmp_path / "out.jsonl"
    target.write_text("old")

    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match=r"out\.jsonl.*No space left.*as it was"):
        filled.export(target)
    assert target.read_text() == "old" and files(tmp_path) == ["out.jsonl", "texts.db"]


def others(folder):
    with Index(folder / "other.db", FakeModel()) as other:
        other.add(["precious"], ["p"])
    db = sqlite3.connect(folder / "mail.db")
    db.execute("CREATE TABLE mails (text)")
    db.close()
    os.link(folder / "texts.db", folder / "hard.jsonl")
    os.symlink("texts.db", folder / "soft.jsonl")


@pytest.mark.parametrize(
    "name",
    [
        "texts.db",
        "./x/../texts.db",
        "texts.db-wal",
        "texts.db-shm",
        "soft.jsonl",
        "hard.jsonl",
        "other.db",
        "mail.db",
    ],
)
def test_no_database_is_overwritten(filled, tmp_path, name):
    others(tmp_path)
    (tmp_path / "x").mkdir()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    with pytest.raises(InputError, match=r"is a database.*another path"):
        filled.export(f"{tmp_path}/{name}")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before
    assert filled.verify() and filled.count() == 2


def test_a_link_to_a_text_file_stays_a_link(filled, tmp_path):
    (tmp_path / "real.jsonl").write_text("old")
    (tmp_path / "link.jsonl").symlink_to("real.jsonl")
    assert filled.export(tmp_path / "link.jsonl") == 2
    assert (tmp_path / "link.jsonl").is_symlink()
    assert len((tmp_path / "real.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_paths_that_name_no_file(filled, tmp_path):
    with pytest.raises(InputTypeError, match="NoneType"):
        filled.export(None)
    with pytest.raises(InputError, match="names no file"):
        filled.export("")
    with pytest.raises(InputError, match="names no file"):
        filled.export("a\0b")
    with pytest.raises(InputError, match="is a folder"):
        filled.export(tmp_path)
    with pytest.raises(InputError, match=r"no/such.*does not exist"):
        filled.export(tmp_path / "no" / "such" / "x.jsonl")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"):
        filled.export(tmp_path / "pipe")
    assert files(tmp_path) == ["pipe", "texts.db"]
