"""InformationRetrievalEvaluator beside sentence-transformers 6.2.0: time, peak memory and agreement.

    python benchmarks/evaluate.py                  100,000 documents, then 1,000,000; about 3 minutes
    python benchmarks/evaluate.py --large 0        without the million
    python benchmarks/evaluate.py --peer PYTHON    an interpreter that has sentence-transformers

The vectors are made, so that searching and counting is all that is measured: 384 dimensions, noise, and each query
near its three relevant documents. At 100,000 documents the model hands out rows of an array; the two libraries take
turns, each round in a process of its own, and a time is the best. At 1,000,000 the vectors are made when they are asked
for, 50,000 at a time, so that what a process holds at its peak shows whether evaluation is bounded.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np

WIDTH = 384
QUERIES = 1000
RELEVANT = 3
BLOCK = 1000  # documents whose vectors are made together


def block(number: int) -> np.ndarray:
    """(BLOCK, WIDTH) vectors of documents, of length 1 as most models give them."""
    rows = np.random.default_rng(number).standard_normal((BLOCK, WIDTH), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def relevant(query: int, documents: int) -> list[int]:
    return [(query * 7919 + 104_729 * place) % documents for place in range(RELEVANT)]


class Vectors:
    """A model whose texts are numbers of vectors that exist already."""

    similarity_fn_name = "cosine"

    def __init__(self, documents: int, held: bool, similarity: Any) -> None:
        self.documents = documents
        self.similarity = similarity
        self.model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *_, **__: None)
        self.rows: np.ndarray | None = None
        if held:
            self.rows = np.concatenate([block(number) for number in range(documents // BLOCK)])

    def encode_query(self, texts: Any, convert_to_tensor: bool = False, **_: Any) -> Any:
        noise = np.random.default_rng(1 << 40).standard_normal((QUERIES, WIDTH), dtype=np.float32)
        rows = np.empty((len(texts), WIDTH), dtype=np.float32)
        for place, text in enumerate(texts):
            near = [
                block(number // BLOCK)[number % BLOCK] for number in relevant(int(text[1:]), self.documents)
            ]
            rows[place] = np.sum(near, axis=0) + 0.15 * noise[int(text[1:]) % QUERIES]
        return as_tensor(rows) if convert_to_tensor else rows

    def encode_document(self, texts: Any, convert_to_tensor: bool = False, **_: Any) -> Any:
        first, last = int(texts[0][1:]), int(texts[-1][1:])
        if self.rows is not None:
            rows = self.rows[first : last + 1]
        else:
            rows = np.empty((len(texts), WIDTH), dtype=np.float32)
            for at in range(0, len(texts), BLOCK):
                rows[at : at + BLOCK] = block((first + at) // BLOCK)
        return as_tensor(rows) if convert_to_tensor else rows

    encode = encode_document


def as_tensor(rows: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(rows)


def work(library: str, documents: int, held: bool) -> None:
    """In a process of one library: evaluate, print time, memory and figures as JSON."""
    from common import peak_memory_mib

    if library == "peer":
        from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
        from sentence_transformers.util import cos_sim
    else:
        from vicinal.evaluation import InformationRetrievalEvaluator
        from vicinal.util import cos_sim

    model = Vectors(documents, held, cos_sim)
    if held:
        queries = model.encode_query([f"q{number}" for number in range(QUERIES)])
        model.encode_query = lambda _, convert_to_tensor=False, **__: (  # type: ignore[method-assign]
            as_tensor(queries) if convert_to_tensor else queries
        )
    evaluator = InformationRetrievalEvaluator(
        {f"q{number}": f"q{number}" for number in range(QUERIES)},
        {f"d{number}": f"d{number}" for number in range(documents)},
        {f"q{number}": {f"d{one}" for one in relevant(number, documents)} for number in range(QUERIES)},
    )
    gc.collect()
    before = peak_memory_mib()
    seconds = []
    for _ in range(2 if held else 1):  # the first one warms up: threads, and kernels that are compiled
        start = time.perf_counter()
        figures = evaluator(model)
        seconds.append(time.perf_counter() - start)
    found = {"seconds": min(seconds), "before": before, "peak": peak_memory_mib()}
    print(json.dumps({**found, "figures": figures}))


def main() -> None:
    """Run both libraries and print the table."""
    from common import SENTENCE_TRANSFORMERS, machine, peer_python, run_json

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument(
        "--large", type=int, default=1_000_000, help="documents of the second part; 0 leaves it out"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", default=None, help="a Python that has sentence-transformers")
    parser.add_argument("--work", nargs=3, metavar=("LIBRARY", "DOCUMENTS", "HELD"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        library, documents, held = arguments.work
        work(library, int(documents), held == "held")
        return
    pythons = {"peer": arguments.peer or peer_python("st", SENTENCE_TRANSFORMERS), "vicinal": sys.executable}

    def run(library: str, documents: int, held: str) -> Any:
        print(f"  {library}: {documents:,} documents ...", file=sys.stderr)
        return run_json(pythons[library], Path(__file__), "--work", library, str(documents), held)

    print(machine("vicinal", "numpy", "openvino"))
    print(f"peer: sentence-transformers 6.2.0; {QUERIES:,} queries, {WIDTH} dimensions\n")
    for documents, held, rounds in (
        (arguments.documents, "held", arguments.rounds),
        (arguments.large, "made", 1),
    ):
        if not documents:
            continue
        every: dict[str, list[Any]] = {"peer": [], "vicinal": []}
        for _ in range(rounds):
            for library, runs in every.items():
                runs.append(run(library, documents, held))
        best = {library: min(runs, key=lambda one: one["seconds"]) for library, runs in every.items()}
        ratio = best["peer"]["seconds"] / best["vicinal"]["seconds"]
        print(f"{documents:,} documents, vectors {documents * WIDTH * 4 / 2**20:,.0f} MiB, {held}:")
        for library, found in best.items():
            print(
                f"  {library:<8} {found['seconds']:8.2f} s   peak {found['peak']:7,.0f} MiB, "
                f"of which {found['peak'] - found['before']:,.0f} while evaluating"
            )
        difference = max(
            abs(best["peer"]["figures"][key] - value) for key, value in best["vicinal"]["figures"].items()
        )
        print(f"  ratio {ratio:.1f}x; figures within {difference:.1e}\n", flush=True)


if __name__ == "__main__":
    main()
