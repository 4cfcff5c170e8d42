"""schemathesis, in an environment of its own, finds nothing in what /openapi.json promises."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

import liveserver as live

SCHEMATHESIS = Path(__file__).resolve().parents[2] / ".bench" / "server-fuzz" / "bin" / "schemathesis"


@pytest.mark.slow
@pytest.mark.skipif(not SCHEMATHESIS.exists(), reason="make server-clients sets up schemathesis")
def test_openapi_is_what_the_server_does(tiny_folder: Path, scorer_folder: Path, tmp_path: Path) -> None:
    with live.live(**live.everything(tmp_path, tiny_folder, scorer_folder, "key")) as server:
        command = [
            str(SCHEMATHESIS),
            "run",
            f"{server.url}/openapi.json",
            "--header=x-api-key: key",
            "--phases=examples,coverage,fuzzing",
            "--max-examples=10",
            "--generation-deterministic",
            # Which prompts a model has, or what goes with which mode, no schema says: a body may fit and be refused.
            "--exclude-checks=positive_data_acceptance",
            "--no-color",
        ]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stdout[-5000:]
        assert server.service.state == "ready"
