"""The static engine: a vector for every token, and a text is the average of its tokens' vectors.

No padding and no length order of the whole input: ragged ids go straight to averages, some hundred texts at
a time (:mod:`vicinal.engine.ragged_sums`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vicinal.core.native_calls import native_call
from vicinal.engine.base import Batch, Output
from vicinal.engine.ragged_sums import BLOCK, block_sums
from vicinal.engine.sinks import DenseRows, Sink
from vicinal.engine.static_heads import Head, head
from vicinal.engine.weights import Weights
from vicinal.errors import ModelFormatError
from vicinal.folder.kinds import width_after
from vicinal.folder.specs import ModelSpec, ModuleSpec, StaticEmbeddingSpec
from vicinal.tokens.text import Ragged

Tag = TypeVar("Tag")


@dataclass(frozen=True)
class StaticTable:
    """The vectors of a static model's folder, and what comes after the average."""

    spec: ModelSpec

    @property
    def file(self) -> None:
        """There is no graph file."""
        return None

    @property
    def quantized(self) -> bool:
        """Whether it is an int8 graph, which it never is: int8 rows become float32 when they are read."""
        return False

    @property
    def module(self) -> StaticEmbeddingSpec:
        """The first module."""
        first = self.spec.source
        assert isinstance(first, StaticEmbeddingSpec)
        return first

    @property
    def modules(self) -> tuple[ModuleSpec, ...]:
        """The modules that work on the average."""
        return self.spec.modules[1:]

    @property
    def width(self) -> int:
        """Length of a token's vector."""
        weights = Weights.open(self.module.folder)
        return weights.shape(_table_name(weights))[1]

    @property
    def dimension(self) -> int:
        """Length of a text's vector."""
        return width_after(self.modules, self.width)

    def rows(self) -> NDArray[np.float32]:
        """``(vocabulary, width)`` float32, read from the file.

        Raises:
            ModelFormatError: the file is not the one that the model was loaded from, or damaged.
        """
        self.spec.check_files()
        return read_rows(Weights.open(self.module.folder))


# Tensor names: sentence-transformers, model2vec, and int8 rows as written here.
_ROWS = ("embedding.weight", "embeddings", "embedding.rows")


def read_rows(weights: Weights) -> NDArray[np.float32]:
    """One vector per token id, ``(vocabulary, width)`` float32, whichever library wrote the file.

    * ``embedding.weight``: the vectors (sentence-transformers).
    * ``embeddings``, with ``mapping`` (which row a token has) and ``weights`` (its factor) where the
      vocabulary was reduced (model2vec).
    * ``embedding.rows`` int8 with ``embedding.scales``, a factor per row (Vicinal).

    Raises:
        ModelFormatError: none of these, or shapes that do not fit.
    """
    name = _table_name(weights)
    table = weights[name]
    if name == "embeddings" and "mapping" in weights:
        mapping = weights["mapping"].astype(np.int64)
        if mapping.ndim != 1 or (len(mapping) and not 0 <= mapping.min() <= mapping.max() < len(table)):
            raise ModelFormatError(f"{weights.folder}: 'mapping' points outside the {len(table)} embeddings")
        table = table[mapping]
    factors = {"embeddings": "weights", "embedding.rows": "embedding.scales"}.get(name)
    if factors is None or (factors not in weights and name == "embeddings"):
        return np.ascontiguousarray(table, dtype=np.float32)
    scales = weights[factors].astype(np.float32).reshape(-1)
    if len(scales) != len(table):
        raise ModelFormatError(
            f"{weights.folder}: {factors!r} has {len(scales)} numbers for {len(table)} tokens"
        )
    scaled: NDArray[np.float32] = np.multiply(table, scales[:, None], dtype=np.float32)
    return scaled


def _table_name(weights: Weights) -> str:
    """The name of the tensor with the vectors."""
    name = next((name for name in _ROWS if name in weights), None)
    if name is None:
        raise ModelFormatError(
            f"{weights.folder}: model.safetensors holds none of {', '.join(_ROWS)}, so it is not a static model; "
            f"it holds {', '.join(weights.names()[:5]) or 'nothing'}"
        )
    shape = weights.shape(name)
    if len(shape) != 2:
        raise ModelFormatError(f"{weights.folder}: {name!r} has the shape {shape} instead of two axes")
    return name


class StaticEngine:
    """Averages rows of a table.

    Args:
        table: where the rows come from; read when first needed, and again in another process.
    """

    def __init__(self, table: StaticTable) -> None:
        self._table = table
        self._dimension = table.dimension
        self._lock = threading.Lock()
        self._ready: tuple[NDArray[np.float32], list[Head]] | None = None

    @property
    def dimension(self) -> int:
        """Length of a sentence vector."""
        return self._dimension

    def run(self, batch: Batch, output: Output = "sentence") -> NDArray[np.float32]:
        """The vectors of a batch, see :class:`vicinal.engine.base.Engine`; a token's is its row of the table."""
        if output == "tokens":
            rows, _ = self._open(batch.input_ids)
            return rows[batch.input_ids]
        inside = batch.attention_mask.astype(bool)
        starts = np.zeros(len(batch.lengths) + 1, dtype=np.int64)
        np.cumsum(batch.lengths, out=starts[1:])
        out = np.empty((len(batch.lengths), self._dimension), dtype=np.float32)
        self.run_ragged(Ragged(batch.input_ids[inside], starts, batch.lengths), DenseRows(out))
        return out

    def run_many(
        self, batches: Iterable[tuple[Tag, Batch]], output: Output = "sentence"
    ) -> Iterator[tuple[Tag, NDArray[np.float32]]]:
        """Yield ``(tag, vectors)`` for each ``(tag, batch)`` in their order."""
        for tag, batch in batches:
            yield tag, self.run(batch, output)

    def run_ragged(self, ragged: Ragged, sink: Sink, progress: Callable[[int], None] | None = None) -> None:
        """Hand the vector of each text to ``sink``, some hundred at a time.

        Args:
            ragged: n texts; one without tokens has the average 0, one of unknown tokens alone the vector 0.
            sink: what takes the vectors.
            progress: called with the number of texts that were just finished.
        """
        rows, heads = self._open(ragged.ids)
        lengths = ragged.lengths
        order = np.argsort(-lengths, kind="stable")
        scratch = np.empty((2, min(BLOCK, len(order)), rows.shape[1]), dtype=np.float32)
        for first in range(0, len(order), BLOCK):
            block = order[first : first + BLOCK]
            vectors = block_sums(rows, ragged.ids, ragged.starts[block], lengths[block], scratch)
            vectors /= np.maximum(lengths[block], 1).astype(np.float32)[:, None]
            for apply in heads:
                vectors = apply(vectors)
            if ragged.unknown is not None:  # no direction, whatever the modules make of nothing
                vectors[ragged.unknown[block]] = 0
            sink.write(block, vectors, lengths[block])
            if progress is not None:
                progress(len(block))

    def _open(self, ids: NDArray[np.int32]) -> tuple[NDArray[np.float32], list[Head]]:
        with native_call(), self._lock:
            if self._ready is None:
                rows = self._table.rows()
                self._ready = rows, [head(module) for module in self._table.modules]
        rows, _ = self._ready
        highest = int(ids.max(initial=-1))
        if highest >= len(rows):
            raise ModelFormatError(
                f"{self._table.module.folder}: the tokenizer gives the id {highest}, but there are vectors for "
                f"{len(rows)} tokens: tokenizer.json and model.safetensors do not belong together"
            )
        return self._ready

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "_ready": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
