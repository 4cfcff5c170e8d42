"""How a text is written before it is cut into words: one form for all that looks the same to a reader.

FTS5 cuts at characters it takes for no letters, and knows nothing of Unicode's normal forms: a decomposed
accent, a soft hyphen, a ligature or a full-width letter hides a word from it, and a Chinese sentence is one
long word. So texts and queries are folded first:

* NFKC: composed letters, no ligatures, no full-width and half-width forms;
* without what is invisible (soft hyphens, zero-width characters, variation selectors), without accents that
  compose with no letter, and without the vowel points of Arabic and Hebrew;
* ``ß`` as ``ss``; other case is left to FTS5;
* scripts that put no spaces between words (Han, kana, Hangul, Yi, Thai, Lao, Khmer, Burmese) as overlapping
  pairs of characters with their marks, and as single ones; a query only as pairs where it can.

What is folded into an index must fold to the same when it is deleted, years later, by another Python. So the
tables are those of Unicode 3.2, which every Python carries unchanged; later characters stay as they are.
ASCII is never touched, and costs nothing.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

from vicinal.index.results import Span

_UNICODE = unicodedata.ucd_3_2_0

# How texts are cut into words, kept with the index. 1: as FTS5 does, without folding. Raise it with every
# change that makes other words of the same text: indexes are then rebuilt at their next change.
ANALYSIS = 2

# Characters of scripts without spaces, marks included, digits left out. Hangul has spaces, but its words carry
# their particles.
_UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e"  # Thai
    "\u0e81-\u0ece\u0edc-\u0edf"  # Lao
    "\u1000-\u103f\u1050-\u108f\u109a-\u109d\ua9e0-\ua9ef\uaa60-\uaa7f"  # Burmese
    "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"  # Hangul
    "\u1780-\u17d3\u17d7\u17dc\u17dd"  # Khmer
    "\u2e80-\u2fd5\u3005-\u3007\u3021-\u3029\u3041-\u3096\u3099\u309a\u309d-\u309f"  # Han, hiragana
    "\u30a1-\u30fa\u30fc-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # katakana, bopomofo, Han
    "\ua000-\ua48c"  # Yi
    "\U00020000-\U0003ffff"  # Han
)
# Their marks, which belong to the character before. Most of the Burmese ones are younger than Unicode 3.2.
_UNSPACED_MARKS = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u1056-\u1059\u105e-\u1060"
    "\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u109a-\u109d\u17b6-\u17d3\u17dd\u3099\u309a"
)
_UNSPACED_AS_THEY_ARE = "\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua48c\uac00-\ud7a3"
# Invisible, and not of the category Cf in Unicode 3.2.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u2060-\u206f\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0000-\U000e0fff"
)
# Compose with a letter before them, though they are no marks: vowels and finals of Hangul, half-width marks.
_COMPOSING = "\u1161-\u11ff\uff9e\uff9f\uffc2-\uffdc"
# Left as they are: NFKC would join them to the word or number before ("Vicinal™", "1½"), or compose what was
# typed letter by letter (Hangul).
_KEPT = "\u2120\u2122\u00bc-\u00be\u2153-\u215f\u3131-\u3163\u3165-\u318e"
_SHARP_S = {0xDF: "ss", 0x1E9E: "ss"}
_TATWEEL = "\u0640"

# Unicode's own bound for marks in a row; sorting more of them takes quadratic time.
_MOST_JOINED = 30
# Clusters of characters whose folded form is remembered.
_KNOWN_CLUSTERS = 1 << 14


class _Patterns(NamedTuple):
    other: re.Pattern[str]  # a character that folding may change
    # Characters that stay as they are (group 1), or that would but for their script, which has no spaces
    # (group 2), or one character with what belongs to it.
    piece: re.Pattern[str]
    invisible: re.Pattern[str]
    dropped: re.Pattern[str]
    unspaced: re.Pattern[str]  # one character of a script without spaces, with its marks
    kept: re.Pattern[str]


@cache
def _patterns() -> _Patterns:
    """Made of Unicode's tables when the first text comes that is not ASCII; takes some milliseconds."""
    kept, unspaced = re.compile(f"[{_KEPT}]"), re.compile(f"[{_UNSPACED}]")
    special = re.compile(f"[{_INVISIBLE}{_UNSPACED_MARKS}{_COMPOSING}{_TATWEEL}\u00df\u1e9e]")
    invisible, dropped, marks = [_INVISIBLE], [_TATWEEL], []
    plain, plain_unspaced = [r"\x00-\x7f"], [_UNSPACED_AS_THEY_ARE]
    for char in map(chr, (*range(0x80, 0x3400), *range(0xA490, 0xAC00), *range(0xE000, 0x10000))):
        category, order = _UNICODE.category(char), _UNICODE.combining(char)
        if category == "Cf":
            invisible.append(char)
        elif category in ("Mn", "Mc", "Me"):
            marks.append(char)
            # 10 to 36 are the points of Hebrew and Arabic, 200 and more what stands above or below.
            if 10 <= order <= 36 or order >= 200:
                dropped.append(char)
        elif not special.match(char) and (kept.match(char) or _UNICODE.normalize("NFKC", char) == char):
            (plain_unspaced if unspaced.match(char) else plain).append(char)
    hidden = _characters(invisible)
    joins = hidden + _characters(marks) + _UNSPACED_MARKS + _COMPOSING + _TATWEEL
    words, run = _characters(plain), _characters(plain_unspaced)
    return _Patterns(
        other=re.compile(f"[^{words}]"),
        piece=re.compile(
            f"([{words}]+(?![{joins}]))|([{run}]+(?![{joins}]))|.[{joins}]{{0,{_MOST_JOINED}}}", re.DOTALL
        ),
        invisible=re.compile(f"[{hidden}]+"),
        dropped=re.compile(f"[{_characters(dropped)}]+"),
        unspaced=re.compile(f"[{_UNSPACED}][{_UNSPACED_MARKS}]*"),
        kept=kept,
    )


def _characters(parts: Iterable[str]) -> str:
    """Single characters, and parts of character classes, as one part of a character class."""
    single = sorted(part for part in parts if len(part) == 1)
    classes = [part for part in parts if len(part) > 1]
    ranges: list[list[int]] = []
    for code in map(ord, single):
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(classes) + "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in ranges)


@lru_cache(maxsize=_KNOWN_CLUSTERS)
def _cluster(text: str) -> tuple[str, tuple[str, ...]]:
    """One character with what belongs to it: folded, and as characters of a script without spaces, if it is."""
    patterns = _patterns()
    text = patterns.invisible.sub("", text)
    if not patterns.kept.match(text):
        text = _UNICODE.normalize("NFKC", text)
    text = patterns.dropped.sub("", text.translate(_SHARP_S))
    parts = patterns.unspaced.findall(text)
    return text, tuple(parts) if "".join(parts) == text else ()


# A piece of folded text: [start, end) in the original, the text, and whether it is the same there.
_Piece = tuple[int, int, str, bool]


def _pieces(text: str, pairs: bool, query: bool) -> Iterator[_Piece]:
    run: list[tuple[int, int, str]] = []
    for match in _patterns().piece.finditer(text):
        start, end = match.span()
        if match.lastindex == 1:
            if run:
                yield from _grams(run, query)
                run = []
            yield start, end, match.group(), True
        elif match.lastindex == 2:
            if pairs:
                run += [(start + i, start + i + 1, char) for i, char in enumerate(match.group())]
            else:
                yield start, end, match.group(), True
        else:
            folded, parts = _cluster(match.group())
            if pairs and parts:
                run += [(start, end, part) for part in parts]
            elif folded:
                if run:
                    yield from _grams(run, query)
                    run = []
                yield start, end, folded, False
    if run:
        yield from _grams(run, query)


def _grams(run: list[tuple[int, int, str]], query: bool) -> Iterator[_Piece]:
    """A run of characters without spaces as words of one and of two, each with a space before it."""
    single = not query or len(run) == 1
    before: tuple[int, int, str] | None = None
    for one in run:
        if before is not None:
            yield before[0], one[1], f" {before[2]}{one[2]}", False
        if single:
            yield one[0], one[1], f" {one[2]}", False
        before = one
    yield run[-1][1], run[-1][1], " ", False


def fold(text: str, pairs: bool = True) -> str:
    """A document as the full-text index sees it.

    Args:
        text: as it is.
        pairs: whether scripts without spaces are cut into pairs of characters.
    """
    if text.isascii() or _patterns().other.search(text) is None:
        return text
    return "".join([piece for _, _, piece, _ in _pieces(text, pairs, False)])


def query_words(text: str, pairs: bool = True, more: str = "") -> list[str]:
    """The words of a query as FTS5 finds them in folded documents, in order, repetitions included.

    Args:
        text: as it was typed.
        pairs: as for :func:`fold`.
        more: characters that are parts of words too (``tokenchars`` of FTS5).
    """
    if more or not text.isascii():
        text = "".join([piece for _, _, piece, _ in _pieces(text, pairs, True)])
        # Letters, numbers and marks; re's \\w has no marks.
        text = "".join(
            [c if c.isalnum() or c in more or unicodedata.category(c)[0] == "M" else " " for c in text]
        )
        return text.split()
    return _WORD.findall(text)


_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text that remembers where its characters come from.

    Attributes:
        text: folded; the same as ``fold(original)``.
        pieces: what it consists of, None where nothing was changed.
        starts: where each piece begins in ``text``.
    """

    text: str
    pieces: tuple[_Piece, ...] | None
    starts: tuple[int, ...]

    @classmethod
    def of(cls, text: str, pairs: bool = True) -> Folded:
        """Fold a text as :func:`fold` does."""
        if text.isascii() or _patterns().other.search(text) is None:
            return cls(text, None, ())
        pieces = tuple(_pieces(text, pairs, False))
        starts, at = [], 0
        for _, _, piece, _ in pieces:
            starts.append(at)
            at += len(piece)
        return cls("".join([piece for _, _, piece, _ in pieces]), pieces, tuple(starts))

    def original(self, spans: Iterable[Span]) -> list[Span]:
        """Places in the folded text as places in the original, whole characters, those that overlap as one.

        Args:
            spans: ``[start, end)`` in :attr:`text`, none empty, in order.
        """
        if self.pieces is None:
            return list(spans)
        found: list[Span] = []
        for span in spans:
            start, end = self._place(span[0])[0], self._place(span[1] - 1)[1]
            if found and start < found[-1][1]:
                found[-1] = (found[-1][0], max(end, found[-1][1]))
            else:
                found.append((start, end))
        return found

    def _place(self, at: int) -> Span:
        assert self.pieces is not None
        i = bisect_right(self.starts, at) - 1
        start, end, _, even = self.pieces[i]
        if even:
            start += at - self.starts[i]
            return start, start + 1
        return start, end
