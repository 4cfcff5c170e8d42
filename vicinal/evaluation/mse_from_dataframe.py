"""How far is a student from its teacher, in each language?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.arrays import check_same_width
from vicinal.core.inputs import explains_keywords
from vicinal.errors import InputError, InputTypeError
from vicinal.evaluation.base import Measured, VectorEvaluator, mean
from vicinal.evaluation.checks import check_teacher

Combination = tuple[str, str]


class MSEEvaluatorFromDataFrame(VectorEvaluator):
    """Mean squared error between the teacher's vectors of texts and the model's of their translations, for pairs of
    languages.

    The metric is ``negative_mse``: -100 times the mean over texts and dimensions, and over the pairs of languages,
    so that larger is better. The file has one column per pair, with 100 times its error.

    Args:
        dataframe: rows of translations, each a dictionary from a language's code to a text; or a pandas DataFrame with
            a column per language. For each pair, rows that lack one of its texts are left out.
        teacher_model: encodes the texts in the source languages, each once, at the first call.
        combinations: pairs of codes: the source language, which the teacher encodes, and the target language, which the
            model encodes.
        batch_size: texts per batch; None leaves it to the model.
        name: stands before the metric's name and in the file's.
        write_csv: append to ``mse_evaluation_{name}_results.csv`` where ``output_path`` is given.
        truncate_dim: evaluate this many first dimensions of the vectors.

    Raises:
        InputError: no combinations, or one for which no row has both texts; when called, vectors of different lengths.
        InputTypeError: something that is not a row, a text, a pair of codes, or a teacher.

    Reference: Reimers and Gurevych, Making Monolingual Sentence Embeddings Multilingual using Knowledge
    Distillation, 2020.
    """

    primary_metric = "negative_mse"

    @explains_keywords
    def __init__(
        self,
        dataframe: Sequence[Mapping[str, str]],
        teacher_model: Any,
        combinations: Sequence[Combination],
        batch_size: int | None = None,
        name: str = "",
        write_csv: bool = True,
        truncate_dim: int | None = None,
    ) -> None:
        check_teacher(teacher_model)
        self._set_up("mse_evaluation", name, batch_size, False, write_csv, truncate_dim)
        self.teacher_model = teacher_model
        self.combinations = [_combination(each, place) for place, each in enumerate(combinations)]
        if not self.combinations:
            raise InputError('combinations is empty: give pairs of languages, such as [("en", "de")]')
        rows = _rows(dataframe)
        self.data = {each: _translations(rows, each) for each in self.combinations}
        self.csv_headers = ["epoch", "steps", *map("-".join, self.combinations)]
        self._wanted: dict[str, NDArray[Any]] | None = None

    @property
    def description(self) -> str:
        return "Knowledge Distillation"

    @property
    def teacher_embeddings(self) -> dict[str, NDArray[Any]]:
        """What the teacher gives each text, (dim,); encoded when it is first needed."""
        if self._wanted is None:
            texts = list(dict.fromkeys(text for sources, _ in self.data.values() for text in sources))
            (vectors,) = self._embed(self.teacher_model, texts)
            self._wanted = dict(zip(texts, vectors, strict=True))
        return self._wanted

    def _measure(self, model: Any) -> Measured:
        teacher = self.teacher_embeddings
        targets = self._embed(model, *(texts for _, texts in self.data.values()))
        errors = {}
        for pair, (sources, _), found in zip(self.data, self.data.values(), targets, strict=True):
            wanted = np.stack([teacher[text] for text in sources])
            check_same_width(wanted, found, "the teacher's vectors", "the model's vectors")
            errors["-".join(pair)] = 100 * float(np.square(wanted.astype(np.float64) - found).mean())
        return Measured({"negative_mse": -mean(list(errors.values()))}, "negative_mse", errors)


def _combination(given: Any, place: int) -> Combination:
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != 2:
        raise InputTypeError(f'combinations[{place}] is {given!r}: give two languages, ("en", "de")')
    return str(given[0]), str(given[1])


def _rows(dataframe: Any) -> list[Mapping[str, Any]]:
    records = dataframe.to_dict("records") if hasattr(dataframe, "to_dict") else list(dataframe)
    for place, row in enumerate(records):
        if not isinstance(row, Mapping):
            raise InputTypeError(
                f"dataframe[{place}] is {type(row).__name__}: give a dictionary by language, "
                '{"en": "A sentence.", "de": "Ein Satz."}'
            )
    found: list[Mapping[str, Any]] = records
    return found


def _translations(rows: Sequence[Mapping[str, Any]], pair: Combination) -> tuple[list[str], list[str]]:
    """The texts of two languages, of the rows that have both."""
    found = []
    for place, row in enumerate(rows):
        texts = [_text(row, language, place) for language in pair]
        if all(texts):
            found.append(texts)
    if not found:
        raise InputError(f"dataframe has no row with texts in both {pair[0]!r} and {pair[1]!r}")
    return [source for source, _ in found], [target for _, target in found]


def _text(row: Mapping[str, Any], language: str, place: int) -> str:
    """The text of a language; "" where there is none."""
    value = row.get(language)
    if value is None or value != value:  # NaN, as pandas has it
        return ""
    if not isinstance(value, str):
        raise InputTypeError(f"dataframe[{place}][{language!r}] is {value!r}, not a text")
    return value if value.strip() else ""
