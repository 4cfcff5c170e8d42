"""Old code as it stands: cold start and encode under the name of sentence_transformers, beside the package itself.

    python benchmarks/old_code.py [--rounds 5] [--model FOLDER]

The same file runs on sentence-transformers, under ``vicinal run`` with torch installed and with torch hidden, and
with its import changed to ``vicinal``; in each round they take turns. Each figure is the best of its rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import common

SCRIPT = """
import json, sys, time
from PACKAGE import SentenceTransformer, util
began = time.perf_counter()
model = SentenceTransformer(sys.argv[1])
vectors = model.encode(["The first sentence.", "Another one."])
assert abs(float(util.cos_sim(vectors[0], vectors[0])[0][0]) - 1) < 1e-3
if sys.argv[2] == "encode":
    texts = json.load(open(sys.argv[3]))
    model.encode(texts[:256])
    began = time.perf_counter()
    model.encode(texts, batch_size=32)
    print(json.dumps({"seconds": time.perf_counter() - began, "texts": len(texts)}))
"""
# Run before the script: torch cannot be found.
HIDING = """
import runpy, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
sys.argv = ["vicinal", "run", *sys.argv[1:]]
runpy.run_module("vicinal", run_name="__main__")
"""


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default=None, help="a folder of all-MiniLM-L6-v2")
    parser.add_argument("--peer", default=None, help="a Python that has sentence-transformers")
    arguments = parser.parse_args()
    model = arguments.model or str(common.minilm())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for package in ("sentence_transformers", "vicinal"):
            (folder / f"{package}_script.py").write_text(SCRIPT.replace("PACKAGE", package))
        (folder / "hiding.py").write_text(HIDING)
        lines = (common.SHARED / "data/stsb/dev.tsv").read_text(encoding="utf-8").splitlines()
        texts = list(dict.fromkeys(text for line in lines for text in line.split("\t")[5:7]))
        (folder / "texts.json").write_text(json.dumps(texts))
        old, new = str(folder / "sentence_transformers_script.py"), str(folder / "vicinal_script.py")
        runs = {
            "sentence-transformers": [
                arguments.peer or common.peer_python("st", common.SENTENCE_TRANSFORMERS),
                old,
            ],
            "vicinal run": [sys.executable, "-m", "vicinal", "run", old],
            "vicinal run, no torch": [sys.executable, str(folder / "hiding.py"), old],
            "import changed": [sys.executable, new],
        }
        best: dict[str, dict[str, float]] = {label: {} for label in runs}
        for _ in range(arguments.rounds):
            for label, command in runs.items():
                began = time.perf_counter()
                subprocess.run([*command, model, "start"], check=True, capture_output=True)
                seconds = time.perf_counter() - began
                done = subprocess.run(
                    [*command, model, "encode", str(folder / "texts.json")],
                    check=True,
                    capture_output=True,
                    text=True,
                )
                found = json.loads(done.stdout.splitlines()[-1])
                row = best[label]
                row["start"] = min(seconds, row.get("start", seconds))
                row["rate"] = max(found["texts"] / found["seconds"], row.get("rate", 0.0))
    base = best["sentence-transformers"]
    print(f"{'':24} {'cold start':>18} {'short texts/s':>20}")
    for label, row in best.items():
        print(
            f"{label:24} {row['start']:7.2f} s ({base['start'] / row['start']:4.1f}x)"
            f" {row['rate']:10.0f} ({row['rate'] / base['rate']:4.2f}x)"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
