"""examples/distill_two_teachers.py: texts, related texts, the teacher's space, vectors that are kept."""

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
from related_texts import blended, related, variants
from teacher_vectors import TeacherVectors


def random_unit(count: int, width: int, seed: int) -> Any:
    return unit(np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32))


def ragged_texts(count: int, tokens: int, seed: int) -> Ragged:
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 6, count).astype(np.int32)
    starts = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return Ragged(random.integers(0, tokens, starts[-1]).astype(np.int32), starts, lengths)


def test_texts_of_files_come_once_and_cut(tmp_path: Path) -> None:
    lines = ["too few", "a lamp at dusk", "a lamp at dusk", "x" * 700]
    (tmp_path / "texts.txt").write_text("\n".join(lines), encoding="utf-8")
    assert recipe.documentation_texts(tmp_path / "texts.txt") == ["a lamp at dusk", "x" * 600]
    passages = ["short", *(f"{number} " + "word " * 100 for number in range(30)), "y" * 2000]
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(
        "".join(
            json.dumps({"source": "git-doc", "query": "q", "passage": each}) + "\n" for each in passages * 2
        )
    )
    found = recipe.long_passages(pairs, 100)
    assert sorted(found) == sorted([*passages[1:-1], "y" * 1400])
    assert recipe.long_passages(pairs, 7) == found[:7] and found != passages[1:]


def test_words_that_sciences_share_count_more_and_their_passages_are_imitated(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    lines = [
        ("yade-doc", "what laminar flow is", "laminar " + "flow " * 80),
        ("maxima-doc:cloze", "laminar", "too short"),
        ("maxima-doc", "maxima speaks", "of maxima"),
        ("git-doc", "what git does", "git " * 120),
    ]
    pairs.write_text(
        "".join(
            json.dumps(dict(zip(("source", "query", "passage"), each, strict=True))) + "\n" for each in lines
        )
    )
    assert recipe.science_passages(pairs) == ["laminar " + "flow " * 80]
    counts = recipe.weighed_words(pairs, ["a lamp", "laminar"])
    assert counts["laminar"] == 4 + 7 * 3  # once beside the pairs; three texts of two sciences
    assert counts["maxima"] == 2 and counts["flow"] == 2 and counts["git"] == 2 and counts["lamp"] == 1


def test_texts_drawn_at_random_keep_their_order() -> None:
    texts = [str(number) for number in range(100)]
    found = recipe.drawn_at_random(texts, 10)
    assert len(found) == 10 and found == sorted(found, key=int) and found != texts[:10]
    assert recipe.drawn_at_random(texts, 10) == found and recipe.drawn_at_random(texts, 100) == texts


def test_the_map_keeps_what_the_teacher_says_and_lies_near_the_rows() -> None:
    """Where the teacher says the same in other axes, the map takes its vectors to those of the rows."""
    texts = ragged_texts(300, 40, 4)
    random = np.random.default_rng(5)
    before = unit(averages(random.standard_normal((40, 8)).astype(np.float32), texts))
    turn = np.linalg.qr(random.standard_normal((12, 8)))[0].astype(np.float32)
    teacher = before @ turn.T
    np.testing.assert_allclose(teacher @ recipe.projection(teacher, before), before, atol=1e-4)


def test_axes_become_more_alike_and_whitening_makes_them_equal() -> None:
    texts, random = ragged_texts(4000, 40, 6), np.random.default_rng(7)
    rows = (random.standard_normal((40, 6)) * [5, 3, 2, 1, 1, 0.5]).astype(np.float32)

    def spread(of: Any) -> float:
        found = unit(averages(of, texts))
        variances = np.linalg.eigvalsh(found.T @ found / len(found))
        return float(variances[-1] / variances[0])

    np.testing.assert_allclose(recipe.more_alike(rows, texts, 0.0), rows, atol=1e-4)
    spreads = [spread(recipe.more_alike(rows, texts, share)) for share in (0.0, 0.3, 0.6, 1.0)]
    assert spreads == sorted(spreads, reverse=True) and spreads[0] > 5 * spreads[-1]


def test_variants_are_made_of_words_of_the_sentences() -> None:
    sentences = ["a lamp burns at dusk", "the ship left the coast", "one keeper sleeps"]
    made = variants(sentences, 40, 30, 1)
    assert made == variants(sentences, 40, 30, 1) and len(made) == 70
    words = {word for sentence in sentences for word in sentence.split()}
    assert all(set(text.split()) <= words for text in made)
    lengths = {len(sentence.split()) for sentence in sentences}
    assert {len(text.split()) for text in made[:40]} <= lengths and len(set(made[:40])) > 20
    assert all(any(text.split()[0] == sentence.split()[0] for sentence in sentences) for text in made[40:])


def test_related_texts_are_near_and_no_text_is_its_own() -> None:
    vectors = random_unit(400, 5, 8)
    first, second = related(vectors, 50, 9)
    assert len(first) == 300 and (first == np.repeat(np.arange(50), 6)).all()
    scores = vectors[:50] @ vectors.T
    np.fill_diagonal(scores, -2)
    ranks = (-scores).argsort(axis=1).argsort(axis=1)[first, second].reshape(50, 6)
    for place, (low, high) in enumerate([(0, 8), (0, 8), (8, 40), (8, 40), (40, 120)]):
        assert (low <= ranks[:, place]).all() and (ranks[:, place] < high).all()


def test_opinions_are_blended_by_weight_on_the_scale_of_one() -> None:
    random = np.random.default_rng(10)
    scale = random.uniform(0, 1, 500).astype(np.float32)
    np.testing.assert_allclose(blended([(3 * scale + 2, 1.0), (scale, 2.0)], scale), scale, atol=1e-5)
    other = random.standard_normal(500).astype(np.float32)
    near, far = (blended([(scale, 1.0), (other, weight)], scale) for weight in (0.1, 1.0))
    assert np.corrcoef(near, scale)[0, 1] > np.corrcoef(far, scale)[0, 1] > 0.5
    np.testing.assert_allclose(far.mean(), scale.mean(), atol=1e-4)


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
