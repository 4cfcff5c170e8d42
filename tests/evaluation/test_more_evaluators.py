"""Accuracy of a classifier, errors by language, and what bad input of these says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from evaluation_cases import Batches, TableEncoder, classifier

from vicinal import util
from vicinal.errors import InputError, InputTypeError
from vicinal.evaluation import (
    InformationRetrievalEvaluator,
    LabelAccuracyEvaluator,
    MSEEvaluatorFromDataFrame,
    ParaphraseMiningEvaluator,
    RerankingEvaluator,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

EXAMPLES = [SimpleNamespace(texts=[str(n), str(n + 20)], label=n % 3) for n in range(20)]


def labels(loader: Any = None, **options: Any) -> LabelAccuracyEvaluator:
    return LabelAccuracyEvaluator(loader or Batches(EXAMPLES, 6), softmax_model=classifier, **options)


def test_accuracy_is_the_share_of_right_classes() -> None:
    loader = Batches(EXAMPLES, 6)
    before = loader.collate_fn
    found = labels(loader)(TableEncoder())
    features = [TableEncoder().tokenize([one.texts[side] for one in EXAMPLES]) for side in (0, 1)]
    classes = classifier(features, None)[1].argmax(dim=1).tolist()
    right = sum(one.label == each for one, each in zip(EXAMPLES, classes, strict=True))
    assert found == {"accuracy": right / 20}
    assert loader.collate_fn is before


def test_any_batches_and_torchs_loader() -> None:
    expected = labels()(TableEncoder())
    assert labels([EXAMPLES[:11], EXAMPLES[11:]])(TableEncoder()) == expected
    loader = torch.utils.data.DataLoader(EXAMPLES, batch_size=7, shuffle=True)
    assert labels(loader)(TableEncoder()) == expected


def test_what_was_training_goes_on_training() -> None:
    class Classifier(torch.nn.Module):
        def forward(self, features: Any, labels: Any) -> Any:
            assert not self.training
            assert not torch.is_grad_enabled()
            return classifier(features, labels)

    trained = Classifier()
    LabelAccuracyEvaluator(Batches(EXAMPLES, 6), softmax_model=trained)(TableEncoder())
    assert trained.training


def test_examples_that_are_none() -> None:
    with pytest.raises(InputTypeError, match="softmax_model is NoneType: give the SoftmaxLoss"):
        LabelAccuracyEvaluator(Batches(EXAMPLES, 6))
    with pytest.raises(InputTypeError, match="dataloader is int"):
        labels(3)
    with pytest.raises(InputTypeError, match="example 0 of dataloader is str"):
        labels([["a", "b"]])(TableEncoder())
    with pytest.raises(InputError, match=r"example 1 of dataloader has the label 0\.5"):
        labels([[EXAMPLES[0], SimpleNamespace(texts=["1", "2"], label=0.5)]])(TableEncoder())
    with pytest.raises(InputError, match="example 1 of dataloader has 1 texts, others 2"):
        labels([[EXAMPLES[0], SimpleNamespace(texts=["1"], label=1)]])(TableEncoder())
    with pytest.raises(InputError, match="dataloader gave no examples"):
        labels([[]])(TableEncoder())


ROWS = [{"en": "1", "de": "2", "fr": "3"}, {"en": "4", "de": " ", "fr": "6"}, {"en": "7", "fr": None}]


def languages(rows: Any = ROWS, pairs: Any = (("en", "de"), ("en", "fr")), **options: Any) -> Any:
    return MSEEvaluatorFromDataFrame(rows, TableEncoder(), pairs, **options)


def test_error_by_language() -> None:
    evaluator = languages()
    assert evaluator.data == {("en", "de"): (["1"], ["2"]), ("en", "fr"): (["1", "4"], ["3", "6"])}
    assert evaluator.csv_headers == ["epoch", "steps", "en-de", "en-fr"]
    vectors = TableEncoder().encode([str(n) for n in range(8)])
    german = 100 * np.square(vectors[1] - vectors[2]).mean()
    french = 100 * np.square(vectors[[1, 4]] - vectors[[3, 6]]).mean()
    assert evaluator(TableEncoder()) == pytest.approx({"negative_mse": -(german + french) / 2})
    assert list(evaluator.teacher_embeddings) == ["1", "4"]


def test_rows_of_a_data_frame() -> None:
    class Frame:
        """As pandas has it; a missing cell is NaN."""

        def to_dict(self, orient: str) -> list[dict[str, Any]]:
            assert orient == "records"
            return [{**row, "de": row["de"].strip() or float("nan")} for row in ROWS[:2]]

    assert languages(Frame(), [("en", "de")]).data == {("en", "de"): (["1"], ["2"])}


def test_rows_and_pairs_that_are_none() -> None:
    with pytest.raises(InputTypeError, match=r"dataframe\[0\] is str"):
        languages(["a"])
    with pytest.raises(InputTypeError, match=r"combinations\[0\] is 'en-de'"):
        languages(pairs=["en-de"])
    with pytest.raises(InputError, match="combinations is empty"):
        languages(pairs=[])
    with pytest.raises(InputError, match="no row with texts in both 'en' and 'it'"):
        languages(pairs=[("en", "it")])
    with pytest.raises(InputTypeError, match=r"dataframe\[0\]\['de'\] is 5, not a text"):
        languages([{"en": "1", "de": 5}])
    with pytest.raises(InputTypeError, match="teacher_model is NoneType"):
        MSEEvaluatorFromDataFrame(ROWS, None, [("en", "de")])


def test_equal_scores_of_mined_pairs_are_one_step() -> None:
    evaluator = ParaphraseMiningEvaluator({str(n): str(n) for n in range(5)}, [("0", "1"), ("2", "3")])
    mined: list[list[float | int]] = [[0.9, 0, 1], [0.9, 0, 2], [0.5, 1, 2], [0.5, 2, 3], [0.1, 3, 4]]
    for order in (mined, [mined[1], mined[0], mined[3], mined[2], mined[4]]):
        # precision 1/2 at the first step and 2/4 at the second, half of the recall each
        assert evaluator._figures(order)["average_precision"] == pytest.approx(0.5)


def test_given_vectors_of_another_corpus_are_refused() -> None:
    evaluator = InformationRetrievalEvaluator({"q": "1"}, {"d": "2", "e": "3"}, {"q": {"d"}})
    with pytest.raises(InputError, match="corpus_embeddings has 3 vectors for a corpus of 2"):
        evaluator.compute_all_metrics(TableEncoder(), corpus_embeddings=np.ones((3, 8)))


def test_ids_that_cannot_be_compared_keep_their_order() -> None:
    corpus: dict[Any, str] = {"z": "2", 1: "2", "a": "2"}
    evaluator = InformationRetrievalEvaluator({"q": "2"}, corpus, {"q": {1}}, accuracy_at_k=[1, 2])
    found = evaluator(TableEncoder())
    assert (found["cosine_accuracy@1"], found["cosine_accuracy@2"]) == (0, 1)
    del corpus[1]
    evaluator = InformationRetrievalEvaluator({"q": "2"}, corpus, {"q": {"a"}}, accuracy_at_k=[1])
    assert evaluator(TableEncoder())["cosine_accuracy@1"] == 1


def test_functions_that_take_tensors_only() -> None:
    def product(a: Any, b: Any) -> Any:
        return torch.mm(a, b.t())

    queries, corpus = {"q": "1", "r": "2"}, {str(n): str(n) for n in range(3, 20)}
    evaluators = [
        InformationRetrievalEvaluator(
            queries, corpus, {"q": {"4"}, "r": {"9"}}, score_functions={"dot": each}
        )
        for each in (product, util.dot_score)
    ]
    assert evaluators[0](TableEncoder()) == pytest.approx(evaluators[1](TableEncoder()))
    samples = [{"query": "1", "positive": ["3"], "negative": ["4", "5"]}]
    found = RerankingEvaluator(samples, similarity_fct=product)(TableEncoder())
    assert found == RerankingEvaluator(samples, similarity_fct=util.dot_score)(TableEncoder())
