"""Writes documents as JSON lines: whole, and never over something that is not such a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from vicinal.core.files import SQLITE_START, check_target, replacing
from vicinal.errors import InputError, InputTypeError, StoreError
from vicinal.index.results import Document


def export_target(path: str | os.PathLike[str], own: Sequence[str]) -> Path:
    """The file to write, links followed.

    Args:
        path: what the caller gave.
        own: the files of the index, links followed.

    Raises:
        InputTypeError: it is not a path.
        InputError: it is a folder or a device, its folder does not exist or is closed to us, or a database is
            there: this index, or another one.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputTypeError(f"path must be a path, got {type(path).__name__}")
    shown = os.fspath(path)
    if not shown or "\0" in shown:
        raise InputError(f"path {shown!r} names no file: give for example 'texts.jsonl'")
    target = check_target(shown, "path")
    if str(target) in own or _is_database(target):
        raise InputError(
            f"path {shown!r} is a database, and exporting would put JSON lines in its place: "
            "give another path, such as 'texts.jsonl'"
        )
    return target


def write_lines(target: Path, documents: Iterable[Document]) -> int:
    """Write one JSON object per document; the file appears under its name when it is complete.

    Args:
        target: from :func:`export_target`.
        documents: what to write.

    Returns:
        How many were written.

    Raises:
        StoreError: the file cannot be written; one that was there is as it was.
    """
    written = 0
    try:
        with replacing(target) as partial, partial.open("w", encoding="utf-8") as file:
            for one in documents:
                row = {"id": one.id, "text": one.text, "metadata": one.metadata}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                written += 1
    except OSError as error:
        raise StoreError(
            f"export to {str(target)!r}: {error.strerror or error}: "
            "a file that was there is as it was; check space and permissions"
        ) from error
    return written


def _is_database(file: Path) -> bool:
    try:
        with file.open("rb") as head:
            return head.read(len(SQLITE_START)) == SQLITE_START
    except OSError:  # not there, or not readable
        return False
