"""Clients that no one here wrote, on a real ``vicinal serve``, get the vectors and scores of encode and predict.

``make server-clients`` makes their environment, .bench/server-clients, which has neither torch nor Vicinal. Each
script in clients/ is told where the server is and what to expect.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicinal import CrossEncoder, SentenceTransformer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CLIENTS = ROOT / ".bench" / "server-clients" / "bin" / "python"

in_clients = pytest.mark.skipif(
    not CLIENTS.exists(), reason="no .bench/server-clients: make server-clients makes it"
)

KEY = "a-key-of-this-test"
TEXTS = [
    "A cat sleeps on the warm mat.",
    "Vectors of sentences are compared by their cosine.",
    "Größe, naïveté, 你好 and 🙂 are words too.",
    "A cat sleeps on the warm mat.",
    "Prices rose by three percent in May.",
]
LONG = "a long text goes on and on " * 200
QUERY = "A man is playing a guitar."
DOCUMENTS = [
    "Somebody plays music.",
    "A man plays the guitar.",
    "The stock market fell.",
    "A woman is slicing onions.",
]


@contextmanager
def served(*options: str) -> Iterator[str]:
    """A server with these options; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "VICINAL_API_KEY": KEY}
    command = [
        sys.executable,
        "-m",
        "vicinal",
        "serve",
        "--port",
        str(port),
        "--cache",
        "off",
        "--dtype",
        "float32",
    ]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+") as told:  # a pipe that nobody reads would fill and stop the server
        server = subprocess.Popen([*command, *options], env=environment, stderr=told)
        try:
            while True:
                try:
                    with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:
                        assert answer.status == 200
                        break
                except OSError:  # not listening yet, or 503 while it loads
                    if server.poll() is not None:
                        told.seek(0)
                        pytest.fail(told.read())
                    time.sleep(0.1)
            yield url
        finally:
            server.terminate()
            server.wait()


@pytest.fixture(scope="module")
def ranker_path(shared_dir: Path) -> Path:
    """Folder of a cross-encoder that was trained on pairs of similar sentences."""
    return shared_dir / "models" / "cross-encoder-stsb"


@pytest.fixture(scope="module")
def url(minilm_path: Path, ranker_path: Path, labels_folder: Path) -> Iterator[str]:
    """A server of three models."""
    with served(
        "--model", str(minilm_path), "--reranker", str(ranker_path), "--reranker", str(labels_folder)
    ) as at:
        yield at


@pytest.fixture(scope="module")
def facts(minilm_path: Path, ranker_path: Path, labels_folder: Path) -> dict[str, Any]:
    """What the models give in this process."""
    model = SentenceTransformer(minilm_path, dtype="float32")
    scores = CrossEncoder(ranker_path, dtype="float32").predict([(QUERY, each) for each in DOCUMENTS])
    assert len(set(np.round(scores, 3))) == len(DOCUMENTS)  # no ties
    return {
        "key": KEY,
        "model": minilm_path.name,
        "reranker": ranker_path.name,
        "classifier": labels_folder.name,
        "texts": TEXTS,
        "vectors": model.encode(TEXTS, normalize_embeddings=True).tolist(),
        "tokens": model.count_tokens(TEXTS),
        "long": LONG,
        "query": QUERY,
        "documents": DOCUMENTS,
        "scores": scores.tolist(),
        "labels": ["good", "bad", "neither"],
        "shares": shares(labels_folder, TEXTS[0]),
    }


def shares(folder: Path, text: str) -> list[float]:
    """What a classifier gives for a text, by torch."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    network = transformers.BertForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = network(
            **transformers.AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
        ).logits
    found: list[float] = logits[0].softmax(0).tolist()
    return found


def run(script: str, url: str, facts: dict[str, Any], tmp_path: Path) -> None:
    """Run a client's script, which asserts."""
    told = tmp_path / "facts.json"
    told.write_text(json.dumps(facts), encoding="utf-8")
    assert output(tmp_path, HERE / "clients" / f"{script}.py", url, told)[-1] == "ok"


def output(tmp_path: Path, *command: Any) -> list[str]:
    """The lines that a script prints in the clients' environment."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # No settings of this machine, and no telemetry. (Offline, Hugging Face's client would not even ask this server.)
    environment |= {
        "HF_HUB_OFFLINE": "1",
        "LANGCHAIN_TRACING_V2": "false",
        "NO_PROXY": "127.0.0.1",
        "HOME": str(tmp_path),
    }
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "CO_API_KEY",
        "CO_API_URL",
        "OLLAMA_HOST",
        "HF_TOKEN",
        "HF_HUB_OFFLINE",
    ):
        environment.pop(name, None)
    done = subprocess.run(
        [CLIENTS, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


@pytest.mark.slow
@in_clients
@pytest.mark.parametrize(
    "script",
    [
        "openai_embed",
        "cohere_v1",
        "cohere_v2",
        "ollama_embed",
        "langchain_embed",
        "llamaindex_embed",
        "huggingface_infer",
    ],
)
def test_a_client(script: str, url: str, facts: dict[str, Any], tmp_path: Path) -> None:
    run(script, url, facts, tmp_path)


BLOCKS = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "server-dialects.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.slow
@in_clients
@pytest.mark.parametrize("block", BLOCKS, ids=[re.findall(r"import (\w+)", block)[0] for block in BLOCKS])
def test_the_documentation(block: str, url: str, facts: dict[str, Any], tmp_path: Path) -> None:
    """What the comments say is what is printed."""
    for said, here in {
        "http://127.0.0.1:8080": url,
        "a-key": KEY,
        "all-MiniLM-L6-v2": facts["model"],
        "ms-marco-MiniLM-L6-v2": facts["reranker"],
    }.items():
        block = block.replace(said, here)
    script = tmp_path / "block.py"
    script.write_text(block, encoding="utf-8")
    assert output(tmp_path, script) == re.findall(r"print\(.*\)  # (.*)", block)


@pytest.mark.slow
@in_clients
def test_openai_is_told_when_there_is_too_much(
    minilm_path: Path, facts: dict[str, Any], tmp_path: Path
) -> None:
    with served("--model", str(minilm_path), "--max-waiting-tokens", "1000") as url:
        run("openai_overload", url, facts, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_curl(url: str, facts: dict[str, Any]) -> None:
    def ask(path: str, body: Any, key: str = KEY) -> Any:
        done = subprocess.run(
            ["curl", "-sS", f"{url}{path}", "-H", f"Authorization: Bearer {key}", "-d", json.dumps(body)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return json.loads(done.stdout)

    vectors = np.array(facts["vectors"])
    found = ask("/v1/embeddings", {"input": TEXTS, "model": facts["model"]})
    np.testing.assert_allclose([each["embedding"] for each in found["data"]], vectors, atol=1e-3)
    np.testing.assert_allclose(ask("/embed", {"inputs": TEXTS}), vectors, atol=1e-3)
    np.testing.assert_allclose(
        ask("/api/embed", {"model": facts["model"], "input": TEXTS})["embeddings"], vectors, atol=1e-3
    )
    order = np.argsort(-np.array(facts["scores"])).tolist()
    for path in ("/v1/rerank", "/v2/rerank", "/rerank"):
        found = ask(path, {"query": QUERY, "documents": DOCUMENTS})["results"]
        assert [each["index"] for each in found] == order
    assert [each["index"] for each in ask("/rerank", {"query": QUERY, "texts": DOCUMENTS})] == order
    assert "key" in ask("/v1/embeddings", {"input": "a"}, key="wrong")["error"]["message"]
