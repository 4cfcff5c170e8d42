"""Parquet files of training data; pyarrow comes with the extra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vicinal.errors import InputError, missing_extra


def read_parquet(
    path: str, wanted: Mapping[str, Sequence[str]], given: Sequence[str] | None = None
) -> dict[str, list[Any]]:
    """Columns of a parquet file, as ``vicinal.readers.tables.read_columns`` reads other files.

    Args:
        path: the file.
        wanted: what a column means -> the names that it may have.
        given: the names it has, in the same order; None finds them.

    Raises:
        InputError: the file cannot be read, or a column is not there.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise missing_extra("pyarrow", f"{path}, a parquet file,", "train") from error
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from error
    lower = {name.lower(): name for name in table.column_names}
    found: dict[str, list[Any]] = {}
    for place, each in enumerate(wanted):
        names = tuple(wanted[each]) if given is None else (given[place].lower(),)
        name = next((lower[name] for name in names if name in lower), None)
        if name is None:
            raise InputError(
                f"{path}: no column for {each}; it has {', '.join(map(repr, table.column_names))}"
            )
        found[each] = table[name].to_pylist()
    return found
