"""Each recipe of docs/recipes.md runs in its short form, says the score before and after, and leaves a model.

Model and data are tiny, so that scores mean nothing here; docs/recipes.md has those of the full runs.
"""

from __future__ import annotations

import gzip
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinyrecipes import write_data, write_tiny

from vicinal import CrossEncoder, SentenceTransformer

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES, PAGE = ROOT / "examples", ROOT / "docs" / "recipes.md"
TEXTS = ["the cat sat on the mat", "a big dog ran"]

# The script, and what loads its output.
RECIPES: dict[str, Any] = {
    "adapt_without_labels.py": SentenceTransformer,
    "distill_layers.py": SentenceTransformer,
    "distill_static.py": SentenceTransformer,
    "extend_language.py": SentenceTransformer,
    "train_augmented_sbert.py": SentenceTransformer,
    "train_lora.py": SentenceTransformer,
    "train_matryoshka.py": SentenceTransformer,
    "train_reranker.py": CrossEncoder,
    "train_retrieval.py": SentenceTransformer,
    "train_similarity.py": SentenceTransformer,
}
# What a script is given beside the common arguments.
MORE = {
    "distill_layers.py": "--layers 0",  # of the tiny model's two
    "extend_language.py": "--pairs {data}/translations.tsv",
    "train_retrieval.py": "--margin 0",  # a random model finds all texts similar
}
# One runs as a user types it. The others share a process, which saves five seconds for each.
AS_TYPED = "train_similarity.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny")


def check(output: Path, printed: str, kind: Any) -> None:
    """The two lines are there, once each, and the folder loads and works."""
    for name in ("before", "after"):
        lines = [line for line in printed.splitlines() if line.startswith(f"{name}: ")]
        assert len(lines) == 1, printed
        assert re.search(r" -?\d\.\d{4}\b", lines[0]), lines[0]
    loaded = kind(str(output))
    if kind is CrossEncoder:
        found = loaded.predict([TEXTS])
    else:
        found = loaded.encode(TEXTS)
    assert len(found)
    assert np.isfinite(found).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::vicinal.errors.NewHeadWarning")  # it is trained in the next lines
@pytest.mark.parametrize("name", [name for name in RECIPES if name != AS_TYPED])
def test_a_recipe_runs(
    name: str,
    model: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if name == "train_lora.py":
        pytest.importorskip("peft")
    if name == "adapt_without_labels.py":
        pytest.importorskip("sklearn")
    output = tmp_path / "output"
    typed = [name, str(output), "--model", str(model), "--data", str(data), "--short"]
    typed += [each.format(data=data) for each in MORE.get(name, "").split()]
    monkeypatch.setattr(sys, "argv", typed)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    check(output, capsys.readouterr().out, RECIPES[name])
    assert [path.name for path in tmp_path.iterdir()] == ["output"]  # nothing is left beside it


@pytest.mark.slow
def test_a_recipe_runs_as_a_user_types_it(model: Path, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    typed = [EXAMPLES / AS_TYPED, output, "--model", model, "--data", data, "--short"]
    done = subprocess.run(
        [sys.executable, *map(str, typed)],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    check(output, done.stdout, RECIPES[AS_TYPED])


def test_examples_of_a_dictionary_become_pairs(tmp_path: Path) -> None:
    entry = """dinner /dinner/
Abendessen <neut>
         Note: warm
      "after dinner"  - nach dem Abendessen
      "Dinner is ready."  - Das Essen ist fertig.
"""
    file = tmp_path / "eng-deu.dict.dz"
    file.write_bytes(gzip.compress(entry.encode()))
    pytest.importorskip("datasets")
    read = runpy.run_path(str(EXAMPLES / "extend_language.py"))["read"]
    assert read(file) == [("Dinner is ready.", "Das Essen ist fertig.")]  # of three words or more


def test_the_page_and_these_tests_name_the_same_recipes() -> None:
    shown = re.findall(r"python examples/([a-z_]+\.py)", PAGE.read_text(encoding="utf-8"))
    assert set(shown) == set(RECIPES)
