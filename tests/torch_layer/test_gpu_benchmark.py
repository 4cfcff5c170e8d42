"""benchmarks/gpu.py runs on a CPU, from what it packed, with tiny random models."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

pytestmark = pytest.mark.torch
ROOT = Path(__file__).resolve().parents[2]


def scorer_of(encoder: Path, folder: Path) -> Path:
    """A cross-encoder of one random score, with the encoder's tokenizer."""
    from transformers import BertConfig, BertForSequenceClassification

    shutil.copytree(encoder, folder, ignore=shutil.ignore_patterns("modules.json", "1_Pooling"))
    config = json.loads((encoder / "config.json").read_text())
    torch.manual_seed(4)
    network = BertForSequenceClassification(BertConfig(**config, num_labels=1))
    network.save_pretrained(folder)
    return folder


def run(folder: Path, *arguments: str | Path) -> str:
    environment = {**os.environ, "VICINAL_SHARED": str(folder / "nothing"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, ROOT / "benchmarks/gpu.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_small(tiny_bert: Path, tmp_path: Path) -> None:
    models = ("--model", tiny_bert, "--cross-encoder", scorer_of(tiny_bert, tmp_path / "scorer"))
    run(tmp_path, "--pack", tmp_path / "packed", *models)
    packed = [*(tmp_path / "packed").rglob("*.safetensors")]
    assert [each.name for each in packed] == ["packed.safetensors"] * 2
    figures = tmp_path / "figures.json"
    table = run(tmp_path, "--carried", tmp_path / "packed", "--small", "--device", "cpu", "--json", figures)
    found = json.loads(figures.read_text())
    parts = {each["part"]: each for each in found["parts"]}
    assert list(parts) == ["parity", "memory", "throughput", "training", "search"]
    assert not any(part["note"] for part in parts.values())
    rows = {row["what"]: row for part in parts.values() for row in part["rows"]}
    for name in ("vectors, float32", "scores, float32", "out of memory"):
        row = rows[f"{name}: largest difference"]
        assert row["verdict"] == "ok" and row["value"] < 1e-5
    assert rows["out of memory: happened"]["value"] == 1
    for name in ("encode, short texts", "encode, long texts", "training, fit", "search, 5,000 x 384"):
        assert rows[name]["value"] > 0 and name in table
        if rows[name]["peer"] is None:
            assert "peer skipped" in rows[name]["note"]
