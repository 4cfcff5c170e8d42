"""What a caller may give as pairs of texts becomes two lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from vicinal.core.inputs import plain, refuse_table
from vicinal.core.media import refuse_media
from vicinal.errors import InputTypeError


def as_pairs(sentences: object) -> tuple[list[str], list[str], bool]:
    """First and second texts, and whether a single pair was given.

    Raises:
        InputTypeError: an item is not a pair of texts; its position is named.
    """
    refuse_media(sentences, "sentences")
    refuse_table(sentences, "sentences", columns=2)
    if isinstance(sentences, (str, bytes)) or sentences is None or not isinstance(sentences, Iterable):
        raise InputTypeError(
            f"sentences is {type(sentences).__name__}; predict takes pairs of texts: [(query, document), ...]"
        )
    if getattr(sentences, "shape", None) == ():
        raise InputTypeError(
            "sentences is an array of no dimensions; predict takes pairs: [(query, document), ...]"
        )
    items = sentences if isinstance(sentences, (list, tuple)) else list(sentences)
    if len(items) == 2 and all(isinstance(item, str) for item in items):
        return [plain(items[0])], [plain(items[1])], True
    for place, item in enumerate(items):
        if isinstance(item, str):
            raise InputTypeError(
                f"sentences[{place}] is a single text; a CrossEncoder scores pairs: [(query, document), ...]. "
                "SentenceTransformer encodes single texts"
            )
        refuse_media(item, f"sentences[{place}]")
        if not isinstance(item, Sequence) and not isinstance(item, np.ndarray):
            raise InputTypeError(f"sentences[{place}] is {type(item).__name__}, not a pair of texts")
        if getattr(item, "shape", None) == ():
            raise InputTypeError(f"sentences[{place}] is an array of no dimensions, not a pair of texts")
        if len(item) != 2 or not all(isinstance(text, str) for text in item):
            for number, text in enumerate(item):
                refuse_media(text, f"sentences[{place}][{number}]")
            shown = ", ".join(type(text).__name__ for text in item)
            raise InputTypeError(f"sentences[{place}] holds ({shown}), not two texts")
    return [plain(item[0]) for item in items], [plain(item[1]) for item in items], False
