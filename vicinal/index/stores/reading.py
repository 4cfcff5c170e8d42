"""One consistent state of the file, to read from."""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from vicinal.index.filters import Node
from vicinal.index.lexical import (
    EXACT_POSTINGS,
    K1,
    STOP_WORDS_FROM,
    Analyzer,
    QueryWords,
    affordable,
    bm25,
    counts,
    idf,
    match_any,
    rare,
)
from vicinal.index.memory import View
from vicinal.index.results import Document, Span
from vicinal.index.segments import Bools, Floats, Ints
from vicinal.index.stores.base import Evidence, Found
from vicinal.index.stores.damage import Damage
from vicinal.index.stores.filtering import BATCH, holds, matching, numbers
from vicinal.index.stores.texts import DIGEST_BYTES, content_digest, sealed, unpack_text
from vicinal.vectors.topk import largest

_JSON = json.JSONDecoder()


class Caches:
    """What readers of one version may share: filter masks and document frequencies.

    Not locked: every operation on it is a single one on a dictionary, and a lost entry is made again.

    Args:
        version: the version of the file it is for.
        commit: the commit that made this version, None in files from before there were such.
    """

    def __init__(self, version: int, commit: object = None) -> None:
        self.version = version
        self.commit = commit
        self.masks: OrderedDict[str, Bools] = OrderedDict()
        self.frequencies: dict[str, int] = {}

    def keep(self, key: str, mask: Bools) -> None:
        """Remember a mask; of many, only the last few."""
        self.masks[key] = mask
        while len(self.masks) > 8:
            self.masks.popitem(last=False)


class SqliteReader:
    """Implements :class:`vicinal.index.stores.base.Reader` inside one read transaction.

    Args:
        db: a connection with an open transaction.
        view: the vectors at exactly the state of this transaction.
        caches: shared by readers of this version.
        analyzer: the index's tokenizer.
        check: raises if the file is no longer the one that was opened.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        view: View,
        caches: Caches,
        analyzer: Analyzer,
        check: Callable[[], None],
    ) -> None:
        self.db = db
        self.view = view
        self.check = check
        self._caches = caches
        self._analyzer = analyzer
        self._where: Node | None = None

    def count(self) -> int:
        """Living documents."""
        row = self.db.execute("SELECT value FROM state WHERE key = 'documents'").fetchone()
        if row is None or type(row[0]) is not int:
            raise Damage("the number of documents is missing")
        return row[0]

    # -- filters -------------------------------------------------------------------------------------

    def mask(self, where: Node) -> Bools:
        """Which documents a filter holds for, as booleans over document numbers; dead ones are False."""
        self._where = where
        key = repr(where)  # the nodes themselves would compare True equal to 1
        known = self._caches.masks.get(key)
        if known is not None:
            return known
        mask = matching(self.db, where, self.view.doc_limit, lambda: self.view.lengths[0])
        self._caches.keep(key, mask)
        return mask

    # -- retrievers ----------------------------------------------------------------------------------

    def dense(self, query: Floats, k: int, where: Node | None) -> list[Found]:
        """The ``k`` documents with the best chunk by dot product, best first."""
        view = self.view
        rows, scores = view.top(query, k, None if where is None else self.mask(where))
        return [
            Found(int(view.docs[row]), score, (int(view.starts[row]), int(view.ends[row])))
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def usual(self, query: Floats) -> float:
        """What a chunk's dot product with a query usually is."""
        return float(self.view.middle @ query)

    def lexical(self, query: str, k: int, where: Node | None) -> list[Found]:
        """The ``k`` best documents by BM25, best first."""
        view = self.view
        self._analyzer.warn_if_old()
        words = self._analyzer.query(query)
        documents = len(view.last_chunks)
        picked = self._picked(words)
        frequencies = [self._frequency(words.terms[i]) for i in picked]
        scores = np.zeros(view.doc_limit, np.float32)
        for i in affordable(frequencies):
            term, word = words.terms[picked[i]], words.words[picked[i]]
            if frequencies[i] > EXACT_POSTINGS and word is not None:
                sql = "SELECT group_concat(rowid) FROM lexical WHERE lexical MATCH ?"
                docs = numbers(self.db, sql, (match_any([word]),), view.doc_limit)
                times = np.ones(len(docs), np.float32)
            else:
                sql = "SELECT group_concat(doc) FROM lexical_places WHERE term = ?"
                docs, times = counts(numbers(self.db, sql, (term,), view.doc_limit))
            scores[docs] += bm25(times, view.doc_lengths[docs], view.lengths[2], documents)
        if where is not None:
            scores *= self.mask(where)
        found = np.flatnonzero(scores)
        best = found[largest(scores[found], k)]
        return [Found(doc, float(scores[doc])) for doc in best.tolist()]

    def _picked(self, words: QueryWords) -> tuple[int, ...]:
        large = len(self.view.last_chunks) >= STOP_WORDS_FROM
        return words.telling if large else tuple(range(len(words.terms)))

    def evidence(self, query: str) -> Evidence:
        """What the words of a query tell: the best score there could be, and who holds its rare codes."""
        words = self._analyzer.query(query)
        documents = len(self.view.last_chunks)
        ceiling = total = 0.0
        codes: dict[int, float] = {}
        for i in self._picked(words):
            frequency = self._frequency(words.terms[i])
            weight = idf(frequency, documents)
            ceiling += (K1 + 1) * weight
            if words.code[i] and rare(frequency, documents):
                total += weight
                sql = "SELECT group_concat(DISTINCT doc) FROM lexical_places WHERE term = ?"
                for doc in numbers(self.db, sql, (words.terms[i],), self.view.doc_limit).tolist():
                    codes[doc] = codes.get(doc, 0.0) + weight
        return Evidence(ceiling, {doc: held / total for doc, held in codes.items()})

    def _frequency(self, term: str) -> int:
        known = self._caches.frequencies.get(term)
        if known is None:
            row = self.db.execute("SELECT doc FROM lexical_terms WHERE term = ?", (term,)).fetchone()
            known = self._caches.frequencies[term] = int(row[0]) if row else 0
        return known

    def matches(self, query: str, texts: Sequence[str]) -> list[list[Span]]:
        """Where words of the query stand in texts, stop words aside."""
        if not texts:
            return []
        words = self._analyzer.query(query)
        told = [words.words[i] or words.terms[i] for i in words.telling if self._frequency(words.terms[i])]
        return self._analyzer.places(told, texts) if told else [[] for _ in texts]

    # -- documents -----------------------------------------------------------------------------------

    def documents(self, docs: Sequence[int]) -> list[Document]:
        """Documents by number, in that order."""
        rows = self._some("doc, id, metadata, text, digest", "doc", docs)
        found = {row[0]: checked_document(*row[1:]) for row in rows}
        if len(found) != len(set(docs)):
            raise Damage("a document that was found is not there")
        for one in found.values():
            if self._where is not None and not holds(self._where, one.metadata):
                raise Damage(f"document {one.id!r} was found by a filter that does not hold for it")
        return [found[doc] for doc in docs]

    def by_id(self, ids: Sequence[str]) -> dict[str, Document]:
        """The documents of those ids that exist."""
        rows = self._some("id, metadata, text, digest", "id", ids)
        return {row[0]: checked_document(*row) for row in rows}

    def ids(self, prefix: str) -> list[str]:
        """The ids that begin with ``prefix``, in the order of adding."""
        # A prefix of ids is a range of them: their bytes are compared, and no byte of UTF-8 is 0xff.
        sql = "SELECT id FROM documents WHERE id >= ? AND CAST(id AS BLOB) < ? ORDER BY doc"
        return [row[0] for row in self.db.execute(sql, (prefix, prefix.encode() + b"\xff"))]

    def digests(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The content hashes of those ids that exist."""
        found = dict(self._some("id, digest", "id", ids))
        if not all(isinstance(digest, bytes) for digest in found.values()):
            raise Damage("a content hash has a wrong type")
        return {id: digest[:DIGEST_BYTES] for id, digest in found.items()}

    def _some(self, columns: str, key: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        for at in range(0, len(values), BATCH):
            some = values[at : at + BATCH]
            marks = ",".join("?" * len(some))
            # Fetched at once: what is left of a cursor after an error would outlive the connection.
            sql = f"SELECT {columns} FROM documents WHERE {key} IN ({marks})"
            yield from self.db.execute(sql, some).fetchall()

    def chunks(self, doc: int) -> list[Span]:
        """The chunks of a document."""
        view = self.view
        return [(int(view.starts[row]), int(view.ends[row])) for row in view.chunks_of(doc)]

    def revision(self) -> str:
        """What tells this state from every other one."""
        return f"{self.view.generation}-{self.view.version}-{self._caches.commit or ''}"

    def living(self) -> Ints:
        """The numbers of all documents, ascending."""
        return self.view.docs[self.view.last_chunks]

    def directions(self, docs: Ints) -> Floats:
        """``(n, d)`` the sum of the vectors of each document's chunks; numbers ascending."""
        view = self.view
        starts = np.searchsorted(view.docs, docs, "left")
        counts = np.searchsorted(view.docs, docs, "right") - starts
        before = np.cumsum(counts) - counts
        rows = np.repeat(starts - before, counts) + np.arange(int(counts.sum()))
        sums: Floats = np.add.reduceat(view.vectors(rows), before, axis=0)
        return sums

    def every(self) -> Iterator[Document]:
        """All documents, in the order of adding."""
        for row in self.db.execute("SELECT id, metadata, text, digest FROM documents ORDER BY doc"):
            yield checked_document(*row)
        self.check()


def document(id: Any, metadata: Any, text: Any) -> Document:
    """A row of ``documents``, its parts read.

    Raises:
        Damage: a part cannot be read.
    """
    try:
        parsed = _JSON.decode(metadata) if metadata is not None else {}
        text = unpack_text(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise Damage(f"document {id!r} cannot be read ({error})") from None
    if not (isinstance(id, str) and isinstance(text, str) and isinstance(parsed, dict)):
        raise Damage(f"document {id!r} has parts of a wrong type")
    return Document(id, text, parsed)


def checked_document(id: Any, metadata: Any, text: Any, digest: Any) -> Document:
    """A row of ``documents`` that is what was written: about a microsecond, and one for each KB of text.

    Raises:
        Damage: text, metadata or id do not match the hash that was stored with them.
    """
    read = document(id, metadata, text)
    right = content_digest(read.text, metadata)
    if digest != sealed(id, right) and digest != right:
        raise Damage(f"document {id!r}: its id, text or metadata does not match its hash")
    return read
