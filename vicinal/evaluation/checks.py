"""Data of an evaluation is checked when it is given, not after an hour of training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.core.inputs import as_texts
from vicinal.errors import InputError, InputTypeError
from vicinal.vectors.similarity import SimilarityFunction, as_similarity


def text_column(texts: Iterable[str], name: str) -> list[str]:
    """A list of texts that is not empty.

    Raises:
        InputTypeError: one string, or an item that is not a string (its position is named).
        InputError: it is empty.
    """
    if isinstance(texts, str):
        raise InputTypeError(f"{name} is one string: give a list of strings")
    column = list(as_texts(texts, name)[0])
    if not column:
        raise InputError(f"{name} is empty: there is nothing to evaluate")
    return column


def number_column(values: Iterable[Any], name: str) -> NDArray[np.float64]:
    """(n,) finite numbers.

    Raises:
        InputTypeError: an item is not a number (its position is named).
        InputError: an item is NaN or infinite.
    """
    numbers = np.empty(0)
    items = list(values)
    for place, value in enumerate(items):
        if isinstance(value, str) or not hasattr(value, "__float__"):
            raise InputTypeError(f"{name}[{place}] is {value!r}, not a number: convert it, e.g. float(value)")
    numbers = np.array([float(value) for value in items], dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise InputError(f"{name}[{bad[0]}] is {numbers[bad[0]]}: drop this item, or give it a number")
    return numbers


def check_scores(scores: Any, name: str) -> None:
    """Refuse NaN scores, which would be ranked like any others. Infinite ones have their order.

    Args:
        scores: numbers, (n,) or (n, m).
        name: who gave them.

    Raises:
        InputError: the row of the first NaN is named.
    """
    bad = np.flatnonzero(np.isnan(np.asarray(scores, dtype=np.float64)).reshape(len(scores), -1).any(axis=1))
    if bad.size:
        raise InputError(
            f"{name} gave NaN for {bad.size:,} of {len(scores):,} scores, the first for number {bad[0]}: no figure can "
            "be computed. If the model was just trained, it diverged"
        )


def class_column(values: Iterable[Any], name: str) -> NDArray[np.int64]:
    """(n,) whole numbers.

    Raises:
        InputError: an item is not a whole number of 0 or more (its position is named).
    """
    numbers = number_column(values, name)
    bad = np.flatnonzero((numbers != np.floor(numbers)) | (numbers < 0))
    if bad.size:
        raise InputError(f"{name}[{bad[0]}] is {numbers[bad[0]]:g}: a class is 0, 1, 2, ...")
    return numbers.astype(np.int64)


def binary_column(values: Iterable[Any], name: str) -> NDArray[np.int64]:
    """(n,) of 0 and 1.

    Raises:
        InputError: an item is neither (its position is named).
    """
    classes = class_column(values, name)
    bad = np.flatnonzero(classes > 1)
    if bad.size:
        raise InputError(f"{name}[{bad[0]}] is {classes[bad[0]]}: a label is 0 or 1")
    return classes


def pair_column(pairs: Iterable[Sequence[str]], name: str) -> list[tuple[str, str]]:
    """A list of pairs of texts that is not empty.

    Raises:
        InputTypeError: an item is not a pair of strings (its position is named).
        InputError: it is empty.
    """
    found = []
    for place, pair in enumerate(pairs):
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise InputTypeError(f"{name}[{place}] is {pair!r}, not a pair of texts")
        first, second = as_texts(pair, f"{name}[{place}]")[0]
        found.append((first, second))
    if not found:
        raise InputError(f"{name} is empty: there is nothing to evaluate")
    return found


def check_lengths(**columns: Any) -> None:
    """Refuse columns of different lengths.

    Raises:
        InputError: names the columns and their lengths.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} has {length:,}" for name, length in lengths.items())
        raise InputError(f"columns of different lengths: {shown}; each row needs one of each")


def cutoffs(values: Iterable[int], name: str) -> list[int]:
    """A list of ranks, 1 or more each.

    Raises:
        InputTypeError: a number by itself instead of a list.
        InputError: a rank below 1.
    """
    if not isinstance(values, Iterable):
        raise InputTypeError(f"{name}={values!r}: give a list, [{values!r}]")
    ranks = list(values)
    for rank in ranks:
        if isinstance(rank, bool) or not isinstance(rank, (int, np.integer)) or rank < 1:
            raise InputError(f"{name}={ranks!r}: {rank!r} is not a rank; give whole numbers of 1 or more")
    return [int(rank) for rank in ranks]


def similarity_names(
    given: Sequence[str | SimilarityFunction] | None, main: str | SimilarityFunction | None
) -> list[str] | None:
    """Names of the similarities to compute; None for the model's own.

    ``main`` is computed in any case, and by itself if nothing else is given.

    Raises:
        InputError: an unknown name, or an empty list.
    """
    if isinstance(given, (str, SimilarityFunction)):
        given = [given]
    if given is None:
        return None if main is None else [as_similarity(main).value]
    names = list(dict.fromkeys(as_similarity(each).value for each in given))
    if not names:
        raise InputError("similarity_fn_names is empty: leave it out for the model's own similarity")
    if main is not None and as_similarity(main).value not in names:
        names.append(as_similarity(main).value)
    return names


def check_examples(examples: Sequence[Any], texts: int) -> None:
    """Refuse examples that do not hold this many texts.

    Raises:
        InputError: names the first such example.
    """
    for place, example in enumerate(examples):
        if len(example.texts) != texts:
            raise InputError(f"examples[{place}] has {len(example.texts)} texts, not {texts}: {example!r}")


def samples_of(
    samples: Sequence[Mapping[str, Any]] | Mapping[Any, Mapping[str, Any]], fields: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Samples of a reranking: a query, its ``positive`` texts, and one or more of ``fields``.

    Raises:
        InputTypeError: a sample is not a dictionary.
        InputError: a sample lacks a field, or there are no samples.
    """
    found = list(samples.values()) if isinstance(samples, Mapping) else list(samples)
    if not found:
        raise InputError("samples is empty: there is nothing to evaluate")
    for place, sample in enumerate(found):
        if not isinstance(sample, Mapping):
            raise InputTypeError(
                f"samples[{place}] is {sample!r}: give a dictionary with 'query', 'positive', ..."
            )
        for wanted in (("query",), ("positive",), tuple(fields)):
            if not any(field in sample for field in wanted):
                raise InputError(
                    f"samples[{place}] has no {' or '.join(map(repr, wanted))}; it has "
                    f"{', '.join(map(repr, sample))}"
                )
    return found


def texts_of(sample: Mapping[str, Any], field: str, place: int) -> list[str]:
    """A field of a sample as a list of texts; a single text is a list of one."""
    return list(as_texts(sample[field], f"samples[{place}][{field!r}]")[0])


def gives_vectors(model: Any) -> bool:
    """Whether it has an ``encode`` of texts; a name has one of its letters."""
    return not isinstance(model, str) and callable(getattr(model, "encode", None))


def check_teacher(model: Any) -> None:
    """Refuse a teacher that gives no vectors.

    Raises:
        InputTypeError: it has no ``encode``.
    """
    if not gives_vectors(model):
        raise InputTypeError(f"teacher_model is {type(model).__name__}: give a model with encode()")
