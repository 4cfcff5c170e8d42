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


@pytest.mark.parametrize("wrong", ["{", "[]", '{"$what": 1}', "5"])
def test_each_of_them_is_checked(wrong: str) -> None:
    for texts in ([wrong, "{}"], ["{}", wrong]):
        with pytest.raises(InputError, match="--filter "):
            read_filters(texts)
