"""A static model for your own collection: distilled from a transformer, then trained on titles and texts.

    python examples/distill_static.py [OUTPUT] [--model all-MiniLM-L6-v2] [--data ../shared/data]

The collection is the 1,400 abstracts of Cranfield. No query is trained on: the transformer shows the static model
where each abstract, title and sentence lies, and then MultipleNegativesRankingLoss draws each title to its own
abstract. Measured: nDCG@10 of Cranfield's queries, and the CPU time for them and the abstracts.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path

from datasets import Dataset

from vicinal import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    losses,
)
from vicinal.distillation import distill
from vicinal.evaluation import InformationRetrievalEvaluator
from vicinal.readers.beir import read_beir


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", nargs="?", type=Path, default=Path("static-model"))
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="hub name or folder of the teacher")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data")
    parser.add_argument("--short", action="store_true", help="few texts and steps, to see that it runs")
    options = parser.parse_args()

    queries, corpus, relevant = read_beir(options.data / "cranfield")
    evaluator = InformationRetrievalEvaluator(queries, corpus, relevant)

    def show(when: str, model: SentenceTransformer) -> None:
        start = time.process_time()
        score = evaluator(model)["cosine_ndcg@10"]
        print(
            f"{when}: Cranfield nDCG@10 {score:.4f}, CPU time {time.process_time() - start:.1f} s", flush=True
        )

    teacher = SentenceTransformer(options.model)
    dim = min(256, teacher.get_embedding_dimension())
    show("teacher", teacher)
    distill(teacher, dim=dim).save(options.output)
    show("before", SentenceTransformer(options.output))

    lines = (options.data / "cranfield/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    titles, texts = [record["title"] for record in records], [record["text"] for record in records]
    sentences = [part for text in texts for part in re.split(r"(?<=\.)\s+", text)]
    own = titles + texts + sentences
    own = own[:200] if options.short else own
    distill(teacher, dim=dim, texts=own, coverage=len(own) // 2).save(options.output)
    model = SentenceTransformer(options.output)
    show("distilled", model)

    pairs = Dataset.from_dict({"title": titles, "text": texts})
    pairs = pairs.filter(lambda row: row["title"] and row["text"])
    arguments = SentenceTransformerTrainingArguments(
        output_dir=options.output / "run",
        num_train_epochs=3,
        max_steps=4 if options.short else -1,
        per_device_train_batch_size=128,
        learning_rate=2e-3,
        warmup_ratio=0.1,
        batch_sampler="no_duplicates",
        save_strategy="no",
        seed=0,
    )
    loss = losses.MultipleNegativesRankingLoss(model)
    SentenceTransformerTrainer(model=model, args=arguments, train_dataset=pairs, loss=loss).train()
    model.save(options.output)
    show("after", SentenceTransformer(options.output))


if __name__ == "__main__":
    main()
