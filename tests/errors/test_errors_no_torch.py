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


VARIANTS = """
import json
from pathlib import Path
from vicinal import CrossEncoder, SentenceTransformer
folder = Path(sys.argv[1])
config = json.loads((folder / "config.json").read_text())
def tell(**changes):
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    for kind in (SentenceTransformer, CrossEncoder):
        try:
            kind(folder)
            print("no error")
        except NotImplementedError as error:
            print(error)
tell(hidden_act="prelu")
tell(model_type="newest")
tell(position_embedding_type="alibi")
(folder / "model.safetensors").unlink()
(folder / "onnx").mkdir()
(folder / "onnx/model.onnx").write_bytes(Path(sys.argv[2]).read_bytes())
(folder / "config.json").write_text(json.dumps({**config, "model_type": "newest", "id2label": {"0": "A"}}))
print(CrossEncoder(folder).predict([("a cat", "a dog"), ("the", "cat")]).shape, "torch" in sys.modules)
"""


def test_variants_that_need_it(tmp_path: Path) -> None:
    """Refused when the model is loaded, with the command where that helps; a ready graph runs."""
    import numpy as np
    from safetensors.numpy import load_file, save_file
    from tinyfolder import VOCAB, make_folder
    from tinyonnx import scoring_model

    rng = np.random.default_rng(0)
    folder = make_folder(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights |= {"classifier.weight": np.ones((1, 16), np.float32), "classifier.bias": np.ones(1, np.float32)}
    save_file(weights, folder / "model.safetensors")
    parts = [rng.standard_normal(shape).astype(np.float32) for shape in ((len(VOCAB), 8), (2, 8), (8, 1))]
    (tmp_path / "scores.onnx").write_bytes(scoring_model(*parts))
    lines = run(VARIANTS, folder, tmp_path / "scores.onnx")
    assert len(lines) == 7
    for line in lines[:4]:
        assert "PyTorch runs it: pip install 'vicinal[train]'" in line, line
    for line in lines[4:6]:
        assert "position_embedding_type = 'alibi'" in line and "pip" not in line, line
    assert lines[6] == "(2,) False"
