"""``vicinal delete``, ``export`` and ``compact``: what is in an index, taken out of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from vicinal.cli.console import bytes_text, counted, id_text, say, write_json
from vicinal.cli.failures import stop_if_interrupted
from vicinal.cli.filters import Filters, read_filters
from vicinal.cli.index import opened_to_read
from vicinal.cli.options import IndexFile
from vicinal.cli.texts import check_argument
from vicinal.errors import InputError

if TYPE_CHECKING:
    from vicinal.index import Document, Index

# Documents that are read at a time, and ids that are named in a message.
_BLOCK = 256
_NAMED = 3


def delete(
    db: IndexFile,
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID",
            help="Ids of documents, as search prints them; - reads them from standard input, one per line.",
            show_default=False,
        ),
    ] = None,
    filter: Filters = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Let an empty filter remove everything.")] = False,
) -> None:
    """Remove documents from an index.

    By their ids or by a filter, in one transaction. `vicinal compact` then gives back the space.
    """
    listed = _ids(ids or [])
    if bool(listed) == bool(filter):
        raise InputError("give either ids of documents or --filter")
    where = read_filters(filter)
    with opened_to_read(db) as index:
        if where == {} and not yes:
            raise InputError(
                f"--filter '{{}}' removes all {counted(index.count(), 'document')} of {db}: say so with --yes"
            )
        if where is not None:
            removed = index.delete(filter=where)
        else:
            found, missing = _as_printed(index, listed)
            removed = index.delete(found)
            if missing:
                more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
                named = ", ".join(f"'{id_text(id)}'" for id in missing[:_NAMED])
                say(f"not in {db}: {named}{more}", "note")
        left = index.count()
    if not removed:
        raise InputError(f"nothing was removed: {db} has no such document")
    say(f"{counted(removed, 'document')} removed, {left:,} left in {db}")


def _as_printed(index: Index, listed: list[str]) -> tuple[list[str], list[str]]:
    """The ids that are meant, also where search printed them with escapes, and those that are not there.

    Raises:
        InputError: two documents' ids are printed in the same way.
    """
    wanted = dict.fromkeys(listed)
    if not any("\\" in id for id in wanted):
        return [id for id in wanted if id in index], [id for id in wanted if id not in index]
    printed: dict[str, list[str]] = {id: [] for id in wanted}
    for id in index.ids():
        shown = id_text(id)
        for name in {shown, id} & printed.keys():
            printed[name].append(id)
    for name, ids in printed.items():
        if len(ids) > 1:
            raise InputError(
                f"{len(ids)} documents have ids that are printed as '{name}': remove them with --filter, or from Python"
            )
    return [id for ids in printed.values() for id in ids], [name for name, ids in printed.items() if not ids]


def _ids(given: list[str]) -> list[str]:
    if "" in given:
        raise InputError("an id is empty: give the ids as search prints them")
    if "-" in given and len(given) > 1:
        raise InputError("give the ids as arguments, or - for those on standard input, not both")
    if given != ["-"]:
        return [check_argument(id, "the id") for id in given]
    if sys.stdin is None:
        raise InputError("standard input is closed: give the ids as arguments")
    try:
        lines = sys.stdin.buffer.read().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is not UTF-8 at byte {error.start:,}") from error
    found = [line.removesuffix("\r") for line in lines]
    if not any(found):
        raise InputError("there is no id on standard input")
    return [id for id in found if id]


def export(
    db: IndexFile,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="The jsonl file to write; - is standard output.", show_default=False
        ),
    ],
) -> None:
    """Write an index as JSON lines.

    Each line is a document with "id", "text" and "metadata". The file appears
    when it is complete; one that is there is replaced.
    """
    with opened_to_read(db) as index:
        if file != "-":
            written = index.export(file)
            say(f"{counted(written, 'document')}, {bytes_text(os.path.getsize(file))} in {file}")
            return
        for document in _every(index):
            row = {"id": document.id, "text": document.text, "metadata": document.metadata}
            write_json(row, indent=None)


def _every(index: Index) -> Iterator[Document]:
    ids = index.ids()
    for at in range(0, len(ids), _BLOCK):
        stop_if_interrupted()
        for document in index.get(ids[at : at + _BLOCK]):
            if document is not None:  # else it was removed meanwhile
                yield document


def compact(db: IndexFile) -> None:
    """Give back the space of removed texts.

    What was replaced counts too. Needs about the size of the file in free space; searches go on meanwhile.
    """
    with opened_to_read(db) as index:
        before = index.info().file_bytes
        index.compact()
    say(f"{db} has {bytes_text(os.path.getsize(db))}; it had {bytes_text(before)}")
