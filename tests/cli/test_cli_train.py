"""``vicinal train`` as a user types it."""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs the train extra"),
]


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vicinal", "train", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


WORDS = ["cat", "dog", "bird", "fish", "tree", "car", "boat", "house"]


def rows(high: float = 1.0) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for place, word in enumerate(WORDS):
        other = WORDS[(place + 3) % len(WORDS)]
        # The wrong way round, so that there is something to learn.
        found.append({"sentence1": f"a {word}", "sentence2": f"the {other}", "score": high})
        found.append({"sentence1": f"a {word}", "sentence2": f"the {word}", "score": 0.0})
    return found


def write(path: Path, table: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_static_model_learns_and_its_folder_tells_how(tmp_path: Path) -> None:
    data = write(tmp_path / "pairs.jsonl", rows(5.0))
    result = run(
        *("-m", "vicinal-mini", "-d", data, "-e", data, "-o", "out"),
        *("--epochs", 15, "--lr", 0.05, "--batch-size", 4, "--evaluations", 2),
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert "scores from 0 to 5 are divided by 5" in result.stderr
    out = tmp_path / "out"
    with (out / "training_log.csv").open(encoding="utf-8") as stream:
        log = list(csv.DictReader(stream))
    scores = [float(row["eval_spearman_cosine"]) for row in log if row["eval_spearman_cosine"]]
    losses = [float(row["loss"]) for row in log if row["loss"]]
    assert scores[-1] > scores[0] and losses[-1] < losses[0]
    assert (out / "training_curves.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / "checkpoints").exists()

    from vicinal import SentenceTransformer, util

    def nearness(name: str) -> float:
        vectors = SentenceTransformer(name).encode(["a cat", "the fish"])
        return float(util.cos_sim(vectors[0], vectors[1])[0, 0])

    assert nearness(str(out)) > nearness("vicinal-mini") + 0.1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-d", "none.jsonl"], ["none.jsonl"]),
        (["-d", "pairs.jsonl", "--loss", "triplet"], ["anchor", "positive", "negative"]),
        (["-d", "pairs.jsonl", "--loss", "binary-cross-entropy"], ["binary-cross-entropy", "cosine"]),
        (["-d", "wide.jsonl"], ["wide.jsonl", "0 to 100", "scale"]),
        (["-d", "texts.jsonl"], ["texts.jsonl", "line 1", "not a number"]),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_written(
    tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    write(tmp_path / "pairs.jsonl", rows())
    write(tmp_path / "wide.jsonl", rows(100.0))
    write(tmp_path / "texts.jsonl", [{"sentence1": "a", "sentence2": "b", "score": "high"}])
    result = run("-m", "vicinal-mini", "-o", "out", *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert all(word in result.stderr for word in words), result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_parquet_reads_as_the_other_files_do(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    from vicinal.training.run import read_rows

    columns = ("sentence1", "sentence2", "score")
    parquet.write_table(pyarrow.Table.from_pylist(rows(5.0)), tmp_path / "pairs.parquet")
    write(tmp_path / "pairs.jsonl", rows(5.0))
    said: list[str] = []
    found = read_rows([str(tmp_path / "pairs.parquet")], columns, None, said.append)
    assert found == read_rows([str(tmp_path / "pairs.jsonl")], columns, None, said.append)
    assert found[0] == {"sentence1": "a cat", "sentence2": "the fish", "score": 1.0}
    assert len(said) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"\xff\xfe\x00\n", "looks like UTF-16 at byte 0")],
    ids=["empty", "binary"],
)
def test_a_file_without_text_is_named_as_such(tmp_path: Path, content: bytes, words: str) -> None:
    from vicinal.errors import InputError
    from vicinal.readers.columns import read_columns

    (tmp_path / "pairs.csv").write_bytes(content)
    with pytest.raises(InputError, match=f"pairs.csv.*{words}"):
        read_columns(tmp_path / "pairs.csv", ("sentence1", "sentence2", "score"))
