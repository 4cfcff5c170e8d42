"""What the index should answer, worked out the plain way, sharing no code with it."""

from __future__ import annotations

import math
import operator
import re

import numpy as np

ORDER = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}


def values_at(metadata, dotted):
    """(whether the field exists, its scalar values) with lists opened and dots followed."""
    results = []
    for key, value in metadata.items():
        if key == dotted:
            results.append(value)
        elif dotted.startswith(key + "."):
            rest = dotted[len(key) + 1 :]
            for inner in dictionaries_in(value):
                found, scalars = values_at(inner, rest)
                if found:
                    results.append(scalars)
    return bool(results), [scalar for value in results for scalar in scalars_in(value)]


def dictionaries_in(value):
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from dictionaries_in(item)


def scalars_in(value):
    if isinstance(value, list):
        for item in value:
            yield from scalars_in(item)
    elif not isinstance(value, dict):
        yield value


def same(a, b):
    if isinstance(a, bool) or isinstance(b, bool):
        return isinstance(a, bool) and isinstance(b, bool) and a == b
    return (type(a) is type(b) and a == b) or (number(a) and number(b) and a == b)


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def comparable(a, b):
    return (number(a) and number(b)) or (isinstance(a, str) and isinstance(b, str))


def condition_holds(condition, exists, values):
    for op, operand in condition.items():
        if op == "$eq":
            good = any(same(v, operand) for v in values)
        elif op == "$ne":
            good = not any(same(v, operand) for v in values)
        elif op == "$in":
            good = any(same(v, o) for v in values for o in operand)
        elif op == "$nin":
            good = not any(same(v, o) for v in values for o in operand)
        elif op == "$exists":
            good = exists == operand
        elif op == "$not":
            inner = operand if isinstance(operand, dict) else {"$eq": operand}
            good = not condition_holds(inner, exists, values)
        else:
            good = any(comparable(v, operand) and ORDER[op](v, operand) for v in values)
        if not good:
            return False
    return True


def holds(spec, metadata):
    for key, value in spec.items():
        if key == "$and":
            good = all(holds(part, metadata) for part in value)
        elif key == "$or":
            good = any(holds(part, metadata) for part in value)
        elif key == "$not":
            good = not holds(value, metadata)
        else:
            exists, values = values_at(metadata, key)
            condition = value if isinstance(value, dict) else {"$eq": value}
            good = condition_holds(condition, exists, values)
        if not good:
            return False
    return True


def bm25(texts, query, terms_of):
    """Scores by id with lengths in characters, k1 = 1.2, b = 0.75; ids without any term are absent."""
    bags = {id: terms_of(text) for id, text in texts.items()}
    mean = max(1.0, float(np.mean([len(text) for text in texts.values()]))) if texts else 1.0
    scores = {}
    for term in set(terms_of(query)):
        holders = [id for id, bag in bags.items() if term in bag]
        idf = math.log(1 + (len(texts) - len(holders) + 0.5) / (len(holders) + 0.5))
        for id in holders:
            tf = bags[id].count(term)
            norm = 1.2 * (0.25 + 0.75 * len(texts[id]) / mean)
            scores[id] = scores.get(id, 0.0) + idf * tf * 2.2 / (tf + norm)
    return scores


def ceiling(texts, query, terms_of):
    """What BM25 gives a document that repeats every word of the query without end."""
    bags = [set(terms_of(text)) for text in texts.values()]
    total = 0.0
    for term in set(terms_of(query)):
        df = sum(term in bag for bag in bags)
        total += 2.2 * math.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
    return total


def hybrid(dense, lexical, best_possible, usual):
    """Fused scores by id for a query without codes; at most 50 documents, best first, equal ones as given.

    ``usual`` is the mean score of all chunks by the dense retriever.
    """
    weight = 0.2 + 0.5 * min(1.0, max(lexical.values()) / best_possible) if lexical else 0.0
    fused = dict.fromkeys(dense, 0.0)
    for scores, part, nothing in ((dense, 1 - weight, usual), (lexical, weight, 0.0)):
        for rank, id in enumerate(sorted(scores, key=lambda id: -scores[id])):
            top, bottom = max(scores.values()), min(scores.values())
            spread = max(top - bottom, 0.4 * abs(top - nothing), 0.1 * abs(top))
            share = max(0.0, 1 - (top - scores[id]) / spread) if top else 0.0
            fused[id] += (part * share + 0.25 * 60 / (61 + rank)) / 1.5
    return fused


def lower_words(text):
    return re.findall(r"[^\W_]+", text.lower())
