"""``vicinal backup``, ``verify`` and ``salvage``: keep an index safe, and save what a damaged one still holds."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from vicinal.cli.console import bytes_text, counted, say, write_json, write_rows
from vicinal.cli.options import AsJson, IndexFile
from vicinal.core.files import check_target
from vicinal.errors import InputError

# Problems of a salvage that are named one by one; the others are only counted.
_NAMED_PROBLEMS = 5

Force = Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")]


def backup(
    db: IndexFile,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The copy, a file to be made.", show_default=False)
    ],
    force: Force = False,
) -> None:
    """Copy an index while it is in use.

    The copy is one consistent state and appears when it is whole. To go back to it: vicinal backup FILE DB --force
    """
    from vicinal.cli.index import opened_to_read

    target = check_target(file, "FILE", database=True)
    if target.exists() and not force:
        raise InputError(f"{file} exists; give another path, or --force to replace it")
    with opened_to_read(db) as opened:
        held = opened.count()
        opened.backup(file, overwrite=force)
    say(f"{counted(held, 'text')} of {db} in {file}; {bytes_text(os.path.getsize(file))}")


def verify(db: IndexFile, as_json: AsJson = False) -> None:
    """Read an index and list what is wrong.

    It works on files that are too damaged to be searched, too. The exit code is 1 if anything is wrong.
    """
    from dataclasses import asdict

    from vicinal.index import verify as verify_index

    if not os.path.isfile(db):
        raise InputError(f"{db}: there is no such file")
    report = verify_index(db)
    if as_json:
        write_json({"ok": report.ok, **asdict(report)})
    else:
        write_rows(("problem", problem) for problem in report.problems)
        checked = f"{counted(report.documents, 'document')} and {counted(report.chunks, 'vector')} checked"
        say(f"{checked}; {'nothing is wrong' if report.ok else counted(len(report.problems), 'problem')}")
    if not report.ok:
        raise typer.Exit(1)


def salvage(
    db: IndexFile,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The jsonl file to write.", show_default=False)],
    force: Force = False,
    keep_damaged: Annotated[
        bool, typer.Option("--keep-damaged", help="Also write texts that do not match their hash.")
    ] = False,
) -> None:
    """Save the texts of a damaged index.

    FILE gets one line of JSON for each, with id, text and metadata: vicinal index NEW.db FILE makes an index of them.
    The damaged index is not changed. The exit code is 1 if texts were lost.
    """
    from vicinal.index import salvage as salvage_index

    if not os.path.isfile(db):
        raise InputError(f"{db}: there is no such file")
    target = check_target(file, "FILE", database=True)
    if target.exists() and not force:
        raise InputError(f"{file} exists; give another path, or --force to replace it")
    report = salvage_index(db, file, keep_damaged=keep_damaged)
    for problem in report.problems[:_NAMED_PROBLEMS]:
        say(problem, "note")
    if len(report.problems) > _NAMED_PROBLEMS:
        say(counted(len(report.problems) - _NAMED_PROBLEMS, "more problem"), "note")
    lost = 0 if report.expected is None else max(0, report.expected - report.documents)
    told = f" of {report.expected:,}" if report.expected is not None else ""
    say(
        f"{report.documents:,}{told} texts saved in {file}; `vicinal index NEW.db {file}` makes an index of them"
    )
    if lost or report.left_out:
        raise typer.Exit(1)
