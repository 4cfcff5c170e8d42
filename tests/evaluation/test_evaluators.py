"""What evaluators refuse, what they leave alone, and what holds however the data is cut."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_cases import TableEncoder, TablePredictor, cases, texts

from vicinal import InputExample, readers
from vicinal.errors import InputError, InputTypeError
from vicinal.evaluation import (
    BinaryClassificationEvaluator,
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
    RerankingEvaluator,
    SentenceEvaluator,
    SequentialEvaluator,
    SimilarityFunction,
    TripletEvaluator,
)
from vicinal.evaluation.cross_encoder import (
    CECorrelationEvaluator,
    CrossEncoderClassificationEvaluator,
    CrossEncoderCorrelationEvaluator,
    CrossEncoderRerankingEvaluator,
)
from vicinal.evaluation.csv import append_row

RETRIEVAL: dict[str, Any] = cases()["retrieval"][1]


class Least:
    """The least of a model: it takes nothing that it was not told of."""

    def encode(self, sentences: list[str], show_progress_bar: bool | None = None) -> Any:
        return TableEncoder().encode(sentences)


@pytest.mark.parametrize("case", ["sts", "binary", "triplets", "retrieval", "reranking", "translation"])
def test_a_small_model_will_do(case: str) -> None:
    name, keywords = cases()[case]
    kind = getattr(sys.modules["vicinal.evaluation"], name)
    assert kind(**keywords)(Least()) == kind(**keywords)(TableEncoder())


@pytest.mark.parametrize("size", [1, 7, 50])
def test_chunks_change_nothing(size: int) -> None:
    whole = InformationRetrievalEvaluator(**RETRIEVAL)(TableEncoder())
    assert InformationRetrievalEvaluator(**RETRIEVAL, corpus_chunk_size=size)(TableEncoder()) == whole


def test_grades_are_gains() -> None:
    graded = {"q": {"d1": 3, "d2": 1, "d3": 0}}
    corpus = {"d1": "1", "d2": "2", "d3": "3", "d4": "0"}
    found = InformationRetrievalEvaluator({"q": "0"}, corpus, graded)(TableEncoder())
    vectors = TableEncoder().encode(["0", "1", "2", "3"]).astype(np.float64)
    cosines = vectors @ vectors[0] / np.linalg.norm(vectors, axis=1)
    gains = np.array([0, 3, 1, 0])[np.argsort(-cosines)]
    discounts = 1 / np.log2(np.arange(2, 6))
    assert found["cosine_ndcg@10"] == pytest.approx(gains @ discounts / (3 + 1 / np.log2(3)))
    assert found["cosine_recall@10"] == 1.0


def test_several_score_functions() -> None:
    functions = {
        name: SimilarityFunction.to_similarity_fn(name)
        for name in ("cosine", "dot", "euclidean", "manhattan")
    }
    evaluator = InformationRetrievalEvaluator(**RETRIEVAL, score_functions=functions)
    found = evaluator(TableEncoder())
    best = max(functions, key=lambda each: found[f"dev_{each}_ndcg@10"])
    assert evaluator.primary_metric == f"dev_{best}_ndcg@10"
    named = InformationRetrievalEvaluator(**RETRIEVAL, score_functions=functions, main_score_function="dot")
    assert named(TableEncoder()) == found
    assert named.primary_metric == "dev_dot_ndcg@10"


def test_sequence() -> None:
    first = EmbeddingSimilarityEvaluator(**cases()["sts"][1])
    second = TripletEvaluator(**cases()["triplets"][1])
    both = SequentialEvaluator([first, second, lambda *_: 0.25])
    found = both(TableEncoder())
    assert found["sequential_score"] == found["evaluator_2"] == 0.25
    assert found["dev_cosine_accuracy"] == pytest.approx(0.4)
    mean = SequentialEvaluator([first, second], main_score_function=lambda scores: sum(scores) / len(scores))
    assert mean(TableEncoder())["sequential_score"] == pytest.approx(0.17139629637715315)  # the peer's


def test_sequence_says_when_a_figure_is_hidden(caplog: pytest.LogCaptureFixture) -> None:
    one = EmbeddingSimilarityEvaluator(**cases()["sts"][1])
    SequentialEvaluator([one, one])(TableEncoder())
    assert "give the evaluators different names" in caplog.text


def test_one_of_your_own() -> None:
    class Own(SentenceEvaluator):
        def __init__(self) -> None:
            self.primary_metric = "size"

        def __call__(self, model: Any, output_path: Any = None, epoch: int = -1, steps: int = -1) -> Any:
            return self.prefix_name_to_metrics({"size": 3}, "mine")

    own = Own()
    assert own(None) == own(None) == {"mine_size": 3.0}
    assert own.primary_metric == "mine_size"
    with pytest.raises(NotImplementedError, match="SentenceEvaluator has no __call__"):
        SentenceEvaluator()(None)


def test_csv_only_where_asked(tmp_path: Path) -> None:
    keywords = cases()["sts"][1]
    EmbeddingSimilarityEvaluator(**keywords, write_csv=False)(TableEncoder(), str(tmp_path))
    EmbeddingSimilarityEvaluator(**keywords)(TableEncoder())
    assert not list(tmp_path.iterdir())
    EmbeddingSimilarityEvaluator(**keywords)(TableEncoder(), tmp_path / "new" / "folder", 2, 5)
    (file,) = (tmp_path / "new" / "folder").iterdir()
    assert file.read_text().splitlines()[1].startswith("2,5,")


def test_csv_says_when_its_columns_change(tmp_path: Path) -> None:
    for columns in (
        {"epoch": 1, "a": 0.5},
        {"epoch": 2, "a": 0.6},
        {"epoch": 3, "b": 0.7},
        {"epoch": 4, "b": 1},
    ):
        file = append_row(tmp_path, "x.csv", columns)
    assert file.read_text().splitlines() == ["epoch,a", "1,0.5", "2,0.6", "epoch,b", "3,0.7", "4,1"]


def test_reranking_gives_nothing_for_a_constant_score() -> None:
    """A model that cannot tell anything apart is not rewarded for the positives' standing first."""
    sample = {"query": "1", "positive": ["2"], "negative": ["2", "2", "2"]}
    found = RerankingEvaluator([sample])(TableEncoder())
    assert found["map"] == 0.25
    assert found["mrr@10"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_cross_encoder_that_finds_no_positive_counts_zero() -> None:
    missed = {"query": "1", "positive": ["2"], "documents": ["3", "4"]}
    found = CrossEncoderRerankingEvaluator([missed], always_rerank_positives=False)(TablePredictor())
    assert set(found.values()) == {0.0}
    assert list(found) == ["map", "mrr@10", "ndcg@10", "base_map", "base_mrr@10", "base_ndcg@10"]


def test_binary_precision_is_compared_by_bits() -> None:
    """The peer gives these numbers for vectors that it takes for packed bits, +128."""

    class Packed(TableEncoder):
        def encode(self, sentences: Any, **keywords: Any) -> Any:
            assert keywords["precision"] == "binary"
            bits = TableEncoder().encode(sentences) > 0
            return (np.packbits(bits, axis=1).astype(np.int16) - 128).astype(np.int8)

    keywords = {**cases()["sts"][1], "similarity_fn_names": ["manhattan"], "precision": "binary"}
    evaluator = EmbeddingSimilarityEvaluator(**keywords)
    found = evaluator(Packed())
    left, right = (TableEncoder().encode(keywords[f"sentences{side}"]) > 0 for side in (1, 2))
    distances = -(left != right).sum(axis=1)
    expected = np.corrcoef(distances, keywords["scores"])[0, 1]
    assert found["dev_pearson_manhattan"] == pytest.approx(expected)
    assert evaluator.csv_file == "similarity_evaluation_dev_binary_results.csv"


def test_examples_become_evaluators() -> None:
    sts = cases()["sts"][1]
    examples = [
        InputExample(texts=[a, b], label=score)
        for a, b, score in zip(sts["sentences1"], sts["sentences2"], sts["scores"], strict=True)
    ]
    made = EmbeddingSimilarityEvaluator.from_input_examples(examples, name="dev")
    assert made(TableEncoder()) == EmbeddingSimilarityEvaluator(**sts)(TableEncoder())
    pairs = CECorrelationEvaluator.from_input_examples(examples, name="dev")(TablePredictor())
    assert pairs["dev_spearman"] == pytest.approx(-0.13925488740972716)  # the peer's
    with pytest.raises(InputError, match=r"examples\[0\] has 2 texts, not 3"):
        TripletEvaluator.from_input_examples(examples)
    with pytest.raises(InputTypeError, match="no argument 'nam'; did you mean 'name'"):
        EmbeddingSimilarityEvaluator.from_input_examples(examples, nam="dev")


def test_input_example() -> None:
    example = InputExample(texts=["a", "b"], label=0.5)
    assert repr(example) == "InputExample(texts=['a', 'b'], label=0.5)"
    assert (example.guid, InputExample("7", ["a"]).label) == ("", 0)
    assert readers.InputExample is InputExample
    with pytest.raises(InputTypeError, match="texts is one string, 'ab': give a list"):
        InputExample(texts="ab")
    with pytest.raises(InputTypeError, match=r"texts\[1\] is int"):
        InputExample(texts=["a", 3])  # type: ignore[list-item]
    with pytest.raises(InputTypeError, match="label='1' is str, not a number"):
        InputExample(texts=["a"], label="1")
    with pytest.raises(InputTypeError, match="did you mean 'texts'"):
        InputExample(text=["a"])  # type: ignore[call-arg]


REFUSED = [
    (
        EmbeddingSimilarityEvaluator,
        (["a"], ["b", "c"], [1]),
        "sentences1 has 1, sentences2 has 2, scores has 1",
    ),
    (EmbeddingSimilarityEvaluator, (["a"], ["b"], ["high"]), r"scores\[0\] is 'high', not a number"),
    (EmbeddingSimilarityEvaluator, (["a"], ["b"], [float("nan")]), r"scores\[0\] is nan"),
    (EmbeddingSimilarityEvaluator, (["a"], [None], [1]), r"sentences2\[0\] is None, not a text"),
    (EmbeddingSimilarityEvaluator, ("a", ["b"], [1]), "sentences1 is one string"),
    (EmbeddingSimilarityEvaluator, ([], [], []), "sentences1 is empty"),
    (EmbeddingSimilarityEvaluator, (["a"], ["b"], [1], None, "cosin"), "'cosin' is no similarity function"),
    (BinaryClassificationEvaluator, (["a", "b"], ["b", "c"], [0, 2]), r"labels\[1\] is 2: a label is 0 or 1"),
    (BinaryClassificationEvaluator, (["a"], ["b"], [0.5]), r"labels\[0\] is 0.5"),
    (TripletEvaluator, (["a"], ["b"], ["c"], None, -1.0), "margin=-1.0"),
    (
        InformationRetrievalEvaluator,
        ({"q": "1"}, {"d": "2"}, {"q": {"x"}}),
        r"relevant_docs\['q'\] names 'x'",
    ),
    (
        InformationRetrievalEvaluator,
        ({"q": "1"}, {"d": "2"}, {"p": {"d"}}),
        "no query has a relevant document",
    ),
    (InformationRetrievalEvaluator, ({"q": "1"}, {"d": "2"}, {"q": "d"}), "one string: give a set"),
    (InformationRetrievalEvaluator, (["1"], {"d": "2"}, {"q": {"d"}}), "queries is list"),
    (InformationRetrievalEvaluator, ({}, {"d": "2"}, {"q": {"d"}}), "queries is empty"),
    (RerankingEvaluator, ([{"query": "a", "positive": ["b"]}],), r"samples\[0\] has no 'negative'"),
    (RerankingEvaluator, ([{"query": "a", "positive": [], "negative": ["b"]}],), "none has both"),
    (SequentialEvaluator, ([],), "evaluators is empty"),
    (CrossEncoderCorrelationEvaluator, (["ab"], [1]), r"sentence_pairs\[0\] is 'ab', not a pair"),
    (CrossEncoderCorrelationEvaluator, ([("a", "b")], [1, 2]), "sentence_pairs has 1, scores has 2"),
]


@pytest.mark.parametrize(("kind", "arguments", "message"), REFUSED)
def test_refused(kind: Any, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises((InputError, InputTypeError), match=message):
        kind(*arguments)


def test_refused_when_called() -> None:
    pairs = [["1", "2"], ["3", "4"]]
    with pytest.raises(InputError, match="3 scores per pair, and a correlation needs one"):
        CrossEncoderCorrelationEvaluator(pairs, [1, 2])(TablePredictor(3))
    with pytest.raises(InputError, match=r"labels\[1\] is 3, but the model knows 0 to 2"):
        CrossEncoderClassificationEvaluator(pairs, [0, 3])(TablePredictor(3))
    with pytest.raises(InputError, match=r"labels\[1\] is 3: a label is 0 or 1"):
        CrossEncoderClassificationEvaluator(pairs, [0, 3])(TablePredictor())


def test_texts_are_encoded_once() -> None:
    seen: list[str] = []

    class Counting(TableEncoder):
        def encode(self, sentences: Any, **keywords: Any) -> Any:
            seen.extend(sentences)
            return super().encode(sentences, **keywords)

    TripletEvaluator(["1"] * 5, texts(5, 10), texts(5, 10))(Counting())
    assert sorted(seen) == sorted(["1", *texts(5, 10)])


@pytest.mark.slow
def test_real_models(minilm_path: Path, shared_dir: Path) -> None:
    """200 pairs of the STS Benchmark through both kinds of model; all of them are in docs/evaluate.md."""
    from vicinal import CrossEncoder, SentenceTransformer
    from vicinal.readers.columns import numbers, read_columns

    path = shared_dir / "data" / "stsb" / "dev.tsv"
    found = read_columns(path, ("sentence1", "sentence2", "score"))
    first, second = found["sentence1"][:200], found["sentence2"][:200]
    scores = numbers(found["score"][:200], path, "score")
    bi = EmbeddingSimilarityEvaluator(first, second, scores)(
        SentenceTransformer(str(minilm_path), dtype="float32")
    )
    pairs = list(zip(first, second, strict=True))
    model = CrossEncoder(str(shared_dir / "models" / "cross-encoder-stsb"), dtype="float32")
    cross = CrossEncoderCorrelationEvaluator(pairs, scores)(model)
    assert 0.85 < bi["spearman_cosine"] < 0.97
    assert 0.85 < cross["spearman"] < 0.97
    json.dumps(bi | cross)


def test_a_sequence_with_evaluators_that_have_no_score() -> None:
    def none(model: Any, *_: Any) -> None:
        return None

    def empty(model: Any, *_: Any) -> dict[str, float]:
        return {}

    def half(model: Any, *_: Any) -> float:
        return 0.5

    def text(model: Any, *_: Any) -> str:
        return "good"

    assert SequentialEvaluator([half, none, empty])(None) == {"evaluator_0": 0.5, "sequential_score": 0.5}
    assert SequentialEvaluator([none, empty])(None) == {}
    with pytest.raises(InputTypeError, match="function gave str"):
        SequentialEvaluator([text])(None)
