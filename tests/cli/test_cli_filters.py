"""--filter given once, several times, and wrongly."""

from __future__ import annotations

import pytest

from vicinal.cli.filters import read_filters
from vicinal.errors import InputError


def test_of_several_filters_all_must_fit() -> None:
    assert read_filters(None) is None and read_filters([]) is None
    assert read_filters(['{"year": 1950}']) == {"year": 1950}
    assert read_filters(['{"year": 1950}', "{}", '{"lang": "en"}']) == {
        "$and": [{"year": 1950}, {"lang": "en"}]
    }
    assert read_filters(["{}", '{"lang": "en"}']) == {"lang": "en"} and read_filters(["{}", "{}"]) == {}


def test_a_name_that_stands_twice_is_refused() -> None:
    """JSON would keep the last condition in silence, and delete what the first one spares."""
    for text in ('{"year": {"$gte": 1}, "year": {"$lt": 9}}', '{"$and": [{"a": 1, "b": 2, "a": 3}]}'):
        with pytest.raises(InputError, match=r"--filter: '(year|a)' stands twice in one object"):
            read_filters([text])


@pytest.mark.parametrize("wrong", ["{", "[]", '{"$what": 1}', "5"])
def test_each_of_them_is_checked(wrong: str) -> None:
    for texts in ([wrong, "{}"], ["{}", wrong]):
        with pytest.raises(InputError, match="--filter "):
            read_filters(texts)
