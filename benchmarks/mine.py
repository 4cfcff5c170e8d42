"""Hard negatives beside sentence-transformers 6.2.0: times, ratios, agreement and peak memory.

    python benchmarks/mine.py                        50,000 pairs, and 4,000 pairs with a real model; some minutes
    python benchmarks/mine.py --peer PYTHON          with an environment that has sentence-transformers and datasets

Each library runs in processes of its own, in turn, several rounds; a time is the best of them. First the embeddings
are given, by a model that only looks them up, so that mining is what is measured: 384 dimensions, five positives around
each centre, an anchor beside each positive. Then all-MiniLM-L6-v2 encodes sentences of ../shared/data too.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np

FOLDER = Path(__file__).resolve().parent.parent / ".bench" / "mine"
DIMENSIONS = 384

SETTINGS: dict[str, dict[str, Any]] = {
    "3 negatives": {},
    "5 negatives, relative_margin=0.05": {"num_negatives": 5, "relative_margin": 0.05},
}


def write_vectors(pairs: int) -> None:
    """Unit vectors: positives in groups of five, and an anchor near each."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((-(-pairs // 5), DIMENSIONS), dtype=np.float32)
    positives = np.repeat(centres, 5, axis=0)[:pairs]
    positives = positives + 0.6 * rng.standard_normal(positives.shape, dtype=np.float32)
    anchors = positives + 0.6 * rng.standard_normal(positives.shape, dtype=np.float32)
    for name, rows in (("query", anchors), ("corpus", positives)):
        np.save(FOLDER / f"{name}.npy", rows / np.linalg.norm(rows, axis=1, keepdims=True))


class Given:
    """A model that looks its vectors up: texts are numbers."""

    device = "cpu"
    similarity_fn_name = "cosine"

    def __init__(self) -> None:
        self.vectors = {name: np.load(FOLDER / f"{name}.npy") for name in ("query", "corpus")}

    def encode_query(self, texts: list[str], **options: Any) -> np.ndarray:
        return self.vectors["query"][[int(text.split()[1]) for text in texts]]

    def encode_document(self, texts: list[str], **options: Any) -> np.ndarray:
        return self.vectors["corpus"][[int(text.split()[1]) for text in texts]]

    encode = encode_document

    # What sentence-transformers asks its own models for.
    def get_embedding_dimension(self) -> int:
        return DIMENSIONS

    def similarity(self, a: Any, b: Any) -> Any:
        from sentence_transformers.util import cos_sim

        return cos_sim(a, b)

    def similarity_pairwise(self, a: Any, b: Any) -> Any:
        from sentence_transformers.util import pairwise_cos_sim

        return pairwise_cos_sim(a, b)


def sentence_pairs(count: int) -> tuple[list[str], list[str]]:
    """Sentences of the STS Benchmark and of SICK that were found similar, with each other."""
    from common import SHARED

    found: dict[tuple[str, str], None] = {}
    for name in ("stsb/train.tsv", "stsb/dev.tsv", "sick/train.tsv"):
        for line in (SHARED / "data" / name).read_text(encoding="utf-8").splitlines():
            cells = [cell for cell in line.split("\t") if len(cell) > 12 and " " in cell]
            if len(cells) >= 2:
                found[cells[-2], cells[-1]] = None
    chosen = list(found)[:count]
    return [a for a, _ in chosen], [b for _, b in chosen]


def work(library: str, task: str, pairs: int, folder: str) -> None:
    """In a process of one library: mine, save the rows, print time and memory as JSON."""
    from common import peak_memory_mib
    from datasets import Dataset

    if library == "vicinal":
        from vicinal import SentenceTransformer
        from vicinal.util import mine_hard_negatives
    else:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.util import mine_hard_negatives
    model: Any
    if task == "encode":
        anchors, positives = sentence_pairs(pairs)
        model, options = SentenceTransformer(folder), SETTINGS["3 negatives"]
    else:
        anchors, positives = [f"anchor {i}" for i in range(pairs)], [f"text {i}" for i in range(pairs)]
        model, options = Given(), dict(SETTINGS[task])
        if library == "faiss":
            options["use_faiss"] = True
    dataset = Dataset.from_dict({"anchor": anchors, "positive": positives})
    mine_hard_negatives(
        dataset.select(range(10)), model, num_negatives=1, verbose=False
    )  # loads what it needs
    before = peak_memory_mib()
    start, cpu = time.perf_counter(), time.process_time()
    rows = mine_hard_negatives(dataset, model, verbose=False, **options)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = peak_memory_mib()
    name = f"{library}-{task}".replace(" ", "-").replace(",", "").replace("=", "-")
    (FOLDER / f"{name}.json").write_text(json.dumps([list(row.values()) for row in rows]))
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "more": peak - before, "rows": name}))


def rows_of(name: str) -> set[tuple[str, ...]]:
    return set(map(tuple, json.loads((FOLDER / f"{name}.json").read_text())))


def main() -> None:
    """Measure the libraries in turn and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--encode", type=int, default=4_000, help="pairs for the real model; 0 for none")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peer", help="a python with sentence-transformers and datasets")
    parser.add_argument(
        "--faiss", action="store_true", help="the peer with use_faiss=True too; it needs faiss-cpu"
    )
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        library, task, folder = arguments.work
        work(library, task, arguments.encode if task == "encode" else arguments.pairs, folder)
        return
    from common import SENTENCE_TRANSFORMERS, machine, minilm, peer_python, run_json

    peer = arguments.peer or peer_python("mine-peer", [*SENTENCE_TRANSFORMERS, ["datasets"]])
    write_vectors(arguments.pairs)
    print(machine("vicinal", "numpy", "openvino"))
    libraries = {"peer": peer, **({"faiss": peer} if arguments.faiss else {}), "vicinal": sys.executable}
    for task in (*SETTINGS, *(["encode"] if arguments.encode else [])):
        best: dict[str, dict[str, Any]] = {}
        for _ in range(arguments.rounds):
            for library, python in libraries.items():
                if library == "faiss" and task == "encode":
                    continue
                sizes = ("--pairs", str(arguments.pairs), "--encode", str(arguments.encode))
                found = run_json(python, Path(__file__), *sizes, "--work", library, task, str(minilm()))
                if library not in best or found["seconds"] < best[library]["seconds"]:
                    best[library] = found
        count = arguments.encode if task == "encode" else arguments.pairs
        print(f"\n{count:,} pairs, {'all-MiniLM-L6-v2 encodes' if task == 'encode' else task}")
        ours = best["vicinal"]
        for library, found in best.items():
            print(
                f"  {library:8} {found['seconds']:8.2f} s   CPU {found['cpu']:8.2f} s   peak {found['peak']:7,.0f} MiB"
                f" (mining: {found['more']:7,.0f})   {found['seconds'] / ours['seconds']:5.1f}x"
            )
        mine, other = rows_of(ours["rows"]), rows_of(best["peer"]["rows"])
        print(f"  rows: {len(mine):,} and {len(other):,}, of which {len(mine & other):,} are the same")


if __name__ == "__main__":
    main()
