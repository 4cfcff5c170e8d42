"""The indexes that a server holds, which share its models: their texts are computed with those of all requests."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vicinal.core.cores import available_cores
from vicinal.errors import IndexReplacedError, InputError, StoreError
from vicinal.index.index import Index
from vicinal.index.results import Document, IndexInfo
from vicinal.models.sentence_transformer import SentenceTransformer
from vicinal.models.steps import Role, pair_reading, text_reading
from vicinal.server.call import current_call, late
from vicinal.server.catalog import Catalog, Served
from vicinal.server.errors import Refused
from vicinal.server.pipeline import Pipeline
from vicinal.server.records import Found, IndexEntry, Timings
from vicinal.server.settings import Settings, served_name
from vicinal.server.tokenizing import Texts

_log = logging.getLogger("vicinal.server")

Made = TypeVar("Made")

# Searches that may wait, for each thread that searches.
_WAITING = 64


@dataclass(eq=False)
class OpenIndex:
    """An open index, the model that reads its queries, and what was last known of it.

    Attributes:
        problem: why it could not be read the last time; None if it could.
    """

    id: str
    index: Index
    served: Served
    info: IndexInfo
    problem: str | None = None


class Indexes:
    """Indexes by name.

    Args:
        settings: which ones.
        catalog: the models that are there already; the indexes' own come to them.
        pipeline: computes for all.
    """

    def __init__(self, settings: Settings, catalog: Catalog, pipeline: Pipeline) -> None:
        self._settings, self._catalog, self._pipeline = settings, catalog, pipeline
        self._open: dict[str, OpenIndex] = {}
        threads = settings.threads or available_cores()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="vicinal-search")
        self._most = _WAITING * threads
        self._busy = 0
        self._lock = threading.Lock()
        self._opening = threading.Lock()

    def load(self, said: Callable[[str], None] = lambda name: None) -> None:
        """Open all indexes, and load the models that they were made with.

        Raises:
            InputError: a file is not there, or two would have the same name.
            StoreError: a file is no index, or is damaged.
            ModelNotFoundError, HubError, ModelFormatError: a model cannot be loaded.
        """
        for path in self._settings.indexes:
            said(path)
            if not Path(path).is_file():
                raise InputError(f"{path}: there is no such index")
            if not (self._settings.writable or Path(path).stat().st_size):
                raise InputError(f"{path}: the file is empty; `vicinal index {path} INPUT...` fills it")
            name = served_name(path)
            if name in self._open:
                raise InputError(
                    f"{path} and {self._open[name].index.path} would both be served as {name!r}: rename one"
                )
            with Index(path, read_only=not self._settings.writable) as index:
                info = index.info()
            served = next(
                (each for each in self._catalog.all() if each.entry.fingerprint == info.fingerprint), None
            )
            if served is None:
                served = self._catalog.find_given(info.model) or self._catalog.add(
                    info.model, SentenceTransformer(info.model, dtype=self._settings.dtype)
                )
            opened = self._index(path, served)
            self._open[name] = OpenIndex(name, opened, served, info)
            opened.warm_up()

    def _index(self, path: str, served: Served) -> Index:
        """The index of a file, whose texts a served model encodes."""
        return Index(path, SharedModel(served, self._pipeline), read_only=not self._settings.writable)

    def close(self) -> None:
        """Let go of the files."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for each in self._open.values():
            each.index.close()

    def names(self) -> list[str]:
        """The names of all indexes, the default first."""
        return list(self._open)

    def entries(self) -> list[IndexEntry]:
        """Facts about all indexes."""
        found = []
        for each in self._open.values():
            with suppress(Refused):  # searching it says what is wrong; the others are told of all the same
                each.info = self.use(each, lambda index: index.info())
            info = each.info
            found.append(
                IndexEntry(
                    each.id,
                    info.documents,
                    each.served.entry.id,
                    info.fields,
                    self._settings.writable,
                    each.problem,
                )
            )
        return found

    def find(self, name: str | None) -> OpenIndex:
        """The index of a name, or the first.

        Raises:
            Refused: there is none.
        """
        if name is None and self._open:
            return next(iter(self._open.values()))
        found = None if name is None else self._open.get(name)
        if found is None:
            known = ", ".join(self._open) or "no index is served"
            raise Refused("not_found", f"there is no index {(name or '')[:100]!r}: {known}", param="index")
        return found

    async def search(
        self,
        name: str | None,
        query: str,
        *,
        top_k: int,
        filter: Mapping[str, Any] | None,
        mode: Any,
        reranker: Served | None,
        candidates: int | None,
        budget_ms: float | None,
    ) -> Found:
        """Search one index; see :meth:`vicinal.Index.search`."""
        opened = self.find(name)
        judge = None if reranker is None else SharedReranker(reranker, self._pipeline)
        start = time.monotonic()
        begun = [start]

        def work(index: Index) -> Any:
            begun[0] = time.monotonic()
            return index.search(query, top_k, filter, mode, judge, candidates, budget_ms=budget_ms)

        hits = await self._in_thread(opened, work)
        now = time.monotonic()
        timings = Timings(total=now - start, queue=begun[0] - start, inference=now - begun[0])
        return Found(hits, opened.id, timings, hits.report.to_dict())

    async def get(self, name: str | None, ids: Sequence[str]) -> list[Document | None]:
        """Documents by id; None where there is none."""
        opened = self.find(name)
        return await self._in_thread(opened, lambda index: index.get(list(ids)))

    async def upsert(
        self,
        name: str | None,
        ids: Sequence[str] | None,
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any] | None] | None,
    ) -> list[str]:
        """Add documents, or replace those of the same ids."""
        opened = self._changeable(name)
        return await self._in_thread(opened, lambda index: index.upsert(texts, ids, metadatas))

    async def delete(
        self, name: str | None, ids: Sequence[str] | None, filter: Mapping[str, Any] | None
    ) -> int:
        """Remove documents."""
        opened = self._changeable(name)
        return await self._in_thread(opened, lambda index: index.delete(ids, filter=filter))

    def _changeable(self, name: str | None) -> OpenIndex:
        if not self._settings.writable:
            raise Refused(
                "forbidden", "indexes are served for reading only: start the server with --writable"
            )
        return self.find(name)

    def use(self, opened: OpenIndex, work: Callable[[Index], Made]) -> Made:
        """Do something with an index; one whose file was replaced is opened again before.

        Raises:
            Refused: it cannot be read or written.
        """
        index = opened.index
        try:
            try:
                found = work(index)
            except StoreError as error:
                if not self._opened_again(opened, index, error):
                    raise
                found = work(opened.index)
        except StoreError as error:
            refused = unreadable(error, index, opened.id)
            if opened.problem != refused.message:  # the log is told once
                _log.warning("%s", error)
            opened.problem = refused.message
            raise refused from error
        opened.problem = None
        return found

    def _opened_again(self, opened: OpenIndex, index: Index, error: StoreError) -> bool:
        """Whether ``opened`` now holds another index than ``index``, which failed."""
        with self._opening:
            if opened.index is not index:  # another thread was faster
                return True
            path = Path(index.path)
            # Of an empty file a new index would be made: what was lost is not to look like an index without documents.
            if not isinstance(error, IndexReplacedError) or not path.is_file() or not path.stat().st_size:
                return False
            try:
                opened.index = self._index(index.path, opened.served)
            except InputError as unfit:
                _log.warning("%s", unfit)  # not told to clients: it may name folders
                raise StoreError(
                    f"index {index.path!r} was replaced by one of another model: restart the server to serve it"
                ) from unfit
            _log.warning("index %s was replaced, and is open again", opened.id)
        index.close()  # waits for those who still search it
        return True

    async def _in_thread(self, opened: OpenIndex, work: Callable[[Index], Made]) -> Made:
        """Work on an index in a thread, unless too much of that waits already."""

        def in_time() -> Made:
            call = current_call.get()
            if call is not None and (call.gone or time.monotonic() >= call.deadline):
                raise late()
            return self.use(opened, work)

        with self._lock:
            if self._busy >= self._most:
                raise Refused(
                    "overloaded", f"{self._busy} searches wait already; try again later", retry_after=1
                )
            self._busy += 1
        try:
            return await self._pipeline.in_thread(in_time, self._pool)
        finally:
            with self._lock:
                self._busy -= 1


def unreadable(error: StoreError, index: Index, name: str) -> Refused:
    """What clients are told of an index that cannot be read or written: its name, and not where it lies."""
    if isinstance(error, IndexReplacedError):
        message = (
            f"the file of index {name!r} was removed, moved or replaced while it is served: put it back, or restart "
            "the server"
        )
        return Refused("backend", message)
    message = str(error).replace(os.path.abspath(index.path), name).replace(str(index.path), name)
    return Refused("backend", message)


class SharedModel:
    """A served model as an index wants it: its texts are computed with those of all requests.

    Args:
        served: the model.
        pipeline: computes.
    """

    def __init__(self, served: Served, pipeline: Pipeline) -> None:
        self._served, self._pipeline = served, pipeline
        model = served.model
        self.name_or_path = model.name_or_path
        self.prompts = model.prompts
        self.similarity_fn_name = model.similarity_fn_name
        self.max_seq_length = model.max_seq_length
        self.count_tokens = model.count_tokens

    @property
    def fingerprint(self) -> str:
        """The model's."""
        return self._served.entry.fingerprint

    def get_embedding_dimension(self) -> int:
        """Length of a vector."""
        return self._served.entry.dimension

    def encode_document(self, sentences: list[str]) -> NDArray[np.float32]:
        """``(n, d)`` vectors of documents."""
        return self._encode(sentences, "document")

    def encode_query(self, sentences: list[str]) -> NDArray[np.float32]:
        """``(n, d)`` vectors of queries."""
        return self._encode(sentences, "query")

    def _encode(self, sentences: list[str], role: Role) -> NDArray[np.float32]:
        out = np.empty((len(sentences), self._served.entry.dimension), dtype=np.float32)

        def put(rows: Sequence[int], values: Any) -> None:
            out[rows] = values[:, : out.shape[1]]

        if sentences:
            reading = text_reading(self._served.model, role=role)
            lookup = self._pipeline.lookup(self._served, reading, sentences, role, out)
            self._pipeline.run_blocking(self._served, reading, Texts(sentences), put, lookup)
        return out


class SharedReranker:
    """A served reranker as an index wants it.

    Args:
        served: the model.
        pipeline: computes.
    """

    def __init__(self, served: Served, pipeline: Pipeline) -> None:
        self._served, self._pipeline = served, pipeline
        self.name_or_path = served.entry.id

    def predict(self, pairs: list[tuple[str, str]]) -> NDArray[np.float32]:
        """``(n,)`` scores, as the model reports them."""
        out = np.empty((len(pairs), 1), dtype=np.float32)

        def put(rows: Sequence[int], values: Any) -> None:
            out[rows] = values

        firsts, seconds = [first for first, _ in pairs], [second for _, second in pairs]
        reading = pair_reading(self._served.model)
        self._pipeline.run_blocking(self._served, reading, Texts(firsts, seconds), put)
        scores: NDArray[np.float32] = self._served.model.activation_fn(out)[:, 0]
        return scores
