"""Fine-tune a model whose vectors may be cut short: their first dimensions are good vectors by themselves.

    python examples/train_matryoshka.py [OUTPUT] [--model all-MiniLM-L6-v2] [--data ../shared/data] [--short]

The data is the STS Benchmark (Cer et al. 2017): stsb/train.tsv and stsb/dev.tsv, with the score (0 to 5) in the
fifth column and the sentences in the next two. The method: Kusupati et al. 2022.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from datasets import Dataset

from vicinal import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    losses,
)
from vicinal.evaluation import EmbeddingSimilarityEvaluator


def read(file: Path) -> Dataset:
    """Pairs of sentences with a similarity from 0 to 1."""
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
    return Dataset.from_dict(
        {
            "sentence1": [row[5] for row in rows],
            "sentence2": [row[6] for row in rows],
            "score": [float(row[4]) / 5 for row in rows],
        }
    )


def scores(model: SentenceTransformer, dev: Dataset, dims: list[int]) -> str:
    """Spearman correlation with vectors of so many dimensions."""
    found = []
    for dim in dims:
        evaluator = EmbeddingSimilarityEvaluator(
            dev["sentence1"], dev["sentence2"], dev["score"], truncate_dim=dim
        )
        found.append(f"{evaluator(model)['spearman_cosine']:.4f} ({dim})")
    return ", ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", nargs="?", type=Path, default=Path("matryoshka-model"))
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="hub name or folder")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data")
    parser.add_argument("--short", action="store_true", help="a few steps only, to see that it runs")
    options = parser.parse_args()

    train, dev = read(options.data / "stsb/train.tsv"), read(options.data / "stsb/dev.tsv")
    model = SentenceTransformer(options.model)
    size = model.get_sentence_embedding_dimension()
    dims = [size, size // 3, size // 6, size // 12]  # 384, 128, 64, 32
    print(f"before: STS-B dev Spearman (dimensions) {scores(model, dev, dims)}")

    arguments = SentenceTransformerTrainingArguments(
        output_dir=options.output,
        num_train_epochs=1,
        max_steps=4 if options.short else -1,
        per_device_train_batch_size=16,
        learning_rate=2e-5,
        warmup_ratio=0.1,
        save_strategy="no",
        seed=0,
    )
    loss = losses.MatryoshkaLoss(model, losses.CosineSimilarityLoss(model), matryoshka_dims=dims)
    SentenceTransformerTrainer(model=model, args=arguments, train_dataset=train, loss=loss).train()
    model.save(options.output)

    saved = SentenceTransformer(options.output)
    print(f"after:  STS-B dev Spearman (dimensions) {scores(saved, dev, dims)}")


if __name__ == "__main__":
    main()
