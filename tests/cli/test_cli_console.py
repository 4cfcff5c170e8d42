"""Numbers and texts as people read them, and files that appear whole."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from vicinal.cli.console import bytes_text, counted, one_line, rate_text, scored, seconds_text, shortened
from vicinal.cli.files import NpyWriter, npy_header
from vicinal.core.files import check_target, replacing
from vicinal.errors import InputError


def test_numbers() -> None:
    assert [bytes_text(n) for n in (0, 999, 1000, 91_618_901, 999_960, 2.5e9, 3e15)] == [
        "0 B", "999 B", "1.0 kB", "91.6 MB", "1.0 MB", "2.5 GB", "3000.0 TB",
    ]  # fmt: skip
    assert [seconds_text(s) for s in (0.123, 9.996, 12.34, 99.96, 125, 7620)] == [
        "0.12 s", "10.0 s", "12.3 s", "1 min 40 s", "2 min 05 s", "2 h 07 min",
    ]  # fmt: skip
    assert [rate_text(n, 2) for n in (3, 3000)] == ["1.5", "1,500"]
    assert [scored(x) for x in (0.12345, -0.0001, -0.5, 1.0)] == ["0.123", "0.000", "-0.500", "1.000"]
    assert [counted(n, "text") for n in (0, 1, 1400)] == ["0 texts", "1 text", "1,400 texts"]


def test_texts_cannot_disturb_the_terminal() -> None:
    assert one_line("a\tb\r\n\x1b[31mc\x9b  d\x00") == r"a b \x1b[31mc\u009b d\x00"
    assert shortened("word " * 20, 12) == "word word w…"
    assert shortened("short", 12) == "short"
    assert shortened("日本" * 20, 9) == "日本日本…"


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (123_456_789, 4096)])
def test_header_is_what_numpy_reads(shape: tuple[int, int]) -> None:
    raw = io.BytesIO(npy_header(*shape))
    assert np.lib.format.read_magic(raw) == (1, 0)
    assert np.lib.format.read_array_header_1_0(raw) == (shape, False, np.dtype("<f4"))
    assert raw.tell() == 128


def test_blocks_become_one_array(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    with NpyWriter(tmp_path / "x.npy", "x.npy") as writer:
        writer.append(rows[:4])
        writer.append(np.asfortranarray(rows[4:]))
        writer.finish()
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), rows)


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    target.write_text("old")

    def work() -> None:
        with replacing(target) as scratch:
            scratch.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert [file.name for file in tmp_path.iterdir()] == ["x.txt"]
    assert target.read_text() == "old"
    with replacing(target) as scratch:
        scratch.write_text("new")
    assert target.read_text() == "new"


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.npy").symlink_to(tmp_path / "real" / "x.npy")
    assert check_target(str(tmp_path / "link.npy"), "-o") == (tmp_path / "real" / "x.npy").resolve()


def test_an_index_is_no_target_of_anything_else(tmp_path: Path) -> None:
    target = tmp_path / "texts.db"
    with sqlite3.connect(target) as db:
        db.execute("CREATE TABLE texts (text)")
    db.close()
    with pytest.raises(InputError, match="an index or another database is there"):
        check_target(str(target), "--output")
    assert check_target(str(target), "DB", database=True) == target.resolve()
    target.write_text("no database")
    assert check_target(str(target), "--output") == target.resolve()


@pytest.mark.parametrize(("path", "part"), [(".", "a folder"), ("/dev/null", "regular"), ("no/x", "exist")])
def test_impossible_targets(path: str, part: str) -> None:
    with pytest.raises(InputError, match=part):
        check_target(path, "--output")
