"""Train a cross-encoder for similarity on STS-B and SICK, and measure it on STS-B dev.

    python examples/train_cross_encoder.py MODEL DATA OUTPUT [--epochs 3] [--rate 6e-5] [--batch 16]

MODEL is any encoder's folder or hub name, such as sentence-transformers/all-MiniLM-L6-v2; DATA is a folder with
stsb/train.tsv, stsb/dev.tsv (column 5 the score from 0 to 5, columns 6 and 7 the sentences) and sick/train.tsv
(columns 2 and 3 the sentences, column 4 the score from 1 to 5).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from vicinal import CrossEncoder
from vicinal.cross_encoder.evaluation import CrossEncoderCorrelationEvaluator
from vicinal.readers.input_example import InputExample


def read_stsb(path: Path) -> list[InputExample]:
    """Scores become 0 to 1."""
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    return [InputExample(texts=row[5:7], label=float(row[4]) / 5) for row in rows]


def read_sick(path: Path) -> list[InputExample]:
    """Scores become 0 to 1; the first line names the columns."""
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()[1:]]
    return [InputExample(texts=row[1:3], label=(float(row[3]) - 1) / 4) for row in rows]


def main() -> None:
    """Train, save, load again and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=6e-5)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()

    torch.manual_seed(0)
    model = CrossEncoder(options.model, num_labels=1)
    examples = read_stsb(options.data / "stsb/train.tsv") + read_sick(options.data / "sick/train.tsv")
    dev = read_stsb(options.data / "stsb/dev.tsv")
    evaluator = CrossEncoderCorrelationEvaluator(
        [each.texts for each in dev], [each.label for each in dev], name="dev"
    )
    loader = DataLoader(examples, shuffle=True, batch_size=options.batch)
    start = time.perf_counter()
    model.fit(
        loader,
        evaluator,
        epochs=options.epochs,
        warmup_steps=len(loader) * options.epochs // 10,
        optimizer_params={"lr": options.rate},
        output_path=options.output,
        callback=lambda score, epoch, steps: print(f"epoch {epoch}: {score:.4f}", flush=True),
    )
    seconds = time.perf_counter() - start
    found = CrossEncoder(options.output).evaluate(evaluator)
    print(
        f"{len(examples)} pairs, {options.epochs} epochs, {seconds:.0f} s; the saved model on STS-B dev: {found}"
    )


if __name__ == "__main__":
    main()
