"""No figure is computed of NaN, and what cannot be evaluated is refused by name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicinal.errors import InputError, InputTypeError
from vicinal.evaluation import (
    InformationRetrievalEvaluator,
    ParaphraseMiningEvaluator,
    RerankingEvaluator,
    SequentialEvaluator,
)
from vicinal.evaluation.cross_encoder import (
    CrossEncoderClassificationEvaluator,
    CrossEncoderCorrelationEvaluator,
    CrossEncoderRerankingEvaluator,
)
from vicinal.evaluation.metrics import spearman

SAMPLE = {"query": "a", "positive": ["b"], "negative": ["c"]}
QUERIES, CORPUS = {"q": "0"}, {"d": "0", "e": "1", "f": "2"}
RELEVANT = {"q": {"d"}}


class Corners:
    """Text n is the n-th axis."""

    similarity_fn_name = "dot"

    def __init__(self) -> None:
        self.encoded = list[str]()

    def encode(self, texts: list[str], **options: Any) -> Any:
        self.encoded += texts
        return np.eye(4, dtype=np.float32)[[int(text) if text.isdigit() else 3 for text in texts]]


class Diverged:
    """A cross-encoder whose first score is NaN."""

    def __init__(self, labels: int = 1) -> None:
        self.labels = labels

    def predict(self, pairs: list[Any], **options: Any) -> Any:
        scores = np.ones((len(pairs), self.labels), dtype=np.float32) * np.arange(self.labels)
        scores[0, 0] = np.nan
        return scores[:, 0] if self.labels == 1 else scores


def no_numbers(one: Any, two: Any) -> Any:
    return np.full((len(one), len(two)), np.nan)


@pytest.mark.parametrize(
    ("evaluator", "labels"),
    [
        (CrossEncoderClassificationEvaluator([("a", "b")] * 3, [1, 0, 1]), 1),
        (CrossEncoderClassificationEvaluator([("a", "b")] * 3, [1, 0, 2]), 3),
        (CrossEncoderCorrelationEvaluator([("a", "b")] * 3, [1, 0, 0.5]), 1),
        (CrossEncoderRerankingEvaluator([SAMPLE, SAMPLE]), 1),
    ],
)
def test_a_cross_encoder_that_gives_nan_has_no_figures(evaluator: Any, labels: int) -> None:
    with pytest.raises(InputError, match=r"predict\(\) gave NaN for 1 of \d scores, the first for number 0"):
        evaluator(Diverged(labels))


def test_a_score_function_that_gives_nan_is_refused() -> None:
    retrieval = InformationRetrievalEvaluator(QUERIES, CORPUS, RELEVANT, score_functions={"mine": no_numbers})
    with pytest.raises(InputError, match="score function gave NaN"):
        retrieval(Corners())
    with pytest.raises(InputError, match="similarity_fct gave NaN"):
        RerankingEvaluator([SAMPLE], similarity_fct=no_numbers)(Corners())


def test_ranks_of_nan_have_no_correlation() -> None:
    assert math.isnan(spearman([1.0, math.nan, 3.0], [1.0, 2.0, 3.0]))
    assert math.isnan(spearman([1.0, 2.0, 3.0], [1.0, 2.0, math.nan]))


@pytest.mark.parametrize(
    ("grade", "error"), [(math.nan, InputError), (math.inf, InputError), ("2", InputTypeError)]
)
def test_grades_are_finite_numbers(grade: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"grades of relevant_docs\['q'\]"):
        InformationRetrievalEvaluator(QUERIES, CORPUS, {"q": {"d": 1, "e": grade}})


def test_ids_and_pairs_may_come_from_numpy(tmp_path: Path) -> None:
    one, two = np.arange(2)
    retrieval = InformationRetrievalEvaluator(
        {one: "0"}, {one: "0", two: "1"}, {one: [one]}, write_predictions=True
    )
    assert retrieval(Corners(), output_path=tmp_path)["dot_ndcg@10"] == 1.0
    (file,) = tmp_path.glob("*.jsonl")
    assert json.loads(file.read_text())["results"][0] == {"corpus_id": 0, "score": 1.0}
    texts = {"a": "0", "b": "0", "c": "1"}
    assert ParaphraseMiningEvaluator(texts, np.array([["a", "b"]]))(Corners())["average_precision"] == 1.0  # type: ignore[arg-type]


def test_data_of_the_wrong_form_is_named() -> None:
    with pytest.raises(InputTypeError, match=r"relevant_docs\['q'\] is 1: give a set of ids, {1}"):
        InformationRetrievalEvaluator(QUERIES, {1: "x"}, {"q": 1})  # type: ignore[dict-item]
    with pytest.raises(InputTypeError, match=r"duplicates_dict\['a'\] is set"):
        ParaphraseMiningEvaluator({"a": "x", "b": "y"}, duplicates_dict={"a": {"b"}})  # type: ignore[dict-item]
    with pytest.raises(InputTypeError, match=r"samples\[1\]\['query'\] is a list"):
        RerankingEvaluator([SAMPLE, {**SAMPLE, "query": ["a", "b"]}])
    with pytest.raises(InputTypeError, match="evaluators is ParaphraseMiningEvaluator: give a list"):
        SequentialEvaluator(ParaphraseMiningEvaluator({"a": "x", "b": "y"}, [("a", "b")]))  # type: ignore[arg-type]


def test_retrieval_takes_the_vectors_of_the_corpus_when_called() -> None:
    evaluator, model = InformationRetrievalEvaluator(QUERIES, CORPUS, RELEVANT, ndcg_at_k=[2]), Corners()
    turned = np.eye(4, dtype=np.float32)[[1, 0, 2]] + np.eye(4, dtype=np.float32)[0] * [[0.5], [0], [0]]
    # "e" scores 1 and "d" 0.5: the answer is second.
    assert evaluator(model, corpus_embeddings=turned)["dot_ndcg@2"] == pytest.approx(1 / math.log2(3))
    assert model.encoded == ["0"]
    # The next call knows nothing of them, and another model may encode the corpus.
    other = Corners()
    assert evaluator(model, corpus_model=other)["dot_ndcg@2"] == 1.0
    assert (model.encoded, other.encoded) == (["0", "0"], ["0", "1", "2"])
    assert evaluator(model)["dot_ndcg@2"] == 1.0


@pytest.mark.parametrize("name", ["dot", "", None, 3])
def test_the_primary_metric_is_among_the_figures_whatever_the_name(name: Any) -> None:
    evaluator = InformationRetrievalEvaluator(QUERIES, CORPUS, RELEVANT, name=name)
    for _ in range(2):
        assert evaluator(Corners())[str(evaluator.primary_metric)] == 1.0
