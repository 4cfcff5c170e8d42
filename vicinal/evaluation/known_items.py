"""Queries with known answers, made of documents that nobody has judged."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vicinal.core.inputs import as_texts, check_positive
from vicinal.errors import InputError, InputTypeError

# Words of a passage at most, and of what is left of one without its query at least.
_PASSAGE = 180
_REST = 20
# Words of a sentence that can be a query, and of a heading.
_SENTENCE = (6, 30)
_HEADING = (2, 12)
# A query of which so many words in a row stand in any passage has its answer given away.
_SHINGLE = 5

_MARKED = re.compile(r"\s{0,3}#{1,6}\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"\s*([=~^*+\"'`#-])\1{2,}\s*$")
_FENCE = re.compile(r"\s{0,3}(?:(`{3,})[^`]*|(~{3,}).*)$")
_FRONT = re.compile(r"---[ \t]*\n(?=[\w.-]+[ \t]*:)(?:.*\n)*?---[ \t]*(?:\n|$)")
_NUMBERED = re.compile(r"^(?:\d+\.)*\d+\.?\s+|^[A-Z]\.\s+")
_BLANK = re.compile(r"\n[ \t]*\n")
_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])")
_LOWER_END = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class KnownItems:
    """A test of retrieval.

    Attributes:
        queries: headings, and sentences taken out of their passages.
        passages: the texts to search; none holds a query whose answer it is.
        answers: for each query, the numbers of the passages that answer it.
        headings: how many of the queries are headings.
    """

    queries: list[str]
    passages: list[str]
    answers: list[frozenset[int]]
    headings: int


@dataclass
class _Section:
    """What stands under one heading."""

    heading: str
    passages: list[str]
    first: int = 0

    @property
    def places(self) -> range:
        return range(self.first, self.first + len(self.passages))


def known_items(
    documents: Iterable[str], *, queries: int = 300, passages: int | None = 5000, seed: int = 0
) -> KnownItems:
    """Make queries of documents: a heading asks for what stands under it, a sentence for the passage it was taken from.

    Documents are cut at their headings (Markdown's and underlined ones) and at blank lines into passages of up to 180
    words. The words of a query are taken out of the passages that answer it, sentences as in the inverse cloze task
    (Lee et al., 2019, "Latent Retrieval for Weakly Supervised Open Domain Question Answering"). A query is left out
    where its answer would be given away or is not the only one: five of its words in a row stand in any passage, or two
    headings are the same. Headings come first, up to half of the queries where there are sentences enough.

    Args:
        documents: the texts.
        queries: how many at most.
        passages: how many to search at most, drawn at random by whole sections; None takes all.
        seed: of the draws.

    Raises:
        InputTypeError: ``documents`` are no texts.
        InputError: not a single query can be made.
    """
    texts, alone = as_texts(documents, "documents")
    if alone:
        raise InputTypeError("documents is one text: give a list of texts")
    check_positive(queries, "queries")
    check_positive(passages, "passages")
    draws = random.Random(seed)
    sections = list(_distinct(section for text in texts for section in _sections(text)))
    draws.shuffle(sections)
    sections = _placed(sections, passages)
    every = [passage for section in sections for passage in section.passages]
    shingles = _counted(every)
    titled = _by_heading(sections, shingles)
    cut = list(_by_sentence(sections, shingles, queries, draws))
    asked = titled[: max(queries // 2, queries - len(cut))]
    taken = {id(section) for section, _ in asked}
    titles = {heading for _, heading in asked}
    found = [(heading, frozenset(section.places)) for section, heading in asked]
    for section, place, sentence, rest in cut:
        if len(found) >= queries:
            break
        if id(section) not in taken:
            every[place] = rest
            found.append((sentence, frozenset([place])))
    # Where a sentence was taken out, others meet.
    shingles = _counted(every)
    found = [
        (query, answers) for query, answers in found if not any(shingles[each] for each in _shingles(query))
    ]
    if not found:
        raise InputError(
            f"the {len(texts):,} documents give no query: there is no heading of two words or more with {_REST} words "
            "or more of text under it that do not repeat it, and no passage of "
            f"{_REST + _SENTENCE[0]} words or more with a sentence that it alone holds"
        )
    return KnownItems(
        [query for query, _ in found],
        every,
        [answer for _, answer in found],
        sum(query in titles for query, _ in found),
    )


def _counted(passages: Iterable[str]) -> Counter[str]:
    return Counter(shingle for passage in passages for shingle in _shingles(passage))


def _sections(text: str) -> Iterator[_Section]:
    """The parts of a document under its headings; what stands before the first has none."""
    heading, lines = "", list[str]()
    text = text.replace("\r\n", "\n")
    front = _FRONT.match(text)  # settings of the page, as site generators have them
    rows = text[front.end() if front else 0 :].split("\n")
    place, fence = 0, ""
    while place < len(rows):
        row = rows[place].rstrip()
        opened = None if fence else _FENCE.match(row)
        if opened or fence:  # code, whose comments look like headings
            if opened:
                fence = opened[1] or opened[2]
            elif row.lstrip().startswith(fence) and not row.strip(f" \t{fence[0]}"):
                fence = ""  # closed by nothing but a fence of that length or more
            lines.append(rows[place])
            place += 1
            continue
        row, below = rows[place], rows[place + 1] if place + 1 < len(rows) else ""
        marked = _MARKED.match(row)
        underlined = bool(row.strip()) and not row[0].isspace() and _UNDERLINE.match(below)
        if marked or underlined:
            yield from _filled(heading, lines)
            heading, lines = (marked[1] if marked else row.strip()), []
        elif not _UNDERLINE.match(row):
            lines.append(row)
        place += 2 if underlined and not marked else 1
    yield from _filled(heading, lines)


def _filled(heading: str, lines: Sequence[str]) -> Iterator[_Section]:
    passages = [each for each in _passages("\n".join(lines)) if len(_WORD.findall(each)) >= _REST]
    if passages:
        yield _Section(_NUMBERED.sub("", heading).strip(), passages)


def _passages(text: str) -> Iterator[str]:
    """Paragraphs joined, or cut between sentences, to passages of up to 180 words."""
    kept, count = list[str](), 0
    for paragraph in _BLANK.split(text):
        plain = " ".join(paragraph.split())
        for part in _sentences(plain) if len(plain.split()) > _PASSAGE else [plain]:
            size = len(part.split())
            if kept and count + size > _PASSAGE:
                yield " ".join(kept)
                kept, count = [], 0
            if size:
                kept.append(part)
                count += size
    if kept:
        yield " ".join(kept)


def _distinct(sections: Iterable[_Section]) -> Iterator[_Section]:
    """Sections without the passages that came before, word for word.

    One that loses any has no heading left: not all that answers it stands there.
    """
    seen = set[str]()
    for section in sections:
        new = [each for each in section.passages if _plain(each) not in seen]
        seen.update(map(_plain, new))
        if new:
            yield _Section(section.heading if len(new) == len(section.passages) else "", new)


def _placed(sections: Sequence[_Section], most: int | None) -> list[_Section]:
    """The first sections that have no more than ``most`` passages, with their places."""
    kept, count = list[_Section](), 0
    for section in sections:
        if most is not None and count + len(section.passages) > most:
            section.passages = section.passages[: most - count]
        if section.passages:
            section.first = count
            count += len(section.passages)
            kept.append(section)
    return kept


def _by_heading(sections: Sequence[_Section], shingles: Counter[str]) -> list[tuple[_Section, str]]:
    """Sections whose heading is theirs alone and says something."""
    often = Counter(_plain(section.heading) for section in sections)
    return [
        (section, section.heading)
        for section in sections
        if often[_plain(section.heading)] == 1
        and _HEADING[0] <= len(section.heading.split()) <= _HEADING[1]
        and any(len(word) > 3 for word in _WORD.findall(section.heading))
        and not any(shingles[each] for each in _shingles(section.heading))
        and not any(f" {_plain(section.heading)} " in f" {_plain(each)} " for each in section.passages)
    ]


def _by_sentence(
    sections: Sequence[_Section], shingles: Counter[str], most: int, draws: random.Random
) -> Iterator[tuple[_Section, int, str, str]]:
    """A sentence of each passage that stands in no other, the passage's number, and what is left of it."""
    places = [(section, number) for section in sections for number in range(len(section.passages))]
    draws.shuffle(places)
    found = 0
    for section, number in places:
        sentences = _sentences(section.passages[number])
        for place in draws.sample(range(len(sentences)), len(sentences)):
            sentence = sentences[place]
            rest = " ".join(sentences[:place] + sentences[place + 1 :])
            own = _shingles(sentence)
            if (
                _SENTENCE[0] <= len(sentence.split()) <= _SENTENCE[1]
                and len(_WORD.findall(rest)) >= _REST
                and own
                and all(shingles[each] == 1 for each in own)
            ):
                yield section, section.first + number, sentence, rest
                found += 1
                break
        if found >= 2 * most:
            return


def _sentences(text: str) -> list[str]:
    """A text cut at the ends of its sentences; where nothing begins with a capital, at every full stop."""
    return (_END if text != text.lower() else _LOWER_END).split(text)


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def _shingles(text: str) -> list[str]:
    """All runs of five words."""
    words = _WORD.findall(text.lower())
    return [" ".join(words[start : start + _SHINGLE]) for start in range(len(words) - _SHINGLE + 1)]
