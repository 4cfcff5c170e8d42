"""Keep texts, find them again: the index over one file."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from vicinal.errors import InputError
from vicinal.index import records
from vicinal.index.asking import asked
from vicinal.index.best import Rerankers, answer, nothing
from vicinal.index.encoder import DEFAULT_MODEL, EmbeddingModel, Encoder, name_of
from vicinal.index.export import backup_target, export_target, write_lines
from vicinal.index.filters import parse_filter
from vicinal.index.reranking import Reranker
from vicinal.index.results import Document, Hits, IndexInfo, VerifyReport
from vicinal.index.retrievers import Mode, needs_model, questions
from vicinal.index.searching import search
from vicinal.index.settings import check_settings
from vicinal.index.stores.base import ModelFacts, Store, compare_models
from vicinal.index.stores.sqlite import SqliteStore


class Index:
    """Texts with their vectors and metadata in one file, searched by meaning, by words, or by both.

    Any number of processes and threads may read while one writes; writers wait for one another. Every
    call that changes something is one transaction: it happens wholly or not at all, and once it returns
    it survives the end of the process.

    Args:
        path: the file; it is made if it does not exist. While it is open a ``-wal`` and a ``-shm`` file
            may stand beside it and belong to it; after :meth:`close` it is a single file.
        model: what makes the vectors: a model's name or path, loaded when first needed, or an object
            (see :class:`vicinal.index.encoder.EmbeddingModel`). None is the model that the file was made
            with, and for a new file ``"vicinal-mini"``.
        read_only: refuse every change.
        timeout: seconds that a change waits while another process or thread is writing.
        storage: for a new file, how vectors are stored: ``"int16"`` (16 bits a number and a scale a row;
            similarities of unit vectors are exact to about 1e-5) or ``"float32"`` (all bits, twice the
            size). In memory they are float32 either way.
        tokenizer: for a new file, the FTS5 tokenizer of the lexical retriever. The default knows words of all
            alphabets and English endings, and cuts scripts without spaces into pairs of characters;
            ``"trigram"`` finds parts of words of three letters or more.
        chunk_tokens: for a new file, the longest chunk in tokens. None is the model's window
            (``max_seq_length``), and 512 for a model without one.
        chunk_overlap: for a new file, about how many tokens neighbouring chunks share.

    Raises:
        StoreError: the file is no index, is damaged, or cannot be opened.
        InputError: it was made with another model (the message names both).

    Example:
        >>> with Index("notes.db") as index:                                          # doctest: +SKIP
        ...     index.add(["The kettle boils.", "Snow fell all night."], ids=["a", "b"])
        ...     print(index.search("winter weather", top_k=1)[0].id)
        b
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: str | EmbeddingModel | None = None,
        *,
        read_only: bool = False,
        timeout: float = 30.0,
        storage: str = "int16",
        tokenizer: str = "porter unicode61 remove_diacritics 2",
        chunk_tokens: int | None = None,
        chunk_overlap: int = 32,
    ) -> None:
        path, timeout, chunk_tokens, chunk_overlap = check_settings(
            path, read_only, timeout, storage, tokenizer, chunk_tokens, chunk_overlap
        )
        self.path = path
        given = DEFAULT_MODEL if model is None else model
        Encoder(given, chunk_tokens, chunk_overlap)  # checks the model's type
        store: Store = SqliteStore(
            path,
            timeout=timeout,
            read_only=read_only,
            model=given if isinstance(given, str) else name_of(given),
            storage=storage,
            tokenizer=tokenizer,
            chunk_overlap=chunk_overlap,
        )
        self._store = store
        self._compared = False
        self._rerankers = Rerankers()
        try:
            stored = store.facts()
            name = stored.name if stored else store.model_name()
            self._encoder = Encoder(
                name if model is None else model,
                stored.chunk_tokens if stored else chunk_tokens,
                store.chunk_overlap,
                named_by=path if model is None else None,
            )
            # The same name again is compared when it is loaded; anything else at once.
            if stored and (self._encoder.loaded or (model is not None and model != name)):
                compare_models(path, stored, self._encoder.facts())
        except BaseException:
            store.close()
            raise

    # -- changing ------------------------------------------------------------------------------------

    def add(
        self,
        texts: str | Iterable[str],
        ids: str | Iterable[str] | None = None,
        metadatas: Mapping[str, Any] | Iterable[Mapping[str, Any] | None] | None = None,
    ) -> list[str]:
        """Add documents. Encodes them, then writes all of them in one transaction.

        Args:
            texts: the texts, or one.
            ids: an id for each, new to the index; None makes some up.
            metadatas: a dictionary of JSON types (or None) for each.

        Returns:
            The ids.

        Raises:
            InputError: an id is taken or comes twice, or the numbers of texts, ids and metadatas differ.
            StoreError: the file cannot be written (disk full, another writer, damaged); nothing changed.
        """
        return self._write(texts, ids, metadatas, replace=False)

    def upsert(
        self,
        texts: str | Iterable[str],
        ids: str | Iterable[str] | None = None,
        metadatas: Mapping[str, Any] | Iterable[Mapping[str, Any] | None] | None = None,
    ) -> list[str]:
        """Add documents, replacing those whose ids are taken (text and metadata, as a whole).

        Args:
            texts: the texts, or one.
            ids: an id for each; None makes some up.
            metadatas: a dictionary of JSON types (or None) for each.

        Returns:
            The ids.

        Raises:
            InputError: an id comes twice, or the numbers of texts, ids and metadatas differ.
            StoreError: the file cannot be written; nothing changed.
        """
        return self._write(texts, ids, metadatas, replace=True)

    def _write(self, texts: Any, ids: Any, metadatas: Any, replace: bool) -> list[str]:
        texts = records.canonical_texts(texts)
        new = records.new_ids(ids, len(texts))
        canonical = records.canonical_metadatas(metadatas, len(texts))
        if not texts:
            return []
        if ids is not None and not replace:
            with self._store.reader() as reader:  # before the work of encoding; again below, for good
                records.refuse_taken(self.path, list(reader.digests(new)))
        facts = self._checked_facts()
        spans = self._encoder.chunks(texts, facts)
        pieces = [text[a:b] for text, cuts in zip(texts, spans, strict=True) for a, b in cuts]
        vectors = self._encoder.documents(pieces, facts)
        documents = records.new_documents(new, texts, canonical, spans)
        with self._store.writer() as writer:
            writer.bind(facts)
            if replace:
                writer.delete(new)
            else:
                records.refuse_taken(self.path, writer.existing(new))
            writer.insert(documents, vectors)
        return new

    def delete(
        self, ids: str | Iterable[str] | None = None, *, filter: Mapping[str, Any] | None = None
    ) -> int:
        """Remove documents by id, or all that a filter holds for.

        Args:
            ids: ids, or one; those that are not there are passed over.
            filter: a metadata filter; an empty one removes everything.

        Returns:
            How many documents were removed.

        Raises:
            InputError: neither or both are given, or the filter is wrong.
            StoreError: the file cannot be written; nothing changed.
        """
        if (ids is None) == (filter is None):
            raise InputError("delete() takes either ids or filter=: give one of them")
        where = None if filter is None else parse_filter(filter)
        listed = [] if ids is None else list(dict.fromkeys(records.canonical_ids(ids)))
        with self._store.writer() as writer:
            return writer.delete(listed) if where is None else writer.delete_where(where)

    def compact(self) -> None:
        """Drop what deletions left behind, tidy the full-text index, and give the space back.

        Needs about the size of the file in free space while it runs; readers go on meanwhile.

        Raises:
            StoreError: another writer is busy, or the disk is full.
        """
        self._store.compact()

    # -- reading -------------------------------------------------------------------------------------

    def get(self, ids: str | Iterable[str]) -> list[Document | None]:
        """Documents by id.

        Args:
            ids: ids, or one.

        Returns:
            One entry for each id, in that order; None where there is no such document.
        """
        listed = records.canonical_ids(ids)
        with self._store.reader() as reader:
            found = reader.by_id(list(dict.fromkeys(listed)))
        return [found.get(id) for id in listed]

    def ids(self, prefix: str = "") -> list[str]:
        """The ids of all documents, in the order of adding.

        Args:
            prefix: only those that begin with it.
        """
        prefix = records.canonical_prefix(prefix)
        with self._store.reader() as reader:
            return reader.ids(prefix)

    def digests(self, ids: Iterable[str]) -> dict[str, bytes]:
        """The content hashes of those ids that exist, to see what has changed without reading it.

        See :func:`vicinal.index.stores.texts.content_digest` for what is hashed.
        """
        with self._store.reader() as reader:
            return reader.digests(records.canonical_ids(ids))

    def search(
        self,
        query: str,
        top_k: int = 10,
        filter: Mapping[str, Any] | None = None,
        mode: Mode = "dense",
        reranker: Reranker | None = None,
        candidates: int | None = None,
        merge_duplicates: bool = True,
        *,
        budget_ms: float | None = None,
    ) -> Hits:
        """Find the documents that answer a query best.

        Dense search compares the query with every chunk, exactly; lexical search is BM25 over whole
        documents; hybrid fuses the two by their scores, which tell nothing of relevance in themselves, and puts
        documents that hold a rare code of the query (``E0499``) first. Best is hybrid with a reranker, where there is
        one: it reads the best candidates, as many as the budget allows, and its scores are blended with the fused
        ones. A document comes once, with its best chunk, and a passage comes once.

        Args:
            query: the query.
            top_k: how many documents at most.
            filter: a metadata filter (see :mod:`vicinal.index.filters`), applied before the search.
            mode: ``"dense"``, ``"lexical"``, ``"hybrid"`` or ``"best"``.
            reranker: something with ``rank(query, documents, top_k=...)`` or ``predict(pairs)``, such as
                :class:`vicinal.CrossEncoder`; orders the best candidates again by their best passages. None in mode
                best is the one that comes with Vicinal, if any.
            candidates: how many documents the reranker reads, at least ``top_k`` but in mode best. None is 100; in
                mode best 30, and with a budget up to 100.
            merge_duplicates: of documents with the same passage give the best only, with the ids of the others in
                ``hit.duplicates`` as far as the search has come upon them; False gives each one as a hit of its own.
            budget_ms: milliseconds for a search in mode best, not counting the loading of models; None without a
                limit. The retrievers always run; what the reranker then has time for can differ between calls.

        Returns:
            Hits, best first: a list whose ``report`` says what was used and left out. A blank query finds nothing.

        Raises:
            InputError: an argument is invalid, or the file was made with another model.
            StoreError: the file cannot be read.
        """
        began = time.perf_counter()
        given = asked(query, top_k, filter, mode, reranker, candidates, merge_duplicates, budget_ms)
        if given.is_blank:
            return nothing(given, "the query is blank: nothing was searched")
        facts = None
        if needs_model(given.mode):
            if not self._compared and self._store.facts() is None:
                return nothing(given)  # nothing was ever added: no need of a model to know that
            facts = self._checked_facts()
        chosen = self._rerankers.chosen(given)
        loaded = time.perf_counter()
        queries = questions(given.mode, given.query, self._encoder, facts)
        request = self._rerankers.request(given, queries, chosen, loaded)
        with self._store.reader(ranking=True) as reader:
            found = search(reader, request)
        return answer(given, request, found, time.perf_counter() - began)

    def warm_up(self) -> None:
        """Load model and vectors now, and make the sketches that let a dense search look at few of them.

        Without it the first search loads, and a thread makes sketches beside the searches once a process has asked some
        (docs/index.md). For servers. A second or two, about 5 seconds for a million vectors.

        Raises:
            InputError: the file was made with another model.
            StoreError: the file cannot be read.
        """
        if self._store.facts() is not None:
            self._encoder.queries(["warm up"], self._checked_facts())
            self._store.prepare()

    def _checked_facts(self) -> ModelFacts:
        """The model's facts, after comparing them with those in the file."""
        facts = self._encoder.facts()
        if not self._compared:
            stored = self._store.facts()
            if stored is not None:
                compare_models(self.path, stored, facts)
                self._compared = True
        return facts

    def count(self) -> int:
        """How many documents there are."""
        with self._store.reader() as reader:
            return reader.count()

    def __len__(self) -> int:
        return self.count()

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and bool(id) and self.get(id)[0] is not None

    def info(self) -> IndexInfo:
        """What the file holds: numbers, settings, the model."""
        return self._store.info()

    def verify(self) -> VerifyReport:
        """Read everything and check it: pages, hashes of texts, checksums of vectors, all cross-references.

        Returns:
            A report that is true if nothing is wrong. Damage is reported, not raised. An index opened
            with ``read_only=True`` leaves out the comparison of the full-text index with the texts.
        """
        return self._store.verify()

    def export(self, path: str | os.PathLike[str]) -> int:
        """Write all documents as JSON lines, ``{"id", "text", "metadata"}``, one consistent state.

        The file appears under its name when it is complete.

        Args:
            path: the file to write; an existing one is replaced, but no database is.

        Returns:
            How many documents were written.

        Raises:
            InputError: no such file can be made, or a database is there (this index or another).
            StoreError: the file could not be written, or the index not be read; an old file is as it was.
        """
        target = export_target(path, self._store.files)
        with self._store.reader() as reader:
            return write_lines(target, reader.every())

    def backup(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Copy the index into another file while it is in use: one consistent state, whole or not at all.

        Others may read and write meanwhile. Putting a backup in the place of an index is the same call the other
        way round: ``Index("backup.db").backup("live.db", overwrite=True)``.

        Args:
            path: the file to write; it appears under its name when it is complete and on the disk.
            overwrite: replace a database that is there. Whoever has that one open is told so by an error.

        Raises:
            InputError: a file is there, or none can be made.
            StoreError: the copy cannot be written, or the index not be read; a file that was there is as it was.
        """
        self._store.backup(backup_target(path, self._store.files, overwrite))

    def close(self) -> None:
        """Let go of the file; afterwards it is one file again if nobody else has it open."""
        self._store.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Index({self.path!r})"
