"""Distil a model with three layers from one with six: half the work per text, and most of its quality.

    python examples/distill_layers.py [OUTPUT] [--model all-MiniLM-L6-v2] [--data ../shared/data] [--short]

The student is the teacher with some layers left out; it learns the teacher's vectors of unlabelled texts
(MSELoss): the sentences of STS-B train and SICK train. Quality is measured on STS-B dev.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

from datasets import Dataset
from torch import nn

from vicinal import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    losses,
)
from vicinal.evaluation import EmbeddingSimilarityEvaluator


def rows(file: Path) -> list[list[str]]:
    return [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", nargs="?", type=Path, default=Path("three-layer-model"))
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="hub name or folder of the teacher")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 3, 5], help="those to keep, from 0")
    parser.add_argument("--short", action="store_true", help="a few steps only, to see that it runs")
    options = parser.parse_args()

    stsb, sick = rows(options.data / "stsb/train.tsv"), rows(options.data / "sick/train.tsv")[1:]
    texts = [text for row in stsb for text in row[5:7]] + [text for row in sick for text in row[1:3]]
    texts = list(dict.fromkeys(texts))[: 256 if options.short else None]
    dev = rows(options.data / "stsb/dev.tsv")
    evaluator = EmbeddingSimilarityEvaluator(
        [row[5] for row in dev], [row[6] for row in dev], [float(row[4]) for row in dev], name="dev"
    )

    teacher = SentenceTransformer(options.model)
    vectors = teacher.encode(texts)

    student = SentenceTransformer(options.model)
    network = student[0].auto_model
    network.encoder.layer = nn.ModuleList(network.encoder.layer[each] for each in options.layers)
    network.config.num_hidden_layers = len(network.encoder.layer)

    print(f"teacher: STS-B dev Spearman {evaluator(teacher)['dev_spearman_cosine']:.4f}")
    print(f"before: STS-B dev Spearman {evaluator(student)['dev_spearman_cosine']:.4f}")

    arguments = SentenceTransformerTrainingArguments(
        output_dir=options.output / "run",
        num_train_epochs=1,
        per_device_train_batch_size=32,
        learning_rate=2e-4,
        warmup_ratio=0.1,
        save_strategy="no",
        seed=0,
    )
    train = Dataset.from_dict({"text": texts, "label": vectors})
    loss = losses.MSELoss(student)
    SentenceTransformerTrainer(model=student, args=arguments, train_dataset=train, loss=loss).train()
    student.save(options.output)

    student = SentenceTransformer(options.output)
    print(f"after:  STS-B dev Spearman {evaluator(student)['dev_spearman_cosine']:.4f}")
    seconds: dict[str, float] = {}
    for name, model in [("teacher", teacher), ("student", student)] * 3:
        start = time.process_time()
        model.encode(texts[:2000])
        seconds[name] = min(time.process_time() - start, seconds.get(name, math.inf))
    print(f"CPU time of encode: {seconds['student'] / seconds['teacher']:.2f} of the teacher's")


if __name__ == "__main__":
    main()
