"""BM25 over posting lists, in numpy, and how many posting lists a query may ask for.

FTS5 finds the words; its own ``bm25()`` looks at one row at a time (about 1 microsecond each), so a word in
300,000 documents costs it 0.4 s. Here FTS5 hands over whole posting lists and numpy scores them: about a
tenth of that.
"""

from __future__ import annotations

import itertools
import math
import re
import sqlite3
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from vicinal.core.inputs import caller_level
from vicinal.errors import OldIndexWarning
from vicinal.index.folding import ANALYSIS, Folded, query_words
from vicinal.index.results import Span
from vicinal.index.segments import Floats, Ints

K1 = 1.2
B = 0.75
# A term in more documents than this is only asked where it occurs, not how often: its weight is small and
# the number of times would take three times as long to read.
EXACT_POSTINGS = 200_000
# Reading costs about 0.15 microseconds a posting with counts and 0.1 without: the sum stays near 0.1 s.
COST_BUDGET = 600_000
# From this size on, stop words beside other words are not even looked up.
STOP_WORDS_FROM = 50_000

# Words of queries whose terms are remembered.
KNOWN_WORDS = 10_000
# Characters of texts that are marked in one go: what FTS5 holds of them in memory is several times as much.
MARKED_AT_ONCE = 1 << 20

STOP_WORDS = """
a about all also am an and any are as at be because been but by can could did do does for from had has
have he her his how i if in into is it its just me more most my no not of on one or our out over she
should so some such than that the their them then there these they this to up was we were what when where
which who why will with would you your
"""

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class QueryWords:
    """The words of a query as the index knows them.

    Attributes:
        terms: the distinct index terms, in order of appearance.
        words: for each term one word of the query that gives just this term, or None.
        stop: for each term whether it comes from stop words only.
        code: for each term whether it comes from a code, see :func:`is_code`.
    """

    terms: tuple[str, ...]
    words: tuple[str | None, ...]
    stop: tuple[bool, ...]
    code: tuple[bool, ...]

    @property
    def telling(self) -> tuple[int, ...]:
        """Positions of the terms that are no stop words; all, if there are only stop words."""
        kept = tuple(i for i, is_stop in enumerate(self.stop) if not is_stop)
        return kept or tuple(range(len(self.terms)))


class Analyzer:
    """Folds texts and runs FTS5's own tokenizer over them, so that queries and passages are cut as texts were.

    Args:
        tokenizer: an FTS5 tokenizer description, e.g. ``"porter unicode61 remove_diacritics 2"``.
        analysis: how the texts of the index were folded, see :data:`vicinal.index.folding.ANALYSIS`.
        path: the index, to name it where its analysis is an old one.

    Raises:
        sqlite3.Error: FTS5 does not know the tokenizer.
    """

    def __init__(self, tokenizer: str, analysis: int = ANALYSIS, path: str = "") -> None:
        self.analysis = analysis
        self._folds = analysis >= 2
        self._pairs = cuts_pairs(tokenizer)
        more = re.search(r"tokenchars'?\s+('(?:[^']|'')*'|\S+)", tokenizer)
        self._more = more[1].removeprefix("'").removesuffix("'").replace("''", "'") if more else ""
        self._lowers = "case_sensitive 1" not in " ".join(tokenizer.split()).replace("'", "")
        self._old = path if analysis < ANALYSIS else None
        if self._folds:
            tokenizer = with_marks(tokenizer)
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, ...]] = {}
        self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._db.execute(f"CREATE VIRTUAL TABLE word USING fts5(text, tokenize={quote(tokenizer)})")
        self._db.execute("CREATE VIRTUAL TABLE term USING fts5vocab(word, 'instance')")
        self._db.execute(f"CREATE VIRTUAL TABLE page USING fts5(text, tokenize={quote(tokenizer)})")
        self._stop = frozenset(term for terms in self._cut(STOP_WORDS.split()) for term in terms)

    def close(self) -> None:
        """Free the private in-memory tables, after the calls under way."""
        with self._lock:
            self._db.close()

    def query(self, text: str) -> QueryWords:
        """Cut a query into words and terms."""
        found = query_words(text, self._pairs, self._more) if self._folds else _WORD.findall(text)
        words = list(dict.fromkeys(found))
        known: dict[str, str | None] = {}
        codes: set[str] = set()
        shouted = text.isupper()
        for word, terms in zip(words, self._terms(words), strict=True):
            if is_code(word.lower() if shouted else word):
                codes.update(terms)
            for term in terms:
                if known.get(term) is None:
                    known[term] = word if len(terms) == 1 else None
        names = tuple(known)
        return QueryWords(
            names,
            tuple(known.values()),
            tuple(term in self._stop for term in names),
            tuple(term in codes for term in names),
        )

    def warn_if_old(self) -> None:
        """Say once if the words of the index were cut as an older version did."""
        path, self._old = self._old, None
        if path is None:
            return
        warnings.warn(
            f"index {path!r} was made by an older version, whose lexical search finds no words of Chinese, "
            "Japanese or Thai and misses accents in decomposed form: its next change (add, upsert, delete, "
            "compact) brings it up to date",
            OldIndexWarning,
            stacklevel=caller_level(),
        )

    def _terms(self, words: Sequence[str]) -> list[tuple[str, ...]]:
        """The terms of each word, from memory where it was cut before."""
        found = [self._known.get(word) for word in words]
        new = [word for word, terms in zip(words, found, strict=True) if terms is None]
        if not new:
            return [terms for terms in found if terms is not None]
        cut = dict(zip(new, map(tuple, self._cut(new)), strict=True))
        if len(self._known) + len(cut) > KNOWN_WORDS:
            self._known = {}  # a new one: other threads may be reading the old
        self._known.update(cut)
        return [cut[word] if terms is None else terms for word, terms in zip(words, found, strict=True)]

    def places(self, words: Sequence[str], texts: Sequence[str]) -> list[list[Span]]:
        """Where words stand in texts: ``[start, end)`` in characters, in order, for each text.

        The texts are put into a table of their own and asked for all at once. Asking the index's own table
        for a few of its rows takes five times as long: FTS5 looks each word up anew for each row.

        Args:
            words: one at least.
            texts: as they are.
        """
        if not self._pairs:
            return [self._trigram_places(words, self._folded(text)) for text in texts]
        wanted = match_any(words)
        spans: list[list[Span]] = [[] for _ in texts]
        for group in _groups(texts):
            folded = {i: self._folded(texts[i]) for i in group}
            before, after = _unused("".join([one.text for one in folded.values()]))
            with self._table() as db:
                db.executemany(
                    "INSERT INTO page(rowid, text) VALUES (?, ?)",
                    ((i, one.text) for i, one in folded.items()),
                )
                marked = db.execute(
                    "SELECT rowid, highlight(page, 0, ?, ?) FROM page WHERE page MATCH ?",
                    (before, after, wanted),
                ).fetchall()
            for i, text in marked:
                spans[i] = folded[i].original(marked_spans(text, folded[i].text, before, after))
        return spans

    def _trigram_places(self, terms: Sequence[str], folded: Folded) -> list[Span]:
        """Trigrams overlap, and ``highlight()`` of SQLite up to 3.43 repeats text then: they are looked for here."""
        text = folded.text
        if self._lowers:
            text, terms = _lowered(text), [_lowered(term) for term in terms]
        found = sorted(
            (at, at + len(term)) for term in set(terms) if len(term) > 2 for at in _occurrences(text, term)
        )
        spans: list[Span] = []
        for start, end in found:
            if spans and start < spans[-1][1]:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
        return folded.original(spans)

    def _folded(self, text: str) -> Folded:
        return Folded.of(text, self._pairs) if self._folds else Folded(text, None, ())

    def _cut(self, words: Sequence[str]) -> list[list[str]]:
        terms: list[list[str]] = [[] for _ in words]
        with self._table() as db:
            db.executemany("INSERT INTO word(rowid, text) VALUES (?, ?)", enumerate(words))
            for term, row in db.execute("SELECT term, doc FROM term ORDER BY doc, offset"):
                terms[row].append(term)
        return terms

    @contextmanager
    def _table(self) -> Iterator[sqlite3.Connection]:
        """The tables, empty, for one thread; what is put in is taken back: quicker than deleting it."""
        with self._lock:
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                self._db.execute("ROLLBACK")


def _groups(texts: Sequence[str]) -> Iterator[range]:
    """Consecutive places of texts, each group of few characters or a single text."""
    first = held = 0
    for i, text in enumerate(texts):
        if held and held + len(text) > MARKED_AT_ONCE:
            yield range(first, i)
            first, held = i, 0
        held += len(text)
    if first < len(texts):
        yield range(first, len(texts))


def _unused(text: str) -> tuple[str, str]:
    """Two different characters that the text does not hold, and that are no letters."""
    candidates = itertools.chain((2, 3), range(0xE000, 0xF900), range(0xF0000, 0xFFFFE))  # for private use
    free = (c for c in map(chr, candidates) if c not in text)
    return next(free), next(free)


def _lowered(text: str) -> str:
    """Letter by letter, as FTS5 does it, so that offsets stay."""
    return "".join([c.lower() if len(c.lower()) == 1 else c for c in text]).replace("ς", "σ")


def _occurrences(text: str, term: str) -> Iterator[int]:
    at = text.find(term)
    while at >= 0:
        yield at
        at = text.find(term, at + 1)


def cuts_pairs(tokenizer: str) -> bool:
    """Whether texts in scripts without spaces are cut into pairs for a tokenizer; trigrams cut them already."""
    return tokenizer.split()[:1] != ["trigram"]


def with_marks(tokenizer: str) -> str:
    """A tokenizer description that takes marks (the vowels of Hindi, say) for parts of words.

    FTS5's ``unicode61`` cuts words at them, unless it is told what characters to keep; whoever tells it
    otherwise is left alone.
    """
    names = tokenizer.split()
    if names == ["porter"]:
        return f"porter unicode61 {_CATEGORIES}"
    if "unicode61" in names[:2] and not {"categories", "'categories'"} & set(names):
        return f"{tokenizer} {_CATEGORIES}"
    return tokenizer


# Letters, numbers and private use as by default, and marks.
_CATEGORIES = "categories 'L* N* Co Mn Mc'"


def quote(text: str) -> str:
    """A text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def match_any(words: Sequence[str]) -> str:
    """An FTS5 expression that finds any of the words, whatever characters they hold."""
    return " OR ".join('"' + word.replace('"', '""') + '"' for word in words)


def affordable(frequencies: Sequence[int]) -> list[int]:
    """Which terms to score: the rarest ones that together stay inside the budget, at least one.

    A frequent term decides little (its idf is near 0) and costs much, so it is the one to leave out.

    Args:
        frequencies: in how many documents each term occurs.

    Returns:
        Positions of the terms to score, rarest first; terms that occur nowhere are left out.
    """
    chosen: list[int] = []
    spent = 0
    for i in sorted((i for i, df in enumerate(frequencies) if df), key=lambda i: frequencies[i]):
        df = frequencies[i]
        spent += df if df > EXACT_POSTINGS else 2 * df
        if chosen and spent > COST_BUDGET:
            break
        chosen.append(i)
    return chosen


def is_code(word: str) -> bool:
    """Whether a word looks like a name that is meant to the letter: ``E0499``, ``404``, ``ENOENT``, ``getItem``."""
    if any(map(str.isdigit, word)):
        return len(word) >= 3 or not word.isdigit()
    return any(map(str.isupper, word[1:]))


def rare(frequency: int, documents: int) -> bool:
    """Whether a term is in so few documents that it tells them apart from all others."""
    return 0 < frequency <= max(3, documents // 1000)


def idf(frequency: int, documents: int) -> float:
    """The inverse document frequency of BM25, positive for every term."""
    return math.log1p((documents - frequency + 0.5) / (frequency + 0.5))


def counts(places: Ints) -> tuple[Ints, Floats]:
    """Document numbers that repeat once an occurrence, ascending, as distinct numbers and counts."""
    edges = np.flatnonzero(np.diff(places, prepend=-1))
    return places[edges], np.diff(edges, append=len(places)).astype(np.float32)


def bm25(times: Floats, lengths: Floats, mean: float, documents: int) -> Floats:
    """The BM25 contributions of one term.

    Args:
        times: how often it occurs in each document that has it.
        lengths: the lengths of these documents. Characters here: BM25 only uses the ratio to the mean,
            which is nearly the same as with words, and the offsets of the chunks already tell it.
        mean: the mean length of all documents.
        documents: how many documents there are.

    Returns:
        One score for each of these documents, positive.

    Source:
        Robertson, Zaragoza: The Probabilistic Relevance Framework: BM25 and Beyond, 2009, with the idf
        ``ln(1 + (N - df + 0.5) / (df + 0.5))`` that is positive for every term.
    """
    weight = np.float32(idf(len(times), documents))
    norm = np.float32(K1 * (1 - B)) + lengths * np.float32(K1 * B / mean)
    scores: Floats = weight * (times * np.float32(K1 + 1) / (times + norm))
    return scores


def marked_spans(marked: str, original: str, before: str, after: str) -> list[Span]:
    """Where the marks stand in a text that FTS5's ``highlight()`` marked, in offsets of the original.

    Args:
        marked: the text with marks.
        original: the text without them.
        before: the one character in front of each match.
        after: the one character behind it.

    Returns:
        The matches; none if the marked text is not the original with marks.
    """
    spans: list[Span] = []
    plain: list[str] = []
    at = 0
    for i, part in enumerate(marked.split(before)):
        inside, _, outside = part.partition(after) if i else ("", "", part)
        if i:
            spans.append((at, at + len(inside)))
        plain += [inside, outside]
        at += len(inside) + len(outside)
    return spans if "".join(plain) == original else []
