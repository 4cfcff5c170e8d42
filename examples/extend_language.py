"""Teach an English model another language: the student learns the teacher's vectors for translations too.

    apt-get install dict-freedict-eng-deu
    python examples/extend_language.py [OUTPUT] [--model all-MiniLM-L6-v2] [--pairs FILE] [--data ../shared/data]

FILE is a dictionary of FreeDict, whose example sentences are taken, or has a text, a tab and its translation on each
line. Up to 1,000 pairs are held out. Measured there: how often a text's translation is the nearest one, and the
squared distance from the teacher's vectors. STS-B dev shows what became of the model's English.
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
from pathlib import Path

from datasets import Dataset

from vicinal import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    losses,
)
from vicinal.evaluation import EmbeddingSimilarityEvaluator, MSEEvaluator, TranslationEvaluator


def read(file: Path) -> list[tuple[str, str]]:
    """Pairs of English and the other language, each English text once."""
    if file.suffix == ".dz":  # an example in a dictionary:  "Dinner is ready."  - Das Essen ist fertig.
        text = gzip.decompress(file.read_bytes()).decode("utf-8")
        found = re.findall(r'^ +"([^"]+ [^"]+ [^"]+)" +- (.+)$', text, re.MULTILINE)
    else:
        found = [line.split("\t")[:2] for line in file.read_text("utf-8").splitlines()]
    return list(dict(found).items())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", nargs="?", type=Path, default=Path("bilingual-model"))
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="the teacher, and the student's start")
    parser.add_argument("--pairs", type=Path, default=Path("/usr/share/dictd/freedict-eng-deu.dict.dz"))
    parser.add_argument("--rows", type=int, default=10_000, help="pairs to train on")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data")
    parser.add_argument("--short", action="store_true", help="a few steps only, to see that it runs")
    options = parser.parse_args()

    pairs = read(options.pairs)
    held_out = pairs[::20][:1000]
    rest = sorted(set(pairs) - set(held_out))
    train = random.Random(0).sample(rest, min(256 if options.short else options.rows, len(rest)))
    dev = [line.split("\t") for line in (options.data / "stsb/dev.tsv").read_text("utf-8").splitlines()]
    teacher, student = SentenceTransformer(options.model), SentenceTransformer(options.model)
    english, other = zip(*held_out, strict=True)
    translation = TranslationEvaluator(english, other)
    distance = MSEEvaluator(english, other, teacher_model=teacher)
    similarity = EmbeddingSimilarityEvaluator(
        [row[5] for row in dev], [row[6] for row in dev], [float(row[4]) for row in dev]
    )

    def scores(model: SentenceTransformer) -> str:
        return (
            f"translation accuracy {translation(model)['mean_accuracy']:.4f}, "
            f"MSE {-distance(model)['negative_mse'] / 100:.6f}, "
            f"STS-B dev Spearman {similarity(model)['spearman_cosine']:.4f}"
        )

    print("before:", scores(student))
    arguments = SentenceTransformerTrainingArguments(
        output_dir=options.output / "run",
        num_train_epochs=1,
        per_device_train_batch_size=32,
        learning_rate=5e-4,
        warmup_ratio=0.1,
        save_strategy="no",
        seed=0,
    )
    sources, targets = zip(*train, strict=True)
    rows = Dataset.from_dict({"english": sources, "other": targets, "label": teacher.encode(sources)})
    loss = losses.MSELoss(student)
    SentenceTransformerTrainer(model=student, args=arguments, train_dataset=rows, loss=loss).train()
    student.save(options.output)
    print("after: ", scores(SentenceTransformer(options.output)))


if __name__ == "__main__":
    main()
