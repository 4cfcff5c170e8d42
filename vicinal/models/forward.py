"""One call of encode: texts go through the tokenizer and the engine that the model had when it began."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.engine import batching
from vicinal.engine.base import Engine, TextEngine, is_text_engine
from vicinal.errors import OutOfMemoryError
from vicinal.models.truncation import Truncations
from vicinal.tokens.text import Ragged, TextTokenizer

# Padded tokens a batch. The widest activation of a small model (4 x 384 numbers a token) then stays
# about within the caches that a core has for itself; measured best of 256 to 8192 on two cores.
_TOKEN_BUDGET = 1024

# Texts a batch where nobody knows how many tokens they have.
_BATCH_SIZE = 32


@dataclass
class Forward:
    """What stays the same for all texts of one call.

    Attributes:
        engine: what computes.
        texts: the tokenizer.
        cut: counts what truncation takes.
        prompt: put before each text.
        prompt_length: tokens of it that pooling leaves out.
        batch_size: texts a batch; None leaves it to the number of tokens. Becomes what fitted into memory.
    """

    engine: Engine
    texts: TextTokenizer
    cut: Truncations
    prompt: str = ""
    prompt_length: int = 0
    batch_size: int | None = None

    def fill(
        self,
        texts: list[str],
        out: NDArray[np.float32],
        first: int = 0,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Write each text's vector to its row of ``out``; ``first`` is the number of the first text."""
        if is_text_engine(self.engine):
            prompted, lengths = self._counted(self.engine, texts, first)
            self.batch_size = batching.run_all_texts(
                self.engine,
                prompted,
                lengths,
                out,
                prompt=self.prompt,
                batch_size=self.batch_size or _BATCH_SIZE,
                progress=progress,
            )
            return
        self.batch_size = batching.run_all(
            self.engine,
            self._ragged(texts, first),
            out,
            pad_id=self.texts.pad_id,
            token_budget=self._token_budget,
            batch_size=self.batch_size,
            prompt_length=self.prompt_length,
            progress=progress,
        )

    def tokens(self, texts: list[str], with_sentences: bool) -> list[Any]:
        """The token vectors of each text; or a dictionary of these with its ids and its own vector."""
        results: list[Any] = [None] * len(texts)
        if is_text_engine(self.engine):
            engine = self.engine
            prompted, lengths = self._counted(engine, texts, 0)
            for rows in batching.plan(lengths, 0, self.batch_size or _BATCH_SIZE):
                found = engine.run_features([prompted[row] for row in rows], self.prompt)
                for row, facts in zip(rows, found, strict=True):
                    results[row] = facts if with_sentences else facts["token_embeddings"]
            return results
        ragged = self._ragged(texts, 0)
        groups = batching.plan(ragged.lengths, self._token_budget, self.batch_size)
        while groups:
            rows = groups.pop(0)
            batch = batching.pad(ragged, rows, self.texts.pad_id, self.prompt_length)
            try:
                hidden = self.engine.run_tokens(batch)
                vectors = self.engine.run(batch) if with_sentences else None
            except (OutOfMemoryError, MemoryError):
                if len(rows) == 1:
                    raise
                groups[:0] = [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
                continue
            for place, row in enumerate(rows):
                length = batch.lengths[place]
                ids = batch.input_ids[place, :length].astype(np.int64)
                results[row] = hidden[place, :length].copy()
                if vectors is not None:
                    results[row] = {
                        "input_ids": ids,
                        "attention_mask": np.ones_like(ids),
                        "token_embeddings": results[row],
                        "sentence_embedding": vectors[place].copy(),
                    }
        return results

    @property
    def _token_budget(self) -> int:
        return getattr(self.engine, "token_budget", None) or _TOKEN_BUDGET

    def _prompted(self, texts: Sequence[str]) -> list[str]:
        return [self.prompt + text for text in texts] if self.prompt else list(texts)

    def _ragged(self, texts: list[str], first: int) -> Ragged:
        ragged = self.texts(self._prompted(texts))
        self.cut.add(ragged, first)
        return ragged

    def _counted(
        self, engine: TextEngine, texts: list[str], first: int
    ) -> tuple[list[str], NDArray[np.int32]]:
        prompted = self._prompted(texts)
        lengths, tokens = engine.lengths(prompted)
        if tokens is not None and engine.limit is not None:
            self.cut.limit = engine.limit
            starts = np.concatenate([[0], np.cumsum(np.minimum(tokens, engine.limit), dtype=np.int64)])
            self.cut.add(Ragged(np.zeros(0, dtype=np.int32), starts, tokens), first)
        return prompted, lengths
