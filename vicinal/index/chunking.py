"""A long text becomes overlapping pieces that end where sentences and paragraphs end.

Only offsets are made, never copies: a chunk *is* ``text[start:end]``.

Counting tokens is the whole cost, so the sentences of many texts are counted in one call, and once. What a chunk
has is the sum of its sentences: exactly so for tokenizers that cut at white space by the characters alone (see
:func:`counts_add_up`); for others every chunk is counted again, as a whole.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vicinal.index.results import Span

CountTokens = Callable[[list[str]], Sequence[int]]

# A unit ends after sentence punctuation (and closing quotes or brackets) before white space, after the
# full-width stops of Chinese and Japanese, or at a line break. The white space goes to the unit before.
_UNIT_END = re.compile(r"""(?:[.!?…]+["'”’)\]]*\s+|[。！？]+\s*|\n\s*)""")
_PARAGRAPH = re.compile(r"\n[ \t\r]*\n")
_WORD_END = re.compile(r"\s+")
# White space that every tokenizer takes for it; some drop the rarer kinds and join what stood around them.
_PLAIN_SPACE = " \t\r\n"
# A sentence with more characters per token of the budget than this is cut before it is counted: otherwise a
# document of one line would be counted as a whole, then its halves, then their halves.
_WIDEST_TOKEN = 8
# Characters of the texts whose sentences are counted in one call.
_GROUP = 1_000_000


@dataclass(slots=True)
class _Text:
    """One text that may be too long.

    Attributes:
        text: the text.
        units: its sentences as ``(start, end, tokens)``, end to end over the text.
        sure: whether a chunk surely has the sum of its units' tokens, and no more.
    """

    text: str
    units: list[tuple[int, int, int]]
    sure: bool


def chunk_spans(
    texts: Sequence[str], count_tokens: CountTokens, max_tokens: int, overlap: int, adds_up: bool = False
) -> list[list[Span]]:
    """Cut texts that are longer than a model reads.

    Args:
        texts: the texts.
        count_tokens: gives the number of tokens of each of several texts, special tokens included.
        max_tokens: the longest chunk, special tokens included.
        overlap: about how many tokens at the end of a chunk stand again at the start of the next; whole
            sentences are repeated, so it may be fewer.
        adds_up: whether a text has exactly the tokens of its parts, if it is cut at white space or after a full stop.

    Returns:
        For each text its spans ``(start, end)`` in characters, in order. A text that fits has one span
        that covers all of it. Chunks of a longer text begin and end without white space; together they
        cover everything but white space; each starts after the one before it.
    """
    spans: list[list[Span]] = [[(0, len(text))] for text in texts]
    # No tokenizer makes more tokens than bytes: short texts need no counting.
    maybe = [i for i, text in enumerate(texts) if 4 * len(text) + 8 > max_tokens]
    if not maybe:
        return spans
    special = int(count_tokens([""])[0])
    for group in _groups(texts, maybe):
        parts = _units(
            [texts[i] for i in group], count_tokens, max(1, max_tokens - special), special, adds_up
        )
        for i, chunks in zip(group, _chunks(parts, count_tokens, max_tokens, overlap, special), strict=True):
            spans[i] = chunks or spans[i]
    return spans


def _groups(texts: Sequence[str], places: Sequence[int]) -> Iterator[list[int]]:
    """The places in parts whose texts have about a million characters: the sentences of a part are copied."""
    group: list[int] = []
    characters = 0
    for place in places:
        group.append(place)
        characters += len(texts[place])
        if characters >= _GROUP:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _chunks(
    parts: Sequence[_Text], count_tokens: CountTokens, max_tokens: int, overlap: int, special: int
) -> list[list[Span]]:
    """The chunks of each text, none for one that fits."""
    totals = [special + sum(tokens for *_, tokens in part.units) for part in parts]
    # Near the limit only the whole tells, where it may have fewer tokens than its parts.
    near = [
        place for place, part in enumerate(parts) if not part.sure and totals[place] <= 2 * max_tokens + 16
    ]
    if near:
        for place, count in zip(near, count_tokens([parts[place].text for place in near]), strict=True):
            totals[place] = int(count)
    found: list[list[Span]] = [[] for _ in parts]
    long = [place for place, total in enumerate(totals) if total > max_tokens]
    budget = max(1, max_tokens - special)
    cut = _cut([parts[place] for place in long], count_tokens, max_tokens, overlap, budget)
    for place, chunks in zip(long, cut, strict=True):
        found[place] = chunks
    return found


def counts_add_up(count_tokens: Any) -> bool:
    """Whether a text has as many tokens as its parts, if it is cut at white space or after a full stop.

    So it is with BERT's tokenizer, which cuts words by their characters before anything else, and counts each by
    itself. Others may join what stands on both sides of a cut.

    Args:
        count_tokens: a model's method. Of methods that are not Vicinal's own nothing is known.
    """
    from vicinal.models.base import Model
    from vicinal.tokens.words import WordMemory

    owner = getattr(count_tokens, "__self__", None)
    if not isinstance(owner, Model) or getattr(count_tokens, "__func__", None) is not Model.count_tokens:
        return False
    tokenizer = getattr(owner, "tokenizer", None)
    return tokenizer is not None and hasattr(tokenizer, "to_str") and WordMemory.of(tokenizer) is not None


def _cut(
    parts: Sequence[_Text], count_tokens: CountTokens, max_tokens: int, overlap: int, budget: int
) -> list[list[Span]]:
    """The chunks of each text; those that turn out too long are packed again, with less in each."""
    found: list[list[Span]] = [[] for _ in parts]
    todo = list(range(len(parts)))
    while todo:
        for place in todo:
            found[place] = _pack(parts[place].text, parts[place].units, budget, min(overlap, budget // 2))
        if budget == 0:  # every chunk is one unit, and those were counted each by itself
            break
        unsure = [place for place in todo if not parts[place].sure]
        pieces = [parts[place].text[a:b] for place in unsure for a, b in found[place]]
        counts = iter(count_tokens(pieces) if pieces else ())
        todo = [
            place
            for place in unsure
            if max(itertools.islice(counts, len(found[place])), default=0) > max_tokens
        ]
        budget = budget * 9 // 10
    return found


def _units(
    texts: Sequence[str], count_tokens: CountTokens, budget: int, special: int, adds_up: bool
) -> list[_Text]:
    """Sentences of all texts with their tokens, none longer than the budget."""
    parts = [_Text(text, [], adds_up) for text in texts]
    todo: list[tuple[_Text, int, int]] = []
    for part in parts:
        for start, end in _split(part.text):
            todo += _narrowed(part, start, end, _WIDEST_TOKEN * budget)
    while todo:
        rest: list[tuple[_Text, int, int]] = []
        for (part, start, end), count in zip(todo, _counted(todo, count_tokens), strict=True):
            tokens = max(0, count - special)
            if tokens <= budget or end - start == 1:
                part.units.append((start, end, tokens))
            else:
                cut = _near(part, start, end, (start + end) // 2)
                rest += [(part, start, cut), (part, cut, end)]
        todo = rest
    for part in parts:
        part.units.sort()
    return parts


def _counted(pieces: Sequence[tuple[_Text, int, int]], count_tokens: CountTokens) -> list[int]:
    """Tokens of each piece. ASCII goes apart: some tokenizers are much quicker if there is nothing else."""
    texts = [part.text[start:end] for part, start, end in pieces]
    counts = [0] * len(texts)
    for plain in (True, False):
        places = [place for place, text in enumerate(texts) if text.isascii() is plain]
        if places:
            some = count_tokens([texts[place] for place in places])
            for place, count in zip(places, some, strict=True):
                counts[place] = int(count)
    return counts


def _split(text: str) -> list[Span]:
    edges = [0, *(m.end() for m in _UNIT_END.finditer(text) if m.end() < len(text)), len(text)]
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


def _narrowed(part: _Text, start: int, end: int, widest: int) -> list[tuple[_Text, int, int]]:
    """A sentence in pieces of about ``widest`` characters, most often one."""
    pieces = []
    while end - start > 2 * widest:
        cut = _near(part, start, start + 2 * widest, start + widest)
        pieces.append((part, start, cut))
        start = cut
    return [*pieces, (part, start, end)]


def _near(part: _Text, start: int, end: int, place: int) -> int:
    """Where to cut between ``start`` and ``end``: at the white space nearest to ``place``, else there."""
    edges = [m.end() for m in _WORD_END.finditer(part.text, start, end) if start < m.end() < end]
    cut = min(edges, key=lambda edge: abs(edge - place), default=place)
    if part.text[cut - 1] not in _PLAIN_SPACE:
        part.sure = False
    return cut


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
