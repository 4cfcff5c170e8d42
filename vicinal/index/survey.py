"""Documents of an index with their vectors: what a map of a collection is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vicinal.core.inputs import as_count, as_integer
from vicinal.index.index import Index
from vicinal.index.results import Document
from vicinal.index.segments import Floats

# Documents read at a time.
_PART = 1000


@dataclass(frozen=True, slots=True)
class Survey:
    """Documents of one state of an index.

    Attributes:
        revision: what tells this state from every other one.
        total: how many documents the state has.
        documents: some of them, or all, in the order of adding.
        vectors: ``(len(documents), d)`` the direction of each: the sum of its chunks' vectors.
    """

    revision: str
    total: int
    documents: tuple[Document, ...]
    vectors: Floats


def revision(index: Index) -> str:
    """What tells the state of an index from every other one.

    Raises:
        StoreError: the file cannot be read.
    """
    with index._store.reader(ranking=True) as reader:
        return reader.revision()


def survey(index: Index, limit: int, seed: int = 0, *, characters: int | None = None) -> Survey:
    """Documents of an index with their vectors, all of one state.

    Args:
        index: an open index.
        limit: of more documents than this, so many are drawn at random.
        seed: of that; the same state and seed give the same documents.
        characters: of longer texts only the beginning is kept; None keeps all.

    Raises:
        InputError: ``limit`` or ``characters`` is below 1.
        StoreError: the file cannot be read.
    """
    limit, seed = as_count(limit, "limit"), as_integer(seed, "seed")
    if characters is not None:
        characters = as_count(characters, "characters")
    with index._store.reader(ranking=True) as reader:
        docs = reader.living()
        total = len(docs)
        if total > limit:
            docs = np.sort(np.random.default_rng(seed).choice(docs, limit, replace=False))
        if not total:
            return Survey(reader.revision(), 0, (), np.zeros((0, 1), np.float32))
        vectors, documents = list[Floats](), list[Document]()
        for at in range(0, len(docs), _PART):
            part = docs[at : at + _PART]
            vectors.append(reader.directions(part))
            for document in reader.documents(part.tolist()):
                documents.append(replace(document, text=document.text[:characters]))
        return Survey(reader.revision(), total, tuple(documents), np.concatenate(vectors))
