"""A script that imports sentence_transformers, run on Vicinal, unchanged."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from vicinal.cli.console import one_line, tell, write

_USAGE = """\
usage: vicinal run [--keep-real]
           SCRIPT [ARGUMENT]...

Run old code on Vicinal, unchanged.

SCRIPT is a Python file, or
-m and the name of a module. All behind
it is its own.

--keep-real  leave an installed
             sentence-transformers alone
"""


def run_script(arguments: list[str]) -> None:
    """Run a script as ``python`` would: its own arguments, its own errors, its own exit code.

    Args:
        arguments: what stands behind ``vicinal run``.
    """
    from vicinal.compat import install_as_sentence_transformers

    keep_real = "--keep-real" in arguments[:1]
    arguments = arguments[1:] if keep_real else arguments
    if not arguments or arguments[0] in ("-h", "--help") or (arguments[0] == "-m" and len(arguments) == 1):
        if arguments[:1] in (["-h"], ["--help"]):
            write(_USAGE)
            raise SystemExit(0)
        tell(_USAGE)
        raise SystemExit(2)
    if arguments[0] != "-m" and not Path(arguments[0]).is_file():
        tell(f"vicinal run: {one_line(arguments[0])}: no such file\n")
        raise SystemExit(2)
    if install_as_sentence_transformers(replace=not keep_real):
        _tell_children()
    try:
        _execute(arguments)
    except SystemExit:
        raise
    except BaseException as error:
        _show(error)
        raise SystemExit(130 if isinstance(error, KeyboardInterrupt) else 1) from None


def _execute(arguments: list[str]) -> None:
    if arguments[0] == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return
    sys.argv = arguments
    sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
    runpy.run_path(arguments[0], run_name="__main__")


def _show(error: BaseException) -> None:
    """The script's traceback begins in the script: what ran it is left out."""
    frames = error.__traceback__
    ours = {__file__, runpy.run_path.__code__.co_filename}
    while frames is not None and frames.tb_frame.f_code.co_filename in ours:
        frames = frames.tb_next
    sys.excepthook(type(error), error.with_traceback(frames), frames)


def _tell_children() -> None:
    """Processes that the script starts import anew; a file on their path does there what was done here.

    Commands find it by the environment; multiprocessing hands on this process's own path.
    """
    shim = str(Path(__file__).resolve().parents[1] / "compat" / "shim")
    if shim not in sys.path:
        sys.path.insert(0, shim)
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if shim not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([shim, *filter(None, paths)])
