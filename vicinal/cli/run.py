"""``vicinal run``, among the other commands; :func:`vicinal.cli.main` runs a script without loading these."""

from __future__ import annotations

from typing import Annotated

import typer

from vicinal.cli.script import run_script


def run(
    script: Annotated[str, typer.Argument(help="A Python file, or -m and the name of a module.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="The script's own arguments.")] = None,
    keep_real: Annotated[
        bool, typer.Option("--keep-real", help="Where sentence-transformers is installed, leave it alone.")
    ] = False,
) -> None:
    """Run old code on Vicinal, unchanged.

    ``sentence_transformers`` means Vicinal in the script and in the processes that it starts.
    """
    run_script([*(["--keep-real"] if keep_real else []), script, *(arguments or [])])
