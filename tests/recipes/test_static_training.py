"""examples/static_training.py and static_vocabulary.py: gradients, training, a vocabulary that changes no vector."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from vicinal.distillation.training import averages, unit
from vicinal.tokens.static import StaticTokenizer
from vicinal.tokens.text import Ragged

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import static_training
import static_vocabulary
from static_training import Contrast, Grades, Imitation, Similarities


def ragged(*texts: list[int]) -> Ragged:
    lengths = np.array([len(text) for text in texts], dtype=np.int32)
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return Ragged(np.concatenate([np.array(text, dtype=np.int32) for text in texts]), starts, lengths)


TEXTS = ragged([0, 1], [2], [3, 4, 4], [1, 5], [6, 2], [7], [0, 7, 3], [5, 6])


def unit_rows(count: int, width: int, seed: int) -> Any:
    return unit(np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32))


def objectives() -> dict[str, Any]:
    grades = np.array([0.0, 3.0, 1.0, 5.0], dtype=np.float32)
    return {
        "contrast": Contrast(TEXTS, np.array([1, 2, 3, 2]), 4, 0.2, 0.7),
        "imitation": Imitation(TEXTS, unit_rows(8, 3, 1), [unit_rows(8, 5, 2)], 8, 0.5, 1.3),
        "grades": Grades(TEXTS, grades, 4, 5.0, 0.9),
        "similarities": Similarities(TEXTS, grades / 5, 4, 1.7),
    }


@pytest.mark.parametrize("name", ["contrast", "imitation", "grades", "similarities"])
def test_gradients_are_those_of_the_losses(name: str) -> None:
    objective = objectives()[name]
    items = np.arange(objective.count)
    vectors = unit_rows(len(objective.batch(items)), 3, 3)
    _, gradient = objective.loss(items, vectors)
    for place in np.ndindex(vectors.shape):
        sides = []
        for change in (1e-2, -1e-2):
            moved = vectors.copy()
            moved[place] += np.float32(change)
            sides.append(objective.loss(items, moved)[0])
        assert gradient[place] == pytest.approx((sides[0] - sides[1]) / 2e-2, rel=0.02, abs=2e-3)


def test_the_losses_are_what_they_say() -> None:
    vectors = unit_rows(8, 3, 4).astype(np.float64)
    queries, passages = vectors[:4], vectors[4:]
    logits = queries @ passages.T / 0.2
    logits[1, 3] = logits[3, 1] = -np.inf  # the same passage twice is no negative
    shares = np.exp(logits)
    across = np.log(np.diag(shares) / shares.sum(axis=1)).mean()
    down = np.log(np.diag(shares) / shares.sum(axis=0)).mean()
    items = np.arange(4)
    found = objectives()
    assert found["contrast"].loss(items, vectors.astype(np.float32))[0] == pytest.approx(
        -0.7 * (across + down) / 2, rel=1e-4
    )
    similar = 5.0 * np.einsum("ij,ij->i", queries, passages)
    grades = [0, 3, 1, 5]
    wrong = sum(np.exp(similar[i] - similar[j]) for i in items for j in items if grades[i] < grades[j])
    assert found["grades"].loss(items, vectors.astype(np.float32))[0] == pytest.approx(
        0.9 * np.log(1 + wrong), rel=1e-4
    )
    off = np.einsum("ij,ij->i", queries, passages) - np.array(grades) / 5
    assert found["similarities"].loss(items, vectors.astype(np.float32))[0] == pytest.approx(
        1.7 * (off**2).mean(), rel=1e-4
    )


def test_training_lowers_every_loss_and_repeats_itself() -> None:
    rows = np.random.default_rng(5).standard_normal((8, 3)).astype(np.float32)

    def losses(table: Any) -> list[float]:
        found = []
        for each in objectives().values():
            items = np.arange(each.count)
            numbers = each.batch(items)
            found.append(each.loss(items, unit(averages(table, each.texts))[numbers])[0])
        return found

    said: list[int] = []
    trained = [
        static_training.train(
            rows,
            [each],
            steps=60,
            learning_rate=0.05,
            warm_up=5,
            every=30,
            report=lambda step, *_: said.append(step),
        )
        for each in objectives().values()
    ]
    for place, table in enumerate(trained):
        assert losses(table)[place] < losses(rows)[place] - 0.02
    assert said == [30, 60] * len(trained)
    again = static_training.train(rows, [objectives()["grades"]], steps=60, learning_rate=0.05, warm_up=5)
    np.testing.assert_array_equal(again, trained[2])
    with pytest.raises(ValueError, match="take a lower learning rate"):
        static_training.train(
            rows * np.float32(np.nan), [objectives()["grades"]], steps=1, learning_rate=0.05
        )


def small_tokenizer() -> dict[str, Any]:
    words = [
        "[PAD]",
        "[unused1]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "the",
        "lamp",
        "##s",
        "##light",
        "漢",
        "é",
        "moon",
        ".",
    ]
    special = [
        {"id": words.index(word), "content": word, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    ]  # fmt: skip
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None, "decoder": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {word: place for place, word in enumerate(words)}},
    }  # fmt: skip


def test_a_new_vocabulary_changes_no_vector() -> None:
    old = small_tokenizer()
    texts = ["The moonlight.", "lamps, the lamps!", "moonlights", "moon lamp é", "漢"]
    counts = static_vocabulary.word_counts([*texts, "moonlight", "moonlight unheard"])
    assert counts["moonlight"] == 3 and counts["lamps"] == 1
    new, sources = static_vocabulary.renewed(old, counts, 13)
    words = list(new["model"]["vocab"])
    assert "[unused1]" not in words and "漢" not in words
    assert words[-2:] == ["moonlight", "lamps"]
    assert [token["id"] for token in new["added_tokens"]] == [
        words.index(t["content"]) for t in new["added_tokens"]
    ]
    rows = np.random.default_rng(6).standard_normal((13, 4)).astype(np.float32)
    renewed = static_vocabulary.renewed_rows(rows, sources)
    assert renewed.shape == (len(words), 4)
    tokenizers = [StaticTokenizer(Tokenizer.from_str(json.dumps(each))) for each in (old, new)]
    vectors = [
        unit(averages(table, tok(texts[:-1]))) for table, tok in zip((rows, renewed), tokenizers, strict=True)
    ]
    np.testing.assert_allclose(vectors[1], vectors[0], atol=1e-6)
    assert len(tokenizers[1](["moonlight"]).ids) == 1 < len(tokenizers[0](["moonlight"]).ids)


def test_words_that_are_whole_already_are_not_added() -> None:
    new, sources = static_vocabulary.renewed(small_tokenizer(), Counter({"moon": 9, "xyz": 5, "42": 7}), 30)
    assert len(sources) == len(new["model"]["vocab"]) == 11
