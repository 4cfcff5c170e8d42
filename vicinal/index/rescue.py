"""Checking and saving files that may be too damaged to be opened as an :class:`vicinal.Index`."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vicinal.errors import InputTypeError
from vicinal.index.export import export_target, write_lines
from vicinal.index.results import VerifyReport
from vicinal.index.stores.salvage import Salvage, verify_file


@dataclass(frozen=True, slots=True)
class SalvageReport:
    """What :func:`salvage` saved.

    Attributes:
        documents: how many documents were written.
        left_out: how many are there and were not written, because they do not match their hash.
        expected: how many the file counts, None if that cannot be read.
        problems: one sentence for each thing that is wrong, the first hundred of them.
    """

    documents: int
    left_out: int
    expected: int | None
    problems: tuple[str, ...] = ()


def verify(path: str | os.PathLike[str]) -> VerifyReport:
    """Read everything in an index file and check it, also in one that :class:`vicinal.Index` refuses to open.

    Args:
        path: the file.

    Returns:
        A report that is true if nothing is wrong. Damage is reported, not raised.

    Raises:
        StoreError: there is no such file.
    """
    return verify_file(_text(path))


def salvage(
    path: str | os.PathLike[str], target: str | os.PathLike[str], *, keep_damaged: bool = False
) -> SalvageReport:
    """Write every document of a damaged index that can be read as JSON lines, ``{"id", "text", "metadata"}``.

    ``vicinal index new.db TARGET`` makes an index of them again. The damaged file is not changed.

    Args:
        path: the damaged file.
        target: the file to write; it appears when it is complete. One that is there is replaced, but no database.
        keep_damaged: also write documents whose text, metadata or id do not match their hash.

    Returns:
        What was written, and what is wrong.

    Raises:
        InputError: no such target can be made, or a database is there.
        StoreError: the file is no SQLite file, or holds no table of documents.
    """
    file = _text(path)
    found = Salvage()
    out = export_target(target, [os.path.realpath(file)])
    written = write_lines(out, found.documents(file, keep_damaged))
    return SalvageReport(written, found.left_out, found.expected, tuple(found.problems))


def _text(path: str | os.PathLike[str]) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise InputTypeError(f"path must be a path, got {type(path).__name__}")
    return os.fspath(path)
