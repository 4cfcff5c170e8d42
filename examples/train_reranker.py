"""Train a cross-encoder that puts the results of a search into a better order.

    python examples/train_reranker.py [OUTPUT] [--model all-MiniLM-L6-v2] [--data ../shared/data] [--short]

Titles of questions are searched with a title; what is of the same topic is relevant. The cross-encoder learns
from what the search finds, right and wrong, and is measured on queries and titles that it has not seen. The
data is stackoverflow/titles.txt and labels.txt (Xu et al. 2015): a title and the number of its topic per line.
"""

from __future__ import annotations

import argparse
import itertools
import random
from pathlib import Path

from datasets import Dataset

from vicinal import CrossEncoder, SentenceTransformer, util
from vicinal.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments, losses
from vicinal.cross_encoder.evaluation import CrossEncoderRerankingEvaluator

Titles = list[tuple[str, str]]  # each with its topic


def search(model: SentenceTransformer, queries: Titles, titles: Titles, top_k: int) -> list[Titles]:
    """The titles that the model finds for each query, the best first."""
    vectors = model.encode([text for text, _ in titles])
    found = util.semantic_search(model.encode([text for text, _ in queries]), vectors, top_k=top_k)
    return [[titles[hit["corpus_id"]] for hit in hits] for hits in found]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", nargs="?", type=Path, default=Path("reranker"))
    parser.add_argument(
        "--model", default="all-MiniLM-L6-v2", help="searches, and is where the training starts"
    )
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data")
    parser.add_argument("--short", action="store_true", help="a few steps only, to see that it runs")
    options = parser.parse_args()

    folder = options.data / "stackoverflow"
    texts, topics = (
        (folder / name).read_text(encoding="utf-8").splitlines() for name in ("titles.txt", "labels.txt")
    )
    every = list(zip(texts, topics, strict=True))
    random.Random(0).shuffle(every)
    # Per 100 titles: 1 query and 44 titles to measure on, 5 queries and 50 titles to train on.
    parts = [len(every) * percent // 100 for percent in (0, 1, 45, 50, 100)]
    queries, corpus, seen, titles = (every[start:end] for start, end in itertools.pairwise(parts))

    retriever = SentenceTransformer(options.model)
    samples = [
        {
            "query": query,
            "positive": [text for text, other in hits if other == topic],
            "documents": [text for text, _ in hits],
        }
        for (query, topic), hits in zip(queries, search(retriever, queries, corpus, 50), strict=True)
    ]
    evaluator = CrossEncoderRerankingEvaluator(samples, name="test")
    rows = [
        {"query": query, "title": text, "label": float(other == topic)}
        for (query, topic), hits in zip(seen, search(retriever, seen, titles, 10), strict=True)
        for text, other in hits
    ]

    model = CrossEncoder(options.model, num_labels=1)
    arguments = CrossEncoderTrainingArguments(
        output_dir=options.output,
        num_train_epochs=1,
        max_steps=4 if options.short else -1,
        per_device_train_batch_size=32,
        learning_rate=1e-4,
        warmup_ratio=0.1,
        save_strategy="no",
        seed=0,
    )
    loss = losses.BinaryCrossEntropyLoss(model)
    CrossEncoderTrainer(model=model, args=arguments, train_dataset=Dataset.from_list(rows), loss=loss).train()
    model.save(options.output)

    scores = evaluator(CrossEncoder(options.output))
    print(
        f"before: nDCG@10 {scores['test_base_ndcg@10']:.4f}, MAP {scores['test_base_map']:.4f} (the search alone)"
    )
    print(f"after:  nDCG@10 {scores['test_ndcg@10']:.4f}, MAP {scores['test_map']:.4f} (reranked)")


if __name__ == "__main__":
    main()
