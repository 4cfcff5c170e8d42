"""Files of evaluation data: tables with named columns, samples in jsonl, BEIR folders."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vicinal.errors import InputError
from vicinal.readers.texts import read_texts

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
_SPLITS = ("test", "dev", "validation", "val", "train")
# The distributed STS Benchmark has no headings: score, then the sentences, in columns 5 to 7.
_STSB = {"score": 5, "sentence1": 6, "sentence2": 7}

# Column -> names that are understood for it.
NAMES: Mapping[str, tuple[str, ...]] = {
    "sentence1": (
        "sentence1",
        "sentence_1",
        "sentence_a",
        "sentencea",
        "text1",
        "text_1",
        "premise",
        "question1",
    ),
    "sentence2": (
        "sentence2",
        "sentence_2",
        "sentence_b",
        "sentenceb",
        "text2",
        "text_2",
        "hypothesis",
        "question2",
    ),
    "score": ("score", "similarity_score", "relatedness_score", "similarity", "label", "labels"),
    "label": ("label", "labels", "is_duplicate", "score"),
    "anchor": ("anchor", "query", "sentence", "sent0"),
    "positive": ("positive", "pos", "sent1"),
    "negative": ("negative", "neg", "hard_neg"),
}


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


def read_columns(
    path: str | os.PathLike[str], wanted: Sequence[str], given: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """Columns of a csv, tsv or jsonl file, by what they mean.

    Args:
        path: the file.
        wanted: keys of :data:`NAMES`.
        given: names or (from 1) numbers of the columns in the file, in the order of ``wanted``. None finds
            them by name, and in a file without headings by place: the first ones, or those of the STS
            Benchmark.

    Returns:
        Wanted column -> its cells, all of one length.

    Raises:
        InputError: the file cannot be read, or a column cannot be found.
    """
    file = Path(path)
    if file.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{file} is of an unknown kind: use csv, tsv or jsonl")
    if given is not None and len(given) != len(wanted):
        raise InputError(f"{len(given)} columns are named, but {len(wanted)} needed: {', '.join(wanted)}")
    if file.suffix.lower() not in (".csv", ".tsv"):
        return _fields(file, wanted, given)
    names = _columns_of(file, wanted) if given is None else list(given)
    if file.suffix.lower() == ".tsv" and all(name.isdecimal() for name in names):
        return _plain_cells(file, wanted, [int(name) for name in names])
    return {
        each: [line.text for line in read_texts(file, name)] for each, name in zip(wanted, names, strict=True)
    }


def numbers(cells: Sequence[Any], path: str | os.PathLike[str], column: str) -> list[float]:
    """Cells as numbers.

    Raises:
        InputError: one is none; its row is named.
    """
    found = []
    for row, cell in enumerate(cells, start=1):
        try:
            found.append(float(cell))
        except (TypeError, ValueError):
            raise InputError(
                f"{path}, row {row}: the {column} is {str(cell)[:40]!r}, not a number; if another column "
                "holds it, name the columns"
            ) from None
    return found


def read_samples(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The objects of a jsonl file, for the reranking evaluators.

    Raises:
        InputError: the file cannot be read, or a line is no object.
    """
    return [row for _, row in _objects(Path(path))]


def read_beir(folder: str | os.PathLike[str], split: str | None = None) -> Retrieval:
    """A folder with ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/{split}.tsv``.

    Args:
        folder: the folder.
        split: which judgements; None takes ``test``, or what there is.

    Raises:
        InputError: a file is missing or a line of it cannot be read.

    Reference: Thakur et al., BEIR, 2021.
    """
    from vicinal.readers.records import Fields, Source, read_source

    root = Path(folder)
    found: list[dict[str, str]] = []
    for name in ("queries.jsonl", "corpus.jsonl"):
        file = root / name
        if not file.is_file():
            raise InputError(
                f"{root} has no {name}: a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/"
            )
        texts: dict[str, str] = {}
        for record in read_source(Source(file, name, file.stat().st_size), Fields()):
            if isinstance(record, InputError):
                raise record
            texts[record.id] = record.text
        found.append(texts)
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
    for number, line in _numbered_lines(file):
        cells = line.split("\t") if "\t" in line else line.split()
        if len(cells) == 4:  # TREC's have an unused second column
            cells = [cells[0], *cells[2:]]
        try:
            query, document, grade = cells
            relevant.setdefault(query, {})[document] = float(grade)
        except ValueError:
            if number > 1:  # the first line may hold headings
                raise InputError(
                    f"{file}, line {number}: {line[:60]!r} is not query id, document id, grade with tabs between"
                ) from None
    return relevant


def _objects(file: Path) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    for number, line in _numbered_lines(file):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(
                f"{file}, line {number}: not JSON ({error}): every line must be one object"
            ) from error
        if not isinstance(row, dict):
            raise InputError(f"{file}, line {number}: a line must be an object")
        rows.append((number, row))
    return rows


def _numbered_lines(file: Path) -> list[tuple[int, str]]:
    """The lines that are not blank."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 at byte {error.start}: convert it, e.g. with iconv") from error
    except OSError as error:
        raise InputError(f"{file} cannot be opened: {error.strerror}") from error
    # Not splitlines(), which also ends a line at characters that stand inside of texts.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    found = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not found:
        raise InputError(f"{file} is empty: there is nothing to evaluate")
    return found


def _fields(file: Path, wanted: Sequence[str], given: Sequence[str] | None) -> dict[str, list[str]]:
    rows = _objects(file)
    names = _by_name(list(rows[0][1]), wanted) if given is None else list(given)
    if names is None:
        raise _not_found(file, list(rows[0][1]), wanted)
    for number, row in rows:
        for name in names:
            if name not in row:
                raise InputError(f"{file}, line {number}: there is no field {name!r}")
    return {each: [row[name] for _, row in rows] for each, name in zip(wanted, names, strict=True)}


def _plain_cells(file: Path, wanted: Sequence[str], columns: Sequence[int]) -> dict[str, list[str]]:
    """Columns by number of a tsv without headings, whose quotes belong to the texts, as in the STS Benchmark."""
    found: dict[str, list[str]] = {each: [] for each in wanted}
    for number, line in _numbered_lines(file):
        cells = line.split("\t")
        if len(cells) < max(columns) or min(columns) < 1:
            raise InputError(
                f"{file}, line {number}: there are columns 1 to {len(cells)}, not all of {columns}"
            )
        for each, column in zip(wanted, columns, strict=True):
            found[each].append(cells[column - 1])
    return found


def _columns_of(file: Path, wanted: Sequence[str]) -> list[str]:
    """Names of the wanted columns by the headings, or their numbers in a table without."""
    try:
        with file.open(encoding="utf-8-sig") as stream:
            first = stream.readline().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 at byte {error.start}: convert it, e.g. with iconv") from error
    except OSError as error:
        raise InputError(f"{file} cannot be opened: {error.strerror}") from error
    if not first.strip():
        raise InputError(f"{file} is empty, or its first line is: there is nothing to read columns from")
    separator = "\t" if file.suffix.lower() == ".tsv" else ";" if ";" in first and "," not in first else ","
    cells = [cell.strip('"') for cell in first.split(separator)]
    named = _by_name(cells, wanted)
    if named is not None:
        return named
    stsb = len(cells) >= max(_STSB.values()) and _is_number(cells[_STSB["score"] - 1])
    if stsb and "score" in wanted:
        return [str(_STSB[each]) for each in wanted]
    # Without headings the first columns are the wanted ones; a number in the first line tells it is no heading.
    last = wanted[-1]
    if len(cells) == len(wanted) and (last not in ("score", "label") or _is_number(cells[-1])):
        return [str(number) for number in range(1, len(wanted) + 1)]
    raise _not_found(file, cells, wanted)


def _by_name(there: Sequence[str], wanted: Sequence[str]) -> list[str] | None:
    lower = {name.lower(): name for name in there}
    found = [next((lower[name] for name in NAMES[each] if name in lower), None) for each in wanted]
    names = [name for name in found if name is not None]
    return names if len(names) == len(wanted) else None


def _not_found(file: Path, there: Sequence[str], wanted: Sequence[str]) -> InputError:
    shown = ", ".join(repr(name[:30]) for name in there[:12])
    return InputError(
        f"{file}: which columns are {', '.join(wanted)}? The first line has {shown}. Name the columns in this "
        f"order, or give their numbers"
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
