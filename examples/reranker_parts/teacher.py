"""The lists that the teacher, a cross-encoder, scores, and its scores."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reranker_parts.lists import Asked

#: passages in a list: the query's own, the best that were found, some further ones, and now and then a random one
LIST, NEAR = 8, 4


def choose(asked: Asked, passages: int, chance: random.Random) -> list[int]:
    """The numbers of a list's passages, the query's own first."""
    others = [place for place in asked.found if place != asked.passage]
    rest = others[NEAR:]
    chosen = [asked.passage, *others[:NEAR], *chance.sample(rest, min(LIST - 1 - NEAR, len(rest)))]
    if chance.random() < 0.25:
        chosen.pop()
    while len(chosen) < LIST:
        chosen.append(chance.randrange(passages))
    return chosen


def scored_lists(
    teacher: Any, asked: Sequence[Asked], passages: Sequence[str], kept: Path, seed: int = 0
) -> list[tuple[list[int], list[float]]]:
    """The teacher's logits for each list; what is in the file ``kept`` already is not computed again.

    Args:
        teacher: a ``CrossEncoder`` that gives logits.
        asked: the queries.
        passages: what their numbers mean.
        kept: one list a line, in the order of ``asked``; goes on after an interruption.
        seed: chooses the passages.
    """
    lists = [choose(one, len(passages), random.Random(seed * 1_000_003 + at)) for at, one in enumerate(asked)]
    done = [json.loads(line) for line in kept.read_text("utf-8").splitlines()] if kept.exists() else []
    start, fresh = time.perf_counter(), len(done)
    with kept.open("a", encoding="utf-8") as file:
        while len(done) < len(asked):
            at = len(done)
            some = lists[at : at + 64]
            pairs = [
                (one.query, passages[place])
                for one, numbers in zip(asked[at:], some, strict=False)
                for place in numbers
            ]
            scores = teacher.predict(pairs, show_progress_bar=False, on_truncate="ignore")
            for numbers, row in zip(some, np.asarray(scores).reshape(-1, LIST), strict=True):
                done.append([numbers, [round(float(score), 3) for score in row]])
                file.write(json.dumps(done[-1]) + "\n")
            file.flush()
            if at // 64 % 50 == 0:
                speed = LIST * (len(done) - fresh) / (time.perf_counter() - start)
                print(f"teacher: {len(done)} of {len(asked)} lists, {speed:.0f} pairs/s", flush=True)
    for numbers, (stored, _) in zip(lists, done, strict=False):
        if numbers != stored:
            raise SystemExit(f"{kept} belongs to other lists: remove it")
    return [(numbers, scores) for numbers, scores in done[: len(asked)]]
