"""Encoding many texts takes little more memory than the result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tinyfolder import ROOT


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="VmHWM is read from /proc")
def test_peak() -> None:
    command = [sys.executable, ROOT / "benchmarks/memory.py", "--texts", "200000", "--dim", "128"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=170, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["result_MiB"] == round(200_000 * 128 * 4 / 2**20)
    assert facts["peak_MiB"] < 1.6 * facts["result_MiB"] + 1024
    # At this size the allowance above hides everything, so the growth is held to a tighter bound.
    assert facts["peak_MiB"] - facts["before_MiB"] < 2 * facts["result_MiB"] + 200
