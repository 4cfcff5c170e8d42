"""Distillation, on a teacher of random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from static_helpers import VOCABULARY, WORDS, tokenizer

from vicinal import SentenceTransformer
from vicinal.distillation.coverage import coverage_texts
from vicinal.distillation.static_model import (
    distill,
    principal_axes,
    token_shares,
    token_vectors,
    weighted_rows,
)
from vicinal.distillation.training import Lesson, Settings, _step, agreement, averages, train, unit
from vicinal.errors import InputError
from vicinal.tokens.static import StaticTokenizer


def sentences(count: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, int(n))) for n in random.integers(2, 9, count)]


def test_tokens_go_through_the_teacher_alone(teacher_folder: Path) -> None:
    teacher = SentenceTransformer(teacher_folder, dtype="float32")
    vectors = token_vectors(teacher)
    assert vectors.shape == (len(VOCABULARY), 16)
    np.testing.assert_allclose(vectors[VOCABULARY.index("cat")], teacher.encode("cat"), atol=1e-5)


def test_without_texts(teacher_folder: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    made = distill(teacher_folder, dim=6, report=lines.append)
    assert made.rows.shape == (len(VOCABULARY), 6) and lines
    made.save(tmp_path / "student")
    model = SentenceTransformer(tmp_path / "student")
    vectors = model.encode(["the cat", "a dog ran", ""])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 0], atol=1e-5)
    assert model.tokenize(["cat"])["input_ids"].tolist() == [VOCABULARY.index("cat")]
    assert "distilled" in (tmp_path / "student" / "README.md").read_text()


def test_training_brings_it_nearer_to_the_teacher(teacher_folder: Path, tmp_path: Path) -> None:
    texts = sentences(800)
    others = sentences(100, seed=9)
    teacher = SentenceTransformer(teacher_folder, dtype="float32")
    wanted = unit(teacher.encode(others))
    found = []
    for given in (None, texts):
        made = distill(teacher, dim=16, texts=given, settings=Settings(epochs=20, batch_size=64))
        made.save(tmp_path / "student", precision="int8")
        vectors = SentenceTransformer(tmp_path / "student").encode(others)
        found.append(float(np.corrcoef((vectors @ vectors.T).ravel(), (wanted @ wanted.T).ravel())[0, 1]))
    assert found[1] > found[0] + 0.05


def test_a_second_run_gives_the_same(teacher_folder: Path) -> None:
    runs = [
        distill(teacher_folder, dim=8, texts=sentences(200), settings=Settings(epochs=2)) for _ in range(2)
    ]
    np.testing.assert_allclose(runs[0].rows, runs[1].rows, atol=1e-5)


def test_few_texts_are_counted_but_not_trained_on(teacher_folder: Path) -> None:
    made = distill(teacher_folder, dim=4, texts=["the cat", "", "the the dog"])
    assert np.isfinite(made.rows).all()


def test_dim_above_the_teachers(teacher_folder: Path) -> None:
    with pytest.raises(InputError, match=r"dim=17: the teacher .* gives vectors of 16"):
        distill(teacher_folder, dim=17)


def test_a_static_teacher(static_folder: Path) -> None:
    with pytest.raises(InputError, match="static model already"):
        distill(static_folder, dim=4)


def test_saving_onto_a_file(teacher_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        distill(teacher_folder, dim=4).save(tmp_path / "file")


# the parts


def lesson(count: int = 30, width: int = 5) -> tuple[Any, Lesson]:
    random = np.random.default_rng(1)
    rows = random.standard_normal((len(VOCABULARY), width)).astype(np.float32)
    texts = StaticTokenizer(tokenizer())([*sentences(count - 1), ""])
    targets = unit(random.standard_normal((count, width)).astype(np.float32))
    teacher = unit(random.standard_normal((count, 7)).astype(np.float32))
    return rows, Lesson(texts, targets, teacher)


def loss_of(rows: Any, given: Lesson, likeness: float) -> float:
    """The loss of the docstring, in float64."""
    means = np.array(
        [
            rows[given.texts.ids[a:b]].mean(0) if b > a else np.zeros(rows.shape[1])
            for a, b in zip(given.texts.starts[:-1], given.texts.starts[1:], strict=True)
        ]
    )
    students = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-6)
    difference = students @ students.T - given.teacher.astype(float) @ given.teacher.T.astype(float)
    np.fill_diagonal(difference, 0)
    count = len(given)
    direction = float(np.mean(1 - np.sum(students * given.targets, axis=1)))
    return direction + likeness * float(np.sum(difference**2)) / (count * (count - 1))


class Recorder:
    """Stands where Adam stands, and keeps the gradient."""

    def step(self, used: Any, gradient: Any, factor: float) -> None:
        self.used, self.gradient = used, gradient


@pytest.mark.parametrize("likeness", [0.0, 3.0])
def test_the_gradient_is_that_of_the_loss(likeness: float) -> None:
    rows, given = lesson()
    recorder = Recorder()
    settings = Settings(likeness=likeness)
    found = _step(rows, rows, given, np.arange(len(given)), recorder, 1.0, settings)  # type: ignore[arg-type]
    wide = rows.astype(np.float64)
    assert found == pytest.approx(loss_of(wide, given, likeness), abs=1e-5)
    for place, token in list(enumerate(recorder.used))[::3]:
        for column in range(rows.shape[1]):
            sides = []
            for sign in (1, -1):
                moved = wide.copy()
                moved[token, column] += sign * 1e-5
                sides.append(loss_of(moved, given, likeness))
            slope = (sides[0] - sides[1]) / 2e-5
            assert recorder.gradient[place, column] == pytest.approx(slope, abs=2e-4)


def test_training_keeps_the_best_epoch_and_unused_rows() -> None:
    rows, given = lesson()
    lines: list[str] = []
    after = train(rows, given, given, Settings(epochs=30, batch_size=8, pull=0.01), lines.append)
    assert agreement(after, given) > agreement(rows, given)
    unused = sorted(set(range(len(rows))) - set(given.texts.ids.tolist()))
    assert (after[unused] == rows[unused]).all()
    assert lines[0].startswith("before")


def test_training_stops_when_nothing_improves() -> None:
    rows, given = lesson()
    lines: list[str] = []
    settings = Settings(epochs=50, patience=2, learning_rate=0.0)
    assert (train(rows, given, given, settings, lines.append) == rows).all()
    assert len(lines) == 3


def test_averages_of_rows() -> None:
    rows, given = lesson()
    assert (averages(rows, given.texts)[-1] == 0).all()


def test_axes_keep_what_varies() -> None:
    random = np.random.default_rng(2)
    vectors = (random.standard_normal((500, 6)) * [5, 4, 3, 0.1, 0.1, 0.1]).astype(np.float32)
    axes = principal_axes(vectors, 3, centred=False)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(np.abs(axes[:3]), np.eye(3), atol=0.1)
    shifted = principal_axes(vectors + 100, 3, centred=True)
    np.testing.assert_allclose(shifted, axes, atol=0.1)


def test_frequent_tokens_weigh_less() -> None:
    texts = StaticTokenizer(tokenizer())(["the the the cat"] * 20_000)
    shares = token_shares(texts, len(VOCABULARY))
    assert shares.sum() == pytest.approx(1) and (shares > 0).all()
    the, cat, mat = (VOCABULARY.index(word) for word in ("the", "cat", "mat"))
    assert shares[the] > shares[cat] > shares[mat]
    ones = np.ones((len(VOCABULARY), 2), dtype=np.float32)
    rows = weighted_rows(ones, np.eye(2, dtype=np.float32), shares, 1e-3)
    assert rows[the, 0] < rows[cat, 0] < rows[mat, 0] < 1


def test_made_up_texts() -> None:
    texts = ["alpha beta gamma delta"] * 3
    made = coverage_texts(tokenizer(), texts, 400, seed=1)
    assert made == coverage_texts(tokenizer(), texts, 400, seed=1) and len(made) == 400
    assert sum("alpha" in text for text in made) > 80
    assert {word for text in made for word in text.split()} >= {w for w in WORDS if len(w) > 1}
    assert len(coverage_texts(tokenizer(), [], 7, seed=1)) == 7


def test_made_up_texts_of_a_marked_vocabulary() -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    words = {"Ġcat": 0, "dog": 1, "Ġred": 2, "Ġa": 3, "Ġ12": 4}
    made = coverage_texts(Tokenizer(WordLevel(words, unk_token="dog")), [], 20, seed=1)
    assert {word for text in made for word in text.split()} == {"cat", "red"}
    assert coverage_texts(Tokenizer(WordLevel({"1": 0}, unk_token="1")), [], 20, seed=1) == []
