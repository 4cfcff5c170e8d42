"""The bundled static model beside its teacher and beside the peers: start to first vector, short texts a second.

    python benchmarks/static.py [--rounds 3]

The texts are the sentences of STS-B dev (../shared); each figure is the best of several rounds, taken in turn.
sentence-transformers and model2vec run in environments of their own, on the same static model, which
``model.save`` wrote for them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import common

HERE = Path(__file__).resolve()
MODEL2VEC = [["model2vec==0.10.0"]]
# label -> (library, "teacher" or "mini"). The first is the base of the ratios.
RUNS = {
    "teacher, sentence-transformers": ("st", "teacher"),
    "teacher, vicinal": ("vicinal", "teacher"),
    "vicinal-mini, sentence-transformers": ("st", "mini"),
    "vicinal-mini, model2vec": ("model2vec", "mini"),
    "vicinal-mini, vicinal": ("vicinal", "mini"),
}


def texts() -> list[str]:
    """The different sentences of STS-B dev."""
    lines = (common.SHARED / "data/stsb/dev.tsv").read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(text for line in lines for text in line.split("\t")[5:7]))


def measure(library: str, folder: str, file: str) -> None:
    """Inside a fresh process: seconds to the first vector, then texts a second on many texts."""
    start = time.perf_counter()
    model = load(library, folder)
    model.encode(["The first sentence."])
    first = time.perf_counter() - start
    sentences = json.loads(Path(file).read_text(encoding="utf-8"))
    # A static model is too quick for one pass over 3,000 sentences to be measured well.
    begun = time.perf_counter()
    model.encode(sentences[:500])
    repeat = 20 if time.perf_counter() - begun < 0.1 else 1
    many = sentences * repeat
    best = 0.0
    for _ in range(3 if repeat > 1 else 1):
        begun = time.perf_counter()
        model.encode(many)
        best = max(best, len(many) / (time.perf_counter() - begun))
    print(json.dumps({"first": first, "rate": best}))


def load(library: str, folder: str) -> Any:
    if library == "st":
        from sentence_transformers import SentenceTransformer as Peer

        return Peer(folder, device="cpu")
    if library == "model2vec":
        from model2vec import StaticModel

        return StaticModel.from_pretrained(folder)
    from vicinal import SentenceTransformer

    return SentenceTransformer(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(*arguments.measure)
        return
    from vicinal import SentenceTransformer

    pythons = {
        "vicinal": sys.executable,
        "st": common.peer_python("st", common.SENTENCE_TRANSFORMERS),
        "model2vec": common.peer_python("model2vec", MODEL2VEC),
    }
    print(common.machine("vicinal", "tokenizers", "numpy"))
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "texts.json"
        file.write_text(json.dumps(texts()), encoding="utf-8")
        saved = Path(scratch) / "mini"
        SentenceTransformer("vicinal-mini").save(saved)
        for _ in range(arguments.rounds):
            for label, (library, which) in RUNS.items():
                mini = "vicinal-mini" if library == "vicinal" else str(saved)
                folder = str(common.minilm()) if which == "teacher" else mini
                row = common.run_json(pythons[library], HERE, "--measure", library, folder, str(file))
                best = found.setdefault(label, row)
                best["first"] = min(best["first"], row["first"])
                best["rate"] = max(best["rate"], row["rate"])
    base = next(iter(found.values()))["rate"]
    print(f"\n{'':38} {'to first vector':>16} {'short texts/s':>24}")
    for label, row in found.items():
        print(f"{label:38} {row['first']:14.2f} s {row['rate']:12.0f} ({row['rate'] / base:7.1f}x)")


if __name__ == "__main__":
    main()
