"""A long text becomes overlapping pieces that end where sentences and paragraphs end.

Only offsets are made, never copies: a chunk *is* ``text[start:end]``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from vicinal.index.results import Span

CountTokens = Callable[[list[str]], Sequence[int]]

# A unit ends after sentence punctuation (and closing quotes or brackets) before white space, after the
# full-width stops of Chinese and Japanese, or at a line break. The white space goes to the unit before.
_UNIT_END = re.compile(r"""(?:[.!?…]+["'”’)\]]*\s+|[。！？]+\s*|\n\s*)""")
_PARAGRAPH = re.compile(r"\n[ \t\r]*\n")
_WORD_END = re.compile(r"\s+")


def chunk_spans(
    texts: Sequence[str], count_tokens: CountTokens, max_tokens: int, overlap: int
) -> list[list[Span]]:
    """Cut texts that are longer than a model reads.

    Args:
        texts: the texts.
        count_tokens: gives the number of tokens of each of several texts, special tokens included.
        max_tokens: the longest chunk, special tokens included.
        overlap: about how many tokens at the end of a chunk stand again at the start of the next; whole
            sentences are repeated, so it may be fewer.

    Returns:
        For each text its spans ``(start, end)`` in characters, in order. A text that fits has one span
        that covers all of it. Chunks of a longer text begin and end without white space; together they
        cover everything but white space; each starts after the one before it.
    """
    spans: list[list[Span]] = [[(0, len(text))] for text in texts]
    # No tokenizer makes more tokens than bytes: short texts need no counting.
    maybe = [i for i, text in enumerate(texts) if 4 * len(text) + 8 > max_tokens]
    counts = count_tokens([texts[i] for i in maybe]) if maybe else []
    long = [i for i, count in zip(maybe, counts, strict=True) if count > max_tokens]
    if not long:
        return spans
    special = int(count_tokens([""])[0])
    for i in long:
        spans[i] = _cut(texts[i], count_tokens, max_tokens, overlap, special)
    return spans


def _cut(text: str, count_tokens: CountTokens, max_tokens: int, overlap: int, special: int) -> list[Span]:
    budget = max(1, max_tokens - special)
    while True:
        units = _units(text, count_tokens, budget, special)
        chunks = _pack(text, units, budget, min(overlap, budget // 2))
        # A tokenizer may make more tokens of a whole than of its parts; then pack less into each.
        if budget < 16 or max(count_tokens([text[a:b] for a, b in chunks])) <= max_tokens:
            return chunks
        budget = budget * 9 // 10


def _units(text: str, count_tokens: CountTokens, budget: int, special: int) -> list[tuple[int, int, int]]:
    """Sentences as ``(start, end, tokens)``, none longer than the budget, end to end over the text."""
    todo = _split(text, 0, len(text), _UNIT_END)
    units: list[tuple[int, int, int]] = []
    while todo:
        counts = count_tokens([text[a:b] for a, b in todo])
        rest: list[Span] = []
        for (start, end), count in zip(todo, counts, strict=True):
            tokens = max(0, int(count) - special)
            if tokens <= budget or end - start == 1:
                units.append((start, end, tokens))
            else:
                rest += _halve(text, start, end)
        todo = rest
    return sorted(units)


def _split(text: str, start: int, end: int, boundary: re.Pattern[str]) -> list[Span]:
    edges = [start, *(m.end() for m in boundary.finditer(text, start, end) if m.end() < end), end]
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


def _halve(text: str, start: int, end: int) -> list[Span]:
    """Two parts of a sentence that is too long, cut at the white space nearest to its middle."""
    middle = (start + end) // 2
    edges = [m.end() for m in _WORD_END.finditer(text, start, end) if start < m.end() < end]
    cut = min(edges, key=lambda edge: abs(edge - middle), default=middle)
    return [(start, cut), (cut, end)]


def _pack(text: str, units: list[tuple[int, int, int]], budget: int, overlap: int) -> list[Span]:
    """Fill chunks greedily; once half full, the last paragraph end in reach is the better place to stop."""
    chunks: list[Span] = []
    first = 0
    while first < len(units):
        used, last, paragraph = 0, first, 0
        while last < len(units) and (last == first or used + units[last][2] <= budget):
            used += units[last][2]
            last += 1
            unit_end = text[units[last - 1][0] : units[last - 1][1]]
            if 2 * used >= budget and last < len(units) and _PARAGRAPH.search(unit_end):
                paragraph = last
        if last < len(units) and paragraph:
            last = paragraph
        _append_trimmed(chunks, text, units[first][0], units[last - 1][1])
        if last == len(units):
            break
        # The next chunk repeats whole sentences of this one, but always begins after this one began
        # and always has room for at least one new sentence.
        back, repeated = last, 0
        room = budget - units[last][2]
        began = chunks[-1][0] if chunks else -1  # a unit of white space at its head was trimmed off
        while (
            back - 1 > first
            and units[back - 1][0] > began
            and repeated + units[back - 1][2] <= min(overlap, room)
        ):
            back -= 1
            repeated += units[back][2]
        first = back
    return chunks or [(0, len(text))]


def _append_trimmed(chunks: list[Span], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    right = len(piece.rstrip())
    # A piece that only repeats the end of the chunk before it says nothing new.
    if right > left and (not chunks or start + right > chunks[-1][1]):
        chunks.append((start + left, start + right))
