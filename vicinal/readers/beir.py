"""BEIR folders: documents, queries, and judgements of which document answers which query."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from vicinal.errors import InputError
from vicinal.readers.lines import Line, opened
from vicinal.readers.records import Fields, read_source
from vicinal.readers.sources import Source
from vicinal.readers.tables import strict

_SPLITS = ("test", "dev", "validation", "val", "train")


class Retrieval(NamedTuple):
    """A test collection.

    Attributes:
        queries: id -> text.
        corpus: id -> text, ``title + " " + text``.
        relevant: query id -> document id -> grade.
    """

    queries: dict[str, str]
    corpus: dict[str, str]
    relevant: dict[str, dict[str, float]]


def read_beir(folder: str | os.PathLike[str], split: str | None = None) -> Retrieval:
    """A folder with ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/{split}.tsv``.

    Args:
        folder: the folder.
        split: which judgements; None takes ``test``, or what there is.

    Raises:
        InputError: a file is missing or a line of it cannot be read.

    Reference: Thakur et al., BEIR, 2021.
    """
    root = Path(folder)
    found: list[dict[str, str]] = []
    for name in ("queries.jsonl", "corpus.jsonl"):
        file = root / name
        if not file.is_file():
            raise InputError(
                f"{root} has no {name}: a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/"
            )
        records = read_source(Source(file, name, file.stat().st_size), Fields())
        found.append({record.id: record.text for record in strict(records)})
    return Retrieval(found[0], found[1], _judgements(_judged(root, split)))


def _judged(root: Path, split: str | None) -> Path:
    there = {file.stem: file for file in sorted((root / "qrels").glob("*.tsv"))}
    if (root / "qrels.tsv").is_file():
        there.setdefault("qrels", root / "qrels.tsv")
    if not there:
        raise InputError(f"{root} has no qrels/test.tsv: the judgements say which documents answer a query")
    if split is None:
        split = next((each for each in _SPLITS if each in there), next(iter(there)))
    if split not in there:
        raise InputError(f"{root} has no split {split!r}: there are {', '.join(map(repr, there))}")
    return there[split]


def _judgements(file: Path) -> dict[str, dict[str, float]]:
    relevant: dict[str, dict[str, float]] = {}
    with opened(file) as lines:
        for line in lines:
            if line.bare.strip():
                _add_judgement(relevant, line, lines.name)
    if not relevant:
        raise InputError(f"{file} is empty: there is nothing to evaluate")
    return relevant


def _add_judgement(relevant: dict[str, dict[str, float]], line: Line, name: str) -> None:
    cells = line.bare.split("\t") if "\t" in line.bare else line.bare.split()
    if len(cells) == 4:  # TREC's have an unused second column
        cells = [cells[0], *cells[2:]]
    try:
        query, document, grade = cells
        relevant.setdefault(query, {})[document] = float(grade)
    except ValueError:
        if line.number > 1:  # the first line may hold headings
            raise InputError(
                f"{name}, line {line.number}: {line.bare[:60]!r} is not query id, document id, grade with tabs between"
            ) from None
