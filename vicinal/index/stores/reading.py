"""One consistent state of the file, to read from."""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vicinal.errors import StoreError
from vicinal.index.filters import Node
from vicinal.index.lexical import (
    EXACT_POSTINGS,
    STOP_WORDS_FROM,
    Analyzer,
    affordable,
    bm25,
    counts,
    match_any,
)
from vicinal.index.memory import View
from vicinal.index.results import Document, Span
from vicinal.index.segments import Bools, Floats
from vicinal.index.stores.base import Found
from vicinal.index.stores.database import DAMAGED
from vicinal.index.stores.filtering import BATCH, matching, numbers
from vicinal.index.stores.texts import unpack_text
from vicinal.vectors.topk import largest

_JSON = json.JSONDecoder()


class Caches:
    """What readers of one version may share: filter masks and document frequencies.

    Not locked: every operation on it is a single one on a dictionary, and a lost entry is made again.

    Args:
        version: the version of the file it is for.
    """

    def __init__(self, version: int) -> None:
        self.version = version
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
    """

    def __init__(self, db: sqlite3.Connection, view: View, caches: Caches, analyzer: Analyzer) -> None:
        self.db = db
        self.view = view
        self._caches = caches
        self._analyzer = analyzer

    def count(self) -> int:
        """Living documents."""
        return int(self.db.execute("SELECT value FROM state WHERE key = 'documents'").fetchone()[0])

    # -- filters -------------------------------------------------------------------------------------

    def mask(self, where: Node) -> Bools:
        """Which documents a filter holds for, as booleans over document numbers; dead ones are False."""
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

    def lexical(self, query: str, k: int, where: Node | None) -> list[Found]:
        """The ``k`` best documents by BM25, best first."""
        view = self.view
        words = self._analyzer.query(query)
        documents = len(view.last_chunks)
        picked = words.telling if documents >= STOP_WORDS_FROM else tuple(range(len(words.terms)))
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
        found = {row[0]: document(*row[1:]) for row in self._some("doc, id, metadata, text", "doc", docs)}
        if len(found) != len(set(docs)):
            raise StoreError(DAMAGED)
        return [found[doc] for doc in docs]

    def by_id(self, ids: Sequence[str]) -> dict[str, Document]:
        """The documents of those ids that exist."""
        return {row[0]: document(*row) for row in self._some("id, metadata, text", "id", ids)}

    def ids(self, prefix: str) -> list[str]:
        """The ids that begin with ``prefix``, in the order of adding."""
        # A prefix of ids is a range of them: their bytes are compared, and no byte of UTF-8 is 0xff.
        sql = "SELECT id FROM documents WHERE id >= ? AND CAST(id AS BLOB) < ? ORDER BY doc"
        return [row[0] for row in self.db.execute(sql, (prefix, prefix.encode() + b"\xff"))]

    def digests(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The content hashes of those ids that exist."""
        return dict(self._some("id, digest", "id", ids))

    def _some(self, columns: str, key: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        for at in range(0, len(values), BATCH):
            some = values[at : at + BATCH]
            marks = ",".join("?" * len(some))
            yield from self.db.execute(f"SELECT {columns} FROM documents WHERE {key} IN ({marks})", some)

    def chunks(self, doc: int) -> list[Span]:
        """The chunks of a document."""
        view = self.view
        return [(int(view.starts[row]), int(view.ends[row])) for row in view.chunks_of(doc)]

    def every(self) -> Iterator[Document]:
        """All documents, in the order of adding."""
        for row in self.db.execute("SELECT id, metadata, text FROM documents ORDER BY doc"):
            yield document(*row)


def document(id: Any, metadata: Any, text: Any) -> Document:
    """A row of ``documents``, checked."""
    try:
        parsed = _JSON.decode(metadata) if metadata is not None else {}
        text = unpack_text(text)
    except (ValueError, TypeError) as error:
        raise StoreError(f"document {id!r} cannot be read ({error}): {DAMAGED}") from None
    if not (isinstance(id, str) and isinstance(text, str) and isinstance(parsed, dict)):
        raise StoreError(f"document {id!r} has parts of a wrong type: {DAMAGED}")
    return Document(id, text, parsed)
