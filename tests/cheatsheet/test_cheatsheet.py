"""The scripts of examples/cheatsheet, as they are under ``vicinal run`` and with their import changed by one word."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "cheatsheet"
FOREIGN = "from sentence_transformers import"

Run = Callable[..., list[str]]


@pytest.fixture(params=["vicinal run", "import vicinal"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs a script in one of the two forms, offline; gives the lines that it printed."""

    def run(name: str, *arguments: object) -> list[str]:
        script, command = FOLDER / name, [sys.executable, "-m", "vicinal", "run"]
        if request.param == "import vicinal":
            source = script.read_text()
            assert source.count(FOREIGN) == 1
            script, command = tmp_path / name, [sys.executable]
            script.write_text(source.replace(FOREIGN, "from vicinal import"))
        done = subprocess.run(
            [*command, str(script), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=tmp_path,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
        return done.stdout.splitlines()

    return run


@pytest.fixture
def reranker(shared_dir: Path) -> Path:
    folder = shared_dir / "models" / "cross-encoder-stsb"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


def test_no_script_is_forgotten() -> None:
    tested = set(re.findall(r'run\("(\w+\.py)"', Path(__file__).read_text()))
    assert tested == {path.name for path in FOLDER.glob("*.py")}


def test_embeddings(run: Run, minilm_path: Path) -> None:
    lines = run("embeddings.py", minilm_path)
    assert lines[0] == "shape: (3, 384)"
    # all-MiniLM-L6-v2's first numbers, as sentence-transformers 6.2 gives them
    first = [float(number) for number in re.findall(r"-?\d\.\d*", lines[1].partition("today.")[2])]
    np.testing.assert_allclose(first, [0.0195, 0.1201, 0.1596], atol=0.003)


def test_semantic_search(run: Run) -> None:
    lines = run("semantic_search.py")
    assert len(lines) == 3
    assert lines[1].endswith("A woman is playing the violin.")
    assert float(lines[1].split()[0]) > float(lines[2].split()[0])


def test_similarity_matrix(run: Run) -> None:
    shape, *rows = run("similarity_matrix.py")
    assert shape == "shape: (4, 4)"
    scores = np.array([[float(number) for number in row.split()] for row in rows])
    np.testing.assert_allclose(scores, scores.T)
    np.testing.assert_allclose(np.diag(scores), 1)
    assert min(scores[0, 1], scores[2, 3]) > scores[:2, 2:].max() + 0.5


def test_clustering(run: Run) -> None:
    pytest.importorskip("sklearn")
    groups = "\n".join(run("clustering.py")).split("group ")[1:]
    first_words = [sorted(line.split()[0] for line in group.splitlines()[1:]) for group in groups]
    assert sorted(first_words) == [
        ["Add", "Bake", "Stir"],
        ["Astronomers", "The", "The"],
        ["The", "The", "The"],
    ]
    assert any("football" in group and "striker" in group and "coach" in group for group in groups)


def test_many_texts(run: Run, tmp_path: Path) -> None:
    lines = run("million_texts.py", "--rows", 40_000, "--output", tmp_path / "all.npy")
    assert lines[0] == "shape: (40000, 256), 39 MiB"
    embeddings = np.load(tmp_path / "all.npy")
    assert embeddings.shape == (40_000, 256)
    from vicinal import SentenceTransformer

    places = [0, 32_767, 32_768, 39_999]  # at the ends of both chunks
    expected = SentenceTransformer("vicinal-mini").encode(
        [
            "Review 0: the phone works well, says customer 0.",
            "Review 32767: the chair is worth its price, says customer 2848.",
            "Review 32768: the phone came too late, says customer 2849.",
            "Review 39999: the chair looks better than it is, says customer 107.",
        ]
    )
    np.testing.assert_allclose(embeddings[places], expected, atol=1e-6)


def test_retrieve_and_rerank(run: Run, reranker: Path) -> None:
    lines = run("retrieve_and_rerank.py", reranker)
    assert lines[1] == "100 of 256 texts reranked; the best:"
    assert lines[2].endswith("A man is playing the guitar on a stage.")
    scores = [float(line.split()[0]) for line in lines[2:]]
    assert scores == sorted(scores, reverse=True) and len(scores) == 5
    assert all("playing the guitar" in line for line in lines[2:])


def test_production(run: Run, reranker: Path) -> None:
    lines = run("production.py", reranker)
    assert len(lines) == 8
    assert lines[1].endswith("Parcels are delivered within three working days.")
    assert "To reset your password" in lines[5]
    for answers in (lines[1:4], lines[5:8]):
        scores = [float(line.split()[0]) for line in answers]
        assert scores == sorted(scores, reverse=True)


def test_choose_a_model(run: Run, minilm_path: Path) -> None:
    header, fastest, other = run("choose_a_model.py", minilm_path, "vicinal-mini")
    assert header.split() == ["model", "dimensions", "tokens", "sentences/s", "MiB"]
    assert fastest.split()[:4] == ["vicinal-mini", "256", "no", "limit"]
    assert other.split()[1:3] == ["384", "256"]
    assert float(fastest.split()[-1]) < float(other.split()[-1])  # MiB
    speeds = [float(line.split()[-2].replace(",", "")) for line in (fastest, other)]
    assert speeds[0] > speeds[1]


@pytest.mark.torch
@pytest.mark.slow
def test_fine_tune(run: Run, minilm_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    before, after = run("fine_tune.py", minilm_path, tmp_path / "tuned")
    assert (tmp_path / "tuned" / "modules.json").is_file()
    (same_before, other_before), (same, other) = (
        [float(number) for number in re.findall(r"\d\.\d+", line)] for line in (before, after)
    )
    assert same_before < other_before, "the base takes a ticket for a seat"
    assert same > other + 0.1, "the tuned model takes it for a request for help"
    assert same > same_before + 0.05
