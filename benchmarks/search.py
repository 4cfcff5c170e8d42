"""Search and mining beside sentence-transformers 6.2.0: times, ratios, agreement and peak memory.

    python benchmarks/search.py            1,000,000 rows; about 8 minutes
    python benchmarks/search.py --quick    100,000 rows and smaller mining; about 2 minutes

Each library runs in a process of its own, one after the other; a time is the best of a few calls in that
process. The vectors are real ones: all-MiniLM-L6-v2 of some 47,000 sentences from ../shared/data (encoded
once and kept in .bench/search). The million is made of those with noise added, so that each has neighbours
as near as sentences have; the clustered ones are noise around random centres.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np

FOLDER = Path(__file__).resolve().parent.parent / ".bench" / "search"
COUNTS = (1, 64, 1000)


def texts_of(shared: Path) -> list[str]:
    """Sentences of the shared data, each once, sorted."""
    found = set((shared / "data/stackoverflow/titles.txt").read_text(encoding="utf-8").split("\n"))
    for name in ("stsb/train.tsv", "stsb/dev.tsv", "sick/train.tsv"):
        for line in (shared / "data" / name).read_text(encoding="utf-8").split("\n"):
            found.update(cell for cell in line.split("\t") if len(cell) > 12 and " " in cell)
    for line in (shared / "data/cranfield/corpus.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        for part in (record["title"], *record["text"].split(" . ")):
            if len(part) > 15:
                found.add(part[:300])
    found.discard("")
    return sorted(found)


def unit(rows: np.ndarray) -> np.ndarray:
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def perturbed(real: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Real vectors in a random order, repeated with noise of 0.4 of their length, as unit vectors."""
    rng = np.random.default_rng(seed)
    rows = np.empty((n, real.shape[1]), dtype=np.float32)
    for at in range(0, n, 100_000):
        end = min(at + 100_000, n)
        noise = rng.standard_normal((end - at, real.shape[1]), dtype=np.float32)
        rows[at:end] = real[rng.integers(0, len(real), end - at)] + 0.4 / real.shape[1] ** 0.5 * noise
    return unit(rows)


def clustered(n: int, seed: int) -> np.ndarray:
    """About 20 rows around each of n / 20 random centres, at a cosine of about 0.83 to each other."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((n // 20, 384), dtype=np.float32)
    return centres[rng.integers(0, n // 20, n)] + 0.45 * rng.standard_normal((n, 384), dtype=np.float32)


def best_of(count: int, call: Callable[[], Any]) -> tuple[float, Any]:
    """The shortest time of a few calls, and the last answer."""
    seconds, answer = float("inf"), None
    for _ in range(count):
        start = time.perf_counter()
        answer = call()
        seconds = min(seconds, time.perf_counter() - start)
    return seconds, answer


def work(library: str, task: str, quick: bool) -> None:
    """In a process of one library: do a task, save its answers, print times and memory as JSON."""
    from common import peak_memory_mib

    if task == "encode":
        from common import SHARED, minilm

        from vicinal import SentenceTransformer

        texts = texts_of(SHARED)
        model = SentenceTransformer(str(minilm()), dtype="float32")
        np.save(FOLDER / "real.npy", model.encode(texts, batch_size=64, normalize_embeddings=True))
        print("{}")
        return

    prepare: Callable[[np.ndarray], Any] = np.asarray
    if library == "peer":
        import torch
        from sentence_transformers import util

        prepare = torch.from_numpy
    else:
        from vicinal import util

    times: dict[str, float] = {}
    if task == "search":
        corpus, queries = np.load(FOLDER / "corpus.npy"), np.load(FOLDER / "queries.npy")
        given = corpus.nbytes + queries.nbytes
        before = peak_memory_mib() - given / 2**20
        rows, asked = prepare(corpus), prepare(queries)
        for count in COUNTS:
            times[f"search {count}"], hits = best_of(
                5 if count == 1 else 3, lambda n=count: util.semantic_search(asked[:n], rows, top_k=10)
            )
        times["memory"] = peak_memory_mib() - before
        save_hits(f"{library}-search", hits)
        if library == "vicinal":
            from vicinal.vectors.corpus import CorpusMatrix

            start = time.perf_counter()
            matrix = CorpusMatrix(corpus)
            times["prepare"] = time.perf_counter() - start
            for count in COUNTS:
                times[f"prepared {count}"], hits = best_of(
                    5 if count == 1 else 3, lambda n=count: matrix.search(queries[:n], top_k=10)
                )
            save_hits("vicinal-prepared", hits)
    else:
        rows = prepare(np.load(FOLDER / f"{task}.npy"))
        calls = 1 if library == "peer" else 2
        times["communities"], found = best_of(
            calls, lambda: util.community_detection(rows, threshold=0.75, min_community_size=5)
        )
        times["pairs"], pairs = best_of(
            calls, lambda: util.paraphrase_mining_embeddings(rows, top_k=10, max_pairs=500_000)
        )
        (FOLDER / f"{library}-{task}.json").write_text(json.dumps([found, pairs]))
    times["peak"] = peak_memory_mib()
    print(json.dumps(times))


def save_hits(name: str, hits: list[list[dict[str, Any]]]) -> None:
    ids = [[hit["corpus_id"] for hit in found] for found in hits]
    scores = [[hit["score"] for hit in found] for found in hits]
    np.savez(FOLDER / f"{name}.npz", ids=ids, scores=scores)


def recall(name: str, truth: str) -> tuple[float, float]:
    """Share of the true best ten that were found, and the largest difference of the scores."""
    got, true = np.load(FOLDER / f"{name}.npz"), np.load(FOLDER / f"{truth}.npz")
    shares = [len(set(a) & set(b)) / len(b) for a, b in zip(got["ids"], true["ids"], strict=True)]
    return float(np.mean(shares)), float(np.abs(got["scores"] - true["scores"]).max())


def main() -> None:
    """Make the vectors, run both libraries, print the table."""
    from common import SENTENCE_TRANSFORMERS, machine, peer_python, run_json

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller inputs")
    parser.add_argument("--work", nargs=2, metavar=("LIBRARY", "TASK"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work, arguments.quick)
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    pythons = {"peer": peer_python("st", SENTENCE_TRANSFORMERS), "vicinal": sys.executable}

    def run(library: str, task: str) -> dict[str, float]:
        print(f"  {library}: {task} ...", file=sys.stderr)
        quick = ["--quick"] if arguments.quick else []
        answer: dict[str, float] = run_json(pythons[library], Path(__file__), "--work", library, task, *quick)
        return answer

    if not (FOLDER / "real.npy").exists():
        run("vicinal", "encode")  # the package with the weights is in this environment only
    real = np.load(FOLDER / "real.npy")
    rows, mined = (100_000, 10_000) if arguments.quick else (1_000_000, 50_000)
    np.save(FOLDER / "corpus.npy", perturbed(real, rows, 0))
    np.save(FOLDER / "queries.npy", perturbed(real, 1000, 1))
    np.save(FOLDER / "clustered.npy", clustered(mined, 2))
    np.save(FOLDER / "sentences.npy", real[:mined])

    print(machine("vicinal", "numpy", "openvino"))
    print("peer: sentence-transformers 6.2.0, torch 2.13.0 (CPU); times in seconds, best of a few calls\n")
    print(f"{'':<44}{'peer':>9}{'vicinal':>9}{'ratio':>8}")
    peer, mine = run("peer", "search"), run("vicinal", "search")
    size = f"{rows:,} x {real.shape[1]}"
    for count in COUNTS:
        line(f"exact search, {size}, {count} queries", peer[f"search {count}"], mine[f"search {count}"])
    for count in COUNTS:
        line(f"CorpusMatrix, {size}, {count} queries", peer[f"search {count}"], mine[f"prepared {count}"])
    for task, name in (("clustered", "clustered vectors"), ("sentences", "sentence vectors")):
        theirs, ours = run("peer", task), run("vicinal", task)
        n = f"{len(np.load(FOLDER / f'{task}.npy', mmap_mode='r')):,} {name}"
        line(f"community_detection, {n}", theirs["communities"], ours["communities"])
        line(f"paraphrase_mining, {n}", theirs["pairs"], ours["pairs"])
        (c1, p1), (c2, p2) = (
            json.loads((FOLDER / f"{library}-{task}.json").read_text()) for library in ("peer", "vicinal")
        )
        same = len({frozenset(c) for c in c1} & {frozenset(c) for c in c2})
        shared = len({(i, j) for _, i, j in p1} & {(i, j) for _, i, j in p2})
        print(
            f"    communities {len(c1)} / {len(c2)}, {same} equal; pairs {len(p1)} / {len(p2)}, {shared} equal"
        )
    share, difference = recall("vicinal-search", "peer-search")
    print(f"\nexact search: {share:.5f} of the peer's best ten, scores within {difference:.1e}")
    share, difference = recall("vicinal-prepared", "vicinal-search")
    print(
        f"CorpusMatrix: recall@10 {share:.5f}, scores within {difference:.1e}, prepared in {mine['prepare']:.2f} s"
    )
    inputs = (rows + 1000) * real.shape[1] * 4 / 2**20
    print(
        f"peak memory of exact search: inputs {inputs:.0f} MiB, peer {peer['memory']:.0f}, vicinal {mine['memory']:.0f}"
    )


def line(name: str, peer: float, mine: float) -> None:
    print(f"{name:<44}{peer:9.3f}{mine:9.3f}{peer / mine:7.1f}x", flush=True)


if __name__ == "__main__":
    main()
