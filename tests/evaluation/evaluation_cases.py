"""The same evaluations for Vicinal and for sentence-transformers, on models that are tables of numbers.

Run as a script with an interpreter that has sentence-transformers, it prints what that library answers; that
is how ``peer_numbers.json`` was written (sentence-transformers 6.2.0, torch 2.13).
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

TEXTS = 60
_VECTORS = np.random.default_rng(7).normal(size=(TEXTS, 8)).astype(np.float32)
_PAIR_SCORES = np.random.default_rng(11).normal(size=(TEXTS, TEXTS)).astype(np.float32)
_CLASS_SCORES = np.random.default_rng(13).normal(size=(TEXTS, TEXTS, 3)).astype(np.float32)


def number_of(text: str) -> int:
    """Texts are numbers, a prompt before them is not read."""
    return int(text.rpartition(" ")[2])


def _quantized(rows: Any, precision: str | None) -> Any:
    """Whole numbers or packed bits, as a model gives them."""
    if precision in ("binary", "ubinary"):
        bits = np.packbits(rows > 0, axis=1)
        return bits if precision == "ubinary" else (bits.astype(np.int16) - 128).astype(np.int8)
    if precision in ("int8", "uint8"):
        low, high = rows.min(axis=0), rows.max(axis=0)
        steps = np.floor((rows - low) / np.where(high > low, high - low, 1) * 255)
        return steps.astype(np.uint8) if precision == "uint8" else (steps - 128).astype(np.int8)
    return rows


def _tensors(rows: Any, stacked: bool) -> Any:
    tensor = import_module("torch").from_numpy(rows.copy())
    return tensor if stacked or tensor.ndim == 1 else list(tensor)


class TableEncoder:
    """A bi-encoder: text "7" has row 7 of a table as its vector."""

    similarity_fn_name: str | None = "cosine"
    truncate_dim: int | None = None
    device = "cpu"
    training = False

    def __init__(self) -> None:
        self.model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *_, **__: None)

    def eval(self) -> TableEncoder:
        return self

    def tokenize(self, texts: list[str]) -> dict[str, Any]:
        return {"input_ids": import_module("torch").tensor([[number_of(text)] for text in texts])}

    def smart_batching_collate(self, batch: list[Any]) -> Any:
        columns = zip(*(example.texts for example in batch), strict=True)
        labels = import_module("torch").tensor([example.label for example in batch])
        return [self.tokenize(list(column)) for column in columns], labels

    def encode(
        self,
        sentences: Any,
        batch_size: int = 32,
        show_progress_bar: bool = False,
        convert_to_tensor: bool = False,
        truncate_dim: int | None = None,
        precision: str | None = None,
        normalize_embeddings: bool = False,
        convert_to_numpy: bool = True,
        prompt: str | None = None,
        prompt_name: str | None = None,
    ) -> Any:
        single = isinstance(sentences, str)
        given = [sentences] if single else sentences
        rows = _VECTORS[[number_of(text) for text in given]]
        if given[0].startswith("whole"):  # products of whole numbers are exact, in every order of summing
            rows = np.round(2 * rows)
        shift = len(prompt or "") + len(prompt_name or "")
        if shift:
            rows = rows + np.float32(shift) * np.roll(_VECTORS[0], shift)
        rows = rows[:, :truncate_dim]
        if normalize_embeddings:
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        rows = _quantized(rows, precision)
        rows = rows[0] if single else rows
        if convert_to_tensor or not convert_to_numpy:
            return _tensors(rows, stacked=convert_to_tensor)
        return rows

    def encode_query(self, sentences: Any, **keywords: Any) -> Any:
        return self.encode(sentences, **keywords)

    encode_document = encode_query

    def similarity(self, a: Any, b: Any) -> Any:
        return self._peer_similarity("to_similarity_fn", a, b)

    def similarity_pairwise(self, a: Any, b: Any) -> Any:
        return self._peer_similarity("to_similarity_pairwise_fn", a, b)

    def _peer_similarity(self, which: str, a: Any, b: Any) -> Any:
        function = import_module("sentence_transformers").SimilarityFunction
        return getattr(function, which)(self.similarity_fn_name)(a, b)

    def truncate_sentence_embeddings(self, truncate_dim: int | None) -> Any:
        return nullcontext()


class TablePredictor:
    """A cross-encoder: the pair ("3", "7") has the score in row 3, column 7 of a table."""

    def __init__(self, labels: int = 1) -> None:
        self.num_labels = labels
        self.model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *_, **__: None)

    def predict(
        self,
        sentences: Any,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        convert_to_numpy: bool = True,
        prompt_name: str | None = None,
        convert_to_tensor: bool = False,
    ) -> Any:
        table = _PAIR_SCORES if self.num_labels == 1 else _CLASS_SCORES
        found = np.array([table[int(first), int(second)] for first, second in sentences])
        return import_module("torch").from_numpy(found) if convert_to_tensor else found


class Batches:
    """A data loader of one order."""

    def __init__(self, examples: list[Any], batch_size: int) -> None:
        self.examples, self.batch_size = examples, batch_size
        self.collate_fn: Any = list

    def __iter__(self) -> Any:
        for start in range(0, len(self.examples), self.batch_size):
            yield self.collate_fn(self.examples[start : start + self.batch_size])


def classifier(features: list[dict[str, Any]], labels: Any) -> tuple[Any, Any]:
    """Three logits for each pair of texts, read off the same table as a cross-encoder's."""
    first, second = (column["input_ids"][:, 0].numpy() for column in features)
    return None, import_module("torch").from_numpy(_CLASS_SCORES[first, second])


def texts(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last)]


def cases() -> dict[str, tuple[str, dict[str, Any]]]:
    """Name -> (class, its keywords)."""
    random = np.random.default_rng(3)
    left, right = texts(0, 20), texts(20, 40)
    grades = [float(round(value, 1)) for value in random.uniform(0, 5, 20)]
    binary = [int(value) for value in random.integers(0, 2, 20)]
    queries = {f"q{number}": str(number) for number in range(10)}
    corpus = {f"d{number}": str(number) for number in range(10, 60)}
    relevant = {
        query: {f"d{number}" for number in random.choice(np.arange(10, 60), 3, replace=False)}
        for query in list(queries)[:9]
    }
    samples = [
        {"query": str(n), "positive": [str(20 + n), str(30 + n)], "negative": texts(40 + n, 52 + n)}
        for n in range(5)
    ]
    retrieved = [
        {"query": str(n), "positive": [str(20 + n), "19"], "documents": [str(20 + n), *texts(40 + n, 52 + n)]}
        for n in range(5)
    ]
    every = ["cosine", "dot", "euclidean", "manhattan"]
    pairs = [list(pair) for pair in zip(left, right, strict=True)]
    ir = {"queries": queries, "corpus": corpus, "relevant_docs": relevant}
    sts = {"sentences1": left, "sentences2": right, "scores": grades}
    yes_no = {"sentences1": left, "sentences2": right, "labels": binary}
    triplets = {"anchors": left, "positives": right, "negatives": texts(40, 60)}
    # Texts that stand for the same vector, so that scores are equal, at the cut of every rank too.
    repeated = {f"d{(number * 37) % 101}": f"whole {10 + number // 6}" for number in range(60)}
    among = {query: set(random.choice(sorted(repeated), 6, replace=False).tolist()) for query in queries}
    tied = {
        "queries": {key: f"whole {text}" for key, text in queries.items()},
        "corpus": repeated,
        "relevant_docs": among,
        "score_functions": {"dot": "dot_score"},
    }
    alone = [
        *samples,
        {"query": "5", "positive": [], "negative": texts(40, 44)},
        {"query": "6", "positive": ["7", "8"], "negative": []},
    ]
    unfound = [*retrieved, {"query": "9", "positive": [], "documents": texts(30, 34)}]
    classes = [(n * 7) % 3 for n in range(20)]
    examples = [SimpleNamespace(texts=pair, label=each) for pair, each in zip(pairs, classes, strict=True)]
    rows = [
        {"en": one, "de": two, "fr": three}
        for one, two, three in zip(left, right, texts(40, 60), strict=True)
    ]
    rows[3]["de"], rows[5]["fr"], rows[6]["en"] = "", " ", ""
    graph = {f"s{n}": {f"s{other}": abs(n - other) in (1, 5) for other in range(20)} for n in range(20)}
    return {
        "sts": ("EmbeddingSimilarityEvaluator", {**sts, "name": "dev"}),
        "sts_all": ("EmbeddingSimilarityEvaluator", {**sts, "similarity_fn_names": every}),
        "sts_main": (
            "EmbeddingSimilarityEvaluator",
            {**sts, "similarity_fn_names": every, "main_similarity": "dot", "name": "m", "truncate_dim": 4},
        ),
        **{
            f"sts_{precision}": (
                "EmbeddingSimilarityEvaluator",
                {**sts, "similarity_fn_names": every, "precision": precision, "name": "p"},
            )
            for precision in ("float32", "int8", "uint8", "binary", "ubinary")
        },
        "sts_no_file": ("EmbeddingSimilarityEvaluator", {**sts, "write_csv": False}),
        "binary": ("BinaryClassificationEvaluator", {**yes_no, "name": "dev"}),
        "binary_all": ("BinaryClassificationEvaluator", {**yes_no, "similarity_fn_names": every}),
        "binary_short": ("BinaryClassificationEvaluator", {**yes_no, "truncate_dim": 3, "name": "a"}),
        "binary_one": ("BinaryClassificationEvaluator", {**yes_no, "similarity_fn_names": ["manhattan"]}),
        "triplets": ("TripletEvaluator", {**triplets, "name": "dev"}),
        "triplets_all": (
            "TripletEvaluator",
            {**triplets, "similarity_fn_names": every, "margin": {"cosine": 0.1, "dot": 0.5}},
        ),
        "triplets_margin": ("TripletEvaluator", {**triplets, "margin": 0.3}),
        "triplets_main": ("TripletEvaluator", {**triplets, "main_similarity_function": "dot"}),
        "retrieval": ("InformationRetrievalEvaluator", {**ir, "name": "dev"}),
        "retrieval_more": (
            "InformationRetrievalEvaluator",
            {
                **ir,
                "corpus_chunk_size": 7,
                "mrr_at_k": [3, 10],
                "ndcg_at_k": [5, 60],
                "accuracy_at_k": [2],
                "precision_recall_at_k": [4],
                "map_at_k": [2, 100],
                "truncate_dim": 5,
            },
        ),
        "retrieval_prompts": (
            "InformationRetrievalEvaluator",
            {**ir, "query_prompt": "ask: ", "corpus_prompt_name": "doc"},
        ),
        "retrieval_main": ("InformationRetrievalEvaluator", {**ir, "main_score_function": "cosine"}),
        "retrieval_functions": (
            "InformationRetrievalEvaluator",
            {**ir, "score_functions": {"dot": "dot_score", "cosine": "cos_sim", "far": "manhattan_sim"}},
        ),
        "retrieval_functions_main": (
            "InformationRetrievalEvaluator",
            {
                **ir,
                "score_functions": {"cosine": "cos_sim", "dot": "dot_score"},
                "main_score_function": "dot",
                "name": "two",
                "write_predictions": True,
            },
        ),
        "retrieval_ties": (
            "InformationRetrievalEvaluator",
            {**tied, "map_at_k": [7], "write_predictions": True},
        ),
        "retrieval_ties_chunks": (
            "InformationRetrievalEvaluator",
            {**tied, "corpus_chunk_size": 11, "ndcg_at_k": [3, 10]},
        ),
        "retrieval_ties_far": (
            "InformationRetrievalEvaluator",
            {**tied, "corpus_chunk_size": 11, "score_functions": {"euclidean": "euclidean_sim"}},
        ),
        "mse_short": (
            "MSEEvaluator",
            {"source_sentences": left, "target_sentences": right, "truncate_dim": 3, "write_csv": False},
        ),
        "mse_languages": (
            "MSEEvaluatorFromDataFrame",
            {"dataframe": rows, "combinations": [("en", "de"), ("en", "fr"), ("fr", "de")], "name": "dev"},
        ),
        "mse_language": (
            "MSEEvaluatorFromDataFrame",
            {"dataframe": rows, "combinations": [("de", "fr")], "truncate_dim": 4},
        ),
        "labels": (
            "LabelAccuracyEvaluator",
            {"dataloader": Batches(examples, 8), "softmax_model": classifier, "name": "dev"},
        ),
        "labels_one": (
            "LabelAccuracyEvaluator",
            {"dataloader": Batches(examples, 1), "softmax_model": classifier},
        ),
        "mse": ("MSEEvaluator", {"source_sentences": left, "target_sentences": right, "name": "dev"}),
        "translation": (
            "TranslationEvaluator",
            {"source_sentences": left, "target_sentences": right, "name": "dev"},
        ),
        "mining": (
            "ParaphraseMiningEvaluator",
            {
                "sentences_map": {f"s{n}": str(n) for n in range(20)},
                "name": "dev",
                "duplicates_list": [("s1", "s2"), ("s2", "s5"), ("s7", "s9"), ("s4", "s11")],
            },
        ),
        "mining_closed": (
            "ParaphraseMiningEvaluator",
            {
                "sentences_map": {f"s{n}": str(n) for n in range(20)},
                "add_transitive_closure": True,
                "duplicates_list": [("s1", "s2"), ("s2", "s5"), ("s7", "s9"), ("s4", "s11")],
            },
        ),
        "mining_few": (
            "ParaphraseMiningEvaluator",
            {
                "sentences_map": {f"s{n}": str(n) for n in range(20)},
                "duplicates_dict": graph,
                "query_chunk_size": 3,
                "corpus_chunk_size": 7,
                "max_pairs": 25,
                "top_k": 4,
                "truncate_dim": 5,
            },
        ),
        "reranking_alone": ("RerankingEvaluator", {"samples": alone, "name": "a", "truncate_dim": 4}),
        "reranking_dot": ("RerankingEvaluator", {"samples": samples, "similarity_fct": "dot_score"}),
        "reranking_by_id": (
            "RerankingEvaluator",
            {"samples": {str(n): each for n, each in enumerate(samples)}, "mrr_at_k": 2},
        ),
        "reranking": ("RerankingEvaluator", {"samples": samples, "name": "dev", "at_k": 4}),
        "reranking_one": ("RerankingEvaluator", {"samples": samples, "use_batched_encoding": False}),
        "ce_correlation": (
            "CrossEncoderCorrelationEvaluator",
            {"sentence_pairs": pairs, "scores": grades, "name": "dev"},
        ),
        "ce_reranking": ("CrossEncoderRerankingEvaluator", {"samples": samples, "name": "dev", "at_k": 3}),
        "ce_reranking_documents": ("CrossEncoderRerankingEvaluator", {"samples": retrieved}),
        "ce_reranking_strict": (
            "CrossEncoderRerankingEvaluator",
            {"samples": retrieved, "always_rerank_positives": False},
        ),
        "ce_reranking_alone": ("CrossEncoderRerankingEvaluator", {"samples": alone}),
        "ce_reranking_unfound": ("CrossEncoderRerankingEvaluator", {"samples": unfound, "name": "u"}),
        "ce_reranking_unfound_strict": (
            "CrossEncoderRerankingEvaluator",
            {"samples": unfound, "always_rerank_positives": False},
        ),
        "old_correlation": ("CECorrelationEvaluator", {"sentence_pairs": pairs, "scores": grades}),
        "old_reranking": ("CERerankingEvaluator", {"samples": samples, "name": "dev", "mrr_at_k": 5}),
        "old_accuracy": ("CEBinaryAccuracyEvaluator", {"sentence_pairs": pairs, "labels": binary}),
        "old_binary": ("CEBinaryClassificationEvaluator", {"sentence_pairs": pairs, "labels": binary}),
        "old_f1": ("CEF1Evaluator", {"sentence_pairs": pairs, "labels": binary, "name": "dev"}),
        "old_classes": (
            "CESoftmaxAccuracyEvaluator",
            {"sentence_pairs": pairs, "labels": classes, "name": "dev", "write_csv": False},
        ),
        "ce_binary": (
            "CrossEncoderClassificationEvaluator",
            {"sentence_pairs": pairs, "labels": binary, "name": "dev"},
        ),
        "ce_classes": (
            "CrossEncoderClassificationEvaluator",
            {"sentence_pairs": pairs, "labels": [(n * 7) % 3 for n in range(20)]},
        ),
    }


# Cases whose model scores three classes, not one.
CLASSES = ("ce_classes", "old_classes")


def run(modules: list[Any], util: Any) -> dict[str, Any]:
    """Every case: metrics of a first and second call, primary metric, direction, and the files written."""
    found = {}
    for case, (name, keywords) in cases().items():
        if name == "LabelAccuracyEvaluator" and find_spec("torch") is None:
            continue
        kind = next(getattr(module, name) for module in modules if hasattr(module, name))
        if name.startswith(("CrossEncoder", "CE")):
            model: Any = TablePredictor(3 if case in CLASSES else 1)
        else:
            model = TableEncoder()
        if name.startswith("MSE"):
            keywords = {**keywords, "teacher_model": TableEncoder()}
        if case == "retrieval_main":
            model.similarity_fn_name = "dot"
        if "similarity_fct" in keywords:
            keywords = {**keywords, "similarity_fct": getattr(util, keywords["similarity_fct"])}
        if "score_functions" in keywords:
            functions = {each: getattr(util, one) for each, one in keywords["score_functions"].items()}
            keywords = {**keywords, "score_functions": functions}
        evaluator = kind(**keywords)
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent, "not", "there")
            metrics = evaluator(model, output_path=str(folder), epoch=1, steps=20)
            again = evaluator(model, output_path=str(folder))
            evaluator(model)
            files = {path.name: path.read_text() for path in sorted(folder.glob("*"))}
        assert again == metrics
        found[case] = {
            "metrics": {key: float(value) for key, value in metrics.items()},
            "primary": evaluator.primary_metric,
            "greater_is_better": getattr(evaluator, "greater_is_better", True),
            "description": evaluator.description,
            "files": files,
        }
    return found


if __name__ == "__main__":
    bi = import_module("sentence_transformers.sentence_transformer.evaluation")
    cross = import_module("sentence_transformers.cross_encoder.evaluation")
    json.dump(run([bi, cross], import_module("sentence_transformers.util")), sys.stdout, indent=1)
    sys.stdout.write("\n")
