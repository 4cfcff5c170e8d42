"""SearchPipeline, and the retrieval scores of the whole chain on real data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicinal import CrossEncoder, SearchPipeline, SentenceTransformer
from vicinal.errors import InputError, InputTypeError
from vicinal.util import semantic_search

CORPUS = [
    "Python is a programming language.",
    "The cat sits outside in the sun.",
    "time.sleep suspends the execution of a program.",
    "A man is playing the guitar.",
    "The weather is lovely today.",
]


class Letters:
    """A bi-encoder of 26 numbers: how often each letter stands in the text."""

    def encode_document(self, sentences: list[str]) -> np.ndarray:
        rows = [[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in sentences]
        return np.array(rows, dtype=np.float32).reshape(-1, 26)

    def encode_query(self, sentences: str) -> np.ndarray:
        return self.encode_document([sentences])[0]


class Shortest:
    """A cross-encoder that prefers short documents, and remembers how many it was given."""

    given = 0

    def rank(self, query: str, documents: list[str], top_k: int | None = None) -> list[dict[str, Any]]:
        self.given = len(documents)
        order = sorted(range(len(documents)), key=lambda place: len(documents[place]))[:top_k]
        return [{"corpus_id": place, "score": -float(len(documents[place]))} for place in order]


def test_one_stage() -> None:
    hits = SearchPipeline(Letters(), corpus=CORPUS).search("guitar man playing", top_k=2)
    assert hits[0]["text"] == CORPUS[3] and len(hits) == 2
    assert hits[0]["score"] == hits[0]["retrieval_score"]
    assert hits[0].keys() == {"corpus_id", "score", "text", "retrieval_score"}


class LongestFirst:
    """A reranker that only predicts: one number for each pair."""

    def predict(self, pairs: list[tuple[str, str]]) -> list[float]:
        return [float(len(document)) for _, document in pairs]


def test_a_reranker_may_rank_or_predict() -> None:
    hits = SearchPipeline(Letters(), LongestFirst(), CORPUS).search("anything", top_k=3)
    lengths = sorted(map(len, CORPUS), reverse=True)
    assert [len(hit["text"]) for hit in hits] == lengths[:3]
    assert [hit["score"] for hit in hits] == lengths[:3]
    with pytest.raises(
        InputTypeError, match=r"reranker must have rank\(.*\) or predict\(pairs\).*got object"
    ):
        SearchPipeline(Letters(), object(), CORPUS)


def test_two_stages_use_the_candidates() -> None:
    reranker = Shortest()
    pipeline = SearchPipeline(Letters(), reranker, CORPUS)
    hits = pipeline.search("anything", top_k=2, candidates=4)
    assert reranker.given == 4
    assert [len(hit["text"]) for hit in hits] == sorted(len(hit["text"]) for hit in hits)
    assert all(hit["text"] == CORPUS[hit["corpus_id"]] for hit in hits)
    assert all(hit["score"] == -len(hit["text"]) and hit["retrieval_score"] <= 1.0001 for hit in hits)
    assert len(pipeline.search("anything", top_k=5, candidates=1)) == 5  # never fewer than asked for


def test_ready_vectors_and_bad_input() -> None:
    vectors = Letters().encode_document(CORPUS)
    pipeline = SearchPipeline(Letters(), corpus=CORPUS, corpus_embeddings=vectors)
    assert len(pipeline) == 5
    assert pipeline.search("cat", 1) == SearchPipeline(Letters(), corpus=CORPUS).search("cat", 1)
    assert SearchPipeline(Letters()).search("x") == []
    with pytest.raises(InputTypeError, match="4 rows, the corpus 5"):
        SearchPipeline(Letters(), corpus=CORPUS, corpus_embeddings=vectors[:4])
    with pytest.raises(InputTypeError, match="single text"):
        SearchPipeline(Letters(), corpus="text")
    with pytest.raises(InputTypeError, match="query is list"):
        pipeline.search(["a"])
    with pytest.raises(InputError, match="top_k=0"):
        pipeline.search("a", top_k=0)
    with pytest.raises(TypeError, match="did you mean 'top_k'"):
        pipeline.search("a", topk=1)


def test_real_models_by_name(minilm_path: Path, shared_dir: Path) -> None:
    pipeline = SearchPipeline(minilm_path, shared_dir / "models/cross-encoder-stsb", corpus=CORPUS)
    assert isinstance(pipeline.cross_encoder, CrossEncoder)
    assert pipeline.search("How do I pause a program?", top_k=1)[0]["corpus_id"] == 2


@pytest.mark.slow
def test_cranfield_scores(minilm_path: Path, shared_dir: Path) -> None:
    """nDCG@10 with graded gains and recall@100, as ../shared/REFERENCE.md has them."""
    folder = shared_dir / "data/cranfield"
    documents = [json.loads(line) for line in (folder / "corpus.jsonl").read_text("utf-8").splitlines()]
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text("utf-8").splitlines()]
    judged: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels/test.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        judged.setdefault(query, {})[document] = int(grade)
    model = SentenceTransformer(minilm_path)
    corpus = model.encode([f"{item['title']} {item['text']}" for item in documents], on_truncate="ignore")
    found = semantic_search(model.encode([item["text"] for item in queries]), corpus, top_k=100)
    gains, recalls = [], []
    discounts = 1 / np.log2(np.arange(2, 12))
    for query, hits in zip(queries, found, strict=True):
        relevant = {name: grade for name, grade in judged.get(query["_id"], {}).items() if grade > 0}
        if not relevant:
            continue
        grades = [relevant.get(documents[hit["corpus_id"]]["_id"], 0) for hit in hits]
        ideal = np.sort(list(relevant.values()))[::-1][:10]
        gains.append((np.array(grades[:10]) * discounts).sum() / (ideal * discounts[: len(ideal)]).sum())
        recalls.append(sum(grade > 0 for grade in grades) / len(relevant))
    assert np.mean(gains) == pytest.approx(0.3736, abs=0.001)
    assert np.mean(recalls) == pytest.approx(0.7756, abs=0.001)


@pytest.mark.parametrize("query", ["", " \n", "\u200b"])
def test_a_blank_query_finds_nothing(query: str) -> None:
    for reranker in (None, LongestFirst()):
        assert SearchPipeline(Letters(), reranker, corpus=CORPUS).search(query) == []
