"""encode, beside sentence-transformers: cold start, peak memory, short and long texts a second.

    python benchmarks/encode.py [--rounds 3] [--json FILE]

Each figure is the best of several rounds; in each round Vicinal and the peer take turns, so that both see
the same machine. The texts are STS-B sentences (short) and Cranfield abstracts (long) of ../shared.
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
# What is compared: label -> (library, dtype). The first is the base of the ratios.
RUNS = {
    "sentence-transformers": ("peer", "float32"),
    "sentence-transformers bf16": ("peer", "bfloat16"),
    "vicinal float32": ("vicinal", "float32"),
    "vicinal bfloat16": ("vicinal", "bfloat16"),
    "vicinal auto": ("vicinal", "auto"),
    "vicinal int8": ("vicinal", "int8"),
}


def texts() -> dict[str, list[str]]:
    """The short and the long texts."""
    lines = (common.SHARED / "data/stsb/dev.tsv").read_text(encoding="utf-8").splitlines()
    short = list(dict.fromkeys(text for line in lines for text in line.split("\t")[5:7]))
    corpus = (common.SHARED / "data/cranfield/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    documents = [json.loads(line) for line in corpus]
    # The longer two thirds of the abstracts: about 240 tokens after the cut at 256.
    long = sorted((f"{item['title']} {item['text']}" for item in documents), key=len)[-900:]
    return {"short": short, "long": long[::4]}


def cold(library: str, folder: str, dtype: str) -> None:
    """Start to first vector, inside a fresh process (the parent adds the interpreter's own start)."""
    model = load(library, folder, dtype)
    model.encode("The first sentence.")
    print(json.dumps({"memory": common.peak_memory_mib()}))


def load(library: str, folder: str, dtype: str) -> Any:
    if library == "peer":
        import torch
        from sentence_transformers import SentenceTransformer as Peer

        return Peer(folder, device="cpu", model_kwargs={"torch_dtype": getattr(torch, dtype)})
    from vicinal import SentenceTransformer

    return SentenceTransformer(folder, dtype=dtype)


def throughput(library: str, folder: str, dtype: str, file: str) -> None:
    """Texts a second on both kinds of texts, after a warm-up; the model's default batch size."""
    samples = json.loads(Path(file).read_text(encoding="utf-8"))
    model = load(library, folder, dtype)
    options = {"on_truncate": "ignore"} if library == "vicinal" else {}
    model.encode(samples["short"][:64], **options)
    model.encode(samples["long"][:16], **options)
    rates = {}
    for kind, items in samples.items():
        # The peer takes minutes for what Vicinal does in seconds: it gets fewer texts, picked evenly.
        picked = items[::3] if library == "peer" else items
        best = 0.0
        for _ in range(2):
            start = time.perf_counter()
            model.encode(picked, show_progress_bar=False, **options)
            best = max(best, len(picked) / (time.perf_counter() - start))
        rates[kind] = best
    print(json.dumps(rates))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--cold", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--throughput", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cold:
        cold(*arguments.cold)
    elif arguments.throughput:
        throughput(*arguments.throughput)
    else:
        compare(arguments.rounds, arguments.json)


def compare(rounds: int, output: Path | None) -> None:
    """Run every library in turn, some rounds, and print the table."""
    peer = common.peer_python("st", common.SENTENCE_TRANSFORMERS)
    folder = str(common.minilm())
    samples = texts()
    print(common.machine("vicinal", "openvino", "tokenizers", "numpy"))
    found: dict[str, dict[str, float]] = {label: {} for label in RUNS}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "texts.json"
        file.write_text(json.dumps(samples), encoding="utf-8")
        quantized = quantized_folder(folder, samples, Path(scratch) / "int8")
        for round_number in range(rounds):
            for label, (library, dtype) in RUNS.items():
                path = quantized if dtype == "int8" else folder
                if path is None:
                    continue
                python = peer if library == "peer" else sys.executable
                start = time.perf_counter()
                memory = common.run_json(python, HERE, "--cold", library, path, dtype)["memory"]
                seconds = time.perf_counter() - start
                rates = common.run_json(python, HERE, "--throughput", library, path, dtype, str(file))
                best = found[label]
                best["cold"] = min(seconds, best.get("cold", seconds))
                best["memory"] = min(memory, best.get("memory", memory))
                for kind, rate in rates.items():
                    best[kind] = max(rate, best.get(kind, rate))
                print(f"round {round_number + 1}: {label}: {seconds:.2f} s, {rates}", file=sys.stderr)
    report(found)
    if output is not None:
        output.write_text(json.dumps(found, indent=2))


def quantized_folder(folder: str, samples: dict[str, list[str]], target: Path) -> str | None:
    """An int8 copy of the model, calibrated on texts that are not measured; None without nncf."""
    from vicinal import SentenceTransformer
    from vicinal.errors import MissingExtraError

    lines = (common.SHARED / "data/sick/train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    calibration = [line.split("\t")[1] for line in lines[::30]] + samples["long"][1::4][:150]
    try:
        SentenceTransformer(folder).quantize(calibration, target)
    except MissingExtraError as error:
        print(error, file=sys.stderr)
        return None
    return str(target)


def report(found: dict[str, dict[str, float]]) -> None:
    """Print the table, each figure with its ratio to the peer's default."""
    base = found[next(iter(RUNS))]
    print(f"\n{'':28} {'cold start':>16} {'peak memory':>18} {'short texts/s':>18} {'long texts/s':>18}")
    for label, row in found.items():
        if not row:
            print(f"{label:28} not measured")
            continue
        print(
            f"{label:28} {row['cold']:6.2f} s ({base['cold'] / row['cold']:4.1f}x)"
            f" {row['memory']:8.0f} MiB ({row['memory'] / base['memory']:4.2f})"
            f" {row['short']:9.0f} ({row['short'] / base['short']:4.2f}x)"
            f" {row['long']:9.1f} ({row['long'] / base['long']:4.2f}x)"
        )


if __name__ == "__main__":
    main()
