"""Readers of the field's old formats: files become InputExample objects."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from vicinal.errors import InputError
from vicinal.readers.input_example import InputExample
from vicinal.readers.lines import opened
from vicinal.readers.tables import Row, separated, strict

_NLI = {"contradiction": 0, "entailment": 1, "neutral": 2}


class _TableReader:
    """Rows of a table in a folder.

    Args:
        dataset_folder: the folder.
        delimiter: between cells.
        quoting: as the csv module has it; default none, quotes belong to the texts.
        has_header: whether the first line is none of the data.
    """

    def __init__(
        self,
        dataset_folder: str | os.PathLike[str],
        delimiter: str,
        quoting: int,
        has_header: bool,
    ) -> None:
        self.dataset_folder = Path(dataset_folder)
        self.delimiter, self.quoting, self.has_header = delimiter, quoting, has_header

    def _rows(self, filename: str, columns: Sequence[int], maximum: int) -> Iterator[Row]:
        """The first ``maximum`` rows, all of them if it is 0."""
        with opened(self.dataset_folder / filename) as lines:
            rows = strict(separated(lines, lines.name, self.delimiter, self.quoting, strictly=False))
            for row in islice(
                rows, int(self.has_header), maximum + int(self.has_header) if maximum else None
            ):
                if len(row.cells) <= max(columns):
                    raise InputError(
                        f"{lines.name}, line {row.number}: there are {len(row.cells)} columns, not {max(columns) + 1}"
                    )
                yield row


class STSDataReader(_TableReader):
    """Pairs of sentences with a score.

    Args:
        dataset_folder: where the files lie.
        s1_col_idx, s2_col_idx, score_col_idx: numbers of the columns, from 0.
        delimiter, quoting: as the csv module has them.
        normalize_scores: map ``min_score`` .. ``max_score`` to 0 .. 1.
    """

    def __init__(
        self,
        dataset_folder: str | os.PathLike[str],
        s1_col_idx: int = 0,
        s2_col_idx: int = 1,
        score_col_idx: int = 2,
        delimiter: str = "\t",
        quoting: int = csv.QUOTE_NONE,
        normalize_scores: bool = True,
        min_score: float = 0,
        max_score: float = 5,
    ) -> None:
        super().__init__(dataset_folder, delimiter, quoting, has_header=False)
        self.columns = (s1_col_idx, s2_col_idx, score_col_idx)
        self.normalize_scores, self.min_score, self.max_score = normalize_scores, min_score, max_score

    def get_examples(self, filename: str, max_examples: int = 0) -> list[InputExample]:
        """The pairs of a file, all of them if ``max_examples`` is 0.

        Raises:
            InputError: a line without these columns, or without a number as its score.
        """
        first, second, score = self.columns
        examples = []
        for number, before, cells in self._rows(filename, self.columns, max_examples):
            try:
                value = float(cells[score])
            except ValueError as error:
                place = f"{self.dataset_folder / filename}, line {number}"
                raise InputError(f"{place}: the score is {cells[score]!r}, not a number") from error
            if self.normalize_scores:
                value = (value - self.min_score) / (self.max_score - self.min_score)
            examples.append(
                InputExample(guid=f"{filename}{before}", texts=[cells[first], cells[second]], label=value)
            )
        return examples


class STSBenchmarkDataReader(STSDataReader):
    """The STS Benchmark as it is distributed: score and sentences in columns 4, 5 and 6."""

    def __init__(
        self,
        dataset_folder: str | os.PathLike[str],
        s1_col_idx: int = 5,
        s2_col_idx: int = 6,
        score_col_idx: int = 4,
        delimiter: str = "\t",
        quoting: int = csv.QUOTE_NONE,
        normalize_scores: bool = True,
        min_score: float = 0,
        max_score: float = 5,
    ) -> None:
        super().__init__(
            dataset_folder,
            s1_col_idx,
            s2_col_idx,
            score_col_idx,
            delimiter,
            quoting,
            normalize_scores,
            min_score,
            max_score,
        )


class TripletReader(_TableReader):
    """Triplets: an anchor, a positive and a negative in a line."""

    def __init__(
        self,
        dataset_folder: str | os.PathLike[str],
        s1_col_idx: int = 0,
        s2_col_idx: int = 1,
        s3_col_idx: int = 2,
        has_header: bool = False,
        delimiter: str = "\t",
        quoting: int = csv.QUOTE_NONE,
    ) -> None:
        super().__init__(dataset_folder, delimiter, quoting, has_header)
        self.columns = (s1_col_idx, s2_col_idx, s3_col_idx)

    def get_examples(self, filename: str, max_examples: int = 0) -> list[InputExample]:
        """The triplets of a file, all of them if ``max_examples`` is 0."""
        return [
            InputExample(texts=[cells[place] for place in self.columns])
            for _, _, cells in self._rows(filename, self.columns, max_examples)
        ]


class LabelSentenceReader(_TableReader):
    """Sentences with a label; labels become numbers in the order in which they come."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        label_col_idx: int = 0,
        sentence_col_idx: int = 1,
        separator: str = "\t",
    ) -> None:
        super().__init__(folder, separator, csv.QUOTE_NONE, has_header=False)
        self.columns = (label_col_idx, sentence_col_idx)
        self.label_map: dict[str, int] = {}

    def get_examples(self, filename: str, max_examples: int = 0) -> list[InputExample]:
        """The sentences of a file, all of them if ``max_examples`` is 0."""
        label, sentence = self.columns
        return [
            InputExample(
                guid=f"{filename}-{before}",
                texts=[cells[sentence]],
                label=self.label_map.setdefault(cells[label], len(self.label_map)),
            )
            for _, before, cells in self._rows(filename, self.columns, max_examples)
        ]


def _lines(path: Path) -> list[str]:
    with opened(path) as lines:
        return [line.bare for line in lines]


class NLIDataReader:
    """Natural language inference in three files: ``s1.NAME``, ``s2.NAME`` and ``labels.NAME``, one line per pair."""

    def __init__(self, dataset_folder: str | os.PathLike[str]) -> None:
        self.dataset_folder = Path(dataset_folder)

    def get_examples(self, filename: str, max_examples: int = 0) -> list[InputExample]:
        """The pairs of ``s1.{filename}`` and its like, all of them if ``max_examples`` is 0.

        Raises:
            InputError: the files have different numbers of lines, or a label is none of the three.
        """
        columns = [_lines(self.dataset_folder / f"{name}.{filename}") for name in ("s1", "s2", "labels")]
        if len({len(column) for column in columns}) > 1:
            raise InputError(
                f"{self.dataset_folder}: s1, s2 and labels of {filename} differ in their numbers of lines"
            )
        rows = list(zip(*columns, strict=True))[: max_examples or None]
        return [
            InputExample(guid=f"{filename}-{number}", texts=[first, second], label=self.map_label(label))
            for number, (first, second, label) in enumerate(rows)
        ]

    @staticmethod
    def get_labels() -> dict[str, int]:
        """Label -> its number."""
        return dict(_NLI)

    def get_num_labels(self) -> int:
        """How many labels there are."""
        return len(_NLI)

    def map_label(self, label: str) -> int:
        """The number of a label."""
        if label.strip().lower() not in _NLI:
            raise InputError(f"{label!r} is none of the labels {', '.join(_NLI)}")
        return _NLI[label.strip().lower()]


class PairedFilesReader:
    """Files whose lines belong together: line n of each is one example."""

    def __init__(self, filepaths: Sequence[str | os.PathLike[str]]) -> None:
        self.filepaths = [Path(path) for path in filepaths]

    def get_examples(self, max_examples: int = 0) -> list[InputExample]:
        """The examples, all of them if ``max_examples`` is 0; the shortest file ends it."""
        rows = list(zip(*map(_lines, self.filepaths), strict=False))[: max_examples or None]
        return [InputExample(guid=str(number), texts=list(row), label=1) for number, row in enumerate(rows)]
