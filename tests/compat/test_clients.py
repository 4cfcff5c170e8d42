"""Libraries that no one here wrote do their tasks on Vicinal, and give what they give on sentence-transformers.

``make test-clients`` makes their environment, .bench/clients, which has no sentence-transformers. Each script in
clients/ knows nothing of Vicinal; clients/expected.json holds what it printed with the real package (6.2.0, torch
2.13.0): ``PYTHONPATH=folder-with-sentence-transformers python SCRIPT MODEL``.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent / "clients"
PYTHON = HERE.parents[2] / ".bench" / "clients" / "bin" / "python"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="no .bench/clients: make test-clients makes it"),
]

# What bfloat16, the default where the processor has it, may move a cosine.
NEAR = 3e-3


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """What the scripts print on sentence-transformers."""
    found: dict[str, Any] = json.loads((HERE / "expected.json").read_text())
    return found


def output(script: str, model: Path) -> Any:
    """What a client's script prints under ``vicinal run``."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [PYTHON, "-m", "vicinal", "run", str(HERE / f"{script}.py"), str(model)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def assert_near(found: Any, wanted: Any, tolerance: float = NEAR, where: str = "") -> None:
    """Equal, but for numbers, which are near."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for name in wanted:
            assert_near(found[name], wanted[name], tolerance, f"{where}.{name}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for place, one in enumerate(wanted):
            assert_near(found[place], one, tolerance, f"{where}[{place}]")
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, abs=tolerance), where
    else:
        assert found == wanted, where


def test_the_environment_has_no_sentence_transformers() -> None:
    done = subprocess.run(
        [PYTHON, "-c", "import sentence_transformers"], capture_output=True, text=True, check=False
    )
    assert "ModuleNotFoundError" in done.stderr


def test_keybert(minilm_path: Path, expected: dict[str, Any]) -> None:
    found, wanted = output("keybert_keywords", minilm_path), expected["keybert_keywords"]
    # Given by its path, the model computes in the default precision; neighbours may change places.
    assert_near(dict(found.pop("plain")), dict(wanted.pop("plain")))
    # Given as an object, in float32.
    assert_near(found, wanted, tolerance=1e-3)


def test_bertopic(minilm_path: Path, expected: dict[str, Any]) -> None:
    found, wanted = output("bertopic_topics", minilm_path), expected["bertopic_topics"]
    for topic, words in wanted.pop("words").items():  # of equally good words another may come last
        assert len(set(words) & set(found["words"][topic])) >= 4
    del found["words"]
    assert_near(found, wanted)


def test_setfit(minilm_path: Path, expected: dict[str, Any]) -> None:
    found, wanted = output("setfit_train", minilm_path), expected["setfit_train"]
    assert found["accuracy"] == wanted["accuracy"] == 1.0
    assert found["same after loading"]
    assert found["moved"] > 0.01
    assert found["spread before"] == pytest.approx(wanted["spread before"], abs=NEAR)
    # Another order of the pairs gives another training; both pull the classes apart by about as much.
    gain = wanted["spread after"] - wanted["spread before"]
    assert found["spread after"] - found["spread before"] == pytest.approx(gain, rel=0.5)


def test_langchain(minilm_path: Path, expected: dict[str, Any]) -> None:
    assert_near(output("langchain_embed", minilm_path), expected["langchain_embed"])


def test_llama_index(minilm_path: Path, expected: dict[str, Any]) -> None:
    assert_near(output("llamaindex_embed", minilm_path), expected["llamaindex_embed"])


def test_chroma(minilm_path: Path, expected: dict[str, Any]) -> None:
    assert_near(output("chroma_query", minilm_path), expected["chroma_query"], tolerance=2 * NEAR)


def test_haystack(minilm_path: Path, expected: dict[str, Any]) -> None:
    found, wanted = output("haystack_pipeline", minilm_path), expected["haystack_pipeline"]
    flipped = sum(
        bin(one ^ two).count("1") for one, two in zip(found.pop("bits"), wanted.pop("bits"), strict=True)
    )
    assert flipped <= 3  # of 96 signs: numbers near zero
    assert_near(found, wanted)
