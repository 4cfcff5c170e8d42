"""examples/distill_two_teachers.py: which texts it draws, one space for both teachers, vectors that are kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicinal import SentenceTransformer
from vicinal.distillation.training import averages, unit
from vicinal.tokens.text import Ragged

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import distill_two_teachers as recipe
from int8_teacher import float_folder
from teacher_vectors import TeacherVectors


def random_unit(count: int, width: int, seed: int) -> Any:
    return unit(np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32))


def test_texts_are_drawn_by_what_they_say(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    words = ["lamp", "oil", "wick", "light", "dusk", "keeper", "ship", "coast"]
    lines = [
        {
            "source": source,
            "query": " ".join(random.choice(words, 6)),
            "passage": " ".join(random.choice(words, 12)) + f" {number}",
        }
        for source in ("git-doc", "wordnet:gloss", "mythes:synonym")
        for number in range(400)
    ]
    file, turned = tmp_path / "pairs.jsonl", tmp_path / "turned.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    turned.write_text("".join(json.dumps(line) + "\n" for line in reversed(lines)))
    found = recipe.documentation_texts(file, 10_000)
    assert found == recipe.documentation_texts(turned, 10_000)
    assert recipe.documentation_texts(file, 7) == found[:7]
    passages = {source: {line["passage"] for line in lines if line["source"] == source} for source in
                ("git-doc", "wordnet:gloss", "mythes:synonym")}  # fmt: skip
    drawn = {source: len(texts & set(found)) for source, texts in passages.items()}
    assert 60 < drawn["git-doc"] < 140 and 5 < drawn["wordnet:gloss"] < 50 and drawn["mythes:synonym"] == 0


def test_wanted_similarities_are_the_mean_of_both_teachers() -> None:
    minilm, bge = random_unit(50, 6, 2), unit(random_unit(50, 6, 3) + 1)
    share = 0.3
    sides = recipe.both(minilm, bge, share)
    centred = bge - bge.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(
        sides @ sides.T, share * minilm @ minilm.T + (1 - share) * centred @ centred.T, atol=1e-5
    )


def test_rows_are_mapped_to_the_space_of_the_teachers() -> None:
    """Where the teachers say the same in other axes, the map takes the rows there and nothing is lost."""
    random = np.random.default_rng(4)
    lengths = random.integers(1, 6, 300).astype(np.int32)
    starts = np.zeros(301, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    texts = Ragged(random.integers(0, 40, starts[-1]).astype(np.int32), starts, lengths)
    rows = random.standard_normal((40, 8)).astype(np.float32)
    before = unit(averages(rows, texts))
    turn = np.linalg.qr(random.standard_normal((12, 8)))[0].astype(np.float32)
    teachers = before @ turn.T
    targets, mapped = recipe.into_one_space(rows, texts, teachers)
    assert mapped.shape == rows.shape
    np.testing.assert_allclose(targets @ targets.T, before @ before.T, atol=1e-4)
    np.testing.assert_allclose(unit(averages(mapped, texts)), targets, atol=0.02)
    np.testing.assert_allclose(targets, before, atol=1e-3)  # turned to lie where the rows lie already


def test_no_text_goes_through_a_teacher_twice(tmp_path: Path) -> None:
    model = SentenceTransformer("vicinal-mini")
    texts = ["a lamp at dusk", "", "a ship off the coast", "a lamp at dusk"]
    made = TeacherVectors(tmp_path / "kept", model)(texts)
    np.testing.assert_allclose(made, model.encode(texts, normalize_embeddings=True), atol=1e-3)

    class Refuses:
        def encode(self, texts: list[str], **options: Any) -> Any:
            assert texts == ["something new"]
            return model.encode(texts)

    again = TeacherVectors(tmp_path / "kept", Refuses())  # type: ignore[arg-type]
    np.testing.assert_array_equal(again(texts[::-1]), made[::-1])
    assert again(["something new", "a lamp at dusk"]).shape == (2, made.shape[1])


@pytest.mark.slow
def test_the_int8_teacher_in_floats(tmp_path: Path, retrieval_models: Path) -> None:
    """As near as the graph's own rounding of activations is: 0.998 and more."""
    source = retrieval_models / "bge_small_en"
    folder = float_folder(source, tmp_path / "bge")
    texts = ["A man is eating food.", "The sky is blue.", "import numpy as np"]
    vectors = [
        SentenceTransformer(each, pooling_mode="cls", dtype="float32", device="cpu").encode(
            texts, normalize_embeddings=True
        )
        for each in (source, folder)
    ]
    assert np.einsum("ij,ij->i", *vectors).min() > 0.99
