"""Lists to learn from: a query, the passage that stands under it, and what a search finds beside it."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

#: sources that no training list comes from; the student is watched on them
HELD_OUT = ("debian-faq", "harden-doc", "debian-reference-en")
#: kinds of pairs, and how many of each kind's queries are asked at most; a source without a kind is a page's sections
SHARES = {"": 16_000, "section": 4_000, "purpose": 3_000, "first": 5_000, "term": 1_000, "gloss": 1_000}
#: kinds whose passages are all searched; of the glosses only those that are asked for
WHOLE = ("", "section", "purpose", "first", "term")
#: and how many further ones, whose lists the large reranker does not read
FURTHER = {"": 40_000, "section": 12_000, "purpose": 4_000, "first": 14_000, "term": 3_000, "gloss": 0}
FOUND = 30


class Asked(NamedTuple):
    """A query, the number of its passage, the numbers of the passages that were found (the best first)."""

    query: str
    passage: int
    found: list[int]


class Lists(NamedTuple):
    """The passages, and the queries to train on with and without the large reranker's scores, and to watch."""

    passages: list[str]
    training: list[Asked]
    watched: list[Asked]
    further: Sequence[Asked] = ()


def read_lists(pairs: Path, encoder: Any, share: float = 1.0, seed: int = 0) -> Lists:
    """Choose queries from the file of ``examples/training_texts.py`` and search for each.

    Args:
        pairs: its ``pairs.jsonl``.
        encoder: gives the vectors for one of the two searches (the other is BM25).
        share: the part of the queries to take; those of held-out sources are all taken to be watched.
        seed: chooses.
    """
    rows: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    with pairs.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            kind = row["source"].partition(":")[2]
            if kind in SHARES and len(row["passage"].split()) >= 8:
                rows[kind].append((row["source"], " ".join(row["query"].split()), row["passage"]))
    chance = random.Random(seed)
    asked: list[tuple[str, str, str]] = []
    further: list[tuple[str, str, str]] = []
    numbers: dict[str, int] = {}
    for kind, most in SHARES.items():
        of_kind = rows[kind]
        chance.shuffle(of_kind)
        fit = [row for row in of_kind if kind in ("term", "gloss") or _is_question(row[1])]
        chosen = [row for row in fit if _is_held_out(row[0])]
        usable = [row for row in fit if not _is_held_out(row[0])]
        chosen += usable[: int(share * most)]
        asked += chosen
        further += usable[most : most + int(share * FURTHER[kind])]
        for _, _, passage in of_kind if kind in WHOLE else chosen:
            numbers.setdefault(passage, len(numbers))
    chance.shuffle(asked)
    seen = {query for _, query, _ in asked}
    further = [row for query, row in {row[1]: row for row in further}.items() if query not in seen]
    passages = list(numbers)
    found = search([query for _, query, _ in (*asked, *further)], passages, encoder)
    training: list[Asked] = []
    watched: list[Asked] = []
    for (source, query, passage), hits in zip((*asked, *further), found, strict=True):
        one = Asked(query, numbers[passage], hits)
        if not _is_held_out(source):
            training.append(one)
        elif one.passage in hits[:20]:
            watched.append(one)
    scored = len(training) - len(further)
    return Lists(passages, training[:scored], watched, training[scored:])


def _is_held_out(source: str) -> bool:
    return source.partition(":")[0] in HELD_OUT


def _is_question(query: str) -> bool:
    """Whether it is words that somebody may type: three or more, and no code."""
    return len(query.split()) >= 3 and not re.search(r"[(){}\[\]=<>|$\\]|--|^-", query)


def search(queries: Sequence[str], passages: Sequence[str], encoder: Any) -> list[list[int]]:
    """For each query the numbers of the passages that BM25 and vectors find, fused by their ranks."""
    words = Words(passages)
    vectors = _unit(encoder, passages)
    found: list[list[int]] = []
    for start in range(0, len(queries), 128):
        some = queries[start : start + 128]
        for query, similar in zip(some, _unit(encoder, some) @ vectors.T, strict=True):
            fused: dict[int, float] = defaultdict(float)
            for scores in (similar, words.scores(query)):
                top = np.argpartition(-scores, min(60, len(scores) - 1))[:60]
                for rank, place in enumerate(top[np.argsort(-scores[top], kind="stable")]):
                    fused[int(place)] += 1 / (20 + rank)
            found.append(sorted(fused, key=lambda place: -fused[place])[:FOUND])
    return found


def _unit(encoder: Any, texts: Sequence[str]) -> Any:
    return encoder.encode(
        list(texts), normalize_embeddings=True, on_truncate="ignore", show_progress_bar=False
    )


class Words:
    """BM25 over words (Robertson and Walker 1994; k1 = 1.2, b = 0.75)."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._number: dict[str, int] = {}
        places: list[int] = []
        terms: list[int] = []
        for place, text in enumerate(texts):
            of_text = self._words(text)
            places += [place] * len(of_text)
            terms += [self._number.setdefault(word, len(self._number)) for word in of_text]
        self._count = len(texts)
        keys, times = np.unique(np.array(terms, np.int64) * len(texts) + np.array(places), return_counts=True)
        term, self._places = keys // len(texts), keys % len(texts)
        lengths = np.bincount(places, minlength=len(texts))
        held = np.bincount(term, minlength=len(self._number))
        self._ends = np.concatenate([[0], np.cumsum(held)])
        rare = np.log1p((len(texts) - held + 0.5) / (held + 0.5))
        long = 0.25 + 0.75 * lengths[self._places] / max(lengths.mean(), 1)
        self._weights = (rare[term] * times * 2.2 / (times + 1.2 * long)).astype(np.float32)

    def scores(self, query: str) -> Any:
        """``(n,)``, float32."""
        found = np.zeros(self._count, np.float32)
        for word in dict.fromkeys(self._words(query)):
            number = self._number.get(word)
            if number is not None:
                part = slice(self._ends[number], self._ends[number + 1])
                found[self._places[part]] += self._weights[part]
        return found

    @staticmethod
    def _words(text: str) -> list[str]:
        return re.findall(r"\w+", text.lower())
