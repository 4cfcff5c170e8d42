"""A transformer says, once, that its vocabulary knows nothing of some texts."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from tinyfolder import make_folder

from vicinal import SentenceTransformer
from vicinal.errors import UnknownScriptWarning


@pytest.mark.parametrize("prompt", [None, "query "])
def test_unknown_texts_are_named_once(tmp_path: Path, prompt: str | None) -> None:
    model = SentenceTransformer(make_folder(tmp_path))
    with pytest.warns(
        UnknownScriptWarning, match=r"2 of 3 texts, such as '😀😀', are made of unknown"
    ) as caught:
        model.encode(["the cat", "😀😀", "§ ¤"], prompt=prompt)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.encode(["😀😀", "§ ¤"])


@pytest.mark.parametrize("text", ["the cat 😀", "", " ", "[CLS]", "a"])
def test_texts_with_a_known_token_and_empty_ones_are_not(tmp_path: Path, text: str) -> None:
    model = SentenceTransformer(make_folder(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.encode([text, "the cat"])
        model.encode([text], output_value=None)


def test_another_script_is_one_warning(tmp_path: Path) -> None:
    model = SentenceTransformer(make_folder(tmp_path))
    with pytest.warns(UnknownScriptWarning, match="not to have learnt this script") as caught:
        model.encode(["квантовая физика", "中文字中文字中文字中文字"])
    assert len(caught) == 1
