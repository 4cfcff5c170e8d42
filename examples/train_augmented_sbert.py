"""Augmented SBERT: few labelled pairs become many, labelled by a cross-encoder that was trained on the few.

    python examples/train_augmented_sbert.py [OUTPUT] [--model all-MiniLM-L6-v2] [--data ../shared/data] [--short]

The data is SICK (Marelli et al. 2014): sick/train.tsv, with the sentences in columns 2 and 3 and their relatedness
(1 to 5) in column 4. A third is measured on. Of the rest, a third counts as labelled; of the others the sentences are
used, not the labels. The method: Thakur et al. 2021.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from datasets import Dataset

from vicinal import (
    CrossEncoder,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    losses,
    util,
)
from vicinal.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from vicinal.cross_encoder.evaluation import CrossEncoderCorrelationEvaluator
from vicinal.cross_encoder.losses import BinaryCrossEntropyLoss
from vicinal.evaluation import EmbeddingSimilarityEvaluator


def read(file: Path) -> list[tuple[str, str, float]]:
    """Pairs of sentences with a similarity from 0 to 1; the first line names the columns."""
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()[1:]]
    return [(row[1], row[2], (float(row[3]) - 1) / 4) for row in rows]


def dataset(rows: list[tuple[str, str, float]]) -> Dataset:
    return Dataset.from_list([{"first": a, "second": b, "score": score} for a, b, score in rows])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", nargs="?", type=Path, default=Path("augmented-model"))
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="where the cross-encoder starts")
    parser.add_argument("--student", default="vicinal-mini", help="the model that learns from it")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data")
    parser.add_argument("--short", action="store_true", help="a few steps only, to see that it runs")
    options = parser.parse_args()
    settings = {
        "output_dir": options.output,
        "max_steps": 4 if options.short else -1,
        "warmup_ratio": 0.1,
        "save_strategy": "no",
        "seed": 0,
    }

    def trained_student(rows: list[tuple[str, str, float]], epochs: int) -> SentenceTransformer:
        model = SentenceTransformer(options.student)
        arguments = SentenceTransformerTrainingArguments(
            **settings, num_train_epochs=epochs, learning_rate=2e-3, per_device_train_batch_size=32
        )
        loss = losses.CosineSimilarityLoss(model)
        SentenceTransformerTrainer(model, args=arguments, train_dataset=dataset(rows), loss=loss).train()
        return model

    rows = read(options.data / "sick/train.tsv")
    random.Random(0).shuffle(rows)
    test, rest = rows[: len(rows) // 3], rows[len(rows) // 3 :]
    gold = rest[: len(rest) // 3]
    evaluator = EmbeddingSimilarityEvaluator(*zip(*test, strict=True), name="sick")
    few = trained_student(gold, epochs=12)
    print(
        f"before: SICK Spearman {evaluator(few)['sick_spearman_cosine']:.4f} ({len(gold):,} labelled pairs)"
    )

    teacher = CrossEncoder(options.model, num_labels=1)
    arguments = CrossEncoderTrainingArguments(
        **settings, num_train_epochs=6, learning_rate=1e-4, per_device_train_batch_size=16
    )
    loss = BinaryCrossEntropyLoss(teacher)
    CrossEncoderTrainer(teacher, args=arguments, train_dataset=dataset(gold), loss=loss).train()
    judge = CrossEncoderCorrelationEvaluator([row[:2] for row in test], [row[2] for row in test])
    print(
        f"cross-encoder: SICK Spearman {judge(teacher)['spearman']:.4f} (to help, it must be the better one)"
    )

    # Pairs that a search finds: of two random sentences nearly all have nothing to do with each other.
    texts = sorted({text for first, second, _ in rest for text in (first, second)})
    vectors = few.encode(texts)
    hits = util.semantic_search(vectors, vectors, top_k=6)
    found = {tuple(sorted((i, hit["corpus_id"]))) for i, best in enumerate(hits) for hit in best}
    pairs = [(texts[i], texts[j]) for i, j in sorted(found) if i != j]
    silver = [(*pair, float(score)) for pair, score in zip(pairs, teacher.predict(pairs), strict=True)]

    trained_student(gold + silver, epochs=4).save(options.output)
    after = evaluator(SentenceTransformer(options.output))["sick_spearman_cosine"]
    print(f"after:  SICK Spearman {after:.4f} (and {len(silver):,} labelled by the cross-encoder)")


if __name__ == "__main__":
    main()
