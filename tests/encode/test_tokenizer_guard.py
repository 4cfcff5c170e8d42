"""Hostile tokenizers and texts: an error that names the folder, and no end of the process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinyfolder import make_folder, wordpiece, write_json
from tokenizer_folders import bert_file
from tokenizers import Tokenizer

from vicinal import SentenceTransformer
from vicinal.errors import InputError, ModelFormatError
from vicinal.tokens import guard
from vicinal.tokens.static import StaticTokenizer
from vicinal.tokens.text import TextTokenizer


def doubling(times: int) -> dict[str, Any]:
    return {"type": "Sequence", "normalizers": [replacing({"String": "a"}, "aa")] * times}


def replacing(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


BOMBS: dict[str, tuple[dict[str, Any], str]] = {
    "doubled forty times": ({"normalizer": doubling(40)}, "times as long"),
    "each character a novel": ({"normalizer": replacing({"Regex": "."}, "x" * 1000)}, "1000 times as long"),
    "nothing replaced": ({"normalizer": replacing({"Regex": "x*"}, "y" * 80)}, "times as long"),
    "a novel before each": (
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "a" * 999}] * 50}},
        "before each text",
    ),
    "a thousand rules": (
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}] * 1000}},
        "1000 normalization rules",
    ),
    "panics at reading": (
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        "cannot be read",
    ),
    "panics at the first text": ({"pre_tokenizer": {"type": "FixedLength", "length": 0}}, "makes no tokens"),
}


def with_parts(folder: Path, parts: dict[str, Any]) -> Path:
    make_folder(folder)
    content = json.loads(wordpiece().to_str())
    write_json(folder / "tokenizer.json", {**content, **parts})
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    return folder


@pytest.mark.parametrize("name", BOMBS)
def test_a_hostile_tokenizer_is_refused_at_loading(tmp_path: Path, name: str) -> None:
    parts, said = BOMBS[name]
    folder = with_parts(tmp_path, parts)
    with pytest.raises(ModelFormatError, match=said) as caught:
        SentenceTransformer(folder)
    assert str(folder) in str(caught.value)


def test_replacements_in_use_are_accepted(tmp_path: Path) -> None:
    rules = [replacing({"Regex": r" {2,}"}, "▁"), replacing({"String": "``"}, '"')]
    rules += [
        replacing({"Regex": pattern}, " ") for pattern in (r"\s+", r"\p{Z}+", "[\n\t]", "a|b", "(?:x)")
    ] * 4
    folder = with_parts(
        tmp_path, {"normalizer": {"type": "Sequence", "normalizers": [*rules, {"type": "Lowercase"}]}}
    )
    SentenceTransformer(folder).encode("the cat")


def test_a_panic_in_the_middle_of_texts_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    parts = {"type": "Split", "pattern": {"Regex": "(z+)+$"}, "behavior": "Isolated", "invert": False}
    folder = with_parts(tmp_path, {"pre_tokenizer": parts})
    model = SentenceTransformer(folder)
    good = model.encode("cat")
    for call in (model.encode, model.tokenize, model.count_tokens):
        with pytest.raises(ModelFormatError, match=r"cannot split these texts.*retry-limit") as caught:
            call(["cat", "z" * 60 + "!"])
        assert str(folder) in str(caught.value)
    assert np.array_equal(model.encode("cat"), good)


def test_static_models_say_the_same() -> None:
    content = json.loads(bert_file().to_str())
    content["pre_tokenizer"] = {"type": "FixedLength", "length": 0}
    with pytest.raises(ModelFormatError, match="here: its tokenizer makes no tokens"):
        StaticTokenizer(Tokenizer.from_str(json.dumps(content)), name="here")


def test_characters_of_one_text_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "LONGEST_TEXT", 1000)
    ours = TextTokenizer(wordpiece(), max_length=8)
    assert len(ours(["a" * 1000])) == 1
    for call in (ours, ours.count, lambda texts: ours.pairs(["x"], texts)):
        with pytest.raises(InputError, match=r"1,001 characters.*at most 1,000.*passages"):
            call(["the cat " + "a" * 993])


def test_a_document_of_a_megabyte_has_the_vector_of_its_beginning(tmp_path: Path) -> None:
    model = SentenceTransformer(make_folder(tmp_path))
    long = "the cat sat on the mat " * 43_000 + " " * 100_000
    start = "the cat sat on the mat " * 100
    vectors = model.encode([long, start], on_truncate="ignore")
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
    assert model.count_tokens(long) == 43_000 * 6 + 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("added_tokens.json", {"new": "x"}, "added tokens"),
        ("added_tokens.json", {"new": None}, "added tokens"),
        ("special_tokens_map.json", {"additional_special_tokens": "abc"}, "must be a list of tokens"),
        ("tokenizer_config.json", {"additional_special_tokens": "abc"}, "must be a list of tokens"),
        ("tokenizer_config.json", {"extra_special_tokens": "abc"}, "must be a list of tokens"),
    ],
)
def test_damaged_lists_of_tokens(tmp_path: Path, name: str, content: dict[str, Any], said: str) -> None:
    folder = make_folder(tmp_path / "m")
    write_json(folder / name, content)
    with pytest.raises(ModelFormatError, match=said) as caught:
        SentenceTransformer(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("added", [[{"content": "x"}], 5, [5], [{"id": "q", "content": "x"}]])
def test_damaged_added_tokens(tmp_path: Path, added: Any) -> None:
    folder = with_parts(tmp_path, {"added_tokens": added})
    with pytest.raises(ModelFormatError, match="added tokens") as caught:
        SentenceTransformer(folder)
    assert str(folder) in str(caught.value)


def test_ids_beyond_32_bits(tmp_path: Path) -> None:
    folder = with_parts(tmp_path, {})
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"]["[PAD]"] = 2**31
    write_json(folder / "tokenizer.json", content)
    with pytest.raises(ModelFormatError, match="token id 2147483648"):
        SentenceTransformer(folder)
