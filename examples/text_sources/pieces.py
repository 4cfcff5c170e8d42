"""What all sources share: a pair, what counts as prose, sentences, and pairs made of paragraphs."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# Characters of a passage and of a query at most.
LONGEST_PASSAGE, LONGEST_QUERY = 1000, 300
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]?\s+(?=[\"'(]?[A-Z0-9])")
_NUMBERING = re.compile(
    r"^\s*(?:(?:chapter|appendix|section)\s+)?(?:[A-Z]?[0-9]+(?:\.[0-9]+)*\.?|[A-Z]\.[0-9.]*)\s+", re.I
)


class Pair(NamedTuple):
    """A query and a passage that answers it."""

    source: str
    query: str
    passage: str


def single_spaced(text: str) -> str:
    """The text in one line."""
    return " ".join(text.split())


def is_prose(text: str, shortest: int = 20) -> bool:
    """Whether the text is mostly words: no code, no tables, no other scripts."""
    if len(text) < shortest or ">>>" in text:
        return False
    plain = sum(c.isascii() and (c.isalpha() or c == " ") for c in text)
    return plain >= 0.82 * len(text) and " " in text


def cut(text: str, longest: int = LONGEST_PASSAGE) -> str:
    """The text up to the last end of a sentence, or else of a word, within ``longest`` characters."""
    if len(text) <= longest:
        return text
    head = text[: longest + 1]
    ends = [found.start() for found in _SENTENCE_END.finditer(head)]
    if ends and ends[-1] > longest // 2:
        return head[: ends[-1]].rstrip()
    return head.rpartition(" ")[0] or head[:longest]


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph, in order."""
    return [part for part in _SENTENCE_END.split(paragraph) if part]


def words_of(name: str) -> str:
    """The words of an identifier: ``get_file_name`` and ``GetFileName`` are "get file name"."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return " ".join(re.split(r"[^A-Za-z0-9]+", apart)).strip().lower()


def heading(text: str) -> str:
    """A heading without its number and its mark for links."""
    return _NUMBERING.sub("", single_spaced(text.replace("¶", " ").replace("#", "# ")).strip(" #:.")).strip()


def passage_of(paragraphs: Iterable[str]) -> str:
    """The paragraphs of prose in a row, as many as fit."""
    passage = ""
    for paragraph in paragraphs:
        if not is_prose(paragraph):
            continue
        if passage and len(passage) + len(paragraph) > LONGEST_PASSAGE:
            break
        passage = f"{passage} {paragraph}".strip()
    return cut(passage)


def section_pairs(source: str, page: str, sections: Iterable[tuple[str, list[str]]]) -> Iterator[Pair]:
    """Heading -> text of each section; a heading of one word is given its page's title."""
    for title, paragraphs in sections:
        passage = passage_of(paragraphs)
        query = heading(title)
        if not query or len(passage) < 40:
            continue
        if " " not in query and page and page.lower() != query.lower():
            query = f"{page} {query}"
        yield Pair(source, query[:LONGEST_QUERY], passage)


def clozes(source: str, paragraphs: Iterable[str]) -> Iterator[Pair]:
    """From each paragraph of three sentences or more, one sentence -> the paragraph without it.

    Which sentence depends on the text alone, so that every run and every order gives the same pairs.
    """
    for paragraph in paragraphs:
        parts = sentences(paragraph)
        if len(parts) < 3:
            continue
        suitable = [place for place, part in enumerate(parts) if 30 <= len(part) <= LONGEST_QUERY]
        if not suitable:
            continue
        place = suitable[zlib.crc32(paragraph.encode()) % len(suitable)]
        rest = cut(" ".join(parts[:place] + parts[place + 1 :]))
        if len(rest) >= 60:
            yield Pair(f"{source}:cloze", parts[place], rest)


def first_and_rest(source: str, text: str) -> Iterator[Pair]:
    """First sentence -> the rest."""
    parts = sentences(text)
    if len(parts) > 1 and 15 <= len(parts[0]) <= LONGEST_QUERY:
        rest = cut(" ".join(parts[1:]))
        if len(rest) >= 40:
            yield Pair(source, parts[0], rest)


def unique_pairs(pairs: Iterable[Pair], most_per_passage: int = 3) -> Iterator[Pair]:
    """Pairs without those whose query says what the passage says, or that came before.

    A query that stands for many passages ("Description") says nothing: its first four are kept. So are the
    first ``most_per_passage`` queries of a passage.
    """
    seen: set[tuple[str, str]] = set()
    queries: dict[str, int] = {}
    passages: dict[str, int] = {}
    for pair in pairs:
        query, passage = pair.query.lower(), pair.passage.lower()
        if query == passage or (passage.startswith(query) and len(query) > 0.7 * len(passage)):
            continue
        if (
            (query, passage) in seen
            or queries.get(query, 0) >= 4
            or passages.get(passage, 0) >= most_per_passage
        ):
            continue
        seen.add((query, passage))
        queries[query] = queries.get(query, 0) + 1
        passages[passage] = passages.get(passage, 0) + 1
        yield pair
