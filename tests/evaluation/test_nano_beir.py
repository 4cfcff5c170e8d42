"""NanoBEIR gives each task's metrics and their means, from a collection in a local folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicinal.cross_encoder.evaluation import CrossEncoderNanoBEIREvaluator, CrossEncoderRerankingEvaluator
from vicinal.errors import InputError, InputTypeError
from vicinal.evaluation import InformationRetrievalEvaluator, NanoBEIREvaluator

datasets = pytest.importorskip("datasets")

TASKS = {"NanoMSMARCO": 0, "NanoNQ": 3}
DOCUMENTS = ["red cat", "blue dog", "green bird", "one fish", "two trees", "three ponds"]
QUERIES = ["cat", "dog", "fish"]


def _tables(shift: int) -> dict[str, list[dict[str, Any]]]:
    right = {"q0": ["d0"], "q1": ["d1", "d4"], "q2": [f"d{shift}"]}
    return {
        "corpus": [{"_id": f"d{n}", "text": text} for n, text in enumerate(DOCUMENTS)]
        + [{"_id": "empty", "text": ""}],
        "queries": [{"_id": f"q{n}", "text": text} for n, text in enumerate(QUERIES)],
        "qrels": [{"query-id": query, "corpus-id": one} for query, found in right.items() for one in found],
        "bm25": [
            {"query-id": f"q{n}", "corpus-ids": [f"d{(n + m + shift) % 6}" for m in range(4)]}
            for n in range(3)
        ],
    }


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "collection"
    folder.mkdir()
    lines = ["---", "configs:"]
    for subset in ("corpus", "queries", "qrels", "bm25"):
        lines += [f"- config_name: {subset}", "  data_files:"]
        for task, shift in TASKS.items():
            file = folder / f"{subset}-{task}.jsonl"
            file.write_text("".join(json.dumps(row) + "\n" for row in _tables(shift)[subset]))
            lines += [f"  - split: {task}", f"    path: {file.name}"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
    return str(folder)


class Letters:
    """Vectors that count letters; a prompt counts too."""

    similarity_fn_name = "cosine"

    def encode(self, texts: list[str], prompt: str | None = None, **_: Any) -> Any:
        return np.array([_counts((prompt or "") + text) for text in texts])

    def predict(self, pairs: list[tuple[str, str]], **_: Any) -> Any:
        return np.array([_counts(a) @ _counts(b) for a, b in pairs])


def _counts(text: str) -> Any:
    return np.array([text.count(letter) for letter in "abcdefghilnoprstuw"], dtype=np.float64)


def _single(task: str, name: str, **options: Any) -> dict[str, float]:
    tables = _tables(TASKS[task])
    corpus = {row["_id"]: row["text"] for row in tables["corpus"] if row["text"]}
    relevant: dict[str, set[str]] = {}
    for row in tables["qrels"]:
        relevant.setdefault(row["query-id"], set()).add(row["corpus-id"])
    queries = {row["_id"]: row["text"] for row in tables["queries"]}
    return InformationRetrievalEvaluator(queries, corpus, relevant, name=name, **options)(Letters())


def test_metrics_are_those_of_each_task_and_their_means(collection: str, tmp_path: Path) -> None:
    evaluator = NanoBEIREvaluator(["msmarco", "NQ"], collection)
    found = evaluator(Letters(), tmp_path, epoch=1, steps=2)
    parts = {**_single("NanoMSMARCO", "NanoMSMARCO"), **_single("NanoNQ", "NanoNQ")}
    assert {key: found[key] for key in parts} == parts
    assert evaluator.primary_metric == "NanoBEIR_mean_cosine_ndcg@10"
    assert parts["NanoMSMARCO_cosine_ndcg@10"] != parts["NanoNQ_cosine_ndcg@10"]
    for key in ("ndcg@10", "accuracy@1", "map@100"):
        both = [parts[f"{task}_cosine_{key}"] for task in TASKS]
        assert found[f"NanoBEIR_mean_cosine_{key}"] == pytest.approx(np.mean(both), abs=1e-12)
    header, row = (tmp_path / "NanoBEIR_evaluation_mean_results.csv").read_text().splitlines()
    assert header.startswith("epoch,steps,cosine-Accuracy@1,") and header.endswith("cosine-MAP@100")
    assert row.startswith("1,2,") and float(row.split(",")[-1]) == found["NanoBEIR_mean_cosine_map@100"]
    assert (tmp_path / "Information-Retrieval_evaluation_NanoNQ_results.csv").exists()


def test_the_rest_of_the_arguments_reach_the_tasks(collection: str, tmp_path: Path) -> None:
    evaluator = NanoBEIREvaluator(
        ["nq", "msmarco"],
        collection,
        ndcg_at_k=[2],
        aggregate_fn=max,
        aggregate_key="top",
        query_prompts={"nq": "gold ", "msmarco": ""},
        corpus_prompts="thing ",
        write_predictions=True,
    )
    found = evaluator(Letters(), tmp_path)
    assert len(list(tmp_path.glob("*NanoNQ*.jsonl"))) == 1
    parts = {
        **_single("NanoNQ", "NanoNQ", ndcg_at_k=[2], query_prompt="gold ", corpus_prompt="thing "),
        **_single("NanoMSMARCO", "NanoMSMARCO", ndcg_at_k=[2], query_prompt="", corpus_prompt="thing "),
    }
    assert {key: found[key] for key in parts} == parts
    assert evaluator.primary_metric == "NanoBEIR_top_cosine_ndcg@2"
    assert found["NanoBEIR_top_cosine_ndcg@2"] == max(parts[f"{task}_cosine_ndcg@2"] for task in TASKS)


def test_truncation_stands_in_every_name(collection: str) -> None:
    evaluator = NanoBEIREvaluator(["nq"], collection, truncate_dim=4)
    assert evaluator.get_config_dict() == {
        "dataset_names": ["nq"],
        "dataset_id": collection,
        "truncate_dim": 4,
    }
    assert evaluator.name == "NanoBEIR_mean_4"
    assert [each.name for each in evaluator.evaluators] == ["NanoNQ_4"]
    assert evaluator.evaluators[0].truncate_dim == 4


def test_cross_encoders_rerank_what_bm25_found(collection: str, tmp_path: Path) -> None:
    evaluator = CrossEncoderNanoBEIREvaluator(["msmarco", "nq"], collection, rerank_k=2, at_k=3)
    found = evaluator(Letters(), tmp_path)
    documents = dict(zip([f"d{n}" for n in range(6)], DOCUMENTS, strict=True))
    for task, shift in TASKS.items():
        tables = _tables(shift)
        samples = [
            {
                "query": QUERIES[n],
                "positive": [
                    documents[each["corpus-id"]]
                    for each in tables["qrels"]
                    if each["query-id"] == row["query-id"]
                ],
                "documents": [documents[key] for key in row["corpus-ids"][:2]],
            }
            for n, row in enumerate(tables["bm25"])
        ]
        alone = CrossEncoderRerankingEvaluator(samples, at_k=3, name=f"{task}_R2")(Letters())
        assert {key: found[key] for key in alone} == alone
    both = [found[f"{task}_R2_ndcg@3"] for task in TASKS]
    assert found["NanoBEIR_R2_mean_ndcg@3"] == pytest.approx(np.mean(both), abs=1e-12)
    assert "NanoBEIR_R2_mean_base_map" in found
    assert evaluator.primary_metric == "NanoBEIR_R2_mean_ndcg@3"
    assert evaluator.get_config_dict() == {
        "dataset_names": ["msmarco", "nq"],
        "dataset_id": collection,
        "rerank_k": 2,
        "at_k": 3,
        "always_rerank_positives": True,
    }
    header = (tmp_path / "NanoBEIR_evaluation_mean_results.csv").read_text().splitlines()[0]
    assert header == "epoch,steps,MAP,MRR@3,NDCG@3"


def test_wrong_names_are_refused_before_anything_is_read() -> None:
    with pytest.raises(InputError, match="no 'foo'; its tasks are climatefever"):
        NanoBEIREvaluator(["nq", "foo"])
    with pytest.raises(InputError, match="empty"):
        CrossEncoderNanoBEIREvaluator([])
    with pytest.raises(InputTypeError, match="a list"):
        NanoBEIREvaluator("nq")
    with pytest.raises(InputError, match="query_prompts has no prompt for 'nq'"):
        NanoBEIREvaluator(["nq"], query_prompts={"msmarco": ""})
