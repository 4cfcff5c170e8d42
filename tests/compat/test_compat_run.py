"""``vicinal run``: as ``python`` would run the script, but for what sentence_transformers means."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vicinal.compat.paths import VERSION


def run(*arguments: str, cwd: Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """``vicinal run`` with these arguments."""
    return subprocess.run(
        [sys.executable, "-m", "vicinal", "run", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def write(folder: Path, text: str, name: str = "script.py") -> str:
    """A script in the folder; its name."""
    (folder / name).write_text(text)
    return name


def test_arguments_name_and_file_are_the_scripts_own(tmp_path: Path) -> None:
    script = write(tmp_path, "import sys; print(sys.argv, __name__, __file__)")
    done = run(script, "--help", "-m", "x y", "--", "--debug", cwd=tmp_path)
    assert done.stdout.strip() == f"{[script, '--help', '-m', 'x y', '--', '--debug']} __main__ {script}"


def test_imports_from_beside_the_script(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    write(folder, "VALUE = 'beside'", "helper.py")
    write(folder, "from helper import VALUE; print(VALUE)")
    assert run("deep/script.py", cwd=tmp_path).stdout == "beside\n"


def test_the_name_means_vicinal(tmp_path: Path) -> None:
    script = write(
        tmp_path,
        "from sentence_transformers import SentenceTransformer, util\n"
        "import vicinal\n"
        "print(issubclass(SentenceTransformer, vicinal.SentenceTransformer))\n"
        "print(util.community_detection is vicinal.util.community_detection)",
    )
    assert run(script, cwd=tmp_path).stdout == "True\nTrue\n"


@pytest.mark.parametrize(
    ("code", "wanted"), [("raise SystemExit(7)", 7), ("import sys; sys.exit()", 0), ("", 0), ("1 / 0", 1)]
)
def test_exit_codes(tmp_path: Path, code: str, wanted: int) -> None:
    assert run(write(tmp_path, code), cwd=tmp_path).returncode == wanted


def test_an_exit_with_a_message_prints_it(tmp_path: Path) -> None:
    done = run(write(tmp_path, "raise SystemExit('no more')"), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "no more\n")


def test_a_traceback_is_as_python_prints_it(tmp_path: Path) -> None:
    script = write(tmp_path, "def f():\n    raise ValueError('mine')\n\nf()\n")
    ours = run(script, cwd=tmp_path).stderr
    plain = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ours.replace(str(tmp_path) + os.sep, "") == plain.stderr.replace(str(tmp_path) + os.sep, "")


def test_a_syntax_error(tmp_path: Path) -> None:
    done = run(write(tmp_path, "x = = 1"), cwd=tmp_path)
    assert done.returncode == 1
    assert "SyntaxError" in done.stderr and "runpy" not in done.stderr and "Traceback" not in done.stderr


def test_a_module(tmp_path: Path) -> None:
    package = tmp_path / "tool"
    package.mkdir()
    write(package, "", "__init__.py")
    write(
        package, "import sys, sentence_transformers as s; print(s.__version__, sys.argv[1:])", "__main__.py"
    )
    assert run("-m", "tool", "a", "-b", cwd=tmp_path).stdout == "6.2.0 ['a', '-b']\n"


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    done = run("-m", "nothing_of_this_name", cwd=tmp_path)
    assert done.returncode == 1
    assert "No module named nothing_of_this_name" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["-m"], ["--keep-real"]])
def test_no_script(tmp_path: Path, arguments: list[str]) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: vicinal run")


def test_help(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: vicinal run")


@pytest.mark.parametrize("name", ["missing.py", "."])
def test_a_script_that_is_no_file(tmp_path: Path, name: str) -> None:
    done = run(name, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"vicinal run: {name}: no such file\n"


def test_the_real_package_gives_way_or_is_kept(tmp_path: Path) -> None:
    write(tmp_path, "__version__ = 'real'", "sentence_transformers.py")
    script = write(tmp_path, "import sentence_transformers as s; print(s.__version__)")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for options, wanted in (([], "6.2.0"), (["--keep-real"], "real")):
        command = [sys.executable, "-m", "vicinal", "run", *options, script]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout.strip() == wanted, done.stderr


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
@pytest.mark.skipif(os.name == "nt", reason="no fork there")
def test_children_of_multiprocessing(tmp_path: Path, method: str) -> None:
    script = write(
        tmp_path,
        f"""
import multiprocessing as mp
from sentence_transformers import InputExample

def work(example):
    import sentence_transformers
    from sentence_transformers.util import SimilarityFunction
    return type(example).__module__, sentence_transformers.__version__, SimilarityFunction.__module__

if __name__ == "__main__":
    with mp.get_context({method!r}).Pool(1) as pool:
        print(pool.map(work, [InputExample(texts=["a"])]))
""",
    )
    done = run(script, cwd=tmp_path)
    assert (
        done.stdout.strip() == "[('vicinal.readers.input_example', '6.2.0', 'vicinal.vectors.similarity')]"
    ), done.stderr


def test_commands_that_the_script_starts(tmp_path: Path) -> None:
    write(
        tmp_path,
        "from importlib.metadata import version\n"
        "print(version('sentence-transformers'))\n"
        "import sentence_transformers.util as util\n"
        "print(util.SimilarityFunction.__module__)",
        "child.py",
    )
    script = write(
        tmp_path, "import subprocess, sys\nsubprocess.run([sys.executable, 'child.py'], check=True)"
    )
    assert run(script, cwd=tmp_path).stdout.split() == [VERSION, "vicinal.vectors.similarity"]


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_an_interrupt(tmp_path: Path) -> None:
    script = write(tmp_path, "import time\nprint('ready', flush=True)\ntime.sleep(600)\n")
    with subprocess.Popen(
        [sys.executable, "-m", "vicinal", "run", script],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whatever it is here
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)  # the script would sleep for longer
    assert process.returncode == 130
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "runpy" not in errors
