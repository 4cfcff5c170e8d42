"""What each way of searching finds: nDCG@10 and recall@100 on Cranfield, through the index file.

    python benchmarks/retrieval.py [MODEL ...]

Brute force compares the query with one vector a document (cut at the model's window); the index cuts long
documents into chunks and takes the best. Gains are graded; queries without a relevant document are left out.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import common

from vicinal import CrossEncoder, Index, SentenceTransformer
from vicinal.util import semantic_search

Ranking = list[str]


def cranfield() -> tuple[dict[str, str], dict[str, str], dict[str, dict[str, int]]]:
    """Documents (title and text), queries, and the grades of each query's relevant documents."""
    folder = common.SHARED / "data/cranfield"
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").read_text("utf-8").splitlines()]
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text("utf-8").splitlines()]
    grades: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels/test.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0:
            grades.setdefault(query, {})[document] = int(grade)
    return (
        {item["_id"]: f"{item['title']} {item['text']}" for item in corpus},
        {item["_id"]: item["text"] for item in queries},
        grades,
    )


def scores(rankings: dict[str, Ranking], grades: dict[str, dict[str, int]]) -> tuple[float, float]:
    """Mean nDCG@10 (Järvelin and Kekäläinen 2002, linear gains) and recall@100."""
    discounts = 1 / np.log2(np.arange(2, 12))
    gains, recalls = [], []
    for query, relevant in grades.items():
        ranking = rankings[query]
        got = np.array([relevant.get(name, 0) for name in ranking[:10]])
        ideal = np.sort(list(relevant.values()))[::-1][:10]
        gains.append((got * discounts[: len(got)]).sum() / (ideal * discounts[: len(ideal)]).sum())
        recalls.append(len(relevant.keys() & set(ranking[:100])) / len(relevant))
    return float(np.mean(gains)), float(np.mean(recalls))


def main() -> None:
    documents, queries, grades = cranfield()
    asked = {name: queries[name] for name in grades}
    names = list(documents)
    models = sys.argv[1:] or ["vicinal-mini", str(common.minilm())]
    reranker = CrossEncoder(common.SHARED / "models/cross-encoder-stsb")
    warnings.simplefilter("ignore")  # texts longer than the window are the point here
    print(common.machine("vicinal", "openvino", "numpy"))
    for name in models:
        model = SentenceTransformer(name)
        label = "all-MiniLM-L6-v2" if name == str(common.minilm()) else name
        print(f"\n{label:34} {'nDCG@10':>8} {'recall@100':>11} {'ms/query':>9}")
        vectors = model.encode(list(documents.values()))
        start = time.perf_counter()
        found = semantic_search(model.encode(list(asked.values())), vectors, top_k=100)
        rows = {
            query: [names[int(hit["corpus_id"])] for hit in hits]
            for query, hits in zip(asked, found, strict=True)
        }
        show("brute force, one vector a document", scores(rows, grades), start, len(asked))
        with (
            tempfile.TemporaryDirectory() as scratch,
            Index(Path(scratch) / "whole.db", model, chunk_tokens=1_000_000) as index,
        ):
            index.add(list(documents.values()), ids=names)
            start = time.perf_counter()
            rows = {query: [hit.id for hit in index.search(text, 100)] for query, text in asked.items()}
            show("index, dense, nothing chunked", scores(rows, grades), start, len(asked))
        with tempfile.TemporaryDirectory() as scratch, Index(Path(scratch) / "chunks.db", model) as index:
            index.add(list(documents.values()), ids=names)
            ways: dict[str, Callable[[str], list[object]]] = {
                "index, dense": lambda text: index.search(text, 100),
                "index, lexical": lambda text: index.search(text, 100, mode="lexical"),
                "index, hybrid": lambda text: index.search(text, 100, mode="hybrid"),
                "index, hybrid + rerank": lambda text: index.search(
                    text, 100, mode="hybrid", reranker=reranker, candidates=100
                ),
            }
            for way, search in ways.items():
                start = time.perf_counter()
                rows = {query: [hit.id for hit in search(text)] for query, text in asked.items()}
                show(way, scores(rows, grades), start, len(asked))


def show(way: str, found: tuple[float, float], start: float, count: int) -> None:
    """One line of the table."""
    milliseconds = 1000 * (time.perf_counter() - start) / count
    print(f"{way:34} {found[0]:8.4f} {found[1]:11.4f} {milliseconds:9.1f}", flush=True)


if __name__ == "__main__":
    main()
