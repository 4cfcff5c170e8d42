"""What each way of searching finds: nDCG@10 and recall@100 on Cranfield and other sets, through the index file.

    python benchmarks/retrieval.py [--no-rerank] [MODEL ...]

Brute force compares the query with one vector a document (cut at the model's window); the index cuts long
documents into chunks and takes the best. Gains are graded; queries without a relevant document are left out.

The other sets (``retrieval_sets.py``) ask whether hybrid keeps up with the better of its retrievers. Its
weights were chosen with these in view, and SICK was only measured afterwards. The difference to the better retriever is
given for the even and for the odd queries.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import common
import retrieval_sets

from vicinal import CrossEncoder, Index, SentenceTransformer
from vicinal.index import Hit, Mode
from vicinal.util import semantic_search

Ranking = list[str]


def scores(rankings: dict[str, Ranking], grades: retrieval_sets.Grades) -> tuple[float, float]:
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
    documents, queries, grades = retrieval_sets.cranfield()
    asked = {name: queries[name] for name in grades}
    names = list(documents)
    models = [name for name in sys.argv[1:] if name != "--no-rerank"] or [
        "vicinal-mini",
        str(common.minilm()),
    ]
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
                "index, dense": lambda text: ranked(index, text, "dense", 100),
                "index, lexical": lambda text: ranked(index, text, "lexical", 100),
                "index, hybrid": lambda text: ranked(index, text, "hybrid", 100),
                "index, hybrid + rerank": lambda text: index.search(
                    text, 100, mode="hybrid", reranker=reranker, candidates=100
                ),
            }
            if "--no-rerank" in sys.argv:
                del ways["index, hybrid + rerank"]
            for way, search in ways.items():
                start = time.perf_counter()
                rows = {query: [hit.id for hit in search(text)] for query, text in asked.items()}
                show(way, scores(rows, grades), start, len(asked))
    for name in models:
        label = "all-MiniLM-L6-v2" if name == str(common.minilm()) else name
        print(
            f"\n{label:34} {'dense':>8} {'lexical':>8} {'hybrid':>8}   hybrid against the better, by halves"
        )
        model = SentenceTransformer(name)
        for title, make in retrieval_sets.SETS.items():
            keeps_up(title, make(), model)


def ranked(index: Index, text: str, mode: Mode, top_k: int) -> list[Hit]:
    """Every document a hit of its own, as the judgements have it."""
    return index.search(text, top_k, mode=mode, merge_duplicates=False)


def keeps_up(title: str, data: retrieval_sets.Data, model: SentenceTransformer) -> None:
    """One line: nDCG@10 of each mode, and what hybrid gains or loses on each half of the queries."""
    documents, queries, grades = data
    halves = [dict(list(grades.items())[half::2]) for half in (0, 1)]
    whole, parts = {}, {}
    with tempfile.TemporaryDirectory() as scratch, Index(Path(scratch) / "set.db", model) as index:
        index.add(list(documents.values()), ids=list(documents))
        for mode in ("dense", "lexical", "hybrid"):
            rows = {query: [hit.id for hit in ranked(index, queries[query], mode, 10)] for query in grades}
            whole[mode] = scores(rows, grades)[0]
            parts[mode] = [scores(rows, half)[0] for half in halves]
    better = "dense" if whole["dense"] > whole["lexical"] else "lexical"
    against = [hybrid - other for hybrid, other in zip(parts["hybrid"], parts[better], strict=True)]
    figures = "".join(f" {figure:8.4f}" for figure in whole.values())
    print(f"{title:34}{figures}   {against[0]:+.4f} {against[1]:+.4f}", flush=True)


def show(way: str, found: tuple[float, float], start: float, count: int) -> None:
    """One line of the table."""
    milliseconds = 1000 * (time.perf_counter() - start) / count
    print(f"{way:34} {found[0]:8.4f} {found[1]:11.4f} {milliseconds:9.1f}", flush=True)


if __name__ == "__main__":
    main()
