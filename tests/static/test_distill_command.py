"""``vicinal distill``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from static_helpers import WORDS

from vicinal import SentenceTransformer


def vicinal(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vicinal", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_without_and_with_texts(teacher_folder: Path, tmp_path: Path) -> None:
    done = vicinal("distill", teacher_folder, tmp_path / "plain", "--dim", 6)
    assert done.returncode == 0, done.stderr
    assert "is written: 34 tokens of 6 dimensions" in done.stderr and done.stdout == ""
    random = np.random.default_rng(0)
    lines = [" ".join(random.choice(WORDS, 5)) for _ in range(200)]
    (tmp_path / "texts.txt").write_text("\n".join(lines))
    arguments = ["--texts", tmp_path / "texts.txt", "--dim", 6, "--epochs", 2, "--precision", "int8"]
    done = vicinal("distill", teacher_folder, tmp_path / "trained", *arguments)
    assert done.returncode == 0 and "epoch 2" in done.stderr, done.stderr
    models = [SentenceTransformer(tmp_path / name) for name in ("plain", "trained")]
    assert models[0].get_embedding_dimension() == models[1].get_embedding_dimension() == 6
    assert models[0].fingerprint != models[1].fingerprint


def test_errors(teacher_folder: Path, tmp_path: Path) -> None:
    taken = vicinal("distill", teacher_folder, teacher_folder)
    assert taken.returncode != 0 and "exists already" in taken.stderr
    wide = vicinal("distill", teacher_folder, tmp_path / "x", "--dim", 99)
    assert wide.returncode != 0 and "--dim 99" in wide.stderr and not (tmp_path / "x").exists()
    odd = vicinal("distill", teacher_folder, tmp_path / "x", "--precision", "int4")
    assert odd.returncode != 0 and "int4" in odd.stderr
