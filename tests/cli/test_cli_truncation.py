"""What was too long is counted by the encoding itself: no command tokenises a text twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vicinal import SentenceTransformer
from vicinal.cli.texts import Encoder
from vicinal.readers import Line


class OnlyEncodes:
    """A model that can encode and nothing else, and keeps the texts that it was given."""

    def __init__(self, model: SentenceTransformer) -> None:
        self._model = model
        self.given: list[str] = []

    def encode(self, sentences: list[str], *arguments: Any, **options: Any) -> Any:
        self.given += sentences
        return self._model.encode(sentences, *arguments, **options)


def test_texts_are_tokenised_once(tiny_mini: SentenceTransformer, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [f"text {number}" for number in range(1500)]
    texts[3] = texts[1200] = "the cat sat on the mat and slept"
    texts[1400] = "the cat sat on the mat and slept for the rest of the day"
    lines = [Line(2 * number, text) for number, text in enumerate(texts)]
    model: Any = OnlyEncodes(tiny_mini)
    rows = Encoder(model).all(lines)
    assert model.given == texts
    np.testing.assert_allclose(rows, tiny_mini.encode(texts, on_truncate="ignore"), atol=1e-6)
    longest = tiny_mini.count_tokens(texts[1400])
    said = " ".join(capsys.readouterr().err.split())
    assert f"3 texts of 1,500 were cut to the {tiny_mini.max_seq_length} tokens that the model reads" in said
    assert f"(the longest has {longest}; the first is on line 6)" in said


@pytest.fixture
def tiny_mini() -> SentenceTransformer:
    model = SentenceTransformer("vicinal-mini")
    model.max_seq_length = 6
    return model
