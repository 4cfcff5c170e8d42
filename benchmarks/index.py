"""How fast, how large and how hungry `vicinal.Index` is; beside LanceDB and Chroma if asked.

    python benchmarks/index.py                       # 10k, 100k
    python benchmarks/index.py --sizes 1000000       # one million: about 3 GB of disk, some minutes
    python benchmarks/index.py --others              # 100k in LanceDB and, twice, in Chroma too

Vectors are clustered (2,000 centres, noise, 256 dimensions, length 1) and made by a stand-in for a model,
so what is measured is the index and not the encoding. Texts are 40 words, drawn by Zipf's law, so some
words stand in nearly every text. Every figure comes from a process of its own. Queries differ from one
another, filters too (no cached filter is hit). The others run in virtual environments of their own
(`.bench/NAME`, made on first use), get the same vectors, texts and metadata, and are asked for the same;
recall is measured against exact search. Chroma knows only a graph (HNSW), whose answers are approximate; it
comes with its defaults ("chroma"), and so that it looks at every row that the graph reaches, which is its
nearest to an exact query ("chroma_exact": `ef_search` is the number of rows).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import common

DIMENSION = 256
BATCH = 10_000
TOPICS = 100
QUERIES = 101  # without a filter: few queries of a millisecond tell little
COMMON = "the of and to a in is that for it as was with be by on not he his but"
HERE = Path(__file__).resolve()
PACKAGES = {"lancedb": ["lancedb", "pyarrow", "numpy"], "chroma": ["chromadb", "numpy"]}


class Corpus:
    """Vectors, texts and metadata by number, the same in every process."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self.centres = rng.standard_normal((2000, DIMENSION), np.float32)
        self.noise = rng.standard_normal((65_536, DIMENSION), np.float32)
        syllables = ["ka", "lo", "mi", "ter", "san", "vel", "dor", "in", "qua", "res", "to", "ny"]
        common = COMMON.split()
        words = {"".join(rng.choice(syllables, size=n)) for n in rng.integers(3, 6, size=90_000)}
        self.words = np.array(common + sorted(words))
        weights = 1 / np.arange(1, len(self.words) + 1)
        self.edges = np.cumsum(weights / weights.sum())

    def vectors(self, numbers: np.ndarray, salt: int = 0) -> np.ndarray:
        rows = (
            self.centres[(numbers * 7919 + salt) % 2000]
            + 0.8 * self.noise[(numbers * 31 + 17 * salt) % 65_536]
        )
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def batches(self, size: int) -> Iterator[tuple[list[str], list[str], list[dict[str, Any]], np.ndarray]]:
        for start in range(0, size, BATCH):
            numbers = np.arange(start, min(size, start + BATCH))
            rng = np.random.default_rng(start + 1)
            drawn = self.words[np.searchsorted(self.edges, rng.random((len(numbers), 40)))]
            texts = [f"d{n} " + " ".join(row) for n, row in zip(numbers, drawn, strict=True)]
            years = rng.integers(1900, 2025, len(numbers)).tolist()
            topics = rng.integers(0, TOPICS, len(numbers)).tolist()
            metadatas = [{"year": y, "topic": f"topic-{t}"} for y, t in zip(years, topics, strict=True)]
            yield [f"doc-{n}" for n in numbers], texts, metadatas, self.vectors(numbers)

    def query(self, i: int) -> np.ndarray:
        return self.vectors(np.array([1000 + 37 * i]), salt=3)[0]


class StandIn:
    """Looks a text's vector up by the number it begins with: d1 is document 1, q1 is query 1."""

    fingerprint, max_seq_length, similarity_fn_name, name = "stand-in", None, "cosine", "stand-in"

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def get_embedding_dimension(self) -> int:
        return DIMENSION

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [len(text) // 5 for text in texts]

    def encode_document(self, texts: list[str]) -> np.ndarray:
        return self.corpus.vectors(np.array([int(text[1 : text.index(" ")]) for text in texts]))

    def encode_query(self, texts: list[str]) -> np.ndarray:
        numbers = [text.split()[0][1:] for text in texts]
        return np.stack([self.corpus.query(int(number) if number.isdigit() else 0) for number in numbers])


def timed(ask: Callable[[int], Any], runs: int = 21, warm: int = 3) -> dict[str, float]:
    """Median and worst of several runs, in milliseconds, after some others that do not count."""
    for i in range(runs, runs + warm):
        ask(i)
    times = []
    for i in range(runs):
        start = time.perf_counter()
        ask(i)
        times.append(1000 * (time.perf_counter() - start))
    return {"median": round(statistics.median(times), 2), "worst": round(max(times), 2)}


def size_mb(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return round(sum(file.stat().st_size for file in files) / 1e6, 1)


def exact(size: int, runs: int = 20) -> list[list[str]]:
    """The true ten best of some queries, by brute force, kept for all contenders."""
    corpus = Corpus()
    queries = np.stack([corpus.query(i) for i in range(runs)])
    best = [[(-2.0, "")] for _ in range(runs)]
    for ids, _, _, vectors in corpus.batches(size):
        scores = queries @ vectors.T
        for i in range(runs):
            near = np.argpartition(-scores[i], 10)[:10]
            best[i] = sorted([*best[i], *((float(scores[i, j]), ids[j]) for j in near)], reverse=True)[:10]
    return [[id for _, id in row] for row in best]


def recall(truth: list[list[str]], found: list[list[str]]) -> float:
    hits = sum(len(set(a) & set(b)) for a, b in zip(truth, found, strict=True))
    return round(hits / (10 * len(truth)), 4)


# -- the contenders: each fills a folder, then another process opens it and asks ------------------------


def vicinal_fill(folder: Path, size: int) -> None:
    from vicinal.index import Index

    corpus = Corpus()
    with Index(folder / "texts.db", StandIn(corpus)) as index:
        spent = 0.0
        for ids, texts, metadatas, _ in corpus.batches(size):
            start = time.perf_counter()
            index.add(texts, ids, metadatas)
            spent += time.perf_counter() - start
    print(
        json.dumps({"ingest docs/s": round(size / spent), "ingest peak MB": round(common.peak_memory_mib())})
    )


def vicinal_ask(folder: Path, size: int, truth: list[list[str]]) -> None:
    from vicinal.index import Index

    corpus = Corpus()
    before = common.peak_memory_mib()
    start = time.perf_counter()
    index = Index(folder / "texts.db", StandIn(corpus))
    opened = time.perf_counter() - start
    index.search("q9999 x")
    first = time.perf_counter() - start
    cold = timed(lambda i: index.search(f"q{500 + i} x"), 10, 1)
    start = time.perf_counter()
    index.warm_up()
    warmed = time.perf_counter() - start
    frequent = [str(word) for word in corpus.words[:60]]

    def words(i: int) -> str:
        return f"{frequent[20 + i]} {frequent[21 + i]} the of and {frequent[30 + i]}"

    result = {
        "open s": round(opened, 3),
        "open + first query s": round(first, 3),
        "dense before warm_up() ms": cold,
        "warm_up() s": round(warmed, 2),
        "dense ms": timed(lambda i: index.search(f"q{i} x"), QUERIES, 20),
        "1% filter ms": timed(lambda i: index.search(f"q{i} x", filter={"topic": f"topic-{i}"})),
        "50% filter ms": timed(lambda i: index.search(f"q{i} x", filter={"year": {"$gte": 1950 + i}})),
        "lexical rare ms": timed(lambda i: index.search(str(corpus.words[20_000 + i]), mode="lexical")),
        "lexical one common word ms": timed(lambda i: index.search(frequent[20 + i], mode="lexical")),
        "lexical common words ms": timed(lambda i: index.search(words(i), mode="lexical")),
        "lexical stop words ms": timed(
            lambda i: index.search(f"{frequent[i % 18]} the of", mode="lexical"), 18
        ),
        "hybrid ms": timed(lambda i: index.search(f"q{i} {words(i)}", mode="hybrid")),
        "recall@10": recall(truth, [[h.id for h in index.search(f"q{i} x")] for i in range(len(truth))]),
        "query peak MB": round(common.peak_memory_mib()),
        "of it before open MB": round(before),
        "peak / vectors": round((common.peak_memory_mib() - before) * 2**20 / (size * DIMENSION * 4), 3),
    }
    index.close()
    print(json.dumps(result))


def lancedb_fill(folder: Path, size: int) -> None:
    import lancedb
    import pyarrow as pa
    from lancedb.index import Bitmap

    db, table, spent = lancedb.connect(str(folder)), None, 0.0
    for ids, texts, metadatas, vectors in Corpus().batches(size):
        start = time.perf_counter()
        flat = pa.array(vectors.ravel(), pa.float32())
        data = pa.table(
            {
                "id": ids,
                "text": texts,
                "year": [m["year"] for m in metadatas],
                "topic": [m["topic"] for m in metadatas],
                "vector": pa.FixedSizeListArray.from_arrays(flat, DIMENSION),
            }
        )
        if table is None:
            table = db.create_table("texts", data)
        else:
            table.add(data)
        spent += time.perf_counter() - start
    start = time.perf_counter()
    assert table is not None
    table.create_index("topic", config=Bitmap())
    table.optimize(
        cleanup_older_than=timedelta(0), delete_unverified=True
    )  # one version, as small as it gets
    spent += time.perf_counter() - start
    print(
        json.dumps({"ingest docs/s": round(size / spent), "ingest peak MB": round(common.peak_memory_mib())})
    )


def lancedb_ask(folder: Path, size: int, truth: list[list[str]]) -> None:
    import lancedb

    corpus = Corpus()
    start = time.perf_counter()
    table = lancedb.connect(str(folder)).open_table("texts")
    opened = time.perf_counter() - start

    def ask(i: int, where: str | None = None) -> list[str]:
        query = table.search(corpus.query(i)).distance_type("cosine").limit(10)
        if where:
            query = query.where(where, prefilter=True)
        return [row["id"] for row in query.select(["id", "text", "topic", "year", "_distance"]).to_list()]

    ask(9999)
    result = {
        "open s": round(opened, 3),
        "open + first query s": round(time.perf_counter() - start, 3),
        "dense ms": timed(ask, QUERIES, 20),
        "1% filter ms": timed(lambda i: ask(i, f"topic = 'topic-{i}'")),
        "50% filter ms": timed(lambda i: ask(i, f"year >= {1950 + i}")),
        "recall@10": recall(truth, [ask(i) for i in range(len(truth))]),
        "query peak MB": round(common.peak_memory_mib()),
    }
    print(json.dumps(result))


def chroma_fill(folder: Path, size: int, ef_search: int = 100) -> None:
    import chromadb

    client = chromadb.PersistentClient(str(folder))
    # Told on creation: changed later, ef_search has no effect in 1.5.9.
    table = client.create_collection(
        "texts",
        configuration={"hnsw": {"space": "cosine", "ef_search": ef_search}},
        embedding_function=None,
    )
    spent = 0.0
    for ids, texts, metadatas, vectors in Corpus().batches(size):
        start = time.perf_counter()
        for at in range(0, len(ids), 5000):
            part = slice(at, at + 5000)
            table.add(
                ids=ids[part], documents=texts[part], metadatas=metadatas[part], embeddings=vectors[part]
            )
        spent += time.perf_counter() - start
    print(
        json.dumps({"ingest docs/s": round(size / spent), "ingest peak MB": round(common.peak_memory_mib())})
    )


def chroma_ask(folder: Path, size: int, truth: list[list[str]]) -> None:
    import chromadb

    corpus = Corpus()
    start = time.perf_counter()
    table = chromadb.PersistentClient(str(folder)).get_collection("texts", embedding_function=None)
    opened = time.perf_counter() - start

    def ask(i: int, where: dict[str, Any] | None = None) -> list[str]:
        return table.query(query_embeddings=[corpus.query(i)], n_results=10, where=where)["ids"][0]

    ask(9999)
    result = {
        "open s": round(opened, 3),
        "open + first query s": round(time.perf_counter() - start, 3),
        "dense ms": timed(ask, QUERIES, 20),
        "1% filter ms": timed(lambda i: ask(i, {"topic": f"topic-{i}"})),
        "50% filter ms": timed(lambda i: ask(i, {"year": {"$gte": 1950 + i}})),
        "recall@10": recall(truth, [ask(i) for i in range(len(truth))]),
        "query peak MB": round(common.peak_memory_mib()),
    }
    print(json.dumps(result))


def chroma_exact_fill(folder: Path, size: int) -> None:
    chroma_fill(folder, size, ef_search=size)


chroma_exact_ask = chroma_ask


# -- running them ---------------------------------------------------------------------------------------


def python_of(name: str) -> str:
    """The interpreter of a contender, its virtual environment made on first use."""
    if name == "vicinal":
        return sys.executable
    name = name.partition("_")[0]
    return common.peer_python(name, [PACKAGES[name]])


def measure(name: str, size: int, work: Path, truth: list[list[str]], keep: bool) -> dict[str, Any]:
    folder = work / f"{name}-{size}"
    result: dict[str, Any] = {"what": name, "documents": size}
    (work / "truth.json").write_text(json.dumps(truth))
    if not (keep and folder.exists()):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        result |= step(name, "fill", folder, size, work)
    result["file MB"] = size_mb(folder)
    result |= step(name, "ask", folder, size, work)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def step(name: str, what: str, folder: Path, size: int, work: Path) -> dict[str, Any]:
    found = common.run_json(
        python_of(name), HERE, "--step", f"{name}_{what}", str(folder), str(size), str(work)
    )
    return dict(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--others", action="store_true", help="LanceDB and Chroma at 100k too")
    scratch = common.ROOT / ".bench" / "index"
    parser.add_argument("--work", type=Path, default=scratch, help="where the indexes are made")
    parser.add_argument(
        "--keep", action="store_true", help="keep the indexes, and use them if they are there"
    )
    parser.add_argument("--step", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        name, folder, size, work = args.step
        if name.endswith("_fill"):
            globals()[name](Path(folder), int(size))
        else:
            globals()[name](Path(folder), int(size), json.loads((Path(work) / "truth.json").read_text()))
        return
    args.work.mkdir(parents=True, exist_ok=True)
    contenders = [("vicinal", size) for size in args.sizes]
    if args.others:
        contenders += [(name, 100_000) for name in ("lancedb", "chroma", "chroma_exact")]
    truths = {size: exact(size) for size in {size for _, size in contenders}}
    for name, size in contenders:
        print(json.dumps(measure(name, size, args.work, truths[size], args.keep), indent=1), flush=True)
    print(json.dumps({"processors": os.cpu_count(), "load": os.getloadavg()}))


if __name__ == "__main__":
    main()
