"""Phrases of words, scores read off logits, and what old code asks of teachers and models."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

import pytest

from vicinal.compat.teachers import check_teacher_targets
from vicinal.errors import InputError, MissingExtraError, ModelFormatError
from vicinal.models import LogitScore, PhraseTokenizer

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

WORDS = [
    "New_York",
    "is",
    "the",
    "city",
    "big_apple",
    "of_the_year",
    "York",
    "don't",
    "do",
    "n't",
    "The",
    "apple",
]
WORDS += ["a__b", "x_y_z_u_v_w", "year", "!"]
needs_nltk = pytest.mark.skipif(importlib.util.find_spec("nltk") is None, reason="nltk is not installed")


# ids as sentence-transformers 6.2.0 with nltk 3.10 gives them
@needs_nltk
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("New York is the city.", [0, 1, 3]),
        ("The Big Apple, New York! I don't know", [10, 4, 0, 15, 8, 9]),
        ("apples of the year", [5]),
        ("x y z u v w year", [14]),
        ("'apple' a b", [11]),
        (" ", []),
    ],
)
def test_phrases_are_one_word(text: str, ids: list[int]) -> None:
    assert PhraseTokenizer(WORDS, stop_words=["the", "."]).tokenize(text) == ids


@needs_nltk
def test_phrases_have_a_longest_length_and_are_saved(tmp_path: Path) -> None:
    tokenizer = PhraseTokenizer(WORDS, stop_words=[], max_ngram_length=2)
    assert tokenizer.ngram_lookup == {"New_York", "big_apple"}
    tokenizer.save(str(tmp_path))
    again = PhraseTokenizer.load(str(tmp_path))
    assert isinstance(again, PhraseTokenizer)
    assert (again.vocab, again.max_ngram_length, again.stop_words) == (WORDS, 2, set())
    text = "city of the year in New York, The END!"
    assert again.tokenize(text) == tokenizer.tokenize(text) == [3, 2, 14, 0, 10, 15]


@pytest.mark.skipif(importlib.util.find_spec("nltk") is not None, reason="nltk is installed")
def test_phrases_need_nltk() -> None:
    with pytest.raises(MissingExtraError, match="pip install nltk"):
        PhraseTokenizer(WORDS)


def test_scores_are_logits_of_the_last_token(tmp_path: Path) -> None:
    logits = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    both = LogitScore(4, 2)
    assert torch.equal(
        both({"causal_logits": logits})["scores"], (logits[:, -1, 4] - logits[:, -1, 2]).unsqueeze(1)
    )
    one = LogitScore(4, module_input_name="logits")
    assert torch.equal(one({"logits": logits})["scores"], logits[:, -1, 4:5])
    both.save(str(tmp_path))
    assert LogitScore.load(str(tmp_path)).get_config_dict() == {
        "true_token_id": 4,
        "false_token_id": 2,
        "module_input_name": "causal_logits",
    }
    with pytest.raises(ModelFormatError, match="causal_logits"):
        both({"logits": logits})
    with pytest.raises(InputError, match="true_token_id"):
        LogitScore(-1)


def test_a_teacher_whose_scores_are_too_far_apart(caplog: pytest.LogCaptureFixture) -> None:
    def check(rows: Any, temperature: float = 1.0) -> None:
        logits = torch.tensor(rows)
        check_teacher_targets((logits / temperature).softmax(dim=-1), logits, temperature, "SomeLoss")

    with caplog.at_level(logging.WARNING):
        check([[1.0, 2.0], [3.0, -4.0]])
        check([[1.0, float("-inf")]])
        check([[500.0, 0.0], [1.0, 2.0]], 10.0)
        assert not caplog.records
        check([[500.0, 0.0], [1.0, 2.0]])
    (record,) = caplog.records
    assert "1 of 4" in record.getMessage()
    assert "above 5" in record.getMessage()
    with pytest.raises(InputError, match="SomeLoss got NaN"):
        check([[1.0, float("nan")]])
