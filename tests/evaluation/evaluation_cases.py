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


def _tensors(rows: Any, stacked: bool) -> Any:
    tensor = import_module("torch").from_numpy(rows.copy())
    return tensor if stacked or tensor.ndim == 1 else list(tensor)


class TableEncoder:
    """A bi-encoder: text "7" has row 7 of a table as its vector."""

    similarity_fn_name: str | None = "cosine"
    truncate_dim: int | None = None

    def __init__(self) -> None:
        self.model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *_, **__: None)

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
        rows = _VECTORS[[number_of(text) for text in ([sentences] if single else sentences)]]
        shift = len(prompt or "") + len(prompt_name or "")
        if shift:
            rows = rows + np.float32(shift) * np.roll(_VECTORS[0], shift)
        rows = rows[:, :truncate_dim]
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
    return {
        "sts": ("EmbeddingSimilarityEvaluator", {**sts, "name": "dev"}),
        "sts_all": ("EmbeddingSimilarityEvaluator", {**sts, "similarity_fn_names": every}),
        "sts_main": (
            "EmbeddingSimilarityEvaluator",
            {**sts, "similarity_fn_names": every, "main_similarity": "dot", "name": "m", "truncate_dim": 4},
        ),
        "binary": ("BinaryClassificationEvaluator", {**yes_no, "name": "dev"}),
        "binary_all": ("BinaryClassificationEvaluator", {**yes_no, "similarity_fn_names": every}),
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
        "ce_binary": (
            "CrossEncoderClassificationEvaluator",
            {"sentence_pairs": pairs, "labels": binary, "name": "dev"},
        ),
        "ce_classes": (
            "CrossEncoderClassificationEvaluator",
            {"sentence_pairs": pairs, "labels": [(n * 7) % 3 for n in range(20)]},
        ),
    }


def run(modules: list[Any]) -> dict[str, Any]:
    """Every case: metrics of a first and second call, primary metric, direction, and the files written."""
    found = {}
    for case, (name, keywords) in cases().items():
        kind = next(getattr(module, name) for module in modules if hasattr(module, name))
        if name.startswith("CrossEncoder"):
            model: Any = TablePredictor(3 if case == "ce_classes" else 1)
        else:
            model = TableEncoder()
        if case == "mse":
            keywords = {**keywords, "teacher_model": TableEncoder()}
        if case == "retrieval_main":
            model.similarity_fn_name = "dot"
        evaluator = kind(**keywords)
        with tempfile.TemporaryDirectory() as folder:
            metrics = evaluator(model, output_path=folder, epoch=1, steps=20)
            evaluator(model, output_path=folder)
            files = {path.name: path.read_text() for path in sorted(Path(folder).iterdir())}
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
    json.dump(run([bi, cross]), sys.stdout, indent=1)
    sys.stdout.write("\n")
