"""The one thing that evaluators write: one line of metrics per call."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path


def append_row(folder: str | os.PathLike[str], name: str, row: Mapping[str, float]) -> Path:
    """Add a line to a CSV file, after a line with the columns' names if the file's last one was another.

    Args:
        folder: made if it is not there.
        name: the file's name in it.
        row: column -> metric.

    Returns:
        The file.
    """
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(row)
    known = path.is_file() and columns in _headers(path)[-1:]
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if not known:
            writer.writerow(columns)
        writer.writerow(list(row.values()))
    return path


def _headers(path: Path) -> list[list[str]]:
    """All lines of names; a file whose columns changed between runs has several."""
    with path.open(newline="", encoding="utf-8") as file:
        return [line for line in csv.reader(file) if line[:1] == ["epoch"]]
