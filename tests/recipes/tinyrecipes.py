"""A tiny random model, and tiny files in the formats of the data that the recipes train on."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
from tinybert import WORDS, write_tiny

__all__ = ["write_data", "write_tiny"]


def write_data(folder: Path) -> Path:
    """STS-B, SICK, StackOverflow titles, Cranfield and translations, as the recipes want them."""
    draw = random.Random(0)

    def text() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(3, 8)))

    def write(name: str, lines: list[str]) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    for name, count in (("train", 160), ("dev", 40)):
        rows = [f"g\tf\t2012\t{i}\t{draw.uniform(0, 5):.3f}\t{text()}\t{text()}" for i in range(count)]
        write(f"stsb/{name}.tsv", rows)
    names = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment"
    rows = [f"{i}\t{text()}\t{text()}\t{draw.uniform(1, 5):.1f}\tNEUTRAL" for i in range(80)]
    write("sick/train.tsv", [names, *rows])

    # The word of its class stands in each title, so that there is something to learn.
    labels = [i % 4 for i in range(240)]
    write("stackoverflow/titles.txt", [f"{WORDS[2 + label]} {text()} {i}" for i, label in enumerate(labels)])
    write("stackoverflow/labels.txt", [str(label + 1) for label in labels])

    documents = [{"_id": str(i), "title": text(), "text": f"{text()} . {text()}"} for i in range(60)]
    queries = [{"_id": str(i), "text": text()} for i in range(20)]
    grades = [f"{i}\t{draw.randrange(60)}\t{grade}" for i in range(20) for grade in (1, 2, 4)]
    write("cranfield/corpus.jsonl", [json.dumps(each) for each in documents])
    write("cranfield/queries.jsonl", [json.dumps(each) for each in queries])
    write("cranfield/qrels/test.tsv", ["query-id\tcorpus-id\tscore", *grades])
    write("translations.tsv", [f"{text()} {i}\t{text()}" for i in range(80)])
    return folder
