"""Vectors, scores and tokens of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vicinal.models.activations import sigmoid, softmax
from vicinal.models.steps import Reading, Role, pair_reading, text_reading
from vicinal.server.catalog import Served
from vicinal.server.checks import check_text
from vicinal.server.errors import Refused
from vicinal.server.jobs import Job
from vicinal.server.lifecycle import Lifecycle
from vicinal.server.pipeline import asked, timings_of
from vicinal.server.records import (
    Embedded,
    ModelKind,
    Predicted,
    Scored,
    Token,
    TokenVectors,
)
from vicinal.server.text_tokens import backend_of, check_ids, tokens_of
from vicinal.server.tokenizing import Texts
from vicinal.vectors.rows import scale_to_unit

State = Literal["starting", "ready", "draining", "failed"]

_ANY: tuple[ModelKind, ...] = ("embedding", "reranker", "classifier")


# Numbers of all token vectors that an answer may hold (a hundred megabytes of JSON), and characters that are shown
# token by token.
_NUMBERS, _CHARACTERS = 8_000_000, 400_000


class TextService(Lifecycle):
    """The calls that take texts; every error is :class:`Refused`."""

    # -- vectors -----------------------------------------------------------------------------------------

    async def embed(
        self,
        texts: Sequence[str],
        *,
        model: str | None = None,
        prompt_name: str | None = None,
        input_type: Role | None = None,
        truncate: bool | None = None,
        truncation_direction: str | None = None,
        max_tokens: int | None = None,
        dimensions: int | None = None,
        normalize: bool | None = None,
    ) -> Embedded:
        """Vectors of texts.

        Args:
            texts: the texts.
            model: the name of a model; None for the default.
            prompt_name: which of its prompts goes before each text.
            input_type: ``"query"`` or ``"document"``: the model's prompt for that, unless one is named.
            truncate: cut what is too long; False refuses it, None takes the server's setting.
            truncation_direction: ``"right"`` or ``"left"``, where texts are cut; None for the model's own.
            max_tokens: tokens of a text that count, if that is fewer than the model reads.
            dimensions: keep so many leading numbers of each vector.
            normalize: scale to length 1, after ``dimensions``; None gives what the model's ``encode`` does.

        Raises:
            Refused: anything is wrong.
        """
        served = self._find(model, "embedding")
        if dimensions is not None and not 0 < dimensions <= served.entry.dimension:
            raise Refused(
                "validation",
                f"dimensions={dimensions}: {served.entry.id} gives {served.entry.dimension}; give a number up to that",
                param="dimensions",
            )
        reading = self._reading(served, prompt_name, input_type, truncation_direction, max_tokens)
        checked = self.check_texts(list(texts))
        out = np.empty((len(checked), served.entry.dimension), dtype=np.float32)

        def put(rows: Sequence[int], values: Any) -> None:
            out[rows] = values[:, : out.shape[1]]

        lookup = self._pipeline.lookup(served, reading, checked, input_type, out, truncate)
        job = await self._pipeline.run(served, reading, Texts(checked), put, truncate, lookup=lookup)
        vectors = out[:, : dimensions or out.shape[1]]
        if normalize:
            vectors = np.ascontiguousarray(vectors)
            scale_to_unit(vectors)
        return Embedded(job.tokens, job.cut, timings_of(job), served.entry, vectors)

    async def embed_tokens(
        self,
        texts: Sequence[str],
        *,
        model: str | None = None,
        prompt_name: str | None = None,
        input_type: Role | None = None,
        truncate: bool | None = None,
        truncation_direction: str | None = None,
        max_tokens: int | None = None,
    ) -> TokenVectors:
        """The vector of every token, before pooling; arguments and errors as for :meth:`embed`."""
        served = self._find(model, "embedding")
        reading = self._reading(served, prompt_name, input_type, truncation_direction, max_tokens)
        checked = self.check_texts(list(texts))
        found: list[NDArray[np.float32]] = [np.empty((0, 0), dtype=np.float32)] * len(checked)

        def put(rows: Sequence[int], values: Any) -> None:
            for row, value in zip(rows, values if isinstance(values, list) else [values], strict=True):
                found[row] = value

        job = await self._pipeline.run(
            served,
            reading,
            Texts(checked),
            put,
            truncate,
            "tokens",
            most_tokens=_NUMBERS // max(served.entry.dimension, 1),
        )
        return TokenVectors(job.tokens, job.cut, timings_of(job), served.entry, found)

    # -- scores ------------------------------------------------------------------------------------------

    async def rerank(
        self,
        query: str,
        texts: Sequence[str],
        *,
        model: str | None = None,
        raw: bool = False,
        truncate: bool | None = None,
        truncation_direction: str | None = None,
        max_tokens: int | None = None,
    ) -> Scored:
        """The score of each text with a query.

        Args:
            query: the query.
            texts: the texts.
            raw: the model's own scores; otherwise 0 to 1, by the sigmoid.

        Other arguments and errors as for :meth:`embed`; ``max_tokens`` counts those of the pair.
        """
        served = self._find(model, "reranker")
        check_text(query, self.settings, "query")
        checked = self.check_texts(list(texts), "texts")
        scores, job = await self._scores(
            served, [query] * len(checked), checked, truncate, truncation_direction, max_tokens
        )
        values = scores[:, 0] if raw else sigmoid(scores[:, 0])
        return Scored(job.tokens, job.cut, timings_of(job), served.entry, values)

    async def predict(
        self,
        inputs: Sequence[str | tuple[str, str]],
        *,
        model: str | None = None,
        raw: bool = False,
        truncate: bool | None = None,
        truncation_direction: str | None = None,
        max_tokens: int | None = None,
    ) -> Predicted:
        """The scores of texts or pairs for each label.

        Args:
            inputs: texts, or pairs of texts; all of one kind.
            raw: the model's own scores; otherwise shares that add up to 1, or the sigmoid where there is one label.

        Other arguments and errors as for :meth:`embed`.
        """
        served = self._find(model, ("classifier", "reranker"))
        singles = [each for each in inputs if isinstance(each, str)]
        if singles and len(singles) < len(inputs):
            raise Refused(
                "validation", "inputs holds single texts and pairs: give one of the two", param="inputs"
            )
        firsts = self.check_texts(singles or [each[0] for each in inputs], "inputs")
        seconds = None if singles else self.check_texts([each[1] for each in inputs], "inputs")
        scores, job = await self._scores(served, firsts, seconds, truncate, truncation_direction, max_tokens)
        if not raw:
            scores = sigmoid(scores) if scores.shape[1] == 1 else softmax(scores)
        return Predicted(job.tokens, job.cut, timings_of(job), served.entry, scores, served.entry.labels)

    async def _scores(
        self,
        served: Served,
        firsts: list[str],
        seconds: list[str] | None,
        truncate: bool | None,
        side: str | None,
        max_tokens: int | None,
    ) -> tuple[NDArray[np.float32], Job]:
        reading = asked(lambda: pair_reading(served.model, side=side, max_length=max_tokens))
        out = np.empty((len(firsts), served.entry.dimension), dtype=np.float32)

        def put(rows: Sequence[int], values: Any) -> None:
            out[rows] = values

        job = await self._pipeline.run(served, reading, Texts(firsts, seconds), put, truncate)
        return out, job

    # -- tokens ------------------------------------------------------------------------------------------

    async def tokenize(
        self,
        texts: Sequence[str],
        *,
        model: str | None = None,
        add_special_tokens: bool = True,
        prompt_name: str | None = None,
    ) -> list[list[Token]]:
        """The tokens of each text, uncut.

        Raises:
            Refused: the model is not there, or has no tokenizer that tells where tokens stand.
        """
        served = self._find(model, _ANY)
        _check_prompt(served, prompt_name)
        prompt = "" if prompt_name is None else asked(lambda: served.model._prompt(None, prompt_name))
        checked = [prompt + text for text in self.check_texts(list(texts), "inputs")]
        if sum(len(text) for text in checked) > _CHARACTERS:
            raise Refused(
                "too_large",
                f"inputs has more than {_CHARACTERS} characters: send less at once",
                param="inputs",
            )
        backend = backend_of(served)
        return await self._pipeline.in_thread(lambda: tokens_of(backend, checked, add_special_tokens))

    async def decode(
        self, ids: Sequence[Sequence[int]], *, model: str | None = None, skip_special_tokens: bool = True
    ) -> list[str]:
        """Texts of token ids.

        Raises:
            Refused: an id is not one of the model's.
        """
        served = self._find(model, _ANY)
        backend = backend_of(served)
        check_ids(ids, backend, served)
        rows = [list(row) for row in ids]
        return await self._pipeline.in_thread(
            lambda: list(backend.decode_batch(rows, skip_special_tokens=skip_special_tokens))
        )

    def _reading(
        self,
        served: Served,
        prompt_name: str | None,
        role: Role | None,
        side: str | None,
        max_tokens: int | None,
    ) -> Reading:
        _check_prompt(served, prompt_name)
        return asked(
            lambda: text_reading(
                served.model, prompt_name=prompt_name, role=role, side=side, max_length=max_tokens
            )
        )


def _check_prompt(served: Served, name: str | None) -> None:
    """Refuse the name of a prompt that a model does not have."""
    if name is not None and name not in served.entry.prompts:
        known = ", ".join(map(repr, served.entry.prompts)) or "none"
        message = f"prompt_name={name[:100]!r}: {served.entry.id} has no prompt of this name; it has {known}"
        raise Refused("validation", message, param="prompt_name")
