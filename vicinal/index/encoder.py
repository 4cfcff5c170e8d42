"""The index's view of a model: what it needs of one, loading it late, and checking what it gives."""

from __future__ import annotations

import inspect
import json
import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, cast

import numpy as np

from vicinal.core.arrays import Matrix
from vicinal.errors import InputError, InputTypeError, ModelNotFoundError
from vicinal.index.chunking import chunk_spans, counts_add_up
from vicinal.index.results import Span
from vicinal.index.segments import Floats
from vicinal.index.stores.base import ModelFacts
from vicinal.vectors.rows import extreme, row_lengths, scale_to_unit

DEFAULT_MODEL = "vicinal-mini"
# The longest chunk where the model itself has no limit (static embeddings have none): an average over
# more words than this says little about any of them.
UNLIMITED_CHUNK = 512
# Vectors of a large add are made in parts of this many chunks, so that texts need no second full copy.
ENCODE_PART = 8192
_METHODS = ("encode_document", "encode_query", "get_embedding_dimension", "count_tokens")


class EmbeddingModel(Protocol):
    """What an index asks of a model; :class:`vicinal.SentenceTransformer` has all of it."""

    @property
    def fingerprint(self) -> str:
        """A text that changes when weights or pooling change."""
        ...

    def encode_document(self, sentences: list[str], /) -> Any:
        """``(n, d)`` vectors of documents."""
        ...

    def encode_query(self, sentences: list[str], /) -> Any:
        """``(n, d)`` vectors of queries."""
        ...

    def get_embedding_dimension(self) -> int | None:
        """``d``."""
        ...

    def count_tokens(self, texts: list[str], /) -> Sequence[int]:
        """Tokens of each text, special ones included."""
        ...


class Encoder:
    """A model, or the name of one that is loaded when it is first needed.

    Args:
        model: a name, a path, or a model.
        chunk_tokens: the longest chunk; None for the model's own window.
        chunk_overlap: tokens that neighbouring chunks share.
        named_by: the index that holds the model's name, where the caller did not give it.

    Raises:
        InputTypeError: it is neither a name nor has what a model needs.
    """

    def __init__(
        self,
        model: str | EmbeddingModel,
        chunk_tokens: int | None,
        chunk_overlap: int,
        named_by: str | None = None,
    ) -> None:
        missing = [] if isinstance(model, str) else [name for name in _METHODS if not hasattr(model, name)]
        if missing:
            raise InputTypeError(
                f"model must be a name, a path, or an object with fingerprint, {', '.join(_METHODS)}; "
                f"got {type(model).__name__}, which has no {' and no '.join(missing)}"
            )
        self._given = model
        self._named_by = named_by
        self._chunk_tokens = chunk_tokens
        self._chunk_overlap = chunk_overlap
        self._process, self._lock = os.getpid(), threading.Lock()
        self._model: EmbeddingModel | None = None if isinstance(model, str) else model
        self._facts: ModelFacts | None = None
        self._adds_up: bool | None = None
        self._bars: dict[str, bool] = {}

    @property
    def loaded(self) -> bool:
        """Whether the model is there already."""
        return self._model is not None

    def _load(self) -> EmbeddingModel:
        if self._process != os.getpid():  # another thread may have held the lock when this process was forked
            self._process, self._lock = os.getpid(), threading.Lock()
        with self._lock:
            if self._model is None:
                if str(self._given).startswith("<"):
                    raise InputError(
                        f"the index was filled with a model object, {self._given}, whose name is not known: "
                        "open it with Index(path, model=that_object)"
                    )
                from vicinal.models.sentence_transformer import SentenceTransformer

                try:
                    self._model = cast(EmbeddingModel, SentenceTransformer(str(self._given)))
                except ModelNotFoundError as error:
                    if self._named_by is None:
                        raise
                    raise ModelNotFoundError(
                        f"index {self._named_by!r} was made with model {self._given!r}, which is not there now: "
                        f"if it has moved, open the index with model= its new place. {error}"
                    ) from error
            return self._model

    def facts(self) -> ModelFacts:
        """What identifies the model; loads it."""
        if self._facts is None:
            model = self._load()
            dimension = model.get_embedding_dimension()
            if dimension is None:
                dimension = int(np.asarray(model.encode_document(["dimension"])).shape[1])
            prompts = getattr(model, "prompts", None) or {}
            self._facts = ModelFacts(
                name=self._given if isinstance(self._given, str) else name_of(model),
                fingerprint=str(model.fingerprint),
                dimension=int(dimension),
                prompts=json.dumps(prompts, sort_keys=True, ensure_ascii=False),
                similarity=_similarity_of(model),
                chunk_tokens=self._chunk_tokens or _window_of(model),
            )
        return self._facts

    def chunks(self, texts: Sequence[str], facts: ModelFacts) -> list[list[Span]]:
        """Where each text is cut so that the model reads all of it."""
        overlap = min(self._chunk_overlap, facts.chunk_tokens // 2)
        count = self._load().count_tokens
        if self._adds_up is None:
            self._adds_up = counts_add_up(count)
        return chunk_spans(texts, count, facts.chunk_tokens, overlap, self._adds_up)

    def documents(self, texts: Sequence[str], facts: ModelFacts) -> Floats:
        """``(n, d)`` vectors of chunks, of length 1 if the similarity is the cosine."""
        model = self._load()
        vectors = np.empty((len(texts), facts.dimension), np.float32)
        for at in range(0, len(texts), ENCODE_PART):
            part = list(texts[at : at + ENCODE_PART])
            raw = self._quietly(model.encode_document)(part)
            vectors[at : at + len(part)] = _checked(raw, len(part), facts)
        return vectors

    def queries(self, texts: Sequence[str], facts: ModelFacts) -> Floats:
        """``(n, d)`` vectors of queries, of length 1 if the similarity is the cosine."""
        raw = self._quietly(self._load().encode_query)(list(texts))
        return _checked(raw, len(texts), facts)

    def _quietly(self, encode: Callable[..., Any]) -> Callable[..., Any]:
        """``encode`` without the progress bar that it may show: an index encodes often, and in parts."""
        name = getattr(encode, "__name__", "")
        if name not in self._bars:
            self._bars[name] = "show_progress_bar" in inspect.signature(encode).parameters
        return partial(encode, show_progress_bar=False) if self._bars[name] else encode


def _checked(raw: Any, n: int, facts: ModelFacts) -> Floats:
    vectors = np.array(raw)
    if vectors.dtype != np.float64:  # which float32 need not hold before its rows are scaled
        vectors = vectors.astype(np.float32, copy=False)
    if vectors.shape != (n, facts.dimension):
        raise InputError(
            f"model {facts.name!r} gave vectors of shape {vectors.shape} for {n} texts, "
            f"expected {(n, facts.dimension)}: check its encode_document and encode_query"
        )
    if not np.isfinite(vectors).all():
        bad = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise InputError(
            f"model {facts.name!r} gave NaN or infinity for text {bad}: such a vector finds nothing"
        )
    if facts.similarity == "cosine":
        scale_to_unit(vectors)
    else:
        _check_lengths(vectors, facts)
    return vectors.astype(np.float32, copy=False)


def _check_lengths(vectors: Matrix, facts: ModelFacts) -> None:
    """Refuse vectors whose dot products with others like them leave float32: such scores are infinite, or all 0."""
    lengths = row_lengths(vectors)
    wild = np.flatnonzero(extreme(lengths, "float32"))
    if len(wild):
        raise InputError(
            f"model {facts.name!r} gave text {wild[0]} a vector of length {lengths[wild[0]]:.1g}: dot products of such "
            "vectors leave the range of float32. Let the model scale its vectors, or set its similarity_fn_name = "
            "'cosine' for a new index"
        )


def name_of(model: object) -> str:
    """The model's own name, or its type in angle brackets, which nothing can be loaded by."""
    for attribute in ("name_or_path", "model_name_or_path", "name"):
        value = getattr(model, attribute, None)
        if isinstance(value, str) and value:
            return value
    return f"<{type(model).__name__}>"


def _similarity_of(model: EmbeddingModel) -> str:
    name = getattr(model, "similarity_fn_name", None) or "cosine"
    name = str(getattr(name, "value", name))
    if name not in ("cosine", "dot"):
        raise InputError(
            f"model {name_of(model)!r} compares with {name!r}, an index with 'cosine' or 'dot': "
            "set model.similarity_fn_name = 'cosine' if its vectors suit that"
        )
    return name


def _window_of(model: EmbeddingModel) -> int:
    window = getattr(model, "max_seq_length", None)
    # Some models state an absurd window (10**30) instead of none.
    if not window or window >= 1 << 20:
        return UNLIMITED_CHUNK
    prompts = getattr(model, "prompts", None) or {}
    prompt = max((prompts.get(name) or "" for name in ("document", "passage")), key=len)
    if not prompt:
        return int(window)
    # The prompt in front of a document takes its place in the window too.
    alone, nothing = model.count_tokens([prompt, ""])
    return max(8, int(window) - (int(alone) - int(nothing)))
