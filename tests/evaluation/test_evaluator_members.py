"""Static members, hooks and options of evaluators, with the figures of sentence-transformers 6.2.0."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicinal.evaluation import (
    BinaryClassificationEvaluator,
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
    MSEEvaluator,
    ParaphraseMiningEvaluator,
    RerankingEvaluator,
    SentenceEvaluator,
    TranslationEvaluator,
    TripletEvaluator,
)
from vicinal.evaluation.cross_encoder import CrossEncoderCorrelationEvaluator, CrossEncoderRerankingEvaluator

A, B, C = ["a", "bb", "ccc", "dd", "e"], ["aa", "b", "cc", "d", "eee"], ["x", "y", "z", "w", "v"]
SCORES, LABELS = np.array([0.1, 0.9, 0.4, 0.7, 0.7, 0.3]), np.array([0, 1, 0, 1, 0, 1])
SAMPLES = [{"query": "a", "positive": ["b", "c"], "negative": ["d", "e"]}]


class Model:
    """Random vectors, always the same for a text; queries have another sign."""

    similarity_fn_name = "cosine"

    def encode(self, sentences: Sequence[str], **_: Any) -> Any:
        seeds = [sum(map(ord, text)) for text in sentences]
        return np.stack([np.random.RandomState(seed).randn(8).astype("f4") for seed in seeds])


class Asymmetric(Model):
    """Queries are encoded in another way."""

    def encode_query(self, sentences: Sequence[str], **options: Any) -> Any:
        return -self.encode(sentences, **options)


def retrieval(**options: Any) -> InformationRetrievalEvaluator:
    """Two queries, two documents."""
    queries, corpus = {"q": "a", "r": "b"}, {"d": "aa", "e": "bb"}
    return InformationRetrievalEvaluator(queries, corpus, {"q": {"d"}, "r": {"e", "d"}}, **options)


def test_the_best_thresholds() -> None:
    accuracy = BinaryClassificationEvaluator.find_best_acc_and_threshold
    assert accuracy(SCORES, LABELS, True) == pytest.approx((2 / 3, 0.8))
    assert accuracy(SCORES, LABELS, False) == pytest.approx((0.5, 0.1))
    f1 = BinaryClassificationEvaluator.find_best_f1_and_threshold
    assert f1(SCORES, LABELS, True) == pytest.approx((0.75, 0.6, 1.0, 0.2))
    assert f1(list(SCORES), list(LABELS), high_score_more_similar=False) == pytest.approx(
        (2 / 3, 0.5, 1.0, 0.9)
    )


def test_metrics_of_pairs_by_similarity() -> None:
    evaluator = BinaryClassificationEvaluator(
        A, B, [1, 0, 1, 1, 0], similarity_fn_names=["cosine", "euclidean"]
    )
    found = evaluator.compute_metrics(Model())
    assert found == evaluator.compute_metrices(Model())
    assert found["cosine"] == pytest.approx(
        {
            "accuracy": 0.6,
            "accuracy_threshold": 0.358584,
            "f1": 0.75,
            "f1_threshold": -0.41577184,
            "precision": 0.6,
            "recall": 1.0,
            "ap": 0.7555555555555555,
            "mcc": 0.0,
        }
    )
    assert found["euclidean"]["accuracy_threshold"] == pytest.approx(4.2346034)


def test_metrics_of_a_retrieval() -> None:
    metrics = retrieval().compute_all_metrics(Model())["cosine"]
    assert metrics["accuracy@k"] == {1: 0.5, 3: 1.0, 5: 1.0, 10: 1.0}
    assert metrics["precision@k"] == pytest.approx({1: 0.5, 3: 0.5, 5: 0.3, 10: 0.15})
    assert metrics["recall@k"] == {1: 0.25, 3: 1.0, 5: 1.0, 10: 1.0}
    assert metrics["ndcg@k"] == pytest.approx({10: 0.8154648767857288})
    assert (metrics["mrr@k"], metrics["map@k"]) == ({10: 0.75}, {100: 0.75})
    vectors = Model().encode(["aa", "bb"])
    assert retrieval().compute_metrices(Model(), corpus_embeddings=vectors) == {"cosine": metrics}


def test_metrics_of_given_hits() -> None:
    hits = [
        [{"corpus_id": "e", "score": 0.1}, {"corpus_id": "d", "score": 0.9}],
        [{"corpus_id": "e", "score": 0.9}],
    ]
    found = retrieval().compute_metrics(hits)
    assert found["recall@k"] == {1: 0.75, 3: 0.75, 5: 0.75, 10: 0.75}
    assert found["ndcg@k"] == pytest.approx({10: 0.8065735963827292})
    assert found["map@k"] == {100: 0.75}
    assert InformationRetrievalEvaluator.compute_dcg_at_k([1, 0, 1, 1], 3) == 1.5
    assert InformationRetrievalEvaluator.compute_dcg_at_k([3, 0, 1], 5) == 3.5


def test_ranked_documents_are_written(tmp_path: Path) -> None:
    evaluator = retrieval(write_predictions=True, name="nm")
    metrics = evaluator(Model(), tmp_path)
    evaluator(Model(), tmp_path)  # the second call writes the file again
    file = tmp_path / "Information-Retrieval_evaluation_nm_predictions_cosine.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["query_id"] for line in lines] == ["q", "r"]
    assert lines[0]["query"] == "a"
    assert [hit["corpus_id"] for hit in lines[0]["results"]] == ["e", "d"]
    assert [hit["score"] for hit in lines[0]["results"]] == pytest.approx([-0.09917465, -0.41577187])
    assert metrics == evaluator(Model())
    assert len(list(tmp_path.iterdir())) == 2


def test_metrics_of_a_reranking() -> None:
    evaluator = RerankingEvaluator(SAMPLES)
    expected = {"map": 0.5833333333333333, "mrr": 0.5, "ndcg": 0.6934264036172708}
    for compute in (
        evaluator.compute_metrics,
        evaluator.compute_metrics_batched,
        evaluator.compute_metrices_individual,
    ):
        assert compute(Model()) == pytest.approx(expected)
    pairs = CrossEncoderRerankingEvaluator(SAMPLES)
    assert pairs.compute_metrics([1, 0, 1], [0.5, 0.2, 0.1]) == pytest.approx(
        (1.0, 0.9197207891481877, 5 / 6)
    )


def test_queries_and_documents_are_encoded_by_their_own_methods() -> None:
    # Anchors of the other sign: what was nearer is farther.
    plain = TripletEvaluator(A, B, C)(Model())["cosine_accuracy"]
    assert (plain, TripletEvaluator(A, B, C)(Asymmetric())["cosine_accuracy"]) == pytest.approx((0.4, 0.6))
    samples = [{"query": "a", "positive": ["b"], "negative": ["d", "e", "x", "y", "z", "w"]}]
    found = RerankingEvaluator(samples)(Asymmetric())
    assert found == RerankingEvaluator(samples, similarity_fct=_opposite)(Model())
    assert found != RerankingEvaluator(samples)(Model())
    assert retrieval()(Asymmetric()) == retrieval(score_functions={"cosine": _opposite})(Model())


def _opposite(queries: Any, documents: Any) -> Any:
    from vicinal.util import cos_sim

    return cos_sim(-np.asarray(queries), documents)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (BinaryClassificationEvaluator, (A, B, [1, 0, 1, 1, 0])),
        (EmbeddingSimilarityEvaluator, (A, B, [1, 0.5, 0.3, 0.2, 0.9])),
        (TripletEvaluator, (A, B, C)),
        (TranslationEvaluator, (A, B)),
        (RerankingEvaluator, (SAMPLES,)),
        (MSEEvaluator, (A, B, Model())),
    ],
)
def test_a_subclass_may_encode_in_its_own_way(kind: Any, arguments: tuple[Any, ...]) -> None:
    class Own(kind):  # type: ignore[misc]
        def embed_inputs(self, model: Any, sentences: Any, **kwargs: Any) -> Any:
            assert not kwargs.keys() - {"encode_fn_name"}
            return -super().embed_inputs(model, sentences[:], **kwargs)

    assert Own(*arguments)(Model()) == pytest.approx(kind(*arguments)(Model()))


def test_settings_for_the_card() -> None:
    assert SentenceEvaluator().get_config_dict() == {}
    assert BinaryClassificationEvaluator(A, B, [1, 0, 1, 1, 0], truncate_dim=4).get_config_dict() == {
        "truncate_dim": 4
    }
    similarity = EmbeddingSimilarityEvaluator(A, B, [1, 0.5, 0.3, 0.2, 0.9], precision="int8")
    assert similarity.get_config_dict() == {"precision": "int8"}
    assert retrieval(query_prompt="x", corpus_prompt_name="y").get_config_dict() == {
        "query_prompt": "x",
        "corpus_prompt_name": "y",
    }
    mining = ParaphraseMiningEvaluator({"1": "a", "2": "b", "3": "c"}, [("1", "2")])
    assert mining.get_config_dict() == {"add_transitive_closure": False, "max_pairs": 500000, "top_k": 100}
    assert RerankingEvaluator(SAMPLES).get_config_dict() == {"at_k": 10}
    assert TripletEvaluator(A, B, C).get_config_dict() == {}
    assert TripletEvaluator(A, B, C, margin=0.1).get_config_dict()["margin"]["dot"] == 0.1
    found = [{"query": "a", "positive": ["bb"], "documents": ["ddd", "bb"]}]
    pairs = CrossEncoderRerankingEvaluator(found, always_rerank_positives=False)
    assert pairs.get_config_dict() == {"at_k": 10, "always_rerank_positives": False}


def test_what_is_known_before_the_first_call() -> None:
    reranking = RerankingEvaluator(SAMPLES, at_k=5)
    assert reranking.primary_metric == "ndcg@5"
    assert reranking.csv_headers == ["epoch", "steps", "MAP", "MRR@5", "NDCG@5"]
    assert TranslationEvaluator(A, B).primary_metric == "mean_accuracy"
    assert MSEEvaluator(A, B, Model()).primary_metric == "negative_mse"
    assert CrossEncoderCorrelationEvaluator([("a", "b"), ("b", "c")], [1, 2]).primary_metric == "spearman"
    triplets = TripletEvaluator(A, B, C, name="x")
    assert list(triplets.csv_headers) == ["epoch", "steps"]
    triplets(Model())
    assert triplets.csv_headers == ["epoch", "steps", "accuracy_cosine"]
    assert triplets.primary_metric == "x_cosine_accuracy"


def test_all_pairs_of_a_group() -> None:
    graph = {"a": {"b": True}, "b": {"a": True, "c": True}}
    found = ParaphraseMiningEvaluator.add_transitive_closure(graph)
    assert found is graph
    assert found == {"a": {"b": True, "c": True}, "b": {"a": True, "c": True}, "c": {"b": True, "a": True}}


def test_wrong_matches_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    found = TranslationEvaluator(A, B, print_wrong_matches=True)(Model())
    assert found["src2trg_accuracy"] == pytest.approx(0.4)
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("source")] == [
        "source 0: a",
        "source 2: ccc",
        "source 4: e",
    ]
    assert "  0.2855  2: cc" in printed
    assert "  its translation, 0: aa" in printed


def test_the_old_name_of_a_triplets_similarity() -> None:
    with pytest.warns(DeprecationWarning, match="main_similarity_function"):
        evaluator = TripletEvaluator(A, B, C, main_distance_function="euclidean")
    assert evaluator(Model()) == {"euclidean_accuracy": 0.0}


def test_metrics_go_to_the_card_of_a_model_that_has_one() -> None:
    kept: list[Any] = []

    class Card:
        def set_evaluation_metrics(self, *given: Any) -> None:
            kept.append(given)

    model: Any = Model()
    SentenceEvaluator().store_metrics_in_model_card_data(model, {"x": 1.0})
    model.model_card_data = Card()
    evaluator = SentenceEvaluator()
    evaluator.store_metrics_in_model_card_data(model, {"x": 1.0}, 2, 3)
    assert kept == [(evaluator, {"x": 1.0}, 2, 3)]
