"""Fine-tune a model for search, on pairs of query and document, with hard negatives that the model itself finds.

    python examples/train_retrieval.py [OUTPUT] [--model all-MiniLM-L6-v2] [--data ../shared/data] [--short]

The pairs are made of the collection that is to be searched, Cranfield's 1,400 abstracts: each title is the query
that its abstract answers. Cranfield's own queries and judgements are not trained on; nDCG@10 is measured with them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from datasets import Dataset

from vicinal import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    losses,
)
from vicinal.evaluation import InformationRetrievalEvaluator
from vicinal.readers.beir import read_beir
from vicinal.util import mine_hard_negatives


def read(file: Path) -> Dataset:
    """Pairs of query and document."""
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    pairs = [{"query": record["title"], "document": record["text"]} for record in records]
    return Dataset.from_list([pair for pair in pairs if pair["query"] and pair["document"]])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", nargs="?", type=Path, default=Path("retrieval-model"))
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="hub name or folder")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data")
    parser.add_argument("--margin", type=float, default=0.05, help="of scores, between document and negative")
    parser.add_argument("--no-negatives", action="store_true", help="train on pairs alone, to compare")
    parser.add_argument("--short", action="store_true", help="a few steps only, to see that it runs")
    options = parser.parse_args()

    model = SentenceTransformer(options.model)
    evaluator = InformationRetrievalEvaluator(*read_beir(options.data / "cranfield"))
    print(f"before: Cranfield nDCG@10 {evaluator(model)['cosine_ndcg@10']:.4f}")

    whole = model.max_seq_length
    model.max_seq_length = min(128, whole)  # half of an abstract says enough to learn from, in half the time
    train = read(options.data / "cranfield/corpus.jsonl")
    if not options.no_negatives:
        # A document that scores like the right one, or better, may well answer the query too: it is no negative.
        train = mine_hard_negatives(
            train, model, num_negatives=1, range_max=50, relative_margin=options.margin
        )
    arguments = SentenceTransformerTrainingArguments(
        output_dir=options.output / "run",
        num_train_epochs=1,
        max_steps=4 if options.short else -1,
        per_device_train_batch_size=32,
        learning_rate=2e-5,
        warmup_ratio=0.1,
        batch_sampler="no_duplicates",
        save_strategy="no",
        seed=0,
    )
    loss = losses.MultipleNegativesRankingLoss(model)
    SentenceTransformerTrainer(model=model, args=arguments, train_dataset=train, loss=loss).train()
    model.max_seq_length = whole
    model.save(options.output)

    saved = SentenceTransformer(options.output)
    print(f"after:  Cranfield nDCG@10 {evaluator(saved)['cosine_ndcg@10']:.4f}")


if __name__ == "__main__":
    main()
