"""Files that are written whole or not at all, and where they may be."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vicinal.errors import InputError

# The first bytes of every SQLite file that holds something.
SQLITE_START = b"SQLite format 3\0"


def check_target(path: str, option: str) -> Path:
    """The file to write, links followed; checked before any work is done.

    Args:
        path: what the caller gave.
        option: the argument or option, for errors.

    Raises:
        InputError: its folder does not exist or is closed to us, or it is a folder or a device, or its name is too
            long.
    """
    target = Path(os.path.realpath(path))
    try:
        target.stat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"{option} {path[:40]}...: this name is too long for the file system") from None
    if target.is_dir():
        raise InputError(f"{option} {path}: this is a folder; give a file in it")
    if target.exists() and not target.is_file():
        raise InputError(f"{option} {path}: this is no regular file")
    if not target.parent.is_dir():
        raise InputError(f"{option} {path}: the folder {target.parent} does not exist")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{option} {path}: no permission to write into {target.parent}")
    return target


def check_folder(path: str | os.PathLike[str] | None, option: str) -> None:
    """Refuse a place where no folder can be made, before any work is done.

    Args:
        path: what the caller gave; None for nothing to write.
        option: the argument or option, for errors.

    Raises:
        InputError: a file is there, or in the place of one of its parents.
    """
    if path is None:
        return
    place = Path(path).absolute()
    found = next(each for each in (place, *place.parents) if each.exists())
    if not found.is_dir():
        raise InputError(
            f"{option}={os.fspath(path)!r}: {found} is a file: give a folder, or a place for a new one"
        )


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A scratch file beside ``target`` that takes its place at the end; an error or Ctrl-C removes it."""
    scratch = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    try:
        yield scratch
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)
