"""Models compared on documents that nobody judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from vicinal.errors import InputError, InputTypeError
from vicinal.evaluation import InformationRetrievalEvaluator, MSEEvaluator
from vicinal.evaluation.choosing import compare_models
from vicinal.evaluation.known_items import KnownItems

COUNT = 40
ITEMS = KnownItems(
    queries=[f"query {n}" for n in range(COUNT)],
    passages=[f"passage {n}" for n in range(COUNT)],
    answers=[frozenset({n}) for n in range(COUNT)],
    headings=0,
)


class Numbered:
    """Gives texts of the same number the same vector, and adds noise."""

    similarity_fn_name = "cosine"

    def __init__(self, noise: float, seed: int = 0) -> None:
        self.noise, self.seed = noise, seed
        self.known: dict[str, NDArray[np.float32]] = {}

    def encode(self, sentences: Sequence[str], **options: object) -> NDArray[np.float32]:
        rows = []
        for text in sentences:
            number = int(text.split()[1])
            exact = np.random.default_rng(number).standard_normal(16)
            noise = np.random.default_rng([self.seed, number, len(text.split()[0])]).standard_normal(16)
            rows.append(exact + self.noise * noise)
        return np.asarray(rows, dtype=np.float32)


def test_the_better_model_is_first() -> None:
    models = {"random": Numbered(50.0), "exact": Numbered(0.0), "near": Numbered(0.1), "worse": Numbered(2.0)}
    found = compare_models(ITEMS, models)
    assert {each.name for each in found[:2]} == {"exact", "near"}
    assert [each.name for each in found[2:]] == ["worse", "random"]
    assert [each.level for each in found] == [True, True, False, False]
    assert (found[0].ndcg, found[0].recall, found[0].dimension) == (1.0, 1.0, 16)
    assert all(each.passages_per_second > 0 and each.query_seconds > 0 for each in found)


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_figures_are_those_of_the_evaluator(noise: float) -> None:
    (found,) = compare_models(ITEMS, {"a": Numbered(noise)})
    evaluator = InformationRetrievalEvaluator(
        {str(n): text for n, text in enumerate(ITEMS.queries)},
        {str(n): text for n, text in enumerate(ITEMS.passages)},
        {str(n): {str(n)} for n in range(COUNT)},
    )
    expected = evaluator(Numbered(noise))
    assert found.ndcg == pytest.approx(expected["cosine_ndcg@10"], abs=1e-9)
    assert found.recall == pytest.approx(expected["cosine_recall@10"], abs=1e-9)


class Judge:
    """Says that a passage with the number after the query's is as good an answer."""

    def __init__(self, high: float, low: float) -> None:
        self.high, self.low = high, low
        self.seen: list[tuple[str, str]] = []

    def predict(self, pairs: Sequence[tuple[str, str]], **options: object) -> NDArray[np.float64]:
        self.seen += pairs
        return np.array(
            [
                self.high if int(second.split()[1]) == int(first.split()[1]) + 1 else self.low
                for first, second in pairs
            ]
        )


class NextOne(Numbered):
    """Takes each query for the next one."""

    def encode_query(self, sentences: Sequence[str], **options: object) -> NDArray[np.float32]:
        return self.encode([f"query {int(text.split()[1]) + 1}" for text in sentences])

    def encode_document(self, sentences: Sequence[str], **options: object) -> NDArray[np.float32]:
        return self.encode(sentences)


@pytest.mark.parametrize(("high", "low"), [(1.0, 0.0), (30.0, -30.0)])
def test_a_judge_knows_other_answers(high: float, low: float) -> None:
    alone = {
        each.name: each for each in compare_models(ITEMS, {"next": NextOne(0.0), "exact": Numbered(0.0)})
    }
    judge = Judge(high, low)
    found = {
        each.name: each
        for each in compare_models(ITEMS, {"next": NextOne(0.0), "exact": Numbered(0.0)}, judge=judge)
    }
    assert found["next"].ndcg > alone["next"].ndcg + 0.4
    assert found["exact"].recall == alone["exact"].recall == 1.0  # of the known answers alone
    assert len(judge.seen) == len(set(judge.seen))
    assert not any(first.split()[1] == second.split()[1] for first, second in judge.seen)


def test_what_is_refused() -> None:
    with pytest.raises(InputTypeError, match="items is list: give what known_items"):
        compare_models(["a text"], {"a": Numbered(0.0)})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="models is empty"):
        compare_models(ITEMS, {})
    with pytest.raises(InputTypeError, match=r"models\['x'\] is int, which has no encode"):
        compare_models(ITEMS, {"x": 3})
    with pytest.raises(InputTypeError, match=r"models\['x'\] is str, which has no encode"):
        compare_models(ITEMS, {"x": "vicinal-mini"})
    with pytest.raises(InputTypeError, match="teacher_model is str: give a model"):
        MSEEvaluator(["a"], ["b"], teacher_model="vicinal-mini")

    class Untrained(Judge):
        head_is_new = True

    with pytest.raises(InputError, match="judge has a new head of random weights"):
        compare_models(ITEMS, {"exact": Numbered(0.0)}, judge=Untrained(1, 0))
    with pytest.raises(InputTypeError, match=r"judge is int, which has no predict\(\)"):
        compare_models(ITEMS, {"exact": Numbered(0.0)}, judge=3)
    with pytest.raises(InputTypeError, match="models is list: give names with their models"):
        compare_models(ITEMS, [Numbered(0.0)])  # type: ignore[arg-type]

    class Short(Numbered):
        def encode(self, sentences: Sequence[str], **options: object) -> NDArray[np.float32]:
            return super().encode(sentences[1:] if len(sentences) == COUNT else sentences)

    with pytest.raises(InputError, match=r"gave \(39, 16\) numbers for 40 texts"):
        compare_models(ITEMS, {"short": Short(0.0)})

    class Several(Judge):
        def predict(self, pairs: Sequence[tuple[str, str]], **options: object) -> NDArray[np.float64]:
            return np.zeros((len(pairs), 3))

    with pytest.raises(InputError, match="judge gives 3 scores per pair"):
        compare_models(ITEMS, {"exact": Numbered(0.0)}, judge=Several(1, 0))
    with pytest.raises(InputError, match="judge gave NaN"):
        compare_models(ITEMS, {"exact": Numbered(0.0)}, judge=Judge(np.nan, 0.0))
