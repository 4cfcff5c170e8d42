"""Files that are written whole or not at all, and where they may be."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from vicinal.core.databases import is_database
from vicinal.core.inputs import shown
from vicinal.errors import InputError, InputTypeError

# What SQLite puts beside a database.
_LOGS = ("-wal", "-shm", "-journal")


def check_path(path: str, option: str) -> None:
    """Refuse what no file can be called.

    Raises:
        InputError: a zero character, or half of one (a lone surrogate).
    """
    try:
        named = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        named = False
    if not named:
        raise InputError(f"{option} {path!r}: no file can have this name, which holds what is no character")


def check_target(path: str, option: str, *, database: bool = False) -> Path:
    """The file to write, links followed; checked before any work is done.

    Args:
        path: what the caller gave.
        option: the argument or option, for errors.
        database: whether a database (an index) may be there already.

    Raises:
        InputError: its folder does not exist or is closed to us, or it is a folder or a device, or its name is too
            long, or a database is there.
    """
    check_path(path, option)
    if path == "-":
        raise InputError(f"{option} -: this is written to a file; give its name")
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
    if not database and is_database(target):
        raise InputError(f"{option} {path}: an index or another database is there; give another file")
    return target


def check_apart(files: Sequence[tuple[str, str]]) -> None:
    """Refuse to write a file over one that the same command reads or writes.

    Args:
        files: option and path of each, the ones that are read first; ``-`` is no file.

    Raises:
        InputError: two are the same file, perhaps by links.
    """
    seen: dict[str, str] = {}
    for option, path in files:
        if path == "-":
            continue
        real = os.path.realpath(path)
        with suppress(OSError, ValueError):
            found = os.stat(real)
            real = f"{found.st_dev}:{found.st_ino}"
        if real in seen:
            raise InputError(f"{option} {path}: this is the file of {seen[real]} too; give another one")
        seen[real] = option


def check_folder(path: object, option: str) -> None:
    """Refuse a place where no folder can be made, before any work is done.

    Args:
        path: what the caller gave.
        option: the argument or option, for errors.

    Raises:
        InputError: a file is there, or in the place of one of its parents, or the path is empty.
        InputTypeError: it is no path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputTypeError(f"{option} is {shown(path)}, {type(path).__name__}: give a folder's path")
    if not os.fspath(path):
        raise InputError(f"{option} is empty: give a folder's path, '.' for this one")
    check_path(os.fspath(path), option)
    place = Path(path).absolute()
    found = next(each for each in (place, *place.parents) if each.exists())
    if not found.is_dir():
        raise InputError(
            f"{option}={os.fspath(path)!r}: {found} is a file: give a folder, or a place for a new one"
        )


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A scratch file beside ``target`` that takes its place at the end; an error or Ctrl-C removes it.

    It is there already, empty: write over it. What processes that were killed have left of such files in the
    folder is removed first; a living process holds a lock on its own.
    """
    _remove_leftovers(target.parent)
    scratch, held = _new_scratch(target)
    try:
        yield scratch
        os.replace(scratch, target)
    finally:
        for each in (scratch, *_beside(scratch)):
            each.unlink(missing_ok=True)
        os.close(held)


def share_as_usual(file: Path) -> None:
    """Give a file the permissions of any new one: what others may write into it is for their user alone."""
    probe = file.with_name(f".vicinal-{secrets.token_hex(8)}.part")
    held = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        file.chmod(stat.S_IMODE(os.fstat(held).st_mode))
    finally:
        os.close(held)
        probe.unlink()


_SCRATCH = re.compile(r"\.vicinal-[0-9a-f]{16}\.part.*")
# Without locks only files of this age are taken for left behind.
_OLD_SECONDS = 7 * 24 * 3600


def _new_scratch(target: Path) -> tuple[Path, int]:
    """A new file beside the target and a descriptor of it, which holds its lock."""
    while True:
        scratch = target.with_name(f".vicinal-{secrets.token_hex(8)}.part{target.suffix}")
        held = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        _lock(held)
        if os.fstat(held).st_nlink:
            return scratch, held
        os.close(held)  # another process took it for left behind before it was locked


def _remove_leftovers(folder: Path) -> None:
    """Remove scratch files whose writers are dead, and the logs of such that were databases."""
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if _SCRATCH.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_if_dead(Path(entry.path))


def _remove_if_dead(scratch: Path) -> None:
    database = next(
        (Path(str(scratch).removesuffix(end)) for end in _LOGS if str(scratch).endswith(end)), None
    )
    if database is not None:
        if not database.exists():
            scratch.unlink(missing_ok=True)
        return
    held = os.open(scratch, os.O_RDWR)
    try:
        if _lock(held):
            for each in (*_beside(scratch), scratch):
                each.unlink(missing_ok=True)
    finally:
        os.close(held)


def _beside(scratch: Path) -> list[Path]:
    return [Path(str(scratch) + end) for end in _LOGS]


def _lock(held: int) -> bool:
    """Lock a file until it is closed or the process ends; gives whether nobody else had done so."""
    try:
        import fcntl
    except ImportError:  # Windows
        return time.time() - os.fstat(held).st_mtime > _OLD_SECONDS
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return time.time() - os.fstat(held).st_mtime > _OLD_SECONDS
    return True
