"""fit, beside sentence-transformers: pairs a second, what they teach, peak memory.

    python benchmarks/train.py [--steps N] [--rounds 1] [--threads N] [--device cpu] [--json FILE]

Both train all-MiniLM-L6-v2 on the pairs of STS-B (../shared) with the same call of fit: CosineSimilarityLoss,
batches of 16, AdamW at 2e-5, a tenth of the run as warm-up, each with its library's own default precision.
Without --steps the run is a whole epoch, about three minutes for the peer on two quiet cores. A rate counts
from the sixth step to the last; beside the wall clock stands the processor time, which another program on the
machine disturbs less (with --threads 1 hardly at all). Spearman is that of the dev set.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import common

HERE = Path(__file__).resolve()
# What is compared: label -> (library, use_amp). The first is the base of the ratios.
RUNS: dict[str, tuple[str, bool | None]] = {
    "sentence-transformers": ("peer", False),
    "vicinal": ("vicinal", None),
    "vicinal float32": ("vicinal", False),
}
BATCH, SKIPPED, SEED = 16, 5, 0


def read(name: str) -> list[tuple[str, str, float]]:
    """Pairs of texts and their similarity from 0 to 1."""
    lines = (common.SHARED / "data/stsb" / name).read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    return [(row[5], row[6], float(row[4]) / 5) for row in rows]


def train(library: str, amp: str, folder: str, steps: int, device: str) -> None:
    """One run, in a process of its own; prints its figures."""
    import torch
    from torch.utils.data import DataLoader

    if library == "peer":
        from sentence_transformers import InputExample, SentenceTransformer, losses
    else:
        from vicinal import InputExample, SentenceTransformer, losses

    torch.manual_seed(SEED)
    model: Any = SentenceTransformer(folder, device=device)
    dev = read("dev.tsv")
    before = cosines(model, dev)
    clock: list[tuple[float, float]] = []

    class Timed(losses.CosineSimilarityLoss):  # type: ignore[misc]
        def forward(self, *inputs: Any, **options: Any) -> Any:
            clock.append((time.perf_counter(), time.process_time()))
            return super().forward(*inputs, **options)

    data = [InputExample(texts=[a, b], label=score) for a, b, score in read("train.tsv")]
    loader: Any = DataLoader(data, shuffle=True, batch_size=BATCH)  # type: ignore[arg-type]
    count = steps or len(loader)
    options: dict[str, Any] = {} if amp == "None" else {"use_amp": amp == "True"}
    model.fit(
        [(loader, Timed(model))],
        epochs=1,
        steps_per_epoch=steps or None,
        warmup_steps=count // 10,
        show_progress_bar=False,
        **options,
    )
    (wall, cpu), (wall_end, cpu_end) = clock[SKIPPED], clock[-1]
    pairs = (len(clock) - 1 - SKIPPED) * BATCH
    memory = common.peak_memory_mib()  # of training; encode comes after
    figures = {"wall": pairs / (wall_end - wall), "cpu": pairs / (cpu_end - cpu), "memory": memory}
    print(json.dumps({**figures, "before": before, "after": cosines(model, dev), "steps": len(clock)}))


def cosines(model: Any, pairs: list[tuple[str, str, float]]) -> list[float]:
    """Of each pair, as the model has it."""
    a, b = (model.encode([pair[i] for pair in pairs], normalize_embeddings=True) for i in (0, 1))
    return [float(each) for each in (a * b).sum(axis=1)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=0, help="steps of a run; default a whole epoch")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, help="of each run; default all cores")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="*", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--train", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        library, amp, folder, steps, device = arguments.train
        train(library, amp, folder, int(steps), device)
        return
    compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Run every library in turn, some rounds, and print the table."""
    peer = common.peer_python("st", [*common.SENTENCE_TRANSFORMERS, ["accelerate", "datasets"]])
    print(common.machine("vicinal", "openvino", "torch", "transformers"))
    if arguments.threads:
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    os.environ["WANDB_DISABLED"] = "true"
    labels = [score for *_, score in read("dev.tsv")]
    found: dict[str, dict[str, float]] = {}
    for number in range(arguments.rounds):
        for label in arguments.only:
            library, amp = RUNS[label]
            python = peer if library == "peer" else sys.executable
            fixed = (str(common.minilm()), str(arguments.steps), arguments.device)
            got = common.run_json(python, HERE, "--train", library, str(amp), *fixed)
            figures = {key: got[key] for key in ("wall", "cpu", "memory", "steps")}
            figures |= {when: spearman(got[when], labels) for when in ("before", "after")}
            print(f"round {number + 1}: {label}: {figures}", file=sys.stderr)
            best = found.setdefault(label, figures)
            best |= {key: max(best[key], figures[key]) for key in ("wall", "cpu")}
            best["memory"] = min(best["memory"], figures["memory"])
    report(found)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=2))


def spearman(scores: list[float], labels: list[float]) -> float:
    """Rank correlation."""
    import numpy as np

    from vicinal.evaluation.metrics import spearman as correlation

    return float(correlation(np.asarray(scores), np.asarray(labels)))


def report(found: dict[str, dict[str, float]]) -> None:
    """Print the table, each figure with its ratio to the first."""
    base = next(iter(found.values()))
    print(
        f"\n{'':24} {'pairs/s':>16} {'pairs/s of CPU':>18} {'peak memory':>18} {'Spearman':>18} {'steps':>6}"
    )
    for label, row in found.items():
        print(
            f"{label:24} {row['wall']:8.1f} ({row['wall'] / base['wall']:4.2f}x)"
            f" {row['cpu']:10.1f} ({row['cpu'] / base['cpu']:4.2f}x)"
            f" {row['memory']:8.0f} MiB ({row['memory'] / base['memory']:4.2f})"
            f" {row['before']:9.4f} -> {row['after']:.4f} {row['steps']:6.0f}"
        )


if __name__ == "__main__":
    main()
