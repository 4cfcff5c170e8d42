"""``vicinal encode`` as it is typed."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_shell import Shell

Put = Callable[[str, "str | bytes"], str]

TEXTS = ["A cat sits on the mat.", "", "Ein kurzer Satz — mit Umlaut: ü", "stocks fell " * 3]


@pytest.fixture(scope="session")
def expected(minilm_path: Path) -> np.ndarray:
    from vicinal import SentenceTransformer

    rows: np.ndarray = SentenceTransformer(minilm_path, dtype="float32").encode(TEXTS)
    return rows


def test_every_form_of_file(vicinal: Shell, put: Put, minilm_path: Path, expected: np.ndarray) -> None:
    objects = "".join(json.dumps({"id": n, "q": text}) + "\n" for n, text in enumerate(TEXTS))
    forms = {
        "my texts.txt": ("\r\n".join(TEXTS) + "\r\n", []),
        "x.jsonl": (objects, ["--field", "q"]),
        "x.csv": ("id,q\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(TEXTS)), ["-f", "q"]),
        "x.tsv": ("".join(f"{n}\t{text}\n" for n, text in enumerate(TEXTS)), ["-f", "2"]),
    }
    for name, (content, options) in forms.items():
        put(name, content)
        done = vicinal("encode", name, "-o", "my out.npy", "-m", minilm_path, "--dtype", "float32", *options)
        assert done.code == 0, done.err
        assert done.out == ""
        assert done.err.startswith("4 texts, 384 dimensions, 6.3 kB in my out.npy; ")
        assert done.err.rstrip().endswith("texts/s")
        np.testing.assert_allclose(np.load(vicinal.folder / "my out.npy"), expected, atol=1e-6)
    assert sorted(os.listdir(vicinal.folder)) == sorted([*forms, "my out.npy"])


def test_stdin_and_settings(vicinal: Shell, minilm_path: Path, expected: np.ndarray) -> None:
    done = vicinal(
        "encode", "-", "-o", "out.npy", "-m", minilm_path, "--dtype", "float32",
        "--truncate-dim", "64", "--normalize", "--batch-size", "2",
        stdin="\n".join(TEXTS).encode(),
    )  # fmt: skip
    assert done.code == 0, done.err
    rows = np.load(vicinal.folder / "out.npy")
    short = expected[:, :64]
    np.testing.assert_allclose(rows, short / np.linalg.norm(short, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(("name", "delimiter"), [("out.csv", ","), ("out.TSV", "\t")])
def test_tables_hold_the_same_numbers(vicinal: Shell, put: Put, name: str, delimiter: str) -> None:
    put("x.txt", "\n".join(TEXTS))
    for output in ("out.npy", name):
        done = vicinal.quick("encode", "x.txt", "-o", output)
        assert done.code == 0, done.err
    rows = np.load(vicinal.folder / "out.npy")
    table = np.loadtxt(vicinal.folder / name, delimiter=delimiter, dtype=np.float32)
    np.testing.assert_array_equal(table, rows)


def test_blocks_and_truncation(vicinal: Shell, put: Put, one_layer: Path) -> None:
    lines = [f"text {n % 7}" for n in range(1030)]
    lines[1] = lines[1027] = "word " * 300
    put("x.txt", "\n".join(lines))
    done = vicinal("encode", "x.txt", "-o", "out.npy", "-m", one_layer)
    assert done.code == 0, done.err
    rows = np.load(vicinal.folder / "out.npy")
    assert rows.shape == (1030, 384)
    np.testing.assert_allclose(rows[1], rows[1027], atol=0.02)
    note = "note: 2 texts of 1,030 were cut to the 256 tokens that the model reads "
    assert note + "(the longest has 302; the first is on line 2)" in done.err
    assert done.err.count("note:") == 1


@pytest.mark.parametrize(
    ("name", "content", "options", "parts"),
    [
        ("x.txt", "", [], ["x.txt is empty"]),
        ("x.txt", b"ok\n\xff\xfe", [], ["x.txt, line 2", "byte 3"]),
        ("x.jsonl", '{"a": "x"}\n', [], ["no field 'text'", "'a'"]),
        ("x.jsonl", '{"text": "x"}\nrubbish\n', [], ["line 2, column 1: not JSON"]),
        ("x.csv", "text\na\n", ["-o", "x.csv"], ["--output x.csv: this is the file of the texts too"]),
        ("x.txt", "a\n", ["-o", "no/out.npy"], ["--output no/out.npy", "does not exist"]),
        ("x.txt", "a\n", ["-o", "-"], ["--output -"]),
        ("x.txt", "a\n", ["-o", "out.parquet"], ["--output out.parquet", ".npy, .csv or .tsv"]),
        ("x.txt", "a\n", ["--truncate-dim", "385"], ["--truncate-dim 385", "384 dimensions"]),
        ("x.json", '[{"text": "a"}]', [], ["x.json is one JSON document, a list", "jq"]),
        ("x.jsonl", '{"text": 5}\n', [], ["the field 'text' is a number, not text"]),
        ("x.txt", "a\n", ["-m", "no such/model"], ["no such/model"]),
        ("x.txt", "a\n", ["-m", "org/unknown"], ["'org/unknown'", "HF_HUB_OFFLINE"]),
        ("x.txt", "a\n", ["--prompt-name", "query"], ["--prompt-name query", "it has none"]),
    ],
)
def test_errors_are_one_line(
    vicinal: Shell,
    put: Put,
    minilm_path: Path,
    name: str,
    content: str | bytes,
    options: list[str],
    parts: list[str],
) -> None:
    put(name, content)
    done = vicinal.quick("encode", name, "-o", "out.npy", "-m", minilm_path, *options)
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith("error: ") and done.err.count("\n") == 1
    for part in parts:
        assert part in done.err
    assert os.listdir(vicinal.folder) == [name]


def test_missing_file_and_folder(vicinal: Shell) -> None:
    for name, part in (("no file.txt", "no such file"), (".", "is a folder")):
        done = vicinal("encode", name, "-o", "out.npy")
        assert (done.code, done.out) == (1, "")
        assert part in done.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_leaves_no_half_file(
    vicinal: Shell, put: Put, one_layer: Path, number: signal.Signals, code: int
) -> None:
    put("x.txt", "a text of some words that keeps the machine busy for a while\n" * 200_000)
    put("out.npy", b"the old file")
    process = vicinal.start("encode", "x.txt", "-o", "out.npy", "-m", str(one_layer))
    deadline = time.monotonic() + 30
    while not any(file.stat().st_size > 128 for file in vicinal.folder.glob(".*.part.npy")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, b"")
    assert err == (b"interrupted\n" if number == signal.SIGINT else b"")
    assert sorted(os.listdir(vicinal.folder)) == ["out.npy", "x.txt"]
    assert (vicinal.folder / "out.npy").read_bytes() == b"the old file"


def test_a_full_disk_leaves_the_old_file(vicinal: Shell, put: Put, one_layer: Path) -> None:
    put("x.txt", "a\n" * 3000)
    put("out.npy", b"the old file")

    def small_files() -> None:  # a write beyond the limit fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    done = subprocess.run(
        [sys.executable, "-m", "vicinal", "encode", "x.txt", "-o", "out.npy", "-m", str(one_layer)],
        cwd=vicinal.folder,
        env=vicinal.environment(),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=small_files,
    )
    assert (done.returncode, done.stderr) == (1, "error: out.npy: File too large\n")
    assert sorted(os.listdir(vicinal.folder)) == ["out.npy", "x.txt"]
    assert (vicinal.folder / "out.npy").read_bytes() == b"the old file"


def test_pooling_of_a_folder_that_does_not_say_it(vicinal: Shell, retrieval_models: Path) -> None:
    folder = retrieval_models / "bge_small_en"
    arguments: list[str | Path] = ["similarity", "-m", folder, "a kettle boils", "water is hot", "--json"]
    first = vicinal.quick(*arguments, "--pooling-mode", "cls")
    mean = vicinal.quick(*arguments, "--pooling-mode", "mean")
    assert first.code == mean.code == 0, first.err + mean.err
    assert first.out != mean.out
    wrong = vicinal.quick(*arguments, "--pooling-mode", "first")
    assert wrong.code != 0 and "--pooling-mode first is unknown: choose one of mean, cls" in wrong.err
    said = vicinal.quick("similarity", "a", "b", "-m", "vicinal-mini", "--pooling-mode", "cls")
    assert said.code == 1 and "--pooling-mode" in said.err and "Traceback" not in said.err
