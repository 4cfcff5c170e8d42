"""Every figure, key, file name and column as sentence-transformers 6.2.0 gives them."""

from __future__ import annotations

import csv
import json
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from evaluation_cases import cases, run

import vicinal.evaluation
import vicinal.evaluation.cross_encoder
import vicinal.util

HERE = Path(__file__).parent
PEER = HERE.parent.parent / ".bench" / "st" / "bin" / "python"
# The peer's primary metric here is one that it did not compute; ours computes it.
OTHERWISE = {"retrieval_main"}


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    return run([vicinal.evaluation, vicinal.evaluation.cross_encoder], vicinal.util)


@pytest.fixture(scope="module")
def written_down() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "peer_numbers.json").read_text())
    return found


def same(mine: dict[str, Any], theirs: dict[str, Any], old: bool = False) -> None:
    """``old``: of a class by its old name, which is the one of today here, and describes itself so."""
    assert list(mine["metrics"]) == list(theirs["metrics"])
    assert mine["metrics"] == pytest.approx(theirs["metrics"], abs=2e-6, rel=1e-6)
    for fact in ("primary", "greater_is_better", *(() if old else ("description",))):
        assert mine[fact] == theirs[fact], fact
    assert list(mine["files"]) == list(theirs["files"])
    for name, text in mine["files"].items():
        if name.endswith(".jsonl"):
            same_rankings(text, theirs["files"][name])
            continue
        header, *rows = csv.reader(StringIO(text))
        their_header, *their_rows = csv.reader(StringIO(theirs["files"][name]))
        assert header == their_header
        numbers = [[float(cell) for cell in row] for row in rows]
        expected = [[float(cell) for cell in row] for row in their_rows]
        assert len(numbers) == len(expected) == 2
        for row, other in zip(numbers, expected, strict=True):
            assert row == pytest.approx(other, abs=2e-6, rel=1e-6)


def same_rankings(text: str, their_text: str) -> None:
    """Files of ranked documents, one query per line."""
    lines, theirs = ([json.loads(line) for line in each.splitlines()] for each in (text, their_text))
    for line, other in zip(lines, theirs, strict=True):
        assert line.keys() == other.keys()
        assert (line["query_id"], line["query"]) == (other["query_id"], other["query"])
        assert [hit["corpus_id"] for hit in line["results"]] == [hit["corpus_id"] for hit in other["results"]]
        scores = [hit["score"] for hit in line["results"]]
        assert scores == pytest.approx([hit["score"] for hit in other["results"]], abs=2e-6, rel=1e-6)


@pytest.mark.parametrize("case", sorted(cases().keys() - OTHERWISE))
def test_as_written_down(case: str, ours: dict[str, Any], written_down: dict[str, Any]) -> None:
    if case not in ours:
        pytest.skip("torch is not installed")
    same(ours[case], written_down[case], case.startswith("old_"))


def test_main_score_function_is_computed(ours: dict[str, Any]) -> None:
    """The model's own is the dot product; what was asked for as the main one is there all the same."""
    assert ours["retrieval_main"]["primary"] in ours["retrieval_main"]["metrics"]
    plain = ours["retrieval"]["metrics"]
    assert ours["retrieval_main"]["metrics"] == {
        key.removeprefix("dev_"): value for key, value in plain.items()
    }


@pytest.mark.slow
def test_as_the_peer_says_now(ours: dict[str, Any]) -> None:
    if not PEER.exists():
        pytest.skip(f"no {PEER}: sentence-transformers is not installed beside")
    script = str(HERE / "evaluation_cases.py")
    said = subprocess.run([PEER, "-W", "ignore", script], capture_output=True, text=True, check=True).stdout
    theirs = json.loads(said)
    for case in sorted(cases().keys() - OTHERWISE):
        same(ours[case], theirs[case], case.startswith("old_"))
