"""Parquet files of training data; pyarrow comes with the extra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vicinal.errors import InputError, missing_extra
from vicinal.readers.columns import by_name
from vicinal.readers.tables import no_field


def column_names(path: str) -> list[str]:
    """The names of a file's columns.

    Raises:
        InputError: the file cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    return list(_opened(path).column_names)


def read_parquet(
    path: str, wanted: Sequence[str], given: Sequence[str] | None = None
) -> dict[str, list[Any]]:
    """Columns of a parquet file, as ``vicinal.readers.columns.read_columns`` reads other files.

    Args:
        path: the file.
        wanted: keys of ``vicinal.readers.columns.NAMES``.
        given: names of the columns in the file, whatever their case, in the order of ``wanted``; None finds them.

    Raises:
        InputError: the file cannot be read, or a column is not there.
        MissingExtraError: pyarrow is not installed.
    """
    table = _opened(path)
    there = list(table.column_names)
    lower = {name.lower(): name for name in there}
    names = by_name(there, wanted) if given is None else [lower.get(name.lower(), name) for name in given]
    if names is None:
        raise InputError(f"{path}: no columns for {', '.join(wanted)}; it has {', '.join(map(repr, there))}")
    for name in names:
        if name not in there:
            raise no_field(path, name, there)
    return {each: table[name].to_pylist() for each, name in zip(wanted, names, strict=True)}


def _opened(path: str) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise missing_extra("pyarrow", f"{path}, a parquet file,", "train") from error
    try:
        return pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from error
