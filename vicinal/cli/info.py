"""``vicinal info``: what an index holds, and whether it is whole."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from vicinal.cli.console import (
    bytes_text,
    counted,
    is_terminal,
    one_line,
    plain_table,
    screen,
    write_json,
    write_rows,
)
from vicinal.cli.index import opened_to_read
from vicinal.cli.options import AsJson, IndexFile
from vicinal.errors import StoreError

if TYPE_CHECKING:
    from vicinal.index import IndexInfo, VerifyReport

_FINGERPRINT_SHOWN = 12


def info(
    db: IndexFile,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read everything, and list what is wrong with it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what an index holds.

    With --verify every page, text and vector is checked; the exit code is 1 if anything is wrong.
    """
    with opened_to_read(db) as opened:
        report = opened.verify() if verify else None
        try:
            held: IndexInfo | None = opened.info()
        except StoreError:
            if report is None or report.ok:
                raise
            held = None  # the report says why
    changed = datetime.fromtimestamp(int(os.path.getmtime(db)), timezone.utc).isoformat()
    if as_json:
        shown: dict[str, object] = {} if held is None else {**asdict(held), "changed": changed}
        if report is not None:
            shown["verify"] = {"ok": report.ok, **asdict(report)}
        write_json(shown)
    else:
        _show_info([] if held is None else _facts(held, changed), report)
    if report is not None and not report.ok:
        raise typer.Exit(1)


def _facts(held: IndexInfo, changed: str) -> list[tuple[str, str]]:
    def or_dash(value: object) -> str:
        return "-" if value is None else str(value)

    fingerprint = None if held.fingerprint is None else held.fingerprint[:_FINGERPRINT_SHOWN]
    facts = [
        ("file", held.path),
        ("documents", f"{held.documents:,}"),
        ("chunks", f"{held.chunks:,}"),
        ("dimension", or_dash(held.dimension)),
        ("model", held.model),
        ("fingerprint", or_dash(fingerprint)),
        ("similarity", or_dash(held.similarity)),
        ("storage", held.storage),
        ("longest chunk", "-" if held.chunk_tokens is None else f"{held.chunk_tokens} tokens"),
        ("metadata", ", ".join(held.fields) or "-"),
        ("size", bytes_text(held.file_bytes)),
        ("created", _local(held.created)),
        ("changed", _local(changed)),
    ]
    if held.deleted_chunks:
        facts.insert(3, ("deleted chunks", f"{held.deleted_chunks:,}"))
    return facts


def _local(time: str | None) -> str:
    """A time as the clock on the wall shows it; "-" for none."""
    return "-" if time is None else f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M:%S}"


def _show_info(facts: list[tuple[str, str]], report: VerifyReport | None) -> None:
    if report is not None:
        verdict = "nothing is wrong" if report.ok else counted(len(report.problems), "problem")
        facts = [*facts, ("verify", verdict)]
    problems = [] if report is None else report.problems
    if not is_terminal():
        write_rows([*facts, *(("problem", problem) for problem in problems)])
        return
    from rich.text import Text

    table = plain_table(headings=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in facts:
        bad = name == "verify" and bool(problems)
        table.add_row(name, Text(one_line(value), style="bold red" if bad else ""))
    for problem in problems:
        table.add_row("", Text(one_line(problem)))
    screen().print(table)
