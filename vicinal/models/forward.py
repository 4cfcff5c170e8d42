"""One call of encode: texts go through the tokenizer and the engine that the model had when it began."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vicinal.engine import batching
from vicinal.engine.base import Engine, Output, TextEngine, TextOutput, is_text_engine
from vicinal.engine.sinks import DenseRows, FeatureRows, Sink, TokenRows
from vicinal.models.hints import UnknownTexts
from vicinal.models.truncation import Truncations
from vicinal.tokens.text import Ragged, TextTokenizer

# Padded tokens per batch. The widest activation of a small model (4 x 384 numbers per token) then stays
# about within the caches that a core has for itself; measured best of 256, 512, 768 and 1024 on two cores with 2 MiB
# each, by 4 to 7 %.
_TOKEN_BUDGET = 768

# Texts per batch where nobody knows how many tokens they have.
_BATCH_SIZE = 32


@dataclass
class Forward:
    """What stays the same for all texts of one call.

    Attributes:
        engine: what computes.
        texts: the tokenizer.
        cut: counts what truncation takes.
        unknown: counts texts that the tokenizer knows no token of.
        prompt: put before each text.
        prompt_length: tokens of it that pooling leaves out.
        batch_size: texts per batch; None leaves it to the number of tokens. Becomes what fitted into memory.
    """

    engine: Engine
    texts: TextTokenizer
    cut: Truncations
    prompt: str = ""
    prompt_length: int = 0
    batch_size: int | None = None
    unknown: UnknownTexts = field(default_factory=UnknownTexts)

    def fill(
        self,
        texts: list[str],
        out: NDArray[np.float32],
        first: int = 0,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Write each text's vector to its row of ``out``; ``first`` is the number of the first text."""
        sink = DenseRows(out)
        if is_text_engine(self.engine):
            self._run_texts(self.engine, texts, first, sink, "sentence", progress)
        else:
            self._run(self._ragged(texts, first), sink, "sentence", progress)

    def tokenized(self, texts: list[str], first: int = 0) -> Ragged:
        """The ids of some texts, of which the first has the number ``first``; for an engine that reads ids."""
        return self._ragged(texts, first)

    def compute(
        self, ragged: Ragged, out: NDArray[np.float32], progress: Callable[[int], None] | None = None
    ) -> None:
        """Write the vector of each text of ``ragged`` to its row of ``out``."""
        self._run(ragged, DenseRows(out), "sentence", progress)

    @property
    def on_accelerator(self) -> bool:
        """Whether a device of its own computes, and leaves the CPU free."""
        return getattr(self.engine, "token_budget", None) is not None

    def tokens(self, texts: list[str], with_sentences: bool) -> list[Any]:
        """The token vectors of each text; or a dictionary of these with its ids and its own vector."""
        if is_text_engine(self.engine):
            features = FeatureRows(len(texts))
            self._run_texts(self.engine, texts, 0, features, "features")
            return features.found if with_sentences else [each["token_embeddings"] for each in features.found]
        ragged = self._ragged(texts, 0)
        hidden = TokenRows(len(texts))
        self._run(ragged, hidden, "tokens")
        if not with_sentences:
            return hidden.found
        vectors = np.empty((len(texts), self.engine.dimension), dtype=np.float32)
        self._run(ragged, DenseRows(vectors), "sentence")
        results: list[Any] = []
        for row, tokens in enumerate(hidden.found):
            ids = ragged.ids[ragged.starts[row] : ragged.starts[row + 1]].astype(np.int64)
            whole: dict[str, Any] = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
            if getattr(self.texts, "token_types", False):
                whole["token_type_ids"] = np.zeros_like(ids)
            if self.prompt:
                whole["prompt_length"] = self.texts.prompt_length(self.prompt)
            whole["token_embeddings"] = tokens
            whole["sentence_embedding"] = vectors[row].copy()
            results.append(whole)
        return results

    def _run(
        self, ragged: Ragged, sink: Sink, output: Output, progress: Callable[[int], None] | None = None
    ) -> None:
        self.batch_size = batching.run_all(
            self.engine,
            ragged,
            sink,
            pad_id=self.texts.pad_id,
            token_budget=_TOKEN_BUDGET,
            output=output,
            batch_size=self.batch_size,
            prompt_length=self.prompt_length,
            progress=progress,
        )

    def _run_texts(
        self,
        engine: TextEngine,
        texts: list[str],
        first: int,
        sink: Sink,
        output: TextOutput,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        prompted = self._prompted(texts)
        self.batch_size = batching.run_all_texts(
            engine,
            prompted,
            self._counted(engine, prompted, first),
            sink,
            prompt=self.prompt,
            batch_size=self.batch_size or _BATCH_SIZE,
            output=output,
            progress=progress,
        )

    def _prompted(self, texts: Sequence[str]) -> list[str]:
        return [self.prompt + text for text in texts] if self.prompt else list(texts)

    def _ragged(self, texts: list[str], first: int) -> Ragged:
        ragged = self.texts(self._prompted(texts))
        self.cut.add(ragged, first)
        self.unknown.add(texts, self.texts.only_unknown(ragged, self.prompt))
        return ragged

    def _counted(self, engine: TextEngine, prompted: list[str], first: int) -> NDArray[np.int32]:
        """``(n,)`` a measure of each text's work; what truncation takes is counted where it is known."""
        lengths, tokens = engine.lengths(prompted)
        if tokens is not None and engine.limit is not None:
            self.cut.limit = engine.limit
            starts = np.concatenate([[0], np.cumsum(np.minimum(tokens, engine.limit), dtype=np.int64)])
            self.cut.add(Ragged(np.zeros(0, dtype=np.int32), starts, tokens), first)
        return lengths
