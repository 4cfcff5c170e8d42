"""CrossEncoder.predict, beside sentence-transformers: pairs a second, long and short.

    python benchmarks/rerank.py [--rounds 3]

Long pairs are Cranfield queries with abstracts, 100 candidates a query as a reranker gets them; short ones
are STS-B pairs. The model is ../shared/models/cross-encoder-stsb. Best of some rounds, in turns.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import common

HERE = Path(__file__).resolve()
RUNS = {
    "sentence-transformers": ("peer", "float32"),
    "vicinal float32": ("vicinal", "float32"),
    "vicinal auto": ("vicinal", "auto"),
}


def pairs() -> dict[str, list[list[str]]]:
    """Query with abstract, and short sentence with short sentence."""
    folder = common.SHARED / "data/cranfield"
    queries = [
        json.loads(line)["text"] for line in (folder / "queries.jsonl").read_text("utf-8").splitlines()
    ]
    documents = [json.loads(line) for line in (folder / "corpus.jsonl").read_text("utf-8").splitlines()]
    texts = [f"{item['title']} {item['text']}" for item in documents]
    long = [
        [query, texts[(37 * place + 13 * number) % len(texts)]]
        for number, query in enumerate(queries[:3])
        for place in range(100)
    ]
    lines = (common.SHARED / "data/stsb/dev.tsv").read_text("utf-8").splitlines()
    return {"long": long, "short": [line.split("\t")[5:7] for line in lines[:900]]}


def measure(library: str, dtype: str, file: str) -> None:
    """Pairs a second after a warm-up."""
    samples = json.loads(Path(file).read_text("utf-8"))
    folder = str(common.SHARED / "models/cross-encoder-stsb")
    if library == "peer":
        from sentence_transformers import CrossEncoder as Peer

        model = Peer(folder, device="cpu")
        options = {}
    else:
        from vicinal import CrossEncoder

        model = CrossEncoder(folder, dtype=dtype)
        options = {"on_truncate": "ignore"}
    rates = {}
    for kind, items in samples.items():
        items = [tuple(item) for item in items]
        model.predict(items[:20], **options)
        picked = items[::3] if library == "peer" else items
        start = time.perf_counter()
        model.predict(picked, show_progress_bar=False, **options)
        rates[kind] = len(picked) / (time.perf_counter() - start)
    print(json.dumps(rates))


def compare(rounds: int) -> None:
    """Run the libraries in turn and print the table."""
    peer = common.peer_python("st", common.SENTENCE_TRANSFORMERS)
    print(common.machine("vicinal", "openvino", "tokenizers", "numpy"))
    best: dict[str, dict[str, float]] = {label: {} for label in RUNS}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "pairs.json"
        file.write_text(json.dumps(pairs()), encoding="utf-8")
        for _ in range(rounds):
            for label, (library, dtype) in RUNS.items():
                python = peer if library == "peer" else sys.executable
                for kind, rate in common.run_json(
                    python, HERE, "--measure", library, dtype, str(file)
                ).items():
                    best[label][kind] = max(rate, best[label].get(kind, 0.0))
    base = best["sentence-transformers"]
    print(f"\n{'':24} {'query with abstract':>24} {'short pairs':>24}")
    for label, row in best.items():
        cells = "".join(f"{row[kind]:14.1f}/s ({row[kind] / base[kind]:4.2f}x)" for kind in ("long", "short"))
        print(f"{label:24}{cells}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(*arguments.measure)
    else:
        compare(arguments.rounds)


if __name__ == "__main__":
    main()
