"""schemathesis against /openapi.json of a real server: ``make server-fuzz``.

All its checks but one: ``positive_data_acceptance`` wants all that fits the schema to be accepted, and the schema,
which is the same whatever is served, knows neither prompts nor token ids nor how many dimensions a model has.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import SHARED, find_minilm
from tests.server.test_server_clients import KEY, ROOT, served

SCHEMATHESIS = ROOT / ".bench" / "server-fuzz" / "bin" / "schemathesis"


def main(cases: int, seconds: int) -> int:
    """Run it.

    Args:
        cases: per operation and phase.
        seconds: the whole run at most.

    Returns:
        schemathesis' exit status.
    """
    minilm, ranker = find_minilm(), SHARED / "models" / "cross-encoder-stsb"
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "notes.db"
        notes = Path(folder) / "notes.txt"
        notes.write_text("A cat sat, and a dog ran.\n", encoding="utf-8")
        subprocess.run([sys.executable, "-m", "vicinal", "index", str(index), str(notes)], check=True)
        options = ["--model", "vicinal-mini", "--index", str(index), "--writable"]
        options += ["--model", str(minilm)] if minilm else []
        options += ["--reranker", str(ranker)] if ranker.is_dir() else []
        with served(*options) as url:
            command = [
                str(SCHEMATHESIS),
                *("run", f"{url}/openapi.json", "-H", f"Authorization: Bearer {KEY}", "--no-color"),
                *("--continue-on-failure", "--exclude-checks", "positive_data_acceptance"),
                *("--suppress-health-check", "all", "--request-timeout", "30"),
                *("--max-examples", str(cases), "--max-time", str(seconds)),
            ]
            return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
