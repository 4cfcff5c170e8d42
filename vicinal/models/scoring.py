"""What is common to models that score pairs: ranking, their texts, limits, labels and activation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from vicinal.core.inputs import as_texts, check_flag, check_positive, explains_keywords, plain
from vicinal.errors import InputError, InputTypeError
from vicinal.models.activations import Activation, given_activation
from vicinal.models.base import Model
from vicinal.models.pairs import as_pairs

if TYPE_CHECKING:
    from vicinal.models.workers import WorkerPool


class PairModel(Model):
    """Base of models that score pairs of texts; a kind says how in its own ``predict``."""

    predict: Callable[..., Any]
    _activation: Activation

    @explains_keywords
    def rank(
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        return_documents: bool = False,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        activation_fn: Callable[..., Any] | str | None = None,
        apply_softmax: bool = False,
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        device: Any = None,
        on_truncate: str = "warn",
        pool: WorkerPool | None = None,
        chunk_size: int | None = None,
    ) -> list[dict[str, Any]]:
        """Order documents by their score with a query.

        Args:
            query: one text.
            documents: the candidates.
            top_k: keep the best; None keeps all.
            return_documents: put each document's text into its result.

        Other arguments and errors as in :meth:`predict`.

        Returns:
            ``[{"corpus_id", "score"}]`` with the highest score first, ``"text"`` as well if asked for.
            Equal scores stay in the order of the documents.

        Raises:
            InputError: the model gives several scores per pair, which have no order.
        """
        if self.num_labels != 1:
            raise InputError(
                f"rank() needs a model with one label; {self.name_or_path} has {self.num_labels}"
            )
        if not isinstance(query, str):
            raise InputTypeError(f"query is {type(query).__name__}, not a text")
        if isinstance(documents, str):
            raise InputTypeError("documents is a single text; rank() takes a list of texts")
        query = plain(query)
        check_positive(top_k, "top_k")
        check_flag(return_documents, "return_documents")
        texts, _ = as_texts(documents, "documents")
        scores = self.predict(
            [(query, text) for text in texts],
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            activation_fn=activation_fn,
            apply_softmax=apply_softmax,
            prompt_name=prompt_name,
            prompt=prompt,
            device=device,
            on_truncate=on_truncate,
            pool=pool,
            chunk_size=chunk_size,
        )
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [
            {"corpus_id": int(place), "score": float(scores[place])}
            | ({"text": texts[place]} if return_documents else {})
            for place in order
        ]

    @property
    def num_labels(self) -> int:
        """Scores per pair."""
        return self._dimension

    @property
    def activation_fn(self) -> Activation:
        """Turns raw scores, ``(n, labels)`` float32, into reported ones."""
        return self._activation

    @activation_fn.setter
    def activation_fn(self, value: Callable[..., Any] | str) -> None:
        self._activation = given_activation(value)

    @property
    def max_length(self) -> int:
        """The same as :attr:`max_seq_length`: tokens of a pair that count, special tokens included."""
        return self.max_seq_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        self._limit_length(value, "max_length")

    @explains_keywords
    def tokenize(self, texts: Any) -> dict[str, Any]:  # type: ignore[override]
        """What :meth:`forward` reads: ids of pairs of texts, ``(n, length)``, padded to the longest.

        These are torch tensors in a process that has imported torch, else arrays.

        Raises:
            InputTypeError: something that is not a pair of texts, with its position.
        """
        firsts, seconds, _ = as_pairs(texts)
        return super().tokenize(list(zip(firsts, seconds, strict=True)))

    preprocess = tokenize  # type: ignore[assignment]

    def count_tokens(self, sentences: Any) -> Any:
        """Tokens of a pair, or of each pair, before truncation and with special tokens; without any prompt.

        Compare with :attr:`max_length` to see what would be cut.

        Args:
            sentences: pairs of texts, or one pair, as :meth:`predict` takes them.

        Returns:
            A list of integers; one integer for a single pair.

        Raises:
            InputTypeError: something that is not a pair of texts, with its position.
        """
        firsts, seconds, single = as_pairs(sentences)
        counts = self._texts.pairs(firsts, seconds).full_lengths.tolist()
        return counts[0] if single else counts
