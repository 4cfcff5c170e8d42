"""Runs the command as a user types it, and makes what it meets: a cache, a hub."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

HUB_TESTS = Path(__file__).resolve().parent.parent / "hub"
COMMIT = "a" * 40
_ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_KEPT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Done:
    """A command that has ended.

    Attributes:
        code: exit code.
        out: stdout without colours.
        err: stderr without colours.
    """

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]


@dataclass(frozen=True)
class Shell:
    """Runs ``python -m vicinal`` in a folder."""

    folder: Path
    cache: Path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return {
            **kept,
            "HOME": str(self.folder),
            "HF_HUB_CACHE": str(self.cache),
            "HF_HUB_OFFLINE": "1",
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "100",
            **more,
        }

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "vicinal", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=self.environment(**more),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whatever it is here
        )

    def __call__(self, *arguments: str | Path, stdin: bytes = b"", **more: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "vicinal", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=self.folder,
            env=self.environment(**more),
            timeout=60,
            check=False,
        )
        out, err = (_ANSI.sub("", raw.decode("utf-8")) for raw in (done.stdout, done.stderr))
        return Done(done.returncode, out, err)

    def quick(self, *arguments: str | Path) -> Done:
        """In this process, which saves the start of another; for what ends early."""
        from typer.testing import CliRunner

        from vicinal.cli.app import app

        before = os.getcwd()
        os.chdir(self.folder)
        try:
            done = CliRunner().invoke(
                app, [*map(str, arguments)], env=dict(self.environment()), prog_name="vicinal"
            )
        finally:
            os.chdir(before)
        return Done(done.exit_code, done.stdout, done.stderr)

    def pretty(self, *arguments: str | Path, columns: int = 60) -> Done:
        """As in a terminal of 60 columns."""
        return self(*arguments, FORCE_COLOR="1", COLUMNS=str(columns))


def put_into_cache(cache: Path, name: str, source: Path, *, only: str | None = None) -> None:
    """Make a folder a cached model, by links."""
    folder = cache / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / COMMIT
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    for file in source.rglob("*"):
        if file.is_file() and only in (None, file.name):
            place = snapshot / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file)


def module_from(name: str) -> ModuleType:
    """A helper module of the hub's tests."""
    spec = importlib.util.spec_from_file_location(f"cli_{name}", HUB_TESTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
