"""Libraries that no one here wrote do their tasks on Vicinal, and give what they give on sentence-transformers.

``make test-clients`` makes their environments, .bench/clients and .bench/clients2, which have no
sentence-transformers. Each script in clients/ knows nothing of Vicinal; clients/expected.json holds what it printed
with the real package (6.2.0, torch 2.13.0): ``PYTHONPATH=folder-with-sentence-transformers python SCRIPT MODEL
CROSS_ENCODER``.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent / "clients"
BENCH = HERE.parents[2] / ".bench"
FIRST = BENCH / "clients" / "bin" / "python"
SECOND = BENCH / "clients2" / "bin" / "python"

pytestmark = pytest.mark.slow
in_first = pytest.mark.skipif(not FIRST.exists(), reason="no .bench/clients: make clients makes it")
in_second = pytest.mark.skipif(not SECOND.exists(), reason="no .bench/clients2: make clients makes it")

# What bfloat16, the default where the processor has it, may move a cosine.
NEAR = 3e-3


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """What the scripts print on sentence-transformers."""
    found: dict[str, Any] = json.loads((HERE / "expected.json").read_text())
    return found


def output(python: Path, script: str, *models: Path) -> Any:
    """What a client's script prints under ``vicinal run``."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [python, "-m", "vicinal", "run", str(HERE / f"{script}.py"), *map(str, models)],
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


@pytest.mark.parametrize(
    "python", [pytest.param(FIRST, marks=in_first), pytest.param(SECOND, marks=in_second)]
)
def test_the_environments_have_no_sentence_transformers(python: Path) -> None:
    done = subprocess.run(
        [python, "-c", "import sentence_transformers"], capture_output=True, text=True, check=False
    )
    assert "ModuleNotFoundError" in done.stderr


@in_first
def test_keybert(minilm_path: Path, expected: dict[str, Any]) -> None:
    found, wanted = output(FIRST, "keybert_keywords", minilm_path), expected["keybert_keywords"]
    # Given by its path, the model computes in the default precision; neighbours may change places.
    assert_near(dict(found.pop("plain")), dict(wanted.pop("plain")))
    # Given as an object, in float32.
    assert_near(found, wanted, tolerance=1e-3)


@in_first
def test_bertopic(minilm_path: Path, expected: dict[str, Any]) -> None:
    found, wanted = output(FIRST, "bertopic_topics", minilm_path), expected["bertopic_topics"]
    for topic, words in wanted.pop("words").items():  # of equally good words another may come last
        assert len(set(words) & set(found["words"][topic])) >= 4
    del found["words"]
    assert_near(found, wanted)


@in_first
def test_setfit(minilm_path: Path, expected: dict[str, Any]) -> None:
    found, wanted = output(FIRST, "setfit_train", minilm_path), expected["setfit_train"]
    assert found["accuracy"] == wanted["accuracy"] == 1.0
    assert found["same after loading"]
    assert found["moved"] > 0.01
    assert found["spread before"] == pytest.approx(wanted["spread before"], abs=NEAR)
    # Another order of the pairs gives another training; both pull the classes apart by about as much.
    gain = wanted["spread after"] - wanted["spread before"]
    assert found["spread after"] - found["spread before"] == pytest.approx(gain, rel=0.5)


@in_first
def test_langchain(minilm_path: Path, expected: dict[str, Any]) -> None:
    assert_near(output(FIRST, "langchain_embed", minilm_path), expected["langchain_embed"])


@in_first
def test_llama_index(minilm_path: Path, expected: dict[str, Any]) -> None:
    assert_near(output(FIRST, "llamaindex_embed", minilm_path), expected["llamaindex_embed"])


@in_first
def test_chroma(minilm_path: Path, expected: dict[str, Any]) -> None:
    assert_near(output(FIRST, "chroma_query", minilm_path), expected["chroma_query"], tolerance=2 * NEAR)


@in_first
def test_haystack(minilm_path: Path, expected: dict[str, Any]) -> None:
    found, wanted = output(FIRST, "haystack_pipeline", minilm_path), expected["haystack_pipeline"]
    flipped = sum(
        bin(one ^ two).count("1") for one, two in zip(found.pop("bits"), wanted.pop("bits"), strict=True)
    )
    assert flipped <= 3  # of 96 signs: numbers near zero
    assert_near(found, wanted)


@pytest.fixture(scope="module")
def scorer_path(shared_dir: Path) -> Path:
    """Folder of a cross-encoder that was trained on pairs of similar sentences."""
    return shared_dir / "models" / "cross-encoder-stsb"


# Of each script, how far its numbers may be from those of sentence-transformers. Those that compute in float32 give
# the same (what is left is the order of sums, and rounding in what they print); others compute in the default type.
SECOND_CLIENTS = {
    "beir_retrieve": 2e-5,
    "chonkie_chunk": NEAR,
    "infinity_rerank": 1e-5,
    "lancedb_search": 2 * NEAR,
    "mteb_evaluate": 1e-5,
    "polyfuzz_match": NEAR,
    "pylate_import": 0,
    "pymilvus_model": NEAR,
    "rerankers_rank": 1e-5,
    "skrub_encode": NEAR,
    "txtai_index": NEAR,
}


@in_second
@pytest.mark.parametrize(("script", "tolerance"), SECOND_CLIENTS.items(), ids=list(SECOND_CLIENTS))
def test_more_clients(
    script: str, tolerance: float, minilm_path: Path, scorer_path: Path, expected: dict[str, Any]
) -> None:
    assert_near(output(SECOND, script, minilm_path, scorer_path), expected[script], tolerance)


@in_second
def test_embetter(minilm_path: Path, expected: dict[str, Any]) -> None:
    found, wanted = output(SECOND, "embetter_pipeline", minilm_path), expected["embetter_pipeline"]
    # What dropout is left is drawn otherwise; both trainings pull the topics apart by about as much.
    gain = wanted.pop("gap after") - wanted["gap before"]
    assert gain > 0.05
    assert found.pop("gap after") - found["gap before"] == pytest.approx(gain, rel=0.5)
    assert_near(found, wanted)
