"""In which forms texts may be given: lists and what stands for them; subclasses of str; never whole tables."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from vicinal import SentenceTransformer, util
from vicinal.core.inputs import array_items, as_texts, plain, shown
from vicinal.errors import InputError, InputTypeError
from vicinal.models.pairs import as_pairs
from vicinal.vectors.keywords import keywords


class Colour(str, enum.Enum):
    RED = "red"


class Loud(str):
    def __str__(self) -> str:
        return self.upper() + "!"


class Two(enum.IntEnum):
    TWO = 2


class Half(float):
    def __float__(self) -> float:
        return 7.0


class Frame:
    """Like tables of pandas and polars: a loop gives names."""

    columns = ("id", "body", "text")
    dtypes = (int, str, str)
    shape = (2, 3)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return 2


class Arrow:
    """Like tables of pyarrow and datasets."""

    column_names = ("id", "text")

    def __iter__(self) -> Iterator[Any]:
        return iter([{"id": 1, "text": "a"}])


class ArrowColumn:
    """A loop gives scalars of its own; ``to_pylist`` gives texts."""

    def __iter__(self) -> Iterator[Any]:
        return iter([object()])

    def to_pylist(self) -> list[str]:
        return ["a", "b"]


TABLES = [Frame(), Arrow(), {"id": [1], "text": ["a"]}]


def test_plain_values() -> None:
    for value, expected in (
        (Colour.RED, "red"),
        (Loud("a"), "a"),
        (np.str_("x"), "x"),
        (Two.TWO, 2),
        (Half(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (True, True),
        (None, None),
        ("a", "a"),
    ):
        found = plain(value)
        assert found == expected and type(found) is type(expected)


def test_texts_become_plain_ones() -> None:
    for given in ([Colour.RED, "b"], np.array(["red", "b"]), (Colour.RED, Loud("b")), iter(["red", "b"])):
        texts, single = as_texts(given)
        assert texts == ["red", "b"] and {type(text) for text in texts} == {str} and not single
    assert as_texts(Colour.RED) == (["red"], True) and type(as_texts(Colour.RED)[0][0]) is str
    assert as_texts(ArrowColumn())[0] == ["a", "b"]
    same = ["a", "b"]
    assert as_texts(same)[0] is same, "a plain list is not copied"
    firsts, seconds, _ = as_pairs([(Colour.RED, np.str_("b")), ("c", "d")])
    assert firsts == ["red", "c"] and {type(text) for text in firsts + seconds} == {str}


def test_an_enum_that_is_no_text_is_told_to_give_its_value() -> None:
    with pytest.raises(InputTypeError, match=r"sentences\[1\] is Two.*\.value"):
        as_texts(["a", Two.TWO])


def test_subclasses_are_encoded_as_what_they_equal(tiny: SentenceTransformer) -> None:
    np.testing.assert_array_equal(tiny.encode([Colour.RED, Loud("cat")]), tiny.encode(["red", "cat"]))
    np.testing.assert_array_equal(tiny.encode(Colour.RED), tiny.encode("red"))
    named = {Colour.RED: Loud("query: ")}
    np.testing.assert_array_equal(tiny.encode("cat", prompt=named[Colour.RED]), tiny.encode("query: cat"))


TAKES_TEXTS: dict[str, Callable[[SentenceTransformer, Any], Any]] = {
    "encode": lambda model, table: model.encode(table),
    "encode_query": lambda model, table: model.encode_query(table),
    "encode_document": lambda model, table: model.encode_document(table),
    "tokenize": lambda model, table: model.tokenize(table),
    "mining": lambda model, table: util.paraphrase_mining(model, table),
    "keywords": lambda model, table: keywords(table, [0, 0]),
    "pairs": lambda model, table: as_pairs(table),
}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: type(table).__name__)
@pytest.mark.parametrize("use", TAKES_TEXTS)
def test_tables_are_refused_with_a_column_to_choose(tiny: SentenceTransformer, use: str, table: Any) -> None:
    wanted = r"choose 2, e\.g\. list\(zip" if use == "pairs" else r"choose one, e\.g\. \w+\['text'\]"
    with pytest.raises(InputTypeError, match=rf"{type(table).__name__}.*'id', .*'text': ({wanted})"):
        TAKES_TEXTS[use](tiny, table)


def test_what_stands_for_a_list() -> None:
    assert array_items(np.array([1, 2])) == [1, 2] and array_items(range(2)) == [0, 1]
    assert array_items(ArrowColumn()) == ["a", "b"] and array_items({"a": 1}.keys()) == ["a"]
    for other in ("ab", b"ab", {"a": 1}, 3, np.array(3), None, Frame(), Arrow()):
        assert array_items(other) is None


def test_any_value_can_be_shown() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError("no")

    endless: list[Any] = []
    endless.append(endless)
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    for value in (Broken(), endless, deep, "x" * 1000, {"a": deep}):
        assert len(shown(value)) <= 70
    assert shown(3) == "3"


def test_arrays_for_one_of_a_few_words(tiny: SentenceTransformer) -> None:
    for wrong in (np.array(["numpy", "int8"]), np.array(["float32"]), np.array([[1, 2]])):
        with pytest.raises(InputError, match=r"precision=.* is not one of"):
            tiny.encode("a", precision=wrong)
