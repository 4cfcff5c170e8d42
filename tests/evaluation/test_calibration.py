"""Calibration: the share of answered queries below a score, with a threshold that keeps its promise."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vicinal.errors import InputError, InputTypeError
from vicinal.evaluation.calibration import Calibration, calibrate

SCORES = st.lists(st.floats(-1, 1), min_size=1, max_size=60).map(
    lambda found: Calibration(tuple(sorted(found)))
)


@settings(deadline=None)
@given(SCORES, st.lists(st.floats(-2, 2), max_size=20))
def test_shares_are_counts(found: Calibration, asked: list[float]) -> None:
    shares = found.share(asked)
    expected = [(1 + sum(own <= score for own in found.scores)) / (1 + len(found.scores)) for score in asked]
    np.testing.assert_allclose(shares, np.array(expected), rtol=1e-12)
    assert all(0 < share <= 1 for share in shares)
    ordered = [found.share(score) for score in sorted(asked)]
    assert ordered == sorted(ordered) and all(isinstance(share, float) for share in ordered)


@settings(deadline=None)
@given(SCORES, st.floats(0.001, 0.999))
def test_thresholds_lose_no_more_than_they_may(found: Calibration, lost: float) -> None:
    count = len(found.scores)
    if lost * (count + 1) < 1:
        with pytest.raises(InputError, match=r"too few to tell; [0-9]+ are needed"):
            found.threshold(lost)
        return
    lowest = found.threshold(lost)
    assert sum(score < lowest for score in found.scores) <= lost * (count + 1)
    higher = [score for score in found.scores if score > lowest]
    if higher:  # the next score would lose more
        assert sum(score < higher[0] for score in found.scores) + 1 > lost * (count + 1) - 1


def test_new_queries_are_lost_as_promised() -> None:
    draws = np.random.default_rng(0)
    for lost in (0.05, 0.2):
        below = [
            float(new < Calibration(tuple(sorted(seen))).threshold(lost))
            for *seen, new in draws.normal(size=(4000, 60))
        ]
        # floor(lost * 60) / 60, within four standard errors
        exact = int(lost * 60 + 1e-9) / 60
        assert abs(np.mean(below) - exact) < 4 * (exact / 4000) ** 0.5


def test_another_scale_of_scores_changes_nothing_but_the_scores() -> None:
    scores = np.sort(np.random.default_rng(1).uniform(0.1, 0.9, 80))
    one, other = Calibration(tuple(scores)), Calibration(tuple(np.exp(3 * scores)))
    for lost in (0.02, 0.05, 0.5):
        assert np.exp(3 * one.threshold(lost)) == other.threshold(lost)
    asked = np.linspace(0, 1, 50)
    np.testing.assert_array_equal(one.share(asked), other.share(np.exp(3 * asked)))


def test_it_is_saved(tmp_path: Path) -> None:
    found = Calibration((0.1, 0.2, 1 / 3))
    found.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == found
    wrong = (
        "[]",
        "{}",
        *(f'{{"scores": {scores}}}' for scores in ("[]", '["x"]', "[NaN]", '"123"', "true", "{}")),
    )
    for text in ("", *wrong):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InputError, match=r"bad\.json: not a saved calibration"):
            Calibration.load(tmp_path / "bad.json")
    with pytest.raises(InputError, match="not a saved calibration"):
        Calibration.load(tmp_path / "none.json")


@pytest.mark.parametrize("lost", [0, 1, -0.1, 2, float("nan"), "x", True, None])
def test_shares_that_are_none(lost: object) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        Calibration((0.1, 0.2)).threshold(lost)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="NaN"):
        Calibration((0.1, 0.2)).share([0.5, float("nan")])
    with pytest.raises(InputTypeError, match="scores is 'x'"):
        Calibration((0.1, 0.2)).share("x")


def test_scores_are_brought_into_order_and_checked() -> None:
    assert Calibration((0.9, 0.1, 0.5)).share(0.2) == 0.5
    for scores in ((), (0.1, float("nan")), (float("inf"),)):
        with pytest.raises(InputError, match="holds no scores, or some are not finite"):
            Calibration(scores)


def test_an_encoder_that_loses_texts_is_refused() -> None:
    class Three(Letters):
        def encode(self, texts, **options):
            return super().encode(texts, **options)[:3]

    with pytest.raises(InputError, match="model gave 3 vectors for"):
        calibrate(Three(), documents())


class Letters:
    """Vectors of letter pairs: what shares words is similar."""

    def encode(self, texts: list[str], show_progress_bar: bool | None = None) -> np.ndarray:
        rows = np.zeros((len(texts), 27 * 27), np.float32)
        for row, text in zip(rows, texts, strict=True):
            codes = [max(0, min(26, ord(letter) - 96)) for letter in text.lower()]
            for left, right in pairwise(codes):
                row[27 * left + right] += 1
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def documents() -> list[str]:
    draws = np.random.default_rng(2)
    words = ["".join(chr(97 + letter) for letter in draws.integers(0, 26, 6)) for _ in range(400)]
    return [
        f"# Of {words[i]} and {words[i + 1]}\n\n"
        + " ".join(words[j] for j in draws.integers(i, i + 9, 60))
        + "."
        for i in range(0, 360, 9)
    ]


def test_scores_are_the_best_of_each_query() -> None:
    from vicinal.evaluation.known_items import known_items

    found = calibrate(Letters(), documents())
    items = known_items(documents())
    all_pairs = Letters().encode(items.queries) @ Letters().encode(items.passages).T
    np.testing.assert_allclose(found.scores, np.sort(all_pairs.max(axis=1)), atol=1e-5)


def test_a_query_about_something_else_is_below() -> None:
    model, texts = Letters(), documents()
    found = calibrate(model, texts)
    passages = model.encode(texts)
    foreign = ["zz zzz zzzz qqq zqzq", "x x x x x", "jjj jj jjjj"]
    assert ((model.encode(foreign) @ passages.T).max(axis=1) < found.threshold(0.05)).all()
    assert (found.share((model.encode(foreign) @ passages.T).max(axis=1)) < 0.05).all()


def test_what_cannot_be_calibrated() -> None:
    with pytest.raises(InputError, match="queries, and 20 are needed"):
        calibrate(Letters(), documents()[:5])
    with pytest.raises(InputTypeError, match="model is str, which has no encode"):
        calibrate("all-MiniLM-L6-v2", documents())
    assert json.dumps(calibrate(Letters(), documents()).scores)
