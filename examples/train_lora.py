"""Fine-tune a model with LoRA: its weights stay, and small matrices beside them are trained and saved.

    python examples/train_lora.py [OUTPUT] [--model all-MiniLM-L6-v2] [--data ../shared/data] [--short]

The data is the STS Benchmark (Cer et al. 2017): stsb/train.tsv and stsb/dev.tsv, with the score (0 to 5) in the
fifth column and the sentences in the next two. The method: Hu et al. 2021. It needs pip install 'vicinal[train,peft]'.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from datasets import Dataset
from peft import LoraConfig

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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", nargs="?", type=Path, default=Path("lora-model"))
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="hub name or folder")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data")
    parser.add_argument("--short", action="store_true", help="a few steps only, to see that it runs")
    options = parser.parse_args()

    train, dev = read(options.data / "stsb/train.tsv"), read(options.data / "stsb/dev.tsv")
    model = SentenceTransformer(options.model)
    evaluator = EmbeddingSimilarityEvaluator(dev["sentence1"], dev["sentence2"], dev["score"], name="dev")
    print(f"before: STS-B dev Spearman {evaluator(model)['dev_spearman_cosine']:.4f}")

    model.add_adapter(LoraConfig(r=16, lora_alpha=32, target_modules=["query", "key", "value", "dense"]))
    sizes = [(weight.numel(), weight.requires_grad) for weight in model.parameters()]
    trained = sum(size for size, trains in sizes if trains)
    print(f"trained: {trained:,} of {sum(size for size, _ in sizes):,} weights")

    arguments = SentenceTransformerTrainingArguments(
        output_dir=options.output,
        num_train_epochs=1,
        max_steps=4 if options.short else -1,
        per_device_train_batch_size=16,
        learning_rate=1e-3,  # far more than full fine-tuning takes: the matrices start at zero
        warmup_ratio=0.1,
        save_strategy="no",
        seed=0,
    )
    loss = losses.CosineSimilarityLoss(model)
    SentenceTransformerTrainer(model=model, args=arguments, train_dataset=train, loss=loss).train()
    model.save(options.output)

    size = sum(file.stat().st_size for file in options.output.glob("**/adapter_model.safetensors"))
    print(f"saved adapter: {size / 2**20:.1f} MiB")
    saved = SentenceTransformer(options.output)  # finds the base model by its name
    print(f"after:  STS-B dev Spearman {evaluator(saved)['dev_spearman_cosine']:.4f}")


if __name__ == "__main__":
    main()
