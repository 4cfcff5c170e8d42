"""Small data sets of made-up English, under the names and with the columns that the examples ask for."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable
from typing import Any

ROWS = 64
# Queries of NanoBEIR, which are evaluated several times during a training.
_NANO_QUERIES = 12
_SUBJECTS = (
    "the cat",
    "a dog",
    "the teacher",
    "an engineer",
    "the bird",
    "my friend",
    "a doctor",
    "the river",
)
_VERBS = ("eats", "finds", "paints", "crosses", "reads", "carries", "repairs", "follows")
_OBJECTS = ("a red apple", "the old bridge", "a long letter", "the small house", "a blue boat", "the garden")
_PLACES = ("in the morning", "near the sea", "after work", "on the hill", "under the tree", "in town")


def sentence(seed: int) -> str:
    """The same sentence for the same number; different numbers mostly give different ones."""
    parts = random.Random(seed)
    return " ".join(parts.choice(words) for words in (_SUBJECTS, _VERBS, _OBJECTS, _PLACES)) + f" {seed}."


def question(seed: int) -> str:
    """A question whose answer is :func:`sentence` of the same number."""
    return "who " + sentence(seed).partition(" ")[2].rstrip(".") + "?"


def near(seed: int) -> str:
    """A paraphrase of :func:`sentence` of the same number."""
    return "today " + sentence(seed)


def _column(kind: str, seed: int, row: int) -> Any:
    at = seed + row
    makers: dict[str, Callable[[], Any]] = {
        "text": lambda: sentence(at),
        "near": lambda: near(at),
        "question": lambda: question(at),
        "other": lambda: sentence(at + 7919),
        "unit": lambda: round((row * 37 % 101) / 100, 2),
        "margin": lambda: round((row * 37 % 101) / 10 - 3, 2),
        "two": lambda: row % 2,
        "three": lambda: row % 3,
        "six": lambda: row % 6,
        "row": lambda: row,
        "id": lambda: str(row),
        "next": lambda: (row + 1) % ROWS,
        "next_id": lambda: str((row + 1) % ROWS),
        "one": lambda: 1,
        "empty": lambda: "",
        "far": lambda: (row + 9) % ROWS,
        "texts": lambda: [near(at), near(at + 1)],
        "others": lambda: [sentence(at + 100 + n) for n in range(4)],
        "rows": lambda: [(row + n) % ROWS for n in range(6)],
        "ids": lambda: [str((row + n) % ROWS) for n in range(6)],
        "scores": lambda: [round(9.0 - 2 * n + row % 3, 2) for n in range(6)],
        "two_scores": lambda: [4.0 + row % 3, -2.0 - row % 2],
        "labels": lambda: [1, 0, 0, 0, 0, 0],
        "passages": lambda: {
            "passage_text": [sentence(at), *(sentence(at + 100 + n) for n in range(9))],
            "is_selected": [1] + [0] * 9,
        },
    }
    return makers[kind]()


# Name and subset of a data set -> its columns. "*" is any subset.
_TABLES: dict[tuple[str, str], dict[str, str]] = {
    ("sentence-transformers/stsb", "*"): {"sentence1": "text", "sentence2": "near", "score": "unit"},
    ("mteb/stsbenchmark-sts", "*"): {"sentence1": "text", "sentence2": "near", "score": "unit"},
    ("sentence-transformers/all-nli", "triplet"): {"anchor": "text", "positive": "near", "negative": "other"},
    ("sentence-transformers/all-nli", "pair"): {"anchor": "text", "positive": "near"},
    ("sentence-transformers/all-nli", "pair-class"): {
        "premise": "text",
        "hypothesis": "near",
        "label": "three",
    },
    ("sentence-transformers/all-nli", "pair-score"): {
        "sentence1": "text",
        "sentence2": "near",
        "score": "unit",
    },
    ("sentence-transformers/quora-duplicates", "pair-class"): {
        "sentence1": "question",
        "sentence2": "near",
        "label": "two",
    },
    ("sentence-transformers/quora-duplicates", "triplet"): {
        "anchor": "question",
        "positive": "near",
        "negative": "other",
    },
    ("sentence-transformers/quora-duplicates", "*"): {"anchor": "question", "positive": "near"},
    ("sentence-transformers/quora-duplicates-mining", "questions"): {"qid": "id", "question": "question"},
    ("sentence-transformers/quora-duplicates-mining", "duplicates"): {"qid1": "id", "qid2": "next_id"},
    ("sentence-transformers/natural-questions", "*"): {"query": "question", "answer": "text"},
    ("sentence-transformers/gooaq", "*"): {"question": "question", "answer": "text"},
    ("sentence-transformers/msmarco", "corpus"): {"passage_id": "row", "passage": "text"},
    ("sentence-transformers/msmarco", "queries"): {"query_id": "row", "query": "question"},
    ("sentence-transformers/msmarco", "bert-ensemble-mse"): {
        "query_id": "row",
        "passage_id": "next",
        "score": "margin",
    },
    ("sentence-transformers/msmarco", "bert-ensemble-margin-mse"): {
        "query_id": "row",
        "positive_id": "row",
        "negative_id": "far",
        "score": "margin",
    },
    ("sentence-transformers/msmarco", "triplets"): {
        "query_id": "row",
        "positive_id": "row",
        "negative_id": "far",
    },
    ("sentence-transformers/msmarco", "labeled-list"): {
        "query_id": "row",
        "doc_ids": "rows",
        "labels": "labels",
    },
    ("sentence-transformers/msmarco-corpus", "query"): {"qid": "row", "text": "question"},
    ("sentence-transformers/msmarco-corpus", "passage"): {"pid": "row", "text": "text"},
    ("sentence-transformers/msmarco-scores-ms-marco-MiniLM-L6-v2", "list"): {
        "query_id": "row",
        "corpus_id": "rows",
        "score": "scores",
    },
    ("sentence-transformers/msmarco-bm25", "triplet"): {
        "query": "question",
        "positive": "text",
        "negative": "other",
    },
    ("microsoft/ms_marco", "*"): {"query": "question", "passages": "passages"},
    ("sentence-transformers/askubuntu", "*"): {
        "query": "question",
        "positive": "texts",
        "negative": "others",
    },
    ("sentence-transformers/askubuntu-questions", "*"): {"text": "question"},
    ("sentence-transformers/wiki1m-for-simcse", "*"): {"text": "text"},
    ("sentence-transformers/wikipedia-en-sentences", "*"): {"sentence": "text"},
    ("sentence-transformers/simple-wiki", "*"): {"text": "text", "simplified": "near"},
    ("sentence-transformers/sentence-compression", "*"): {"text": "text", "simplified": "near"},
    ("sentence-transformers/altlex", "*"): {"text": "text", "simplified": "near"},
    ("sentence-transformers/coco-captions", "*"): {"caption1": "text", "caption2": "near"},
    ("sentence-transformers/flickr30k-captions", "*"): {"caption1": "text", "caption2": "near"},
    ("sentence-transformers/yahoo-answers", "*"): {"question": "question", "answer": "text"},
    ("sentence-transformers/stackexchange-duplicates", "*"): {"title1": "question", "title2": "near"},
    ("sentence-transformers/wikipedia-sections", "*"): {
        "anchor": "text",
        "positive": "near",
        "negative": "other",
    },
    ("BeIR/quora", "*"): {"_id": "id", "title": "empty", "text": "question"},
    ("BeIR/nfcorpus", "*"): {"_id": "id", "title": "empty", "text": "text"},
    ("mteb/msmarco", "queries"): {"_id": "id", "text": "question"},
    ("mteb/msmarco", "corpus"): {"_id": "id", "title": "empty", "text": "text"},
    ("mteb/msmarco", "default"): {"query-id": "id", "corpus-id": "id", "score": "one"},
    ("BeIR/quora-qrels", "*"): {"query-id": "row", "corpus-id": "row", "score": "one"},
    ("BeIR/nfcorpus-qrels", "*"): {"query-id": "id", "corpus-id": "id", "score": "one"},
    ("omkar334/trec", "*"): {"text": "question", "fine_label": "six", "coarse_label": "six"},
    ("mteb/sts17-crosslingual-sts", "*"): {"sentence1": "text", "sentence2": "near", "score": "unit"},
    ("sentence-transformers/parallel-sentences-*", "*"): {"english": "text", "non_english": "near"},
    ("sentence-transformers/NanoBEIR-en", "corpus"): {"_id": "id", "text": "text"},
    ("sentence-transformers/NanoBEIR-en", "queries"): {"_id": "id", "text": "question"},
    ("sentence-transformers/NanoBEIR-en", "qrels"): {"query-id": "id", "corpus-id": "id"},
    ("sentence-transformers/NanoBEIR-en", "bm25"): {"query-id": "id", "corpus-ids": "ids"},
    ("tomaarsen/msmarco-Qwen3-Reranker-0.6B", "*"): {
        "query": "question",
        "positive": "text",
        "negative": "other",
        "label": "two_scores",
    },
    ("sentence-transformers/msmarco", "rankzephyr-colbert"): {"query_id": "row", "doc_ids": "rows"},
    ("sentence-transformers/msmarco-*", "triplet-50-ids"): {
        "query": "row",
        "positive": "row",
        **{f"negative_{n}": "far" for n in range(1, 51)},
    },
    ("community-datasets/yahoo_answers_topics", "*"): {"best_answer": "text"},
}


def columns(name: str, subset: str | None) -> dict[str, list[Any]]:
    """The table of a data set. Raises FileNotFoundError, as for one that the hub does not have."""
    for (known, part), kinds in _TABLES.items():
        pattern = re.escape(known).replace(r"\*", ".*")
        if re.fullmatch(pattern, name) and part in ("*", subset):
            rows = _NANO_QUERIES if "NanoBEIR" in name and subset != "corpus" else ROWS
            seed = 0 if subset in _SHARED or name.startswith("BeIR/") else zlib.crc32(known.encode()) % 1000
            return {
                column: [_column(kind, seed, row) for row in range(rows)] for column, kind in kinds.items()
            }
    raise FileNotFoundError(f"no made-up data set stands in for {name!r}, {subset!r}")


# Subsets whose ids point at each other: their texts go by the same numbers.
_SHARED = ("corpus", "queries", "query", "passage", "qrels", "default")


def load_dataset(
    path: str, name: str | None = None, *, split: Any = None, streaming: bool = False, **_: Any
) -> Any:
    """In place of ``datasets.load_dataset``."""
    from datasets import Dataset, DatasetDict

    table = Dataset.from_dict(columns(path, name))
    if split is None:
        parts = DatasetDict(dict.fromkeys(("train", "validation", "test", "dev"), table))
        return {part: rows.to_iterable_dataset() for part, rows in parts.items()} if streaming else parts
    return table.to_iterable_dataset() if streaming else table
