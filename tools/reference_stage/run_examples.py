"""Run examples one after another, each in a process of its own that starts with the libraries loaded.

    python run_examples.py PACKAGE FOLDER < one JSON object a line: {"name": ..., "path": ..., "arguments": [...]}

Writes FOLDER/<name>/{log,status.json} and leaves what the example wrote.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

SECONDS = 150


def main(package: str, folder: Path) -> None:
    """Run what standard input asks for."""
    os.environ["REFERENCE_EXAMPLES_PACKAGE"] = package
    import stage

    stage.set_stage(package)
    for line in sys.stdin:
        job = json.loads(line)
        scratch = folder / job["name"]
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _become(job["path"], job.get("arguments", []), scratch)
        code = _wait(child)
        status = {"code": code, "seconds": round(time.monotonic() - started, 1)}
        (scratch / "status.json").write_text(json.dumps(status))
        print(job["name"], package, status, flush=True)


def _become(path: str, arguments: list[str], scratch: Path) -> None:
    import stage

    os.setsid()
    log = os.open(scratch / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(scratch)
    code: int = 0
    try:
        stage.lay_out_files()
        stage.seed_everything()
        sys.argv = [path, *arguments]
        sys.path.insert(0, str(Path(path).parent))
        runpy.run_path(path, run_name="__main__")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _wait(child: int) -> int | str:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.1)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve())
