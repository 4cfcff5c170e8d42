"""Make the first vicinal-mini, from which examples/distill_two_teachers.py makes the one in the package.

    python examples/distill_vicinal_mini.py TEACHER OUT [--data ../shared/data] [--check]

TEACHER is the folder or name of all-MiniLM-L6-v2. The texts are STS-B train, SICK train, StackOverflow titles
(``--data``) and the docstrings of the running Python's standard library; made-up texts of vocabulary words
are added for coverage. Seeds are fixed. Eight minutes on two cores. Scores on STS-B dev and Cranfield, which
are not trained on, are printed at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import distillation_texts as sources
import numpy as np

from vicinal import SentenceTransformer
from vicinal.distillation.static_model import distill

ROOT = Path(__file__).resolve().parent.parent
COVERAGE = 200_000


def training_texts(data: Path) -> list[str]:
    """Real texts: single sentences, paragraphs, and some of them in a row."""
    paragraphs = sources.unique(sources.passages(sources.docstrings()))
    pairs, titles = sources.unique(sources.stsb(data)), sources.unique(sources.titles(data))
    real = sources.unique(
        pairs + sources.unique(sources.sick(data)) + titles + paragraphs + sources.sentences(paragraphs)
    )
    longer = sources.joined(paragraphs, 2000, 2)
    longer += sources.joined(pairs, 1000, 3, 6) + sources.joined(titles, 1000, 4, 6)
    return real + longer


def scores(model: SentenceTransformer, data: Path) -> dict[str, float]:
    """Spearman on STS-B dev; nDCG@10 and recall@100 on Cranfield."""
    lines = (data / "stsb/dev.tsv").read_text(encoding="utf-8").splitlines()
    dev = [line.split("\t") for line in lines]
    sides = [_unit(model, [row[place] for row in dev]) for place in (5, 6)]
    found = np.einsum("ij,ij->i", *sides)
    gold = np.array([float(row[4]) for row in dev])
    result = {"stsb_dev_spearman": float(np.corrcoef(_ranks(found), _ranks(gold))[0, 1])}
    corpus, queries = (_jsonl(data / "cranfield" / f"{name}.jsonl") for name in ("corpus", "queries"))
    grades: dict[str, dict[str, int]] = {}
    for line in (data / "cranfield/qrels/test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        grades.setdefault(query, {})[document] = int(grade)
    judged = [query for query in queries if any(grade > 0 for grade in grades.get(query["_id"], {}).values())]
    documents = _unit(model, [f"{item['title']} {item['text']}" for item in corpus])
    similar = _unit(model, [query["text"] for query in judged]) @ documents.T
    discounts = 1.0 / np.log2(np.arange(2, 12))
    gains, recalls = [], []
    for query, row in zip(judged, similar, strict=True):
        known = grades[query["_id"]]
        order = [corpus[place]["_id"] for place in np.argsort(-row, kind="stable")[:100]]
        best = sorted(known.values(), reverse=True)[:10]
        gain = sum(known.get(name, 0) * discount for name, discount in zip(order, discounts, strict=False))
        gains.append(gain / sum(grade * discount for grade, discount in zip(best, discounts, strict=False)))
        relevant = {name for name, grade in known.items() if grade > 0}
        recalls.append(len(relevant & set(order)) / len(relevant))
    return {
        **result,
        "cranfield_ndcg_at_10": float(np.mean(gains)),
        "cranfield_recall_at_100": float(np.mean(recalls)),
    }


def _unit(model: SentenceTransformer, texts: list[str]) -> Any:
    return model.encode(texts, normalize_embeddings=True, on_truncate="ignore", show_progress_bar=False)


def _ranks(values: Any) -> Any:
    """Ranks from 1; equal values share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[places]


def _jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("teacher", help="folder or name of all-MiniLM-L6-v2")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--check", action="store_true", help="only print the scores of OUT")
    arguments = parser.parse_args()
    if not arguments.check:
        made = distill(
            arguments.teacher,
            texts=training_texts(arguments.data),
            coverage=COVERAGE,
            report=lambda line: print(line, file=sys.stderr, flush=True),
        )
        made.save(arguments.out, precision="int8")
    print(json.dumps(scores(SentenceTransformer(arguments.out), arguments.data), indent=2))


if __name__ == "__main__":
    main()
