"""vicinal-mini, the model in the package."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest

import vicinal
from vicinal import SentenceTransformer
from vicinal.hub.resolve import resolve_model

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = Path(vicinal.__file__).parent / "data" / "vicinal-mini"
OFFLINE = """
import socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("the network was asked")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from vicinal import SentenceTransformer
model = SentenceTransformer("vicinal-mini")
assert model.encode("hello").shape == (256,)
loaded = {"openvino", "torch", "huggingface_hub", "scipy"} & set(sys.modules)
assert not loaded, loaded
"""


def test_loads_by_name_without_network_and_without_openvino(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_it_is_small() -> None:
    assert resolve_model("vicinal-mini") == FOLDER
    sizes = {file.name: file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()}
    assert sum(sizes.values()) < 10_000_000
    assert {"README.md", "model.safetensors", "modules.json", "tokenizer.json"} <= set(sizes)


def test_what_it_finds_alike() -> None:
    model = SentenceTransformer("vicinal-mini")
    vectors = model.encode(
        ["A man plays the guitar.", "Someone is playing guitar.", "The stock market fell."]
    )
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > vectors[0] @ vectors[2]
    assert (model.encode("") == 0).all()


def test_its_score_on_stsb_dev(shared_dir: Path) -> None:
    lines = (shared_dir / "data/stsb/dev.tsv").read_text(encoding="utf-8").splitlines()
    dev = [line.split("\t") for line in lines]
    model = SentenceTransformer("vicinal-mini")
    a, b = (model.encode([row[place] for row in dev]) for place in (5, 6))
    gold = np.array([float(row[4]) for row in dev])
    ranks = [np.argsort(np.argsort(values, kind="stable")) for values in (np.sum(a * b, axis=1), gold)]
    assert np.corrcoef(*ranks)[0, 1] > 0.83  # the teacher: 0.867


@pytest.mark.slow
def test_the_wheel_holds_it(tmp_path: Path) -> None:
    pytest.importorskip("pip")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip("no package index to fetch the build backend from")
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 10_000_000
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    script = OFFLINE + f"\nimport vicinal; assert vicinal.__file__.startswith({str(tmp_path / 'site')!r})"
    # The wheel's own copy, with the dependencies of this environment.
    path = [str(tmp_path / "site"), sysconfig.get_paths()["purelib"]]
    script = f"import sys; sys.path[:0] = {path!r}\n{script}"
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
