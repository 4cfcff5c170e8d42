"""Writes documents as JSON lines, whole, and refuses places where an export or backup would destroy something."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from vicinal.core.databases import is_database
from vicinal.core.files import check_target, replacing
from vicinal.errors import InputError, InputTypeError, StoreError
from vicinal.index.results import Document


def export_target(path: str | os.PathLike[str], own: Sequence[str]) -> Path:
    """The file to write, links followed.

    Args:
        path: what the caller gave.
        own: the files of the index, links followed.

    Raises:
        InputTypeError: it is not a path.
        InputError: it is a folder or a device, its folder does not exist or is closed to us, a database is there
            (this index, or another one), or the file that is there has a second name.
    """
    shown, target = _checked(path, "texts.jsonl")
    if str(target) in own or is_database(target):
        raise InputError(
            f"path {shown!r} is a database, and exporting would put JSON lines in its place: "
            "give another path, such as 'texts.jsonl'"
        )
    _refuse_second_name(shown, target)
    return target


def backup_target(path: str | os.PathLike[str], own: Sequence[str], overwrite: bool) -> Path:
    """The file to write a backup to, links followed.

    Args:
        path: what the caller gave.
        own: the files of the index, links followed.
        overwrite: whether another database, or an empty file, may be there.

    Raises:
        InputTypeError: it is not a path.
        InputError: a file is there that must not be overwritten, or none can be made.
    """
    shown, target = _checked(path, "backup.db")
    if str(target) in own or any(os.path.exists(file) and _same(target, file) for file in own):
        raise InputError(f"path {shown!r} is the index itself: give another path, such as 'backup.db'")
    if target.exists():
        if not overwrite:
            raise InputError(f"path {shown!r} exists: give another path, or overwrite=True to replace it")
        if target.stat().st_size and not is_database(target):
            raise InputError(f"path {shown!r} is no database, and stays as it is: give another path")
        _refuse_second_name(shown, target)
    return target


def _checked(path: str | os.PathLike[str], example: str) -> tuple[str, Path]:
    if not isinstance(path, (str, os.PathLike)):
        raise InputTypeError(f"path must be a path, got {type(path).__name__}")
    shown = os.fspath(path)
    if not isinstance(shown, str):
        raise InputTypeError(f"path must be a path of str, got {type(shown).__name__}")
    if not shown or "\0" in shown:
        raise InputError(f"path {shown!r} names no file: give for example {example!r}")
    return shown, check_target(shown, "path", database=True)


def _same(target: Path, file: str) -> bool:
    return target.exists() and os.path.samefile(target, file)


def _refuse_second_name(shown: str, target: Path) -> None:
    names = target.stat().st_nlink if target.exists() else 1
    if names > 1:
        raise InputError(
            f"path {shown!r} has {names} names (hard links), and the others would keep the old content: "
            "give another path, or delete it first"
        )


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
