"""Write expected.json: what the programs give with the real sentence-transformers.

    python tests/compat/programs/record.py MODEL [NAME ...]

in an environment that has sentence-transformers 6.2.0 and what Vicinal's tests need beside it; MODEL is the folder of
all-MiniLM-L6-v2. Names record these programs alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run the programs one after the other."""
    file = HERE / "expected.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    names = sys.argv[2:] or sorted(path.stem for path in HERE.glob("program_*.py"))
    for name in names:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        done = subprocess.run(
            [sys.executable, str(HERE / f"{name}.py"), sys.argv[1]],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            check=True,
        )
        found[name] = json.loads(done.stdout.splitlines()[-1])
        failed = {step: one for step, one in found[name].items() if "raises" in one}
        print(name, len(found[name]), "steps;", len(failed), "raise")
        for step, one in failed.items():
            print("   ", step, one["raises"][0], one.pop("says"))
    lines = []
    for name in sorted(found):
        rows = ",\n".join(f"  {json.dumps(step)}: {json.dumps(one)}" for step, one in found[name].items())
        lines.append(f" {json.dumps(name)}: {{\n{rows}\n }}")
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
