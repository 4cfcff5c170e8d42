"""The vocabulary of a static model: tokens that English never uses leave, frequent whole words come.

The tokenizer stays a WordPiece tokenizer with BERT's rules, so that whatever reads ``tokenizer.json`` reads it. A new
word's row is the sum of the rows of the pieces that it was cut into before: the direction of a sum of rows is all that
counts, so the new table gives every text the vector that the old one gave it.
"""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

# Letters of Latin scripts and the punctuation of English texts; tokens with others are left out.
_KEPT = re.compile("[\x20-\x7e\u00a0-\u024f\u2010-\u2026\u20ac\u2122]+")
_WORD = re.compile("[a-z0-9]+")


def word_counts(texts: Iterable[str]) -> Counter[str]:
    """In how many texts each word of ASCII letters and digits stands."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(_WORD.findall(text.lower())))
    return counts


def renewed(
    tokenizer: dict[str, Any], counts: Counter[str], size: int
) -> tuple[dict[str, Any], list[list[int]]]:
    """A tokenizer with a vocabulary of ``size`` tokens, and for each the old tokens that it stands for.

    Args:
        tokenizer: the content of a WordPiece ``tokenizer.json``.
        counts: how frequent words are; those that are cut into pieces today become tokens, most frequent first.
        size: of the new vocabulary.
    """
    old = Tokenizer.from_str(json.dumps(tokenizer))
    vocabulary = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
    kept = [token for token, _ in vocabulary if _KEPT.fullmatch(token) and not token.startswith("[unused")]
    numbers = dict(vocabulary)
    sources = [[numbers[token]] for token in kept]
    words = [
        word
        for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if 3 <= len(word) <= 24
    ]
    words = [word for word in words if word not in numbers and not word.isdigit()]
    for first in range(0, len(words), 10_000):
        part = words[first : first + 10_000]
        for word, found in zip(part, old.encode_batch_fast(part, add_special_tokens=False), strict=True):
            if len(kept) < size and len(found.ids) > 1:
                kept.append(word)
                sources.append(list(found.ids))
        if len(kept) >= size:
            break
    new = copy.deepcopy(tokenizer)
    new["model"]["vocab"] = {token: place for place, token in enumerate(kept)}
    places = new["model"]["vocab"]
    for added in new.get("added_tokens") or []:
        added["id"] = places[added["content"]]
    for name, special in ((new.get("post_processor") or {}).get("special_tokens") or {}).items():
        special["ids"] = [places[name]]
    return new, sources


def renewed_rows(rows: NDArray[np.float32], sources: list[list[int]]) -> NDArray[np.float32]:
    """``(new vocabulary, dim)``: the rows of kept tokens, and sums of rows for new words."""
    return np.stack([rows[each].sum(axis=0) for each in sources]).astype(np.float32)
