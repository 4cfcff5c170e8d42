"""Without torch: everything that runs a model works, and what needs torch says how to install it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tinyfolder import ROOT, WITHOUT_TORCH


def run(source: str, *arguments: object) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH + source, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


USED = """
import sys, tempfile
from vicinal import CrossEncoder, Index, SentenceTransformer, util
model = SentenceTransformer(sys.argv[1])
vectors = model.encode(["the cat", "the dog", "hello world"], normalize_embeddings=True)
print(vectors.shape)
print(util.semantic_search(vectors[0], vectors, top_k=1)[0][0]["corpus_id"])
print(model.similarity(vectors, vectors).shape)
with tempfile.TemporaryDirectory() as folder:
    index = Index(folder + "/texts.db", SentenceTransformer("vicinal-mini"))
    index.add(["A violin is a musical instrument.", "Bread is baked."])
    print(index.search("music", top_k=1)[0].text)
    index.close()
if len(sys.argv) > 2:
    print(CrossEncoder(sys.argv[2]).predict([("a cat", "a cat"), ("a cat", "a train")]).argmax())
print("torch" in sys.modules)
"""


def test_what_runs(plain_path: Path, shared_dir: Path) -> None:
    lines = run(USED, plain_path, shared_dir / "models" / "cross-encoder-stsb")
    assert lines == ["(3, 16)", "0", "(3, 3)", "A violin is a musical instrument.", "0", "False"]


NEEDED = """
from vicinal import SentenceTransformer
model = SentenceTransformer(sys.argv[1])
def losses():
    from vicinal import losses
    losses.CosineSimilarityLoss(model)
def modules():
    from vicinal import models
    models.Transformer(sys.argv[1])
for action in (
    lambda: model.module, lambda: model.fit([]), lambda: model.encode("a", convert_to_tensor=True),
    lambda: model.to("cuda"), lambda: SentenceTransformer(sys.argv[1], device="cuda"), losses, modules,
    lambda: SentenceTransformer(sys.argv[1], backend="torch"), lambda: list(model.parameters()),
):
    try:
        action()
        print("no error")
    except ImportError as error:
        print(type(error).__name__, error)
"""


def test_what_needs_it_says_how_to_get_it(plain_path: Path) -> None:
    lines = run(NEEDED, plain_path)
    assert len(lines) == 9
    for line in lines:
        assert line.startswith("MissingExtraError ") and "'torch'" in line, line
        assert line.endswith("not installed: pip install 'vicinal[train]'"), line


@pytest.mark.torch
def test_with_torch_nothing_is_missing(plain_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from vicinal import SentenceTransformer

    assert len(list(SentenceTransformer(str(plain_path)).parameters())) > 10
