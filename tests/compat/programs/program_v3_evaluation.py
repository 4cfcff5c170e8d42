"""Evaluators of v2 to v5, called on a tiny model: their metrics, CSV files and primary metric."""

import csv
import itertools
import os
from functools import cache

from sentence_transformers import InputExample, SentenceTransformer
from sentence_transformers.evaluation import (
    BinaryClassificationEvaluator,
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
    MSEEvaluator,
    ParaphraseMiningEvaluator,
    RerankingEvaluator,
    SentenceEvaluator,
    SequentialEvaluator,
    SimilarityFunction,
    TranslationEvaluator,
    TripletEvaluator,
)
from steps import EXACT, SENTENCES, run, scratch, step, tiny

S = SENTENCES
A, B = S[:6], [S[6], S[7], S[4], S[1], S[2], S[0]]
SCORES = [0.9, 0.8, 0.3, 0.2, 0.6, 0.1]
LABELS = [1, 1, 0, 0, 1, 0]


NUMBERS = itertools.count()


@cache
def model():
    return SentenceTransformer(tiny(), model_kwargs=EXACT)


def written(evaluator, *args, **kwargs):
    path = scratch(f"csv-{next(NUMBERS)}")
    os.makedirs(path)
    evaluator(model(), output_path=path, *args, **kwargs)
    found = {}
    for name in sorted(os.listdir(path)):
        with open(os.path.join(path, name), newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        found[name] = [
            rows[0],
            [round(float(one), 3) if "." in one or one == "nan" else one for one in rows[1]],
        ]
    return found


@step
def similarity():
    return EmbeddingSimilarityEvaluator(A, B, SCORES, name="dev")(model())


@step
def similarity_of_all_functions():
    evaluator = EmbeddingSimilarityEvaluator(
        A, B, SCORES, similarity_fn_names=["cosine", "euclidean", "manhattan", "dot"], name="all"
    )
    return evaluator(model()), evaluator.primary_metric


@step
def similarity_main_function():
    evaluator = EmbeddingSimilarityEvaluator(A, B, SCORES, main_similarity=SimilarityFunction.EUCLIDEAN)
    return evaluator(model()), evaluator.primary_metric


@step
def similarity_without_a_name():
    return model().evaluate(EmbeddingSimilarityEvaluator(sentences1=A, sentences2=B, scores=SCORES))


@step
def similarity_writes_a_csv():
    return written(EmbeddingSimilarityEvaluator(A, B, SCORES, name="dev"), epoch=2, steps=10)


@step
def similarity_of_examples():
    examples = [InputExample(texts=[a, b], label=score) for a, b, score in zip(A, B, SCORES)]
    return EmbeddingSimilarityEvaluator.from_input_examples(examples, batch_size=2, name="x")(model())


@step
def similarity_truncated():
    return EmbeddingSimilarityEvaluator(A, B, SCORES, truncate_dim=8)(model())


@step
def binary_classification():
    return BinaryClassificationEvaluator(A, B, LABELS, name="pairs")(model())


@step
def binary_classification_of_one_function():
    evaluator = BinaryClassificationEvaluator(A, B, LABELS, similarity_fn_names=["cosine", "dot"])
    return evaluator(model()), evaluator.primary_metric


@step
def binary_classification_writes_a_csv():
    return {
        name: rows[0] for name, rows in written(BinaryClassificationEvaluator(A, B, LABELS, name="b")).items()
    }


@step
def binary_classification_of_examples():
    examples = [InputExample(texts=[a, b], label=label) for a, b, label in zip(A, B, LABELS)]
    return BinaryClassificationEvaluator.from_input_examples(examples, name="x")(model())


@step
def best_thresholds():
    scores, labels = [0.9, 0.8, 0.7, 0.3], [1, 1, 0, 0]
    import numpy as np

    return (
        BinaryClassificationEvaluator.find_best_acc_and_threshold(np.array(scores), np.array(labels), True),
        BinaryClassificationEvaluator.find_best_f1_and_threshold(np.array(scores), np.array(labels), True),
    )


@step
def triplets():
    return TripletEvaluator(S[:3], S[3:6], S[5:8], name="t")(model())


@step
def triplets_of_all_functions():
    evaluator = TripletEvaluator(
        S[:3], S[3:6], S[5:8], similarity_fn_names=["cosine", "dot", "manhattan", "euclidean"]
    )
    return evaluator(model()), evaluator.primary_metric


@step
def triplets_write_a_csv():
    return written(TripletEvaluator(S[:3], S[3:6], S[5:8], name="t"), epoch=1, steps=3)


@step
def triplets_of_examples_with_a_margin():
    examples = [InputExample(texts=list(three)) for three in zip(S[:3], S[3:6], S[5:8])]
    return TripletEvaluator.from_input_examples(examples, name="t", margin=0.05)(model())


QUERIES = {"q1": "a cat sat", "q2": "the dog ran"}
CORPUS = {f"d{number}": text for number, text in enumerate(S)}
RELEVANT = {"q1": {"d0", "d6"}, "q2": {"d1"}}


@step
def information_retrieval():
    evaluator = InformationRetrievalEvaluator(
        QUERIES,
        CORPUS,
        RELEVANT,
        mrr_at_k=[3],
        ndcg_at_k=[3],
        accuracy_at_k=[1, 3],
        precision_recall_at_k=[1, 3],
        map_at_k=[5],
        name="ir",
    )
    return evaluator(model()), evaluator.primary_metric


@step
def information_retrieval_by_default():
    return InformationRetrievalEvaluator(QUERIES, CORPUS, RELEVANT)(model())


@step
def information_retrieval_by_another_score():
    from sentence_transformers import util

    evaluator = InformationRetrievalEvaluator(
        QUERIES,
        CORPUS,
        RELEVANT,
        score_functions={"dot": util.dot_score},
        main_score_function="dot",
        name="d",
        corpus_chunk_size=3,
    )
    return evaluator(model())


@step
def information_retrieval_writes_a_csv():
    evaluator = InformationRetrievalEvaluator(QUERIES, CORPUS, RELEVANT, name="ir")
    return {name: rows[0][:6] for name, rows in written(evaluator).items()}


@step
def reranking():
    samples = [
        {"query": "a cat sat", "positive": [S[0], S[6]], "negative": [S[1], S[4]]},
        {"query": "the dog ran", "positive": [S[1]], "negative": [S[2], S[3], S[5]]},
    ]
    evaluator = RerankingEvaluator(samples, at_k=3, name="rr")
    return evaluator(model()), evaluator.primary_metric


@step
def reranking_one_by_one():
    samples = {"q": {"query": "a cat sat", "positive": {S[0]}, "negative": {S[1]}}}
    return RerankingEvaluator(samples, mrr_at_k=5, use_batched_encoding=False)(model())


@step
def paraphrase_mining():
    evaluator = ParaphraseMiningEvaluator(CORPUS, [("d0", "d6"), ("d1", "d7")], name="pm")
    return evaluator(model()), evaluator.primary_metric


@step
def mean_squared_error():
    evaluator = MSEEvaluator(A, B, teacher_model=model(), name="m")
    return evaluator(model()), evaluator.primary_metric, written(evaluator, epoch=0, steps=1)


@step
def translation():
    evaluator = TranslationEvaluator(A, B, name="en-de")
    return evaluator(model()), evaluator.primary_metric


@step
def one_after_the_other():
    sequence = SequentialEvaluator(
        [
            EmbeddingSimilarityEvaluator(A, B, SCORES, name="a"),
            TripletEvaluator(S[:3], S[3:6], S[5:8], name="b"),
        ]
    )
    return sequence(model()), sequence.primary_metric


@step
def one_after_the_other_with_a_main_score():
    sequence = SequentialEvaluator(
        [
            EmbeddingSimilarityEvaluator(A, B, SCORES, name="a"),
            EmbeddingSimilarityEvaluator(B, A, SCORES, name="c"),
        ],
        main_score_function=lambda scores: sum(scores) / len(scores),
    )
    return sequence(model())


@step
def evaluators_say_what_they_are():
    evaluators = [
        EmbeddingSimilarityEvaluator(A, B, SCORES),
        BinaryClassificationEvaluator(A, B, LABELS),
        TripletEvaluator(A, B, S[:6]),
        TranslationEvaluator(A, B),
        MSEEvaluator(A, B, teacher_model=model()),
    ]
    return [one.description for one in evaluators], [isinstance(one, SentenceEvaluator) for one in evaluators]


@step
def evaluators_say_how_they_were_made():
    return (
        EmbeddingSimilarityEvaluator(A, B, SCORES, truncate_dim=4).get_config_dict(),
        TripletEvaluator(A, B, S[:6], truncate_dim=4).get_config_dict(),
        BinaryClassificationEvaluator(A, B, LABELS).get_config_dict(),
    )


@step
def evaluate_writes_where_it_is_told():
    path = scratch("told")
    found = model().evaluate(EmbeddingSimilarityEvaluator(A, B, SCORES, name="e"), output_path=path)
    return sorted(found), os.listdir(path)


@step
def unequal_lists_fail():
    return EmbeddingSimilarityEvaluator(A, B[:2], SCORES)


if __name__ == "__main__":
    run(near=1e-4)
