"""The vectors of sentence-transformers 6.2.0 for 21 hard texts, and the score on STS-B."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vicinal import SentenceTransformer
from vicinal.core.openvino import load_openvino, native_bfloat16

# A word of x alone: said once per model, in whichever test comes first in its process.
pytestmark = pytest.mark.filterwarnings("ignore::vicinal.errors.UnknownScriptWarning")


@pytest.fixture(scope="module")
def texts(shared_dir: Path) -> list[str]:
    found = json.loads((shared_dir / "reference/texts.json").read_text(encoding="utf-8"))
    return list(found["texts"] if isinstance(found, dict) else found)


@pytest.fixture(scope="module")
def vectors(shared_dir: Path) -> NDArray[np.float32]:
    return np.asarray(np.load(shared_dir / "reference/minilm_float32.npy"))


@pytest.fixture(scope="module", params=["float32", "bfloat16", "float16"])
def model(request: pytest.FixtureRequest, minilm_path: Path) -> SentenceTransformer:
    if request.param == "bfloat16" and not native_bfloat16(load_openvino().Core()):
        pytest.skip("this processor does not multiply bfloat16 natively")
    return SentenceTransformer(str(minilm_path), dtype=request.param)


def check(model: SentenceTransformer, found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    if model.dtype == "float32":
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
    else:
        cosines = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
        assert cosines.min() >= 0.9999


def test_alone(model: SentenceTransformer, texts: list[str], vectors: NDArray[np.float32]) -> None:
    found = np.stack([model.encode(text, on_truncate="ignore") for text in texts])
    check(model, found, vectors)


@pytest.mark.parametrize("batch_size", [None, 1, 2, 3, 4, 7, 8, 10, 16, 20, 21])
def test_batched(
    model: SentenceTransformer, texts: list[str], vectors: NDArray[np.float32], batch_size: int | None
) -> None:
    check(model, model.encode(texts, batch_size=batch_size, on_truncate="ignore"), vectors)


@pytest.mark.parametrize("seed", range(3))
def test_any_order(
    model: SentenceTransformer, texts: list[str], vectors: NDArray[np.float32], seed: int
) -> None:
    order = list(range(len(texts))) * 2
    random.Random(seed).shuffle(order)
    found = model.encode([texts[place] for place in order], on_truncate="ignore")
    check(model, found, vectors[order])


def test_neighbours_do_not_matter(model: SentenceTransformer, texts: list[str]) -> None:
    alone = model.encode("a short text", normalize_embeddings=True)
    beside = model.encode([*texts, "a short text"], normalize_embeddings=True, on_truncate="ignore")[-1]
    assert float(alone @ beside) > (1 - 1e-6 if model.dtype == "float32" else 0.9999)


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0, the mean rank for equal values."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: NDArray[np.float64] = (ends - counts + ends - 1) / 2
    return middle[inverse]


@pytest.mark.slow
def test_stsb(minilm_path: Path, shared_dir: Path) -> None:
    """In the default precision; the vectors of all three are compared above."""
    model = SentenceTransformer(str(minilm_path))
    lines = (shared_dir / "data/stsb/dev.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    scores = np.array([float(row[4]) for row in rows])
    firsts, seconds = [row[5] for row in rows], [row[6] for row in rows]
    left, right = (model.encode(side, normalize_embeddings=True) for side in (firsts, seconds))
    cosines = (left * right).sum(1).astype(np.float64)
    spearman = np.corrcoef(ranks(cosines), ranks(scores))[0, 1]
    assert spearman == pytest.approx(0.8672, abs=5e-4)
