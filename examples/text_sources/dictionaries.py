"""Pairs of dictionaries: WordNet's data files, dictd's dictionaries, MyThes' synonyms."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from text_sources.pieces import Pair, cut, is_prose, sentences, single_spaced

_DIGITS = {
    letter: place
    for place, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
_LINK = re.compile(r"\{([^{}]*)\}")


def wordnet(folder: Path) -> Iterator[Pair]:
    """Word -> gloss, gloss -> words, word -> synonyms, word -> example, of ``data.noun`` and its like."""
    for kind in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{kind}").read_text(encoding="utf-8").splitlines():
            if not line.startswith(" "):
                yield from wordnet_pairs(line)


def wordnet_pairs(line: str) -> Iterator[Pair]:
    """The pairs of one synset."""
    head, _, gloss = line.partition(" | ")
    fields = head.split()
    count = int(fields[3], 16)
    words = [re.sub(r"\((?:a|p|ip)\)$", "", word).replace("_", " ") for word in fields[4 : 4 + 2 * count : 2]]
    definition = single_spaced(re.split(r'[;:]\s*"', gloss)[0]).strip("; ")
    examples = re.findall(r'"([^"]+)"', gloss)
    if len(definition) < 12:
        return
    for word in words[:3]:
        yield Pair("wordnet:gloss", word, definition)
    yield Pair("wordnet:word", definition, ", ".join(words))
    if len(words) > 1:
        yield Pair("wordnet:synonym", words[0], ", ".join(words[1:]))
    for example in examples[:1]:
        if len(example) >= 20:
            yield Pair("wordnet:example", f"{words[0]}: {definition}", example)


def dictd(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    """The entries of a dictd dictionary, in the order of its file: headword, text.

    The index has a line per headword: the word, where its text begins, and how long it is, in base 64.
    """
    text = gzip.decompress((folder / f"{name}.dict.dz").read_bytes())
    seen: set[int] = set()
    places = []
    for line in (folder / f"{name}.index").read_text(encoding="utf-8", errors="replace").splitlines():
        word, start, length = line.split("\t")[:3]
        if not word.startswith("00-database") and not word.startswith("00database"):
            places.append((_number(start), _number(length), word))
    for start, length, word in sorted(places):
        if start not in seen:
            seen.add(start)
            yield word, text[start : start + length].decode("utf-8", "replace")


def _number(digits: str) -> int:
    value = 0
    for digit in digits:
        value = 64 * value + _DIGITS[digit]
    return value


def foldoc_pairs(name: str, entries: Iterable[tuple[str, str]]) -> Iterator[Pair]:
    """Term -> text, and the definition's first sentence without the term -> its rest (FOLDOC, Jargon File)."""
    for _, entry in entries:
        head, _, body = entry.strip("\n").partition("\n")
        paragraphs = [single_spaced(_LINK.sub(r"\1", part)) for part in re.split(r"\n\s*\n", body)]
        paragraphs = [re.sub(r"(^|\d\. )<[^>]*>\s*", r"\1", part) for part in paragraphs]
        paragraphs = [part for part in paragraphs if is_prose(part) and not part.startswith("[")]
        term = re.sub(r"\s*/[^/]*/.*$", "", single_spaced(head)).strip(": ")
        if not paragraphs or not term or len(term) > 60:
            continue
        yield Pair(f"{name}:term", term, cut(" ".join(paragraphs)))
        first = sentences(paragraphs[0])[0]
        if 30 <= len(first) <= 300 and term.lower() not in first.lower():
            yield Pair(
                f"{name}:definition",
                first,
                f"{term}: " + cut(" ".join(paragraphs)[len(first) :].strip() or first),
            )


def vera_pairs(entries: Iterable[tuple[str, str]]) -> Iterator[Pair]:
    """Acronym -> what it stands for."""
    for word, entry in entries:
        body = single_spaced(entry.strip("\n").partition("\n")[2])
        body = single_spaced(re.sub(r"\([^)]*\)|\[[^\]]*\]|\"[^\"]*\"", " ", body)).strip(" ,")
        if is_prose(body, 8):
            yield Pair("vera:acronym", word.upper(), body)


def gcide_pairs(entries: Iterable[tuple[str, str]]) -> Iterator[Pair]:
    """Word -> each numbered definition, and the longer definitions -> word (Webster 1913)."""
    for _, entry in entries:
        head, _, body = entry.strip("\n").partition("\\")
        word = single_spaced(head)
        body = _LINK.sub(r"\1", re.sub(r"\[[^\[\]]*\]", "", re.sub(r"\[\^?.\]", "", body)))
        body = body.partition("\n")[2] if "\n" in body else body
        if not word or not word.isascii() or len(word) > 40:
            continue
        for part in re.split(r"\n\s*(?:\d+\.|\([a-z]\))\s|\n\s*\n", body)[:6]:
            text = re.sub(r"--\s*[A-Z][\w. ()]*$", "", single_spaced(part)).strip()
            text = re.sub(r"^\(([A-Z][A-Za-z. &]*)\)\s*", "", re.sub(r"^\d+\.\s*", "", text))
            if 25 <= len(text) <= 600 and is_prose(text) and text[0].isupper() and "Note:" not in text:
                yield Pair("gcide:word", word, text)
                if len(text) >= 60 and word.lower() not in text.lower():
                    yield Pair("gcide:definition", text, word)


def mythes(file: Path) -> Iterator[Pair]:
    """Word -> synonyms of each of its meanings; generic terms are told by name there and left out."""
    lines = iter(file.read_text(encoding="utf-8").splitlines()[1:])
    for line in lines:
        word, _, count = line.rpartition("|")
        for _ in range(int(count)):
            meanings = next(lines).split("|")[1:]
            same = [each for each in meanings if not each.endswith(")") and each.lower() != word.lower()]
            if len(same) >= 2 and word.isascii():
                yield Pair("mythes:synonym", word, ", ".join(same[:8]))
