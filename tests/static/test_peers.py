"""The same numbers as sentence-transformers and model2vec, each in a virtual environment of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from static_helpers import NORMALIZE, STATIC, VOCABULARY, rows, write_folder

from vicinal import SentenceTransformer

ROOT = Path(__file__).resolve().parent.parent.parent
TEXTS = ["The cat sat.", "", "zzz", "a dog", "the the zzz", "日本 cat", "big red dogs running home " * 30]
ST = """
import sys, json, numpy as np
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], device="cpu")
np.save(sys.argv[2], model.encode(json.loads(sys.argv[3])))
"""
MODEL2VEC = """
import sys, json, numpy as np
from model2vec import StaticModel
model = StaticModel.from_pretrained(sys.argv[1])
np.save(sys.argv[2], model.encode(json.loads(sys.argv[3])))
if len(sys.argv) > 4:
    model.save_pretrained(sys.argv[4])
"""

pytestmark = pytest.mark.slow


def peer(name: str, script: str, folder: Path, *more: str) -> Any:
    python = ROOT / ".bench" / name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no {python}: the benchmarks make it")
    out = folder.parent / "peer.npy"
    arguments = [str(python), "-c", script, str(folder), str(out), json.dumps(TEXTS), *more]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return np.load(out)


@pytest.mark.parametrize("modules", [[STATIC], [STATIC, NORMALIZE]])
def test_a_folder_of_sentence_transformers(tmp_path: Path, modules: list[str]) -> None:
    folder = write_folder(tmp_path / "m", {"embedding.weight": rows()}, modules)
    for place in range(1, len(modules)):
        (folder / f"{place}_x").mkdir()
    theirs = peer("st", ST, folder)
    np.testing.assert_allclose(SentenceTransformer(folder).encode(TEXTS), theirs, atol=1e-5)


@pytest.mark.parametrize("tensors", ["embedding", "int8", "mapped"])
def test_what_is_saved_loads_in_sentence_transformers(tmp_path: Path, tensors: str) -> None:
    given: dict[str, Any] = {"embedding.weight": rows()}
    if tensors == "int8":
        scales = np.full(len(VOCABULARY), 0.01, dtype=np.float32)
        given = {"embedding.rows": (rows() * 30).astype(np.int8), "embedding.scales": scales}
    if tensors == "mapped":
        given = {"embeddings": rows(), "mapping": np.arange(len(VOCABULARY))[::-1].copy()}
    model = SentenceTransformer(write_folder(tmp_path / "m", given, [STATIC]))
    model.save(tmp_path / "saved")
    np.testing.assert_allclose(peer("st", ST, tmp_path / "saved"), model.encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("mapped", [False, True])
def test_a_folder_of_model2vec(tmp_path: Path, normalize: bool, mapped: bool) -> None:
    tensors: dict[str, Any] = {"embeddings": rows()}
    if mapped:
        random = np.random.default_rng(5)
        tensors["mapping"] = random.integers(0, len(VOCABULARY), len(VOCABULARY))
        tensors["weights"] = random.random(len(VOCABULARY)).astype(np.float32)
    config = {"model_type": "model2vec", "normalize": normalize, "max_length": None}
    folder = write_folder(tmp_path / "m", tensors, config=config)
    theirs = peer("model2vec", MODEL2VEC, folder, str(tmp_path / "theirs"))
    np.testing.assert_allclose(SentenceTransformer(folder).encode(TEXTS), theirs, atol=1e-5)
    # What it writes has a modules.json, which sentence-transformers and Vicinal obey: unknown tokens count.
    saved = tmp_path / "theirs"
    np.testing.assert_allclose(SentenceTransformer(saved).encode(TEXTS), peer("st", ST, saved), atol=1e-5)
