"""What ``vicinal train`` keeps, what it trains on, and how it says so."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
from cli_shell import Shell

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs the train extra"),
]

WORDS = ["cat", "dog", "bird", "fish", "tree", "car", "boat", "house"]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pairs(equal: float, different: float) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for place, word in enumerate(WORDS):
        other = WORDS[(place + 3) % len(WORDS)]
        found.append({"sentence1": f"a {word}", "sentence2": f"the {word}", "score": equal})
        found.append({"sentence1": f"a {word}", "sentence2": f"the {other}", "score": different})
    return found


def triplets(**more: str) -> list[dict[str, object]]:
    return [
        {"anchor": f"a {word}", "positive": f"the {word}", "negative": "nothing", **more} for word in WORDS
    ]


@pytest.mark.slow
def test_the_start_is_kept_where_nothing_was_better(vicinal: Shell) -> None:
    from vicinal import SentenceTransformer

    write(vicinal.folder / "wrong.jsonl", pairs(0, 1))
    write(vicinal.folder / "dev.jsonl", pairs(1, 0))
    done = vicinal(
        *("train", "-m", "vicinal-mini", "-d", "wrong.jsonl", "-e", "dev.jsonl", "-o", "out"),
        *("--lr", "1", "--epochs", "2"),
    )
    assert done.code == 0, done.err
    assert "no evaluation was better than the start: the start is kept (spearman_cosine 0." in done.err
    assert "load_best_model_at_end" not in done.err
    texts = [f"a {word}" for word in WORDS]
    kept = SentenceTransformer(vicinal.folder / "out").encode(texts)
    np.testing.assert_allclose(kept, SentenceTransformer("vicinal-mini").encode(texts), atol=1e-6)
    assert (vicinal.folder / "out" / "training_curves.png").is_file()


@pytest.mark.slow
def test_ranking_trains_on_the_negatives_too(vicinal: Shell) -> None:
    write(vicinal.folder / "data.jsonl", triplets())
    done = vicinal(
        *("train", "-m", "vicinal-mini", "-d", "data.jsonl", "-l", "ranking", "-o", "out"),
        *("-e", "data.jsonl", "--lr", "0.5", "--epochs", "1"),
    )
    assert done.code == 0, done.err
    assert ["negative", "text 3"] in [
        [cell.strip() for cell in line.split("│")[1:3]] for line in done.err.splitlines()
    ]
    assert "cosine_accuracy" in done.err


def test_the_best_step() -> None:
    from vicinal.training.run import best_step

    assert best_step({0: 0.5, 10: 0.7, 20: 0.6}, 10) == 10
    assert best_step({0: 0.7, 10: 0.7}, 10) == best_step({0: 0.7, 10: 0.7 + 1e-16}, 10) == 0
    assert best_step({0: 0.5, 10: math.nan}, 10) == 0
    assert best_step({0: math.nan, 10: 0.1}, 10) == 10
    assert best_step({}, 10) == 10


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.jsonl": triplets(negative_2="more")}, "the column 'negative_2' would not be used"),
        ({"a.jsonl": triplets(), "b.jsonl": [{"anchor": "a", "positive": "b"}]}, "a column of negatives and"),
    ],
)
def test_negatives_are_used_or_refused(
    tmp_path: Path, files: dict[str, list[dict[str, object]]], words: str
) -> None:
    from vicinal.errors import InputError
    from vicinal.training.run import Plan, run_training

    paths = tuple(str(write(tmp_path / name, rows)) for name, rows in files.items())
    plan = Plan(
        model="vicinal-mini",
        files=paths,
        columns=("anchor", "positive"),
        given=None,
        loss="MultipleNegativesRankingLoss",
        evaluation=None,
        output=tmp_path / "out",
    )
    with pytest.raises(InputError, match=words):
        run_training(plan, lambda text: None)
    assert not (tmp_path / "out").exists()


def test_the_first_row_names_the_columns(tmp_path: Path) -> None:
    from vicinal.errors import InputError
    from vicinal.readers.columns import first_row

    (tmp_path / "a.csv").write_text("anchor,positive,negative\na,b,c\n")
    assert first_row(tmp_path / "a.csv") == ["anchor", "positive", "negative"]
    assert first_row(write(tmp_path / "a.jsonl", triplets())) == ["anchor", "positive", "negative"]
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(InputError, match="unknown kind"):
        first_row(tmp_path / "a.txt")


def test_the_curves_show_what_was_kept(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    from vicinal.training.curves import draw

    history = [{"step": step, "loss": 1.0, "eval_x": 0.5 + step / 100} for step in (0, 10, 20)]
    orange = np.array([0xFF, 0x7F, 0x0E]) / 255
    for kept, stars in ((None, False), (0, True), (20, True)):
        picture = imread(draw(tmp_path, history, "eval_x", kept))[:, :, :3]
        assert bool((np.abs(picture - orange) < 0.02).all(axis=2).sum() > 20) is stars


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--epochs", "0"], "--epochs 0: give a number above 0"),
        (["--lr", "nan"], "--lr nan: give a number above 0"),
        (["--warmup", "1.5"], "--warmup 1.5: give a share"),
        (["--loss", "triplet", "--cross-encoder"], "--loss triplet"),
        (["--columns", "a,b"], "--columns names 2 columns, but 3 are needed"),
        (["--loss", "triple"], "--loss triple is unknown: choose one of cosine,"),
    ],
)
def test_wrong_settings_are_named_as_options(vicinal: Shell, options: list[str], words: str) -> None:
    write(vicinal.folder / "data.jsonl", pairs(1, 0))
    done = vicinal.quick("train", "-m", "vicinal-mini", "-d", "data.jsonl", "-o", "out", *options)
    assert done.code in (1, 2) and words in done.err, done.err
    assert not (vicinal.folder / "out").exists()
